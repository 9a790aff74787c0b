"""The nouns of host maintenance: a host's condition, what was observed of it, its record.

Invariant: a `Condition` is one of the legal combinations of administrative, operational and
availability state (ITU-T X.731); no other combination can be written down.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from murmuration.kernel.fsm import Step
from murmuration.proto.envelope import Payload
from murmuration.proto.fm import ClearAlarm, RaiseAlarm, Severity
from murmuration.proto.ids import BootId, HostName
from murmuration.proto.mtce import (
    Availability,
    HealthCause,
    HeartbeatState,
    HostForgotten,
    HostState,
    HostStateChanged,
    HostTask,
    OperationAccepted,
    Operational,
    OperationCompleted,
    OperationFailed,
    OperationRefused,
    RecoveryCause,
)
from murmuration.proto.node import AskedAction
from murmuration.proto.sysinv import Administrative, HostAction, Personality

NO_BOOT = BootId("")


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
    # Not wanted in service, and off: its BMC said so.
    LOCKED_POWER_OFF = Axes(Administrative.LOCKED, Operational.DISABLED, Availability.POWER_OFF)
    # Wanted in service; nothing heard yet, and it is still given time to appear.
    UNLOCKED_OFFLINE = Axes(Administrative.UNLOCKED, Operational.DISABLED, Availability.OFFLINE)
    # Wanted in service; it is up, and has not yet proven that it can serve.
    UNLOCKED_ONLINE = Axes(Administrative.UNLOCKED, Operational.DISABLED, Availability.ONLINE)
    # Wanted in service; it is being tested, and then watched.
    UNLOCKED_INTEST = Axes(Administrative.UNLOCKED, Operational.DISABLED, Availability.INTEST)
    # Wanted in service, and proven silent or unable to serve.
    UNLOCKED_FAILED = Axes(Administrative.UNLOCKED, Operational.DISABLED, Availability.FAILED)
    # Wanted in service, and off: its BMC said so.
    UNLOCKED_POWER_OFF = Axes(Administrative.UNLOCKED, Operational.DISABLED, Availability.POWER_OFF)
    # In service.
    AVAILABLE = Axes(Administrative.UNLOCKED, Operational.ENABLED, Availability.AVAILABLE)
    # In service, with something wrong: `HostRecord.work.health` says what.
    DEGRADED = Axes(Administrative.UNLOCKED, Operational.ENABLED, Availability.DEGRADED)

    def __str__(self) -> str:
        """As operators write it: administrative-operational-availability."""
        return "-".join(axis.value for axis in self.value)

    @property
    def locked(self) -> bool:
        """Whether the host is kept out of service on purpose."""
        return self.value.administrative is Administrative.LOCKED

    @property
    def serves(self) -> bool:
        """Whether the host is in service."""
        return self.value.operational is Operational.ENABLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What sysinv says of a host, as far as mtce needs it.

    `takes_orders`: its agent reboots, tests and switches services when it is told to; not that of
    an observe-only or a simulated host. `has_bmc`: its power can be switched from outside.
    `all_in_one`: a controller that serves as a worker too.
    """

    name: HostName
    index: int
    period_ms: int
    administrative: Administrative
    personality: Personality = Personality.UNKNOWN
    observe_only: bool = False
    takes_orders: bool = False
    has_bmc: bool = False
    all_in_one: bool = False


class EffectKind(enum.StrEnum):
    """What mtce may have done to a host; performers are found by it."""

    AGENT_REBOOT = "agent.reboot"
    AGENT_TEST = "agent.intest"
    AGENT_START = "agent.services_start"
    AGENT_STOP = "agent.services_stop"
    AGENT_TEST_WORKER = "agent.intest_worker"  # these of the worker half of a controller
    AGENT_START_WORKER = "agent.services_start_worker"
    AGENT_STOP_WORKER = "agent.services_stop_worker"
    AGENT_WIPE = "agent.wipe"
    BMC_OFF = "bmc.power_off"
    BMC_ON = "bmc.power_on"
    BMC_RESET = "bmc.reset"
    BMC_CYCLE = "bmc.power_cycle"
    BMC_NETBOOT = "bmc.netboot"

    @property
    def by_bmc(self) -> bool:
        """Whether it needs no agent, but the host's BMC."""
        return self.value.startswith("bmc.")

    @property
    def once(self) -> bool:
        """Whether doing it twice may do harm: such an effect is never sent again."""
        return self in _ONCE


_ONCE = frozenset(
    {
        EffectKind.AGENT_REBOOT,
        EffectKind.AGENT_WIPE,
        EffectKind.BMC_RESET,
        EffectKind.BMC_CYCLE,
    }
)
RESTARTS = _ONCE - {EffectKind.AGENT_WIPE} | {EffectKind.BMC_OFF}  # what stops a running host


class HostEffect(Payload, frozen=True, kw_only=True):
    """The body of an effect's row: on whom, and what the host was like when it was decided.

    `silent`: it was decided because the host is silent; heard again, it is not restarted for that.
    """

    host: str
    personality: Personality
    boot_id: str = ""
    silent: bool = False
    expires_at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRequest:
    """An effect that a step wants done; the operation id is unlike any other one."""

    kind: EffectKind
    operation_id: str
    body: HostEffect


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """An effect that is wanted no more: it is not sent, if it was not sent before."""

    operation_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where a procedure stands. `mark` is the boot that was running when it began, empty if any
    boot will do; `effect_id` the operation id of the effect it waits for.
    """

    procedure: str
    stage: str
    mark: BootId = NO_BOOT
    effect_id: str = ""


class Ask(NamedTuple):
    """What a condition's policy asks for: the condition as kind/name; a reset or a power-cycle."""

    cause: str
    action: AskedAction


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was done, or refused, because a condition's policy asks for it, until all is well.

    `causes`: the conditions that it was restarted for; `count`: how often; `at`: when last, or when
    it served again after that; `refused`: what is not done, and why, one clause.
    """

    causes: tuple[str, ...] = ()
    count: int = 0
    at: datetime | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is going on with a host, and what is remembered of it until it serves again.

    `frames`: the procedure in progress and, behind it, the one it waits for; empty when idle.
    `operation_id`, `action`: the operator's order behind it, if one is.
    `failures`: failures since it last served, by RecoveryCause; `gave_up` the one too many.
    `failed`: it was in trouble since it last served or was locked: alarm 200.004.
    `lost`: found silent, and has not beaten well since, whatever boots meanwhile: alarm 200.005.
    `released`: its workload may run elsewhere: the boot that is marked must not serve again.
    `worker`: how the worker half of an all-in-one controller is, `worker_failures` how often it
    failed since it last served or was locked.
    `storm`: what its silence is put down to, the entity of an alarm; empty when to nothing.
    `stood_down`: the intent that could not be carried out; waits for another one.
    """

    frames: tuple[Frame, ...] = ()
    operation_id: str = ""
    action: HostAction | None = None
    failures: Mapping[str, int] = field(default_factory=dict[str, int])
    gave_up: RecoveryCause | None = None
    failed: bool = False
    lost: bool = False
    released: bool = False
    worker: Availability = Availability.NOT_INSTALLED
    worker_failures: int = 0
    storm: str = ""
    stood_down: Administrative | None = None
    health: tuple[HealthCause, ...] = ()
    asked: Asked | None = None
    effect_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRecord:
    """All that mtce keeps of one host; survives restarts.

    `episode` counts up each time the host is heard well again; with the boot id it names a verdict.
    `due_at` is when the work in progress goes on, whatever comes.
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
    task: HostTask = HostTask.NONE
    due_at: datetime | None = None
    work: Work = field(default_factory=Work)

    def published(self) -> HostState:
        """The record as others see it."""
        axes = self.condition.value
        return HostState(
            host=self.name,
            index=self.index,
            administrative=axes.administrative,
            operational=axes.operational,
            availability=axes.availability,
            subfunction_operational=(
                Operational.ENABLED
                if self.work.worker is Availability.AVAILABLE
                else Operational.DISABLED
            ),
            subfunction_availability=self.work.worker,
            task=self.task,
            operation_id=self.work.operation_id,
            action=self.work.action,
            deadline_at=self.due_at,
            health=self.work.health if self.condition.serves else (),
            failures=dict(self.work.failures),
            gave_up=self.work.gave_up,
            storm=self.work.storm,
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
    fence_s: int = 0  # what the last frame promised, see murmuration.proto.pulse
    lost_ms: int = 1_000  # silence from which on a host counts as lost

    @property
    def returned(self) -> bool:
        """Whether it is heard, though it may not count as well yet."""
        return self.heard and self.silent_ms < self.lost_ms

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


HostEvent = (
    HostStateChanged
    | HostForgotten
    | OperationAccepted
    | OperationRefused
    | OperationCompleted
    | OperationFailed
)
AlarmOrder = RaiseAlarm | ClearAlarm
HostOutcome = AlarmOrder | EffectRequest | Withdrawal
HostStep = Step[HostRecord | None, HostEvent, HostOutcome]
