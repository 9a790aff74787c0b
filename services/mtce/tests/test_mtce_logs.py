"""The logs of maintenance: which event is which entry."""

from datetime import UTC, datetime

import pytest

from murmuration.mtce.core.logs import log_of, log_of_services
from murmuration.mtce.core.model import EffectKind, HostEvent
from murmuration.proto.mtce import (
    Operation,
    OperationAccepted,
    OperationCompleted,
    OperationFailed,
)
from murmuration.proto.sysinv import HostAction

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def operation(action: HostAction) -> Operation:
    return Operation(operation_id="operation-1", host="h1", action=action, reason="why", at=NOW)


@pytest.mark.parametrize(
    ("event", "entry"),
    [
        (OperationAccepted(operation=operation(HostAction.LOCK)), "200.021 host=h1.command=lock"),
        (
            OperationAccepted(operation=operation(HostAction.POWER_ON)),
            "200.021 host=h1.command=power-on",
        ),
        (OperationCompleted(operation=operation(HostAction.LOCK)), ""),
        (
            OperationCompleted(operation=operation(HostAction.REINSTALL)),
            "200.022 host=h1.status=reinstall-complete",
        ),
        (
            OperationFailed(operation=operation(HostAction.REINSTALL)),
            "200.022 host=h1.status=reinstall-failed",
        ),
    ],
)
def test_operation_is_logged_by_its_command_and_a_reinstall_by_its_end(
    event: HostEvent, entry: str
) -> None:
    found = log_of(event)
    assert (f"{found.log_id} {found.entity}" if found else "") == entry


@pytest.mark.parametrize(
    ("kind", "done", "what"),
    [
        (EffectKind.AGENT_START, True, "started"),
        (EffectKind.AGENT_START, False, "start-failed"),
        (EffectKind.AGENT_STOP, True, "stopped"),
        (EffectKind.AGENT_STOP, False, "stop-failed"),
    ],
)
def test_services_are_logged_as_their_agent_says(kind: EffectKind, done: bool, what: str) -> None:
    found = log_of_services(kind.value, "h1", done=done, outcome="", at=NOW)
    assert found is not None
    assert (found.log_id, found.entity) == ("200.023", f"host=h1.services={what}")
    assert log_of_services("bmc.reset", "h1", done=True, outcome="", at=NOW) is None
