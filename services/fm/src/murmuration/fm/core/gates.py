"""What the active alarms mean for others: degraded hosts and the gates of orchestration.

- A host is degraded while an alarm on it reaches the catalogue's degrade threshold.
- The gate `strict` is blocked by any alarm, `relaxed` by one that reaches the management threshold,
  `permissive` by none.

Suppressed alarms count: to hide an alarm mends nothing. Masked ones do not: the alarm that masks
them stands for them.

Invariants: an alarm is in exactly the sets it affects; what is named are the `CAUSES_MAX` worst,
by severity, then by time, then by uuid: the same whatever came in whatever order.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from murmuration.fm.core.entities import HOST, value
from murmuration.fm.core.faults import AlarmKey, Fault
from murmuration.fm.core.worst import DEGRADE, MANAGEMENT, NOTHING, PRESENT, Worst, ranked
from murmuration.proto.entities import components
from murmuration.proto.fm_derived import CAUSES_MAX, Gate


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

    def __init__(self, said: Mapping[Subject, Causes]) -> None:
        """`said`: what was said last of each subject, by this process or one before."""
        self._said = dict(said)
        self._gates = {STRICT: Worst(PRESENT), RELAXED: Worst(MANAGEMENT)}
        self._degrading: dict[str, Worst] = {}
        self._due = {STRICT, RELAXED, PERMISSIVE, *said}

    def put(self, fault: Fault, effect: int) -> None:
        """An alarm is active and affects so much; also when its severity changed."""
        effect = ranked(effect, fault.severity)
        if effect == fault.effect:
            return
        self.drop(fault)
        fault.effect = effect
        for subject, gate in self._gates.items():
            if gate.put(fault):
                self._due.add(subject)
        if effect & DEGRADE:
            host = _host(fault)
            self._degrading.setdefault(host, Worst(DEGRADE)).put(fault)
            self._due.add(Subject(None, host))

    def drop(self, fault: Fault) -> None:
        """An alarm is gone."""
        effect, fault.effect = fault.effect, NOTHING
        for subject, gate in self._gates.items():
            if gate.drop(effect):
                self._due.add(subject)
        if effect & DEGRADE:
            host = _host(fault)
            here = self._degrading[host]
            here.drop(effect)
            if not here.count:
                del self._degrading[host]
            self._due.add(Subject(None, host))

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
        if subject.gate is None:
            members = self._degrading.get(subject.host)
        else:
            members = self._gates.get(subject)
        if members is None:
            return FREE
        worst = members.first(CAUSES_MAX)
        return Causes(members.count, tuple(fault.uuid for fault in worst))


def effect_of(*, masked: bool, management: bool, degrade: bool) -> int:
    """What an alarm with these flags affects: bits."""
    if masked:
        return NOTHING
    return PRESENT | (MANAGEMENT if management else 0) | (DEGRADE if degrade else 0)


def _host(fault: Fault) -> str:
    return value(components(fault.entity), HOST)


def _by_name(subject: Subject) -> tuple[str, str]:
    return subject.gate or "", subject.host
