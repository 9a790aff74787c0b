"""The alarms of a host: a function of its record, so that none is forgotten and none is left over.

A step raises what the new record has and the old one had not (or had at another severity), and
clears the rest. Identifiers are those that operators know.
"""

from datetime import datetime
from typing import NamedTuple

from murmuration.mtce.core.model import AlarmKind, AlarmOrder, HostRecord
from murmuration.proto.fm import AlarmType, ClearAlarm, RaiseAlarm, Severity
from murmuration.proto.mtce import HealthCause, HeartbeatState, RecoveryCause

LOCKED_ALARM, FAILED_ALARM, HEARTBEAT_ALARM = "200.001", "200.004", "200.005"
CONFIG_ALARM, SUBFUNCTION_ALARM, LUKS_ALARM = "200.011", "200.013", "200.016"


class _About(NamedTuple):
    alarm_type: AlarmType
    cause: str
    repair: str
    affecting: bool


_OPERATION = AlarmType.OPERATIONAL_VIOLATION
_ABOUT = {
    LOCKED_ALARM: _About(
        _OPERATION, "out-of-service", "Unlock the host when the work on it is done.", True
    ),
    FAILED_ALARM: _About(
        _OPERATION,
        "application-subsystem-failure",
        "Check the host's power and its links to the management network;"
        " it returns to service by itself once it beats well.",
        True,
    ),
    HEARTBEAT_ALARM: _About(
        AlarmType.COMMUNICATION,
        "unknown",
        "Check the host's power and its links to the management network;"
        " it returns to service by itself once it beats well.",
        True,
    ),
    CONFIG_ALARM: _About(
        _OPERATION, "configuration-or-customization-error", "Lock the host, mend, unlock it.", True
    ),
    SUBFUNCTION_ALARM: _About(
        _OPERATION, "application-subsystem-failure", "Lock and unlock the host.", True
    ),
    LUKS_ALARM: _About(
        _OPERATION, "key-expired", "Reinstall the host: its encrypted volume does not open.", True
    ),
}
ALARM_IDS = tuple(sorted(_ABOUT))


def alarms_of(record: HostRecord) -> frozenset[AlarmKind]:
    """What a host in this state has."""
    found: set[AlarmKind] = set()
    if record.condition.locked:
        return frozenset({AlarmKind(LOCKED_ALARM, Severity.WARNING)})
    if record.work.failed:
        found.add(AlarmKind(FAILED_ALARM, Severity.CRITICAL))
        if record.work.lost or record.heartbeat is HeartbeatState.LOST:
            found.add(AlarmKind(HEARTBEAT_ALARM, Severity.CRITICAL))
    health = record.work.health
    if record.condition.serves and record.heartbeat is HeartbeatState.DEGRADED:
        found.add(AlarmKind(HEARTBEAT_ALARM, Severity.MAJOR))
    if HealthCause.SUBFUNCTION in health:
        found.add(AlarmKind(SUBFUNCTION_ALARM, Severity.CRITICAL))
    if HealthCause.LUKS in health or record.work.gave_up is RecoveryCause.LUKS:
        found.add(AlarmKind(LUKS_ALARM, Severity.CRITICAL))
    if HealthCause.CONFIG in health or RecoveryCause.CONFIG.value in record.work.failures:
        found.add(AlarmKind(CONFIG_ALARM, Severity.CRITICAL))
    return frozenset(found)


def alarms_now(record: HostRecord, now: datetime) -> tuple[AlarmOrder, ...]:
    """Every alarm a host can have, raised or cleared as its record has it."""
    has = alarms_of(record)
    raised = {kind.alarm_id for kind in has}
    return (
        *(_raise(record, kind, now) for kind in sorted(has)),
        *(_clear(record, one, now) for one in ALARM_IDS if one not in raised),
    )


def alarms_changed(before: HostRecord, after: HostRecord, now: datetime) -> tuple[AlarmOrder, ...]:
    """What a step raises and clears."""
    had, has = alarms_of(before), alarms_of(after)
    gone = sorted({kind.alarm_id for kind in had} - {kind.alarm_id for kind in has})
    return (
        *(_raise(after, kind, now) for kind in sorted(has - had)),
        *(_clear(after, alarm_id, now) for alarm_id in gone),
    )


def alarms_cleared(record: HostRecord, now: datetime, reason: str) -> tuple[AlarmOrder, ...]:
    """What is cleared when the host is no more."""
    return tuple(
        ClearAlarm(
            alarm_id=kind.alarm_id, entity=f"host={record.name}", cleared_at=now, reason=reason
        )
        for kind in sorted(alarms_of(record))
    )


def _raise(record: HostRecord, kind: AlarmKind, now: datetime) -> RaiseAlarm:
    about = _ABOUT[kind.alarm_id]
    return RaiseAlarm(
        alarm_id=kind.alarm_id,
        entity=f"host={record.name}",
        severity=kind.severity,
        reason_text=record.reason[:1_024],
        alarm_type=about.alarm_type,
        probable_cause=about.cause,
        proposed_repair_action=about.repair,
        service_affecting=about.affecting,
        raised_at=now,
        additional={
            "boot_id": record.boot_id,
            "episode": str(record.episode),
            "storm": record.work.storm,
        },
    )


def _clear(record: HostRecord, alarm_id: str, now: datetime) -> ClearAlarm:
    return ClearAlarm(
        alarm_id=alarm_id,
        entity=f"host={record.name}",
        cleared_at=now,
        reason=record.reason[:1_024],
    )
