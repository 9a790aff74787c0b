"""Waiting longer after each failure, with a share of chance so that many do not come at once."""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Backoff:
    """Delays that double from `first_s` to `most_s`.

    `dice` is a number in [0, 1) for each delay, given by the caller; a delay lies between half of
    its nominal value and the whole of it.
    """

    first_s: float
    most_s: float
    attempt: int = 0

    def next_s(self, dice: float) -> float:
        """The next delay in seconds; each call is one more failure."""
        nominal = min(self.most_s, self.first_s * 2**self.attempt)
        self.attempt = min(self.attempt + 1, 30)
        return nominal * (0.5 + dice / 2)

    def reset(self) -> None:
        """Begin anew after a success."""
        self.attempt = 0
