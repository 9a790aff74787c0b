"""The nouns of host maintenance: a host's condition, what was observed of it, its record.

Invariant: a `Condition` is one of the legal combinations of administrative, operational and
availability state (ITU-T X.731); no other combination can be written down.
"""

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from murmuration.proto.fm import ClearAlarm, RaiseAlarm, Severity
from murmuration.proto.ids import BootId, HostName
from murmuration.proto.mtce import (
    Availability,
    HeartbeatState,
    HostForgotten,
    HostState,
    HostStateChanged,
    Operational,
)
from murmuration.proto.sysinv import Administrative


class Axes(NamedTuple):
    """The three axes of X.731, apart."""

    administrative: Administrative
    operational: Operational
    availability: Availability


class Condition(enum.Enum):
    """The legal combinations of the axes; every member says what it means."""

    # Not wanted in service, and nothing is heard of it.
    LOCKED_OFFLINE = Axes(Administrative.LOCKED, Operational.DISABLED, Availability.OFFLINE)
    # Not wanted in service; it is up and beats.
    LOCKED_ONLINE = Axes(Administrative.LOCKED, Operational.DISABLED, Availability.ONLINE)
    # Wanted in service; nothing heard yet, and it is still given time to appear.
    UNLOCKED_OFFLINE = Axes(Administrative.UNLOCKED, Operational.DISABLED, Availability.OFFLINE)
    # Wanted in service; it is up, and has not yet beaten well for long enough.
    UNLOCKED_ONLINE = Axes(Administrative.UNLOCKED, Operational.DISABLED, Availability.ONLINE)
    # Wanted in service, and proven silent.
    UNLOCKED_FAILED = Axes(Administrative.UNLOCKED, Operational.DISABLED, Availability.FAILED)
    # In service.
    AVAILABLE = Axes(Administrative.UNLOCKED, Operational.ENABLED, Availability.AVAILABLE)
    # In service, with pulses missing.
    DEGRADED = Axes(Administrative.UNLOCKED, Operational.ENABLED, Availability.DEGRADED)

    def __str__(self) -> str:
        """As operators write it: administrative-operational-availability."""
        return "-".join(axis.value for axis in self.value)

    @property
    def locked(self) -> bool:
        """Whether the host is kept out of service on purpose."""
        return self.value.administrative is Administrative.LOCKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What sysinv says of a host, as far as mtce needs it."""

    name: HostName
    index: int
    period_ms: int
    administrative: Administrative


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRecord:
    """All that mtce keeps of one host; survives restarts.

    `episode` counts up each time the host is heard well again; with the boot id it names a verdict.
    """

    name: HostName
    index: int
    condition: Condition
    heartbeat: HeartbeatState
    boot_id: BootId
    episode: int
    last_heard_at: datetime | None
    changed_at: datetime
    reason: str

    def published(self) -> HostState:
        """The record as others see it."""
        axes = self.condition.value
        return HostState(
            host=self.name,
            index=self.index,
            administrative=axes.administrative,
            operational=axes.operational,
            availability=axes.availability,
            heartbeat=self.heartbeat,
            boot_id=self.boot_id,
            episode=self.episode,
            last_heard_at=self.last_heard_at,
            changed_at=self.changed_at,
            reason=self.reason,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the monitor knows of one host's pulses at one moment: the evidence of a verdict.

    Silences run from the last fresh frame, or from the start of the watch when none came;
    `excused_ms` of it does not count, because the monitor itself was late or without reach.
    `good_count` is pulses in a row, `stopping` that the last one was a good-bye. `missing_*` are
    frames of this boot that never came, by gaps in the sequence; `observers` is what other replicas
    say; `lag_ms` is how long this monitor was late in all.
    """

    heartbeat: HeartbeatState
    boot_id: BootId
    heard: bool
    silent_ms: int
    excused_ms: int
    silent_bus_ms: int
    silent_udp_ms: int
    period_ms: int
    good_count: int
    stopping: bool
    sequence: int = 0
    missing_bus: int = 0
    missing_udp: int = 0
    thresholds: str = ""
    observers: str = ""
    lag_ms: int = 0

    @property
    def missed_count(self) -> int:
        """Whole periods without a pulse, the excused time left out."""
        return max(0, self.silent_ms - self.excused_ms) // self.period_ms

    def evidence(self) -> dict[str, str]:
        """The figures, as they go into an event."""
        return {
            "silent_ms": str(self.silent_ms),
            "excused_ms": str(self.excused_ms),
            "silent_bus_ms": str(self.silent_bus_ms),
            "silent_udp_ms": str(self.silent_udp_ms),
            "period_ms": str(self.period_ms),
            "missed_count": str(self.missed_count),
            "good_count": str(self.good_count),
            "stopping": "yes" if self.stopping else "no",
            "boot_id": self.boot_id,
            "sequence": str(self.sequence),
            "missing_bus": str(self.missing_bus),
            "missing_udp": str(self.missing_udp),
            "thresholds": self.thresholds,
            "observers": self.observers,
            "lag_ms": str(self.lag_ms),
        }


def unobserved() -> Observation:
    """What is known of a host that is not watched yet: nothing."""
    return Observation(
        heartbeat=HeartbeatState.AWAITED,
        boot_id=BootId(""),
        heard=False,
        silent_ms=0,
        excused_ms=0,
        silent_bus_ms=0,
        silent_udp_ms=0,
        period_ms=100,
        good_count=0,
        stopping=False,
    )


class AlarmKind(NamedTuple):
    """One alarm of a condition: which, and how bad."""

    alarm_id: str
    severity: Severity


HostEvent = HostStateChanged | HostForgotten
AlarmOrder = RaiseAlarm | ClearAlarm
