"""`mur host health`: what is wrong first, then what is watched; nothing said, in one sentence."""

import os
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from murmuration.proto.fm import Severity
from murmuration.proto.node import (
    Condition,
    ConditionKind,
    HostHealth,
    ProcessState,
    ProcessView,
    Reading,
)

from .conftest import Gateway, Mur, before

GOLDEN = Path(__file__).parent / "golden"
QUIET = HostHealth(host="worker-1", incarnation=1, n=1, boot_id="b", observed_at=before(seconds=5))
ILL = msgspec.structs.replace(
    QUIET,
    conditions=(
        Condition(
            kind=ConditionKind.PROCESS,
            name="sshd",
            severity=Severity.MAJOR,
            reason="sshd: process 71 has ended, after 3 starts; tried again in 10 s",
            since=before(minutes=3),
        ),
    ),
    processes=(
        ProcessView(
            name="sshd", state=ProcessState.FAILED, severity=Severity.MAJOR, restart_count=3
        ),
        ProcessView(
            name="ntpd",
            state=ProcessState.RUNNING,
            severity=Severity.CRITICAL,
            pid=812,
            quorum=True,
        ),
    ),
    readings=(
        Reading(kind=ConditionKind.RESOURCE, name="cpu", value=12.5, unit="%"),
        Reading(
            kind=ConditionKind.SENSOR,
            name="board/temp1",
            value=91,
            unit="C",
            severity=Severity.CRITICAL,
        ),
    ),
)


@pytest.mark.parametrize(("name", "health"), [("quiet", QUIET), ("ill", ILL)])
def test_health_is_shown_worst_first(
    mur: Mur, gateway: Gateway, name: str, health: HostHealth
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(body=msgspec.json.encode(health))

    gateway.handlers["/api/v1/hosts/worker-1/health"] = answer
    result = mur("host", "health", "worker-1", COLUMNS="80")

    assert result.code == 0
    path = GOLDEN / f"host-health-{name}.txt"
    if os.environ.get("MUR_UPDATE_GOLDEN"):
        path.write_text(result.out)
    assert result.out == path.read_text()
    assert mur("host", "health", "worker-1", "--json").out.strip().startswith("{")


def test_host_without_an_agent_is_said_with_what_to_do(mur: Mur) -> None:
    result = mur("host", "health", "worker-9")

    assert result.code == 1
    assert "mur host list" in result.err
