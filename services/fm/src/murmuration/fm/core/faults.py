"""Active alarms as correlation and gates need them, and where they are found by what they name.

Small on purpose: a site's 100,000 active alarms are held at once, in about 400 bytes each.

Invariant: a fault is in exactly the groups of its parts; groups hold nothing else, are never empty,
and are in order of time.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

AlarmKey = bytes  # an alarm's uuid, 16 bytes


class Verdict(NamedTuple):
    """What is found of one alarm; all empty: it has no known cause."""

    root: AlarmKey
    cause: AlarmKey
    rule: str


UNCAUSED = Verdict(b"", b"", "")


@lru_cache(maxsize=1_024)
def _shared(word: str) -> str:
    """The same string for all that are equal."""
    return word


class Fault:
    """One active alarm; identity is its uuid."""

    __slots__ = (
        *("alarm_id", "due", "effect", "entity", "raised_at", "severity", "uuid", "verdict"),
    )

    def __init__(
        self,
        *,
        uuid: AlarmKey,
        alarm_id: str,
        entity: str,
        severity: str,
        raised_at: float,
        verdict: Verdict = UNCAUSED,
    ) -> None:
        """`raised_at`: seconds since 1970 of the first raise; `verdict`: what is stored of it."""
        self.uuid = uuid
        self.alarm_id = _shared(alarm_id)
        self.entity = entity
        self.severity = _shared(severity)
        self.raised_at = raised_at
        self.verdict = verdict
        self.effect = 0  # of gates: what it affects, see `worst`
        self.due = False  # of correlation: it waits to be looked at

    def __lt__(self, other: "Fault") -> bool:
        """Whether it comes before another in the order of faults."""
        return in_order(self) < in_order(other)


def in_order(fault: Fault) -> tuple[float, AlarmKey]:
    """The order of faults: by time, then by uuid."""
    return fault.raised_at, fault.uuid


_ById = dict[str, Fault | list[Fault]]


class Groups:
    """Faults by a part of their entity, and within it by alarm id, in order of time.

    A part with one fault holds it as it is, and so does an id: small containers would cost more
    than the faults.
    """

    def __init__(self) -> None:
        self._parts: dict[str, Fault | _ById] = {}

    def add(self, part: str, fault: Fault) -> None:
        """Put a fault into the group of one of its parts; it must not be there."""
        there = self._parts.get(part)
        if there is None:
            self._parts[part] = fault
            return
        if isinstance(there, Fault):
            there = self._parts[part] = {there.alarm_id: there}
        same = there.get(fault.alarm_id)
        if same is None:
            there[fault.alarm_id] = fault
        elif isinstance(same, Fault):
            there[fault.alarm_id] = sorted((same, fault), key=in_order)
        else:
            insort(same, fault, key=in_order)

    def remove(self, part: str, fault: Fault) -> None:
        """Take a fault out of the group of one of its parts; it must be there."""
        there = self._parts[part]
        if isinstance(there, Fault):
            del self._parts[part]
            return
        same = there[fault.alarm_id]
        if isinstance(same, list):
            same.pop(bisect_left(same, in_order(fault), key=in_order))
        if isinstance(same, Fault) or not same:
            del there[fault.alarm_id]
        if not there:
            del self._parts[part]

    def find(self, part: str, wanted: Callable[[str], bool]) -> Iterator[Fault]:
        """The faults of a group whose alarm id is wanted; the group may not change meanwhile."""
        there = self._parts.get(part)
        if there is None:
            return
        if isinstance(there, Fault):
            if wanted(there.alarm_id):
                yield there
            return
        for alarm_id, same in there.items():
            if wanted(alarm_id):
                yield from (same,) if isinstance(same, Fault) else same

    def first(
        self,
        part: str,
        alarm_ids: Iterable[str],
        *,
        since: float,
        until: float,
        counts: Callable[[Fault], bool],
    ) -> Fault | None:
        """The first fault of a group that has one of these ids, lies in this time and counts."""
        found = (
            self._first(same, since, until, counts)
            for alarm_id in alarm_ids
            if (same := self._of(part, alarm_id)) is not None
        )
        return min((fault for fault in found if fault is not None), key=in_order, default=None)

    def _of(self, part: str, alarm_id: str) -> Fault | list[Fault] | None:
        there = self._parts.get(part)
        if isinstance(there, Fault):
            return there if there.alarm_id == alarm_id else None
        return there.get(alarm_id) if there is not None else None

    def _first(
        self,
        same: Fault | list[Fault],
        since: float,
        until: float,
        counts: Callable[[Fault], bool],
    ) -> Fault | None:
        if isinstance(same, Fault):
            return same if since <= same.raised_at <= until and counts(same) else None
        for place in range(bisect_left(same, since, key=_raised_at), len(same)):
            fault = same[place]
            if fault.raised_at > until:
                return None
            if counts(fault):
                return fault
        return None


def _raised_at(fault: Fault) -> float:
    return fault.raised_at
