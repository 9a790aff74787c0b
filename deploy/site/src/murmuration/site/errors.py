"""What goes wrong with a site, as one sentence and what to do about it.

| class | exit code of the command | when |
|---|---|---|
| Refused | 2 | the site was not started, for a reason the operator can mend |
| NotReady | 1 | it was started, did not become ready in time, and was stopped |
| NotRunning | 3 | there is no site to speak to (as init scripts answer `status`, LSB 3.1) |
"""

from typing import ClassVar

from murmuration.kernel.errors import Rejected, Unavailable


class SiteError(Exception):
    """Base: `what` is wrong and, when there is something, what to do (`remedy`)."""

    exit_code: ClassVar[int] = 2

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what} {remedy}".strip())
        self.what = what
        self.remedy = remedy


class Refused(SiteError, Rejected):
    """Nothing was started, or all that was started is stopped again."""


class NotReady(SiteError, Unavailable):
    """The site did not become ready within its time; it is stopped again."""

    exit_code = 1


class NotRunning(SiteError, Unavailable):
    """No supervisor answers for this state folder."""

    exit_code = 3
