"""The machine of one host: from locked over available and degraded to failed, and back.

It governs the condition of an accepted host: its administrative, operational and availability
state (ITU-T X.731), which move together only along the table below.

Invariants
- Every condition is legal: the enum has no other members.
- The alarms of a host are a function of its condition (`ALARMS`): a step raises what the new
  condition has and the old one had not (or had at another severity), and clears the rest.
- A host is enabled only after enough good pulses in a row of its present boot, never by an intent.
- A locked host has no alarm and is never failed: nobody relies on it.
- The same record, input, observation and instant give the same step.

Inputs are levels, not edges: `settle` compares what is recorded with what is intended and observed,
and feeds whatever is still missing. Feeding a level twice changes nothing the second time, so a
verdict that was interrupted is simply settled again.
"""

import enum
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from murmuration.kernel.fsm import Machine, Step, Transition
from murmuration.mtce.core.model import (
    AlarmKind,
    AlarmOrder,
    Condition,
    Declared,
    HostEvent,
    HostRecord,
    Observation,
)
from murmuration.proto.fm import AlarmType, ClearAlarm, RaiseAlarm, Severity
from murmuration.proto.ids import BootId
from murmuration.proto.mtce import HeartbeatState, HostForgotten, HostStateChanged
from murmuration.proto.sysinv import Administrative

HostStep = Step[HostRecord | None, HostEvent, AlarmOrder]


class Input(enum.Enum):
    """What may happen to a host."""

    WELL = "well"  # enough good pulses in a row
    MINOR = "minor"  # some pulses missing
    DEGRADED = "degraded"  # more pulses missing
    LOST = "lost"  # silent on every path beyond the failure threshold
    REBOOTED = "rebooted"  # beats under another boot id than the recorded one
    LOCK = "lock"  # the operator wants it out of service
    UNLOCK = "unlock"  # the operator wants it in service
    FORGET = "forget"  # it was removed from the inventory


class Outcome(NamedTuple):
    """What an action works out: the fields that come with the new condition, and why."""

    heartbeat: HeartbeatState
    boot_id: BootId
    episode: int
    reason: str


Action = Callable[[HostRecord, Observation], Outcome]


def beats_well(record: HostRecord, seen: Observation) -> Outcome:
    """Enough good pulses: a new episode begins unless it was well already."""
    fresh = record.heartbeat is not HeartbeatState.WELL
    return Outcome(
        HeartbeatState.WELL,
        seen.boot_id or record.boot_id,
        record.episode + fresh,
        f"{seen.good_count} pulses in a row at {seen.period_ms} ms",
    )


def misses_some(record: HostRecord, seen: Observation) -> Outcome:
    """Pulses are missing, not yet enough to act on."""
    return _silent(HeartbeatState.MINOR, record, seen)


def misses_many(record: HostRecord, seen: Observation) -> Outcome:
    """Pulses are missing: the host is degraded if it is in service."""
    return _silent(HeartbeatState.DEGRADED, record, seen)


def is_lost(record: HostRecord, seen: Observation) -> Outcome:
    """Silent on every path beyond the failure threshold."""
    return _silent(HeartbeatState.LOST, record, seen)


def has_rebooted(record: HostRecord, seen: Observation) -> Outcome:
    """Another boot id: what was heard of the old boot counts no more."""
    return Outcome(
        HeartbeatState.AWAITED,
        seen.boot_id,
        record.episode,
        f"it rebooted: boot {seen.boot_id or 'unknown'} after {record.boot_id or 'none'}",
    )


def is_locked(record: HostRecord, _seen: Observation) -> Outcome:
    """The operator's intent, carried out."""
    return Outcome(record.heartbeat, record.boot_id, record.episode, "locked, as intended")


def is_unlocked(record: HostRecord, _seen: Observation) -> Outcome:
    """The operator's intent; service begins when it beats well."""
    return Outcome(
        record.heartbeat,
        record.boot_id,
        record.episode,
        "unlocked, as intended: in service once it beats well",
    )


def is_forgotten(record: HostRecord, _seen: Observation) -> Outcome:
    """Nobody asks about it any more."""
    return Outcome(record.heartbeat, record.boot_id, record.episode, "removed from the inventory")


def _silent(level: HeartbeatState, record: HostRecord, seen: Observation) -> Outcome:
    return Outcome(level, record.boot_id or seen.boot_id, record.episode, silence(seen))


def silence(seen: Observation) -> str:
    """One clause about what is missing, with its figures."""
    if not seen.heard:
        return f"no pulse heard in {seen.silent_ms} ms of watching"
    after = " after it said good-bye" if seen.stopping else ""
    excused = f", {seen.excused_ms} ms of it excused" if seen.excused_ms else ""
    return (
        f"no pulse for {seen.silent_ms} ms{after}{excused}: {seen.missed_count} of"
        f" {seen.period_ms} ms missed on NATS and UDP"
    )


_C, _I, _T = Condition, Input, Transition[Condition, Action]
TABLE: dict[tuple[Condition, Input], Transition[Condition, Action]] = {
    (_C.LOCKED_OFFLINE, _I.WELL): _T(_C.LOCKED_ONLINE, beats_well),
    (_C.LOCKED_OFFLINE, _I.LOST): _T(_C.LOCKED_OFFLINE, is_lost),
    (_C.LOCKED_OFFLINE, _I.REBOOTED): _T(_C.LOCKED_OFFLINE, has_rebooted),
    (_C.LOCKED_OFFLINE, _I.UNLOCK): _T(_C.UNLOCKED_OFFLINE, is_unlocked),
    (_C.LOCKED_OFFLINE, _I.FORGET): _T(None, is_forgotten),
    (_C.LOCKED_ONLINE, _I.WELL): _T(_C.LOCKED_ONLINE, beats_well),
    (_C.LOCKED_ONLINE, _I.MINOR): _T(_C.LOCKED_ONLINE, misses_some),
    (_C.LOCKED_ONLINE, _I.DEGRADED): _T(_C.LOCKED_ONLINE, misses_many),
    (_C.LOCKED_ONLINE, _I.LOST): _T(_C.LOCKED_OFFLINE, is_lost),
    (_C.LOCKED_ONLINE, _I.REBOOTED): _T(_C.LOCKED_ONLINE, has_rebooted),
    (_C.LOCKED_ONLINE, _I.UNLOCK): _T(_C.UNLOCKED_ONLINE, is_unlocked),
    (_C.LOCKED_ONLINE, _I.FORGET): _T(None, is_forgotten),
    (_C.UNLOCKED_OFFLINE, _I.WELL): _T(_C.AVAILABLE, beats_well),
    (_C.UNLOCKED_OFFLINE, _I.LOST): _T(_C.UNLOCKED_FAILED, is_lost),
    (_C.UNLOCKED_OFFLINE, _I.REBOOTED): _T(_C.UNLOCKED_OFFLINE, has_rebooted),
    (_C.UNLOCKED_OFFLINE, _I.LOCK): _T(_C.LOCKED_OFFLINE, is_locked),
    (_C.UNLOCKED_OFFLINE, _I.FORGET): _T(None, is_forgotten),
    (_C.UNLOCKED_ONLINE, _I.WELL): _T(_C.AVAILABLE, beats_well),
    (_C.UNLOCKED_ONLINE, _I.MINOR): _T(_C.UNLOCKED_ONLINE, misses_some),
    (_C.UNLOCKED_ONLINE, _I.DEGRADED): _T(_C.UNLOCKED_ONLINE, misses_many),
    (_C.UNLOCKED_ONLINE, _I.LOST): _T(_C.UNLOCKED_FAILED, is_lost),
    (_C.UNLOCKED_ONLINE, _I.REBOOTED): _T(_C.UNLOCKED_ONLINE, has_rebooted),
    (_C.UNLOCKED_ONLINE, _I.LOCK): _T(_C.LOCKED_ONLINE, is_locked),
    (_C.UNLOCKED_ONLINE, _I.FORGET): _T(None, is_forgotten),
    (_C.UNLOCKED_FAILED, _I.WELL): _T(_C.AVAILABLE, beats_well),
    (_C.UNLOCKED_FAILED, _I.LOST): _T(_C.UNLOCKED_FAILED, is_lost),
    (_C.UNLOCKED_FAILED, _I.REBOOTED): _T(_C.UNLOCKED_FAILED, has_rebooted),
    (_C.UNLOCKED_FAILED, _I.LOCK): _T(_C.LOCKED_OFFLINE, is_locked),
    (_C.UNLOCKED_FAILED, _I.FORGET): _T(None, is_forgotten),
    (_C.AVAILABLE, _I.WELL): _T(_C.AVAILABLE, beats_well),
    (_C.AVAILABLE, _I.MINOR): _T(_C.AVAILABLE, misses_some),
    (_C.AVAILABLE, _I.DEGRADED): _T(_C.DEGRADED, misses_many),
    (_C.AVAILABLE, _I.LOST): _T(_C.UNLOCKED_FAILED, is_lost),
    (_C.AVAILABLE, _I.REBOOTED): _T(_C.UNLOCKED_ONLINE, has_rebooted),
    (_C.AVAILABLE, _I.LOCK): _T(_C.LOCKED_ONLINE, is_locked),
    (_C.AVAILABLE, _I.FORGET): _T(None, is_forgotten),
    (_C.DEGRADED, _I.WELL): _T(_C.AVAILABLE, beats_well),
    (_C.DEGRADED, _I.MINOR): _T(_C.DEGRADED, misses_some),
    (_C.DEGRADED, _I.DEGRADED): _T(_C.DEGRADED, misses_many),
    (_C.DEGRADED, _I.LOST): _T(_C.UNLOCKED_FAILED, is_lost),
    (_C.DEGRADED, _I.REBOOTED): _T(_C.UNLOCKED_ONLINE, has_rebooted),
    (_C.DEGRADED, _I.LOCK): _T(_C.LOCKED_ONLINE, is_locked),
    (_C.DEGRADED, _I.FORGET): _T(None, is_forgotten),
}
_LOCKED = (_C.LOCKED_OFFLINE, _C.LOCKED_ONLINE)
_SILENT = (_C.LOCKED_OFFLINE, _C.UNLOCKED_OFFLINE, _C.UNLOCKED_FAILED)
IGNORED: frozenset[tuple[Condition, Input]] = frozenset(
    # A few missing pulses add nothing to a host that counts as silent anyway.
    {(condition, given) for condition in _SILENT for given in (_I.MINOR, _I.DEGRADED)}
    # The intent is carried out already.
    | {(condition, _I.LOCK) for condition in _LOCKED}
    | {(condition, _I.UNLOCK) for condition in Condition if condition not in _LOCKED}
)
REFUSED: dict[
    tuple[Condition, Input], str
] = {}  # levels are facts: none of them is a wrong request
MACHINE: Machine[Condition, Input, Action] = Machine(
    name="host", states=Condition, inputs=Input, table=TABLE, ignored=IGNORED, refused=REFUSED
)

FAILED_ALARM, HEARTBEAT_ALARM = "200.004", "200.005"
ALARMS: dict[Condition, frozenset[AlarmKind]] = {
    condition: frozenset[AlarmKind]() for condition in Condition
} | {
    Condition.DEGRADED: frozenset({AlarmKind(HEARTBEAT_ALARM, Severity.MAJOR)}),
    Condition.UNLOCKED_FAILED: frozenset(
        {
            AlarmKind(FAILED_ALARM, Severity.CRITICAL),
            AlarmKind(HEARTBEAT_ALARM, Severity.CRITICAL),
        }
    ),
}

_LEVELS = {
    HeartbeatState.WELL: Input.WELL,
    HeartbeatState.MINOR: Input.MINOR,
    HeartbeatState.DEGRADED: Input.DEGRADED,
    HeartbeatState.LOST: Input.LOST,
}
_SAYS = {
    Condition.LOCKED_OFFLINE: "locked and offline",
    Condition.LOCKED_ONLINE: "locked and online",
    Condition.UNLOCKED_OFFLINE: "unlocked, waiting for its first pulses",
    Condition.UNLOCKED_ONLINE: "online, not yet in service",
    Condition.UNLOCKED_FAILED: "failed",
    Condition.AVAILABLE: "in service",
    Condition.DEGRADED: "in service, degraded",
}


def admit(declared: Declared, now: datetime) -> HostStep:
    """A host was accepted: the first record, of which nothing was heard yet."""
    locked = declared.administrative is Administrative.LOCKED
    condition = Condition.LOCKED_OFFLINE if locked else Condition.UNLOCKED_OFFLINE
    reason = f"{declared.name} is {_SAYS[condition]}: accepted into the site, watched from now on"
    record = HostRecord(
        name=declared.name,
        index=declared.index,
        condition=condition,
        heartbeat=HeartbeatState.AWAITED,
        boot_id=BootId(""),
        episode=0,
        last_heard_at=None,
        changed_at=now,
        reason=reason,
    )
    event = HostStateChanged(state=record.published(), previous="", evidence={})
    return HostStep(state=record, events=(event,), effects=(), reason=reason)


def step(record: HostRecord, given: Input, seen: Observation, now: datetime) -> HostStep:
    """One input; an unchanged record comes back without events and effects."""
    transition = MACHINE.find(record.condition, given)
    if transition is None:
        return _unchanged(record)
    outcome = transition.action(record, seen)
    if transition.to is None:
        return _ended(record, outcome, now)
    moved = transition.to is not record.condition
    if not moved and outcome.heartbeat is record.heartbeat and outcome.boot_id == record.boot_id:
        return _unchanged(record)
    after = replace(
        record,
        condition=transition.to,
        heartbeat=outcome.heartbeat,
        boot_id=outcome.boot_id,
        episode=outcome.episode,
        last_heard_at=_heard_at(record, seen, now),
        changed_at=now if moved else record.changed_at,
        reason=f"{record.name} is {_SAYS[transition.to]}: {outcome.reason}",
    )
    event = HostStateChanged(
        state=after.published(), previous=str(record.condition), evidence=seen.evidence()
    )
    orders = _alarm_orders(record, after, now)
    return HostStep(state=after, events=(event,), effects=orders, reason=after.reason)


def settle(
    record: HostRecord, intended: Administrative, seen: Observation, now: datetime
) -> tuple[HostStep, ...]:
    """The steps that bring a record to what is intended and observed; empty when it is there."""
    steps: list[HostStep] = []
    wanted = Input.LOCK if intended is Administrative.LOCKED else Input.UNLOCK
    level = _LEVELS.get(seen.heartbeat)
    for given in (wanted, _boot_input(record, seen), level):
        if given is None:
            continue
        found = step(record, given, seen, now)
        if found.events and found.state is not None:
            steps.append(found)
            record = found.state
    return tuple(steps)


def alarms_now(record: HostRecord, now: datetime) -> tuple[AlarmOrder, ...]:
    """Every alarm a host can have, raised or cleared as its condition has it."""
    has = ALARMS[record.condition]
    absent = sorted({kind.alarm_id for kinds in ALARMS.values() for kind in kinds - has})
    raised = {kind.alarm_id for kind in has}
    return (
        *(_raise(record, kind, now) for kind in sorted(has)),
        *(_clear(record, one, record.reason, now) for one in absent if one not in raised),
    )


def _boot_input(record: HostRecord, seen: Observation) -> Input | None:
    differs = seen.boot_id and record.boot_id and seen.boot_id != record.boot_id
    return Input.REBOOTED if differs else None


def _unchanged(record: HostRecord) -> HostStep:
    return HostStep(state=record, events=(), effects=(), reason=record.reason)


def _ended(record: HostRecord, outcome: Outcome, now: datetime) -> HostStep:
    reason = f"{record.name} is no longer watched: {outcome.reason}"
    clears = tuple(
        _clear(record, kind.alarm_id, reason, now) for kind in sorted(ALARMS[record.condition])
    )
    event = HostForgotten(host=record.name, reason=reason)
    return HostStep(state=None, events=(event,), effects=clears, reason=reason)


def _heard_at(record: HostRecord, seen: Observation, now: datetime) -> datetime | None:
    return now - timedelta(milliseconds=seen.silent_ms) if seen.heard else record.last_heard_at


def _alarm_orders(before: HostRecord, after: HostRecord, now: datetime) -> tuple[AlarmOrder, ...]:
    had, has = ALARMS[before.condition], ALARMS[after.condition]
    kept = {kind.alarm_id for kind in has}
    gone = sorted({kind.alarm_id for kind in had} - kept)
    return (
        *(_raise(after, kind, now) for kind in sorted(has - had)),
        *(_clear(after, alarm_id, after.reason, now) for alarm_id in gone),
    )


def _raise(record: HostRecord, kind: AlarmKind, now: datetime) -> RaiseAlarm:
    failed = kind.alarm_id == FAILED_ALARM
    return RaiseAlarm(
        alarm_id=kind.alarm_id,
        entity=f"host={record.name}",
        severity=kind.severity,
        reason_text=record.reason,
        alarm_type=AlarmType.OPERATIONAL_VIOLATION if failed else AlarmType.COMMUNICATION,
        probable_cause="application-subsystem-failure" if failed else "unknown",
        proposed_repair_action=(
            "Check the host's power and its links to the management network;"
            " it returns to service by itself once it beats well."
        ),
        service_affecting=True,
        raised_at=now,
        additional={"boot_id": record.boot_id, "episode": str(record.episode)},
    )


def _clear(record: HostRecord, alarm_id: str, reason: str, now: datetime) -> ClearAlarm:
    return ClearAlarm(
        alarm_id=alarm_id, entity=f"host={record.name}", cleared_at=now, reason=reason
    )
