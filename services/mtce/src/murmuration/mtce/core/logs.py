"""The logs of maintenance, as operators know them: moments, not faults.

- 200.020 `event=`: it came (discovered, add), or a storm without a cause holds it (mnfa_…);
- 200.021 `command=`: an operator's command was taken on;
- 200.022 `state=` enabled, disabled, `status=` online, offline, failed, reinstall-…: it is so now;
- 200.023 `services=` started, stopped, start-failed, stop-failed, worker-… likewise: so its
  agent said;
- 200.024 `config=`: what is declared of it was changed.

Entities are `host=<host>.<key>=<value>`.
"""

from datetime import datetime
from typing import Final

from murmuration.mtce.core.model import EffectKind, HostEvent
from murmuration.proto.fm import AlarmType, RecordLog, Severity
from murmuration.proto.mtce import (
    Availability,
    HostState,
    HostStateChanged,
    OperationAccepted,
    OperationCompleted,
    OperationFailed,
)
from murmuration.proto.sysinv import HostAction

EVENT: Final = "200.020"
COMMAND: Final = "200.021"
STATE: Final = "200.022"
SERVICES: Final = "200.023"
CONFIG: Final = "200.024"
_STATUSES: Final = (Availability.ONLINE, Availability.OFFLINE)
_SERVICES: Final = {
    (EffectKind.AGENT_START.value, True): "started",
    (EffectKind.AGENT_START.value, False): "start-failed",
    (EffectKind.AGENT_START_WORKER.value, True): "worker-started",
    (EffectKind.AGENT_START_WORKER.value, False): "worker-start-failed",
    (EffectKind.AGENT_STOP_WORKER.value, True): "worker-stopped",
    (EffectKind.AGENT_STOP_WORKER.value, False): "worker-stop-failed",
    (EffectKind.AGENT_STOP.value, True): "stopped",
    (EffectKind.AGENT_STOP.value, False): "stop-failed",
}


def log(log_id: str, host: str, what: str, *, reason: str, at: datetime) -> RecordLog:
    """One entry; `what` as `key=value`."""
    return RecordLog(
        log_id=log_id,
        entity=f"host={host}.{what}",
        severity=Severity.WARNING,
        reason_text=reason[:1_024],
        event_type=AlarmType.OTHER,
        probable_cause="unspecified-reason",
        service_affecting=log_id == STATE,
        logged_at=at,
    )


def log_of(event: HostEvent) -> RecordLog | None:
    """The entry of an event about a host, if it is worth one."""
    match event:
        case HostStateChanged(state=state, previous=previous):
            return _moved(state, previous)
        case OperationAccepted(operation=done):
            what = f"command={done.action.value}"
            return log(COMMAND, done.host, what, reason=done.reason, at=done.at)
        case OperationCompleted(operation=done) if done.action is HostAction.REINSTALL:
            what = "status=reinstall-complete"
            return log(STATE, done.host, what, reason=done.reason, at=done.at)
        case OperationFailed(operation=done) if done.action is HostAction.REINSTALL:
            what = "status=reinstall-failed"
            return log(STATE, done.host, what, reason=done.reason, at=done.at)
        case _:
            return None


def log_of_services(
    kind: str, host: str, *, done: bool, outcome: str, at: datetime
) -> RecordLog | None:
    """The entry of an effect that ended, where it was about services."""
    what = _SERVICES.get((kind, done))
    if what is None:
        return None
    return log(SERVICES, host, f"services={what}", reason=outcome or what, at=at)


def _moved(state: HostState, previous: str) -> RecordLog | None:
    """The more telling one of what changed: failed, then in service or not, then heard or not."""
    if not previous:
        what, log_id = "event=add", EVENT
    else:
        _, operational, availability = previous.split("-", 2)
        log_id = STATE
        if state.availability is Availability.FAILED and availability != state.availability.value:
            what = "status=failed"
        elif operational != state.operational.value:
            what = f"state={state.operational.value}"
        elif state.availability in _STATUSES and availability != state.availability.value:
            what = f"status={state.availability.value}"
        else:
            return None
    return log(log_id, state.host, what, reason=state.reason, at=state.changed_at)
