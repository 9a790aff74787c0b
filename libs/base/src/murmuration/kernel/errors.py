"""The five classes of error: they say whose fault it is and what to do next.

| class | fault | what next | HTTP |
|---|---|---|---|
| Rejected | the sender's | send something else | 4xx |
| Stale | nobody's: older than what is known | count and pass | 409 |
| Unavailable | a part that is away | try later, nothing was done | 503 |
| DeadlineExceeded | unknown: the outcome was not seen | reconcile, never assume | 504 |
| Bug | ours | park, alarm | 500 |
"""

from typing import ClassVar


class MurmurationError(Exception):
    """Base of all; the message is one sentence for the person who can act on it."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "bug"


class Rejected(MurmurationError):
    """The request cannot be served as it is; repeating it unchanged gives the same answer."""

    status = 400
    code = "rejected"


class NotFound(Rejected):
    """What the request names is not there."""

    status = 404
    code = "not-found"


class Conflict(Rejected):
    """What the request wants does not fit what is."""

    status = 409
    code = "conflict"


class TooLarge(Rejected):
    """The request exceeds a named limit."""

    status = 413
    code = "too-large"


class Stale(MurmurationError):
    """Older than what is already known: nothing was changed."""

    status = 409
    code = "stale"


class Unavailable(MurmurationError):
    """A part that is needed is away: nothing was done, try again later."""

    status = 503
    code = "unavailable"


class DeadlineExceeded(MurmurationError):
    """No answer in time: it may or may not have been done."""

    status = 504
    code = "deadline-exceeded"


class Bug(MurmurationError):
    """A state that must not be; the chain of causes is logged once, at the top."""

    status = 500
    code = "bug"


BY_CODE: dict[str, type[MurmurationError]] = {
    kind.code: kind
    for kind in (
        Rejected,
        NotFound,
        Conflict,
        TooLarge,
        Stale,
        Unavailable,
        DeadlineExceeded,
        Bug,
    )
}
