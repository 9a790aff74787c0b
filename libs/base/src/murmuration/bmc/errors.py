"""What may go wrong with a BMC, by whose fault it is and what may be assumed afterwards.

None of these says anything about the machine's power: only a readable answer does.
"""

from murmuration.kernel.errors import DeadlineExceeded, NotFound, Rejected, Unavailable


class BmcAway(Unavailable):
    """It cannot be reached, or is busy: nothing was done."""

    code = "bmc-away"


class BmcSilent(DeadlineExceeded):
    """The request went out and no answer came: it may have been carried out."""

    code = "bmc-silent"


class BmcUnreadable(Unavailable):
    """It answered something that cannot be read, or is not what the standard allows."""

    code = "bmc-unreadable"


class BmcLogin(Rejected):
    """It refuses user or password: whoever configured them has to."""

    status = 409
    code = "bmc-login"


class BmcUntrusted(Rejected):
    """Its certificate is not the one that was trusted; nothing secret was said."""

    status = 409
    code = "bmc-untrusted"


class BmcRefused(Rejected):
    """It understood and will not: unsupported here, or not in its present state."""

    status = 409
    code = "bmc-refused"


class SecretMissing(NotFound):
    """No password is stored for this BMC."""

    code = "bmc-secret-missing"
