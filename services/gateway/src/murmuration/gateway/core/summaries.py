"""One sentence for people per event, and the severity it bears, if any."""

from collections.abc import Sequence

from murmuration.gateway.core.model import Occurred
from murmuration.proto.fm import (
    Alarm,
    AlarmChanged,
    AlarmCleared,
    AlarmRaised,
    IntakeRejected,
    LogRecorded,
)
from murmuration.proto.fm_derived import DegradeAsserted, DegradeCleared, GateBlocked, GateFreed
from murmuration.proto.fm_operators import Suppression, SuppressionChanged
from murmuration.proto.fm_vocabulary import Severity
from murmuration.proto.mtce import (
    HostForgotten,
    HostState,
    HostStateChanged,
    OperationAccepted,
    OperationCompleted,
    OperationFailed,
    OperationRefused,
)
from murmuration.proto.mtce_bmc import (
    BmcStateChanged,
    HostReleased,
    ReleasePlanned,
    ReleaseWithdrawn,
    SensorsChanged,
)
from murmuration.proto.node import HostCameUp, HostHealthChanged
from murmuration.proto.platform import EpochStarted, StatePublished
from murmuration.proto.sysinv import HostAccepted, HostChanged, HostDiscovered, HostRemoved

LENGTH_MAX = 400
_ENDS = {
    OperationAccepted: "has begun",
    OperationRefused: "was refused",
    OperationCompleted: "is done",
    OperationFailed: "failed",
}


def summarise(event: Occurred) -> tuple[str, Severity | None]:
    """A sentence that says what happened to what and why, at most LENGTH_MAX characters."""
    text, severity = _summary(event)
    return (text if len(text) <= LENGTH_MAX else text[: LENGTH_MAX - 1] + "…"), severity


def _summary(event: Occurred) -> tuple[str, Severity | None]:
    match event.payload:
        case AlarmRaised(alarm=alarm):
            where = f"{alarm.severity} alarm {alarm.alarm_id} on {alarm.entity}"
            return f"{where}: {alarm.reason_text}", alarm.severity
        case AlarmChanged(alarm=alarm, changed=changed):
            return f"{_alarm_changed(alarm, changed)}: {alarm.reason_text}", alarm.severity
        case AlarmCleared(alarm=alarm, reason=reason):
            where = f"alarm {alarm.alarm_id} on {alarm.entity} cleared"
            return _because(where, reason), alarm.severity
        case HostStateChanged(state=state, previous=previous):
            was = f", was {previous}" if previous else ""
            return _told(state.host, f"is {_states(state)}{was}", state.reason), None
        case HostForgotten(host=host, reason=reason):
            return _told(host, "is no longer watched", reason), None
        case HostDiscovered(host=host, reason=reason):
            return _told(host.name, f"enrolled as {host.personality}", reason), None
        case HostAccepted(host=host, reason=reason):
            return _told(host.name, "was accepted", reason), None
        case HostChanged(host=host, changed=changed, reason=reason):
            return _changed(host.name, changed, reason), None
        case HostRemoved(host=host, reason=reason):
            return _told(host, "was removed", reason), None
        case LogRecorded(log=log):
            return (
                f"{log.severity} log {log.log_id} of {log.entity}: {log.reason_text}",
                log.severity,
            )
        case IntakeRejected(producer=producer, reason=reason):
            return f"fm refused what {producer} said: {reason}", None
        case _:
            return _derived(event), None


def _alarm_changed(alarm: Alarm, changed: Sequence[str]) -> str:
    where = f"alarm {alarm.alarm_id} on {alarm.entity}"
    if "severity" in changed:
        return f"{where} is now {alarm.severity}"
    if "root_cause" in changed:
        by = f"has a cause ({alarm.correlated_by})" if alarm.root_cause else "has no cause any more"
        return f"{where} {by}"
    if "raise_count" in changed:
        return f"{where} was raised again"
    return f"{where} changed ({', '.join(changed)})" if changed else f"{where} is told afresh"


def _derived(event: Occurred) -> str:
    """The same for what bears no severity of its own."""
    match event.payload:
        case SuppressionChanged(suppression=suppression, active=active, reason=reason):
            what = "is in force" if active else "is no more"
            return _because(f"a suppression of {_scope(suppression)} {what}", reason)
        case DegradeAsserted(host=host, degrade=degrade):
            return f"{host} is degraded by {_counted(degrade.cause_count)}"
        case DegradeCleared(host=host):
            return f"no alarm degrades {host} any more"
        case GateBlocked(gate=gate, state=state):
            return f"the {gate} gate is blocked by {_counted(state.cause_count)}"
        case GateFreed(gate=gate):
            return f"the {gate} gate is free"
        case OperationAccepted() | OperationRefused() | OperationCompleted() | OperationFailed():
            return _operated(event.payload)
        case (
            HostHealthChanged(reason=reason)
            | HostCameUp(reason=reason)
            | SensorsChanged(reason=reason)
        ):
            return reason
        case BmcStateChanged(state=state):
            return state.reason
        case ReleasePlanned(release=r) | HostReleased(release=r) | ReleaseWithdrawn(release=r):
            return r.reason
        case EpochStarted(service=service, reason=reason):
            return _because(f"the database of {service} began a new life", reason)
        case StatePublished(service=service):
            return f"{service} told its whole state afresh"
        case _:
            return f"{event.type} on {event.entity}" if event.entity else event.type


def _counted(alarms: int) -> str:
    return f"{alarms} alarm" if alarms == 1 else f"{alarms} alarms"


def _scope(suppression: Suppression) -> str:
    """What a suppression is about, in words."""
    parts = (
        f"alarm {suppression.alarm_id}" if suppression.alarm_id else "",
        f"on {suppression.entity}" if suppression.entity else "",
        f"of severity {', '.join(suppression.severities)}" if suppression.severities else "",
    )
    return " ".join(part for part in parts if part)


def _operated(
    event: OperationAccepted | OperationRefused | OperationCompleted | OperationFailed,
) -> str:
    operation, how = event.operation, _ENDS[type(event)]
    return _because(f"{operation.action} of {operation.host} {how}", operation.reason)


def _states(state: HostState) -> str:
    return f"{state.administrative}, {state.operational}, {state.availability}"


def _told(name: str, what: str, reason: str) -> str:
    """Lead with the reason where it already is a sentence about `name`."""
    if reason.startswith(f"{name} "):
        return f"{reason} ({what})"
    return _because(f"{name} {what}", reason)


def _because(what: str, reason: str) -> str:
    return f"{what}: {reason}" if reason else what


def _changed(host: str, changed: tuple[str, ...], reason: str) -> str:
    what = ", ".join(changed) or "its record"
    if host not in reason:
        return _because(f"{host}: {what} changed", reason)
    if changed in ((), ("links",)):  # the reason says it, and names the links
        return reason
    return f"{reason} ({what} changed)"
