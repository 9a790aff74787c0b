"""Whether a measured value is over its thresholds: with hysteresis, and only after it stayed there.

A level rises when `samples` values in a row are at or over a threshold, and falls when `samples` in
a row are below that threshold by `clear_below`: a value that wavers around a threshold is one fact.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from murmuration.proto.fm import Severity

RANK = {None: 0, Severity.MINOR: 1, Severity.MAJOR: 2, Severity.CRITICAL: 3}


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """A severity and the value from which on it holds; below instead of above for `falling`."""

    severity: Severity
    at: float
    falling: bool = False

    def reached(self, value: float, slack: float = 0.0) -> bool:
        """Whether `value` is over the limit, which `slack` makes easier to be over."""
        return value <= self.at + slack if self.falling else value >= self.at - slack


@dataclass(frozen=True, slots=True)
class Level:
    """Where a value stands, and how often in a row it was seen to stand elsewhere."""

    severity: Severity | None = None
    candidate: Severity | None = None
    seen: int = 0


def judge(
    level: Level, value: float, limits: Sequence[Limit], *, samples: int, slack: float
) -> Level:
    """The level after one more value."""
    now = _worst(value, limits, 0.0)
    if RANK[now] < RANK[level.severity]:  # falling takes being clearly below
        now = _worst(value, [x for x in limits if RANK[x.severity] <= RANK[level.severity]], slack)
    if now == level.severity:
        return replace(level, candidate=None, seen=0)
    seen = level.seen + 1 if now == level.candidate else 1
    if seen >= samples:
        return Level(severity=now)
    return Level(severity=level.severity, candidate=now, seen=seen)


def _worst(value: float, limits: Sequence[Limit], slack: float) -> Severity | None:
    reached = [limit.severity for limit in limits if limit.reached(value, slack)]
    return max(reached, key=lambda severity: RANK[severity], default=None)
