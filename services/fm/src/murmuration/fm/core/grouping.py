"""When a group is told, and of what: Alertmanager's rules as one function.

A new group waits `group_wait_s` for what belongs together; then it is looked at every
`group_interval_s`. It is told when an alarm of it is firing that was not told, or one that was told
is resolved; otherwise again after `repeat_interval_s` while something fires. An alarm that is held
back (silenced, masked, suppressed, a symptom, flapping where told alone) counts as not there;
once it is no longer held back it is news.

Invariants: a resolved alarm is told only if its firing was; a group of which nothing is left is
forgotten; nothing is told twice without a repeat.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The times of one route, in seconds; `repeat_interval_s` 0: nothing is told again."""

    group_wait_s: float
    group_interval_s: float
    repeat_interval_s: float


class Member(NamedTuple):
    """One alarm of a group, as it is when the group is looked at."""

    uuid: str
    firing: bool
    told: bool  # that it is firing
    news: bool  # it was not told as it is now
    held: bool  # back, for now


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a group now: whom to tell of, whom to forget, and when to look again."""

    firing: tuple[str, ...] = ()  # to be told as firing; with `resolved` empty too: tell nothing
    resolved: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    due_at: datetime | None = None  # None: the group is no more
    reason: str = ""

    @property
    def tells(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.firing or self.resolved)


def first_due(timing: Timing, now: datetime) -> datetime:
    """When a group that has just come to be is looked at."""
    return now + timedelta(seconds=timing.group_wait_s)


def look(
    members: Sequence[Member],
    timing: Timing,
    *,
    now: datetime,
    told_at: datetime | None,
    muted: bool,
    send_resolved: bool,
) -> Verdict:
    """Look at a group whose time has come; `told_at`: when it was told last."""
    due_at = now + timedelta(seconds=timing.group_interval_s)
    if muted:
        return Verdict(due_at=due_at, reason="it is a mute time")
    firing = tuple(one.uuid for one in members if one.firing and not one.held)
    resolved = tuple(one.uuid for one in members if not one.firing and one.told)
    forgotten = tuple(one.uuid for one in members if not one.firing)
    stays = due_at if len(forgotten) < len(members) else None
    fresh = any(one.firing and one.news and not one.held for one in members)
    tellable = resolved if send_resolved else ()
    if fresh or tellable:
        return Verdict(firing, tellable, forgotten, stays, "alarms came" if fresh else "some went")
    if firing and _repeats(timing, told_at, now):
        return Verdict(firing, (), forgotten, stays, "they are still there")
    return Verdict((), (), forgotten, stays, "nothing is new")


def _repeats(timing: Timing, told_at: datetime | None, now: datetime) -> bool:
    if told_at is None or timing.repeat_interval_s <= 0:
        return False
    return now >= told_at + timedelta(seconds=timing.repeat_interval_s)
