"""Active alarms as correlation and gates need them, and where they are found by what they name.

Small on purpose: a site's 100,000 active alarms are held at once (about 300 bytes each).

Invariant: a fault is in exactly the groups of its parts; groups hold nothing else and are never
empty.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

AlarmKey = bytes  # an alarm's uuid, 16 bytes


class Verdict(NamedTuple):
    """What is found of one alarm; all empty: it has no known cause."""

    root: AlarmKey
    cause: AlarmKey
    rule: str


UNCAUSED = Verdict(b"", b"", "")


class Fault:
    """One active alarm; identity is its uuid."""

    __slots__ = ("alarm_id", "entity", "raised_at", "severity", "uuid", "verdict")

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
        self.alarm_id = alarm_id
        self.entity = entity
        self.severity = severity
        self.raised_at = raised_at
        self.verdict = verdict


_Many = dict[Fault, None]
_ById = dict[str, "Fault | _Many"]


class Groups:
    """Faults by a part of their entity, and within it by alarm id.

    A part with one fault holds it as it is, and so does an id: small dicts would cost more than the
    faults.
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
            there[fault.alarm_id] = {same: None, fault: None}
        else:
            same[fault] = None

    def remove(self, part: str, fault: Fault) -> None:
        """Take a fault out of the group of one of its parts; it must be there."""
        there = self._parts[part]
        if isinstance(there, Fault):
            del self._parts[part]
            return
        same = there[fault.alarm_id]
        if isinstance(same, dict):
            del same[fault]
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
            if not wanted(alarm_id):
                continue
            if isinstance(same, Fault):
                yield same
            else:
                yield from same
