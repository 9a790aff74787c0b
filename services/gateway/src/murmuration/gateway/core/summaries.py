"""One sentence for people per event, and the severity it bears, if any."""

from murmuration.gateway.core.model import Occurred
from murmuration.proto.fm import AlarmChanged, AlarmCleared, AlarmRaised, Severity
from murmuration.proto.mtce import (
    HostForgotten,
    HostState,
    HostStateChanged,
    OperationAccepted,
    OperationCompleted,
    OperationFailed,
    OperationRefused,
)
from murmuration.proto.platform import EpochStarted
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
            what = ", ".join(changed) or "its text"
            where = f"alarm {alarm.alarm_id} on {alarm.entity} is now {alarm.severity}"
            return f"{where} ({what} changed): {alarm.reason_text}", alarm.severity
        case AlarmCleared(alarm=alarm, reason=reason):
            where = f"alarm {alarm.alarm_id} on {alarm.entity} cleared"
            return _because(where, reason), alarm.severity
        case HostStateChanged(state=state, previous=previous):
            was = f", was {previous}" if previous else ""
            return _told(state.host, f"is {_states(state)}{was}", state.reason), None
        case OperationAccepted() | OperationRefused() | OperationCompleted() | OperationFailed():
            return _operated(event.payload), None
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
        case EpochStarted(service=service, reason=reason):
            return _because(f"the database of {service} began a new life", reason), None
        case _:
            return f"{event.type} on {event.entity}" if event.entity else event.type, None


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
