"""What the active alarms mean for others: degraded hosts and the gates of orchestration.

- A host is degraded while an alarm on it reaches the catalogue's degrade threshold.
- The gate `strict` is blocked by any alarm, `relaxed` by one that reaches the management threshold,
  `permissive` by none.

Suppressed alarms count: to hide an alarm mends nothing. Masked ones do not: the alarm that masks
them stands for them.

Invariants: an alarm is in exactly the sets it affects; what is named are the `CAUSES_MAX` worst,
by severity, then by time, then by uuid: the same whatever came in whatever order.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import NamedTuple

from murmuration.fm.core.entities import HOST, components, value
from murmuration.fm.core.faults import AlarmKey, Fault
from murmuration.proto.fm_derived import CAUSES_MAX, Gate

_RANK = {"critical": 0, "major": 1, "minor": 2, "warning": 3}
_LEAST = 4


# What one alarm affects: bits, for there may be 100,000.
NOTHING = 0
PRESENT = 1  # it counts at all
MANAGEMENT = 2
DEGRADE = 4


class Subject(NamedTuple):
    """What is affected: a gate, or a host's degrade."""

    gate: Gate | None
    host: str


@dataclass(frozen=True, slots=True)
class Causes:
    """The alarms that affect a subject: how many, and the worst of them. None: it is free."""

    count: int
    worst: tuple[AlarmKey, ...]


FREE = Causes(0, ())
STRICT = Subject(Gate.STRICT, "")
RELAXED = Subject(Gate.RELAXED, "")
PERMISSIVE = Subject(Gate.PERMISSIVE, "")


class Gates:
    """What alarms affect, and which subjects have other causes than were said last."""

    def __init__(
        self, said: Mapping[Subject, Causes], active: Callable[[], Iterable[Fault]]
    ) -> None:
        """`said`: what was said last of each subject, by this process or one before.

        `active` gives all alarms; those that were put, and no others, have an effect.
        """
        self._said = dict(said)
        self._active = active
        self._counts = {STRICT: 0, RELAXED: 0}
        self._degrading: dict[str, dict[Fault, None]] = {}
        self._due = {STRICT, RELAXED, PERMISSIVE, *said}

    def put(self, fault: Fault, effect: int) -> None:
        """An alarm is active and affects so much; also when its severity changed."""
        self.drop(fault)
        fault.effect = effect
        self._count(effect, 1)
        host = _host_degraded(fault)
        if host:
            self._degrading.setdefault(host, {})[fault] = None
            self._due.add(Subject(None, host))

    def drop(self, fault: Fault) -> None:
        """An alarm is gone."""
        self._count(fault.effect, -1)
        host = _host_degraded(fault)
        fault.effect = NOTHING
        if host:
            here = self._degrading[host]
            del here[fault]
            if not here:
                del self._degrading[host]
            self._due.add(Subject(None, host))

    def _count(self, effect: int, by: int) -> None:
        for bit, gate in ((PRESENT, STRICT), (MANAGEMENT, RELAXED)):
            if effect & bit:
                self._counts[gate] += by
                self._due.add(gate)

    def settle(self) -> list[tuple[Subject, Causes, Causes]]:
        """The subjects whose causes are others than said, in order: (subject, before, now)."""
        due, self._due = self._due, set[Subject]()
        return list(self._settle(due))

    def _settle(self, due: Iterable[Subject]) -> Iterator[tuple[Subject, Causes, Causes]]:
        for subject in sorted(due, key=_by_name):
            before = self._said.get(subject)
            now = self._causes(subject)
            if now == before or (before is None and subject.gate is None and now == FREE):
                continue
            if now == FREE and subject.gate is None:
                self._said.pop(subject, None)
            else:
                self._said[subject] = now
            yield subject, before or FREE, now

    def _causes(self, subject: Subject) -> Causes:
        if subject in self._counts:
            bit = PRESENT if subject == STRICT else MANAGEMENT
            count = self._counts[subject]
            members = (fault for fault in self._active() if fault.effect & bit) if count else ()
        elif subject.gate is None:
            members = self._degrading.get(subject.host, {})
            count = len(members)
        else:
            return FREE
        worst = nsmallest(CAUSES_MAX, members, key=_worst_first)
        return Causes(count, tuple(fault.uuid for fault in worst))


def effect_of(*, masked: bool, management: bool, degrade: bool) -> int:
    """What an alarm with these flags affects: bits."""
    if masked:
        return NOTHING
    return PRESENT | (MANAGEMENT if management else 0) | (DEGRADE if degrade else 0)


def _host_degraded(fault: Fault) -> str:
    return value(components(fault.entity), HOST) if fault.effect & DEGRADE else ""


def _worst_first(fault: Fault) -> tuple[int, float, AlarmKey]:
    return _RANK.get(fault.severity, _LEAST), fault.raised_at, fault.uuid


def _by_name(subject: Subject) -> tuple[str, str]:
    return subject.gate or "", subject.host
