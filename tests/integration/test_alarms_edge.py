"""Alarms from fm to whoever uses them: the real fm, NATS, PostgreSQL and gateway, over HTTP."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from murmuration.gateway.app import run as run_gateway
from murmuration.runtime.config import (
    ServiceConfig,
    SiteSection,
    StoreSection,
    TelemetrySection,
)
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import free_port
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.processes import service_process

FAULT = {
    "alarm_id": "100.103",
    "entity": "host=worker-1.memory=platform",
    "severity": "major",
    "reason_text": "Platform memory is over its threshold.",
    "alarm_type": "operational-violation",
    "probable_cause": "threshold-crossed",
}


FM_HEADERS = {"Content-Type": "application/json"}  # as the fm client sends it, always


class Door:
    """A client with the gateway's token."""

    def __init__(self, base: str, web: aiohttp.ClientSession) -> None:
        self._base = base
        self._web = web

    async def ask(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        async with self._web.request(method, self._base + path, json=body) as response:
            assert response.status == status, await response.text()
            text = await response.text()
            return await response.json(content_type=None) if text else None

    async def get(self, path: str, status: int = 200) -> Any:
        return await self.ask("GET", path, status=status)

    async def do(self, method: str, path: str, **body: object) -> Any:
        """Ask for a change, and wait until it is visible."""
        reply = await self.ask(method, path, body)
        await self.get(f"/api/v1/alarms/summary?wait={reply['after']}")
        return reply

    async def is_ready(self) -> bool:
        """Whether fm takes commands, as the site's health says."""
        try:
            items = (await self.get("/api/v1/health"))["items"]
        except (AssertionError, aiohttp.ClientError):
            return False
        return {item["name"]: item["status"] for item in items}.get("fm") == "ok"


@asynccontextmanager
async def a_site(nats: NatsServer, postgres: Postgres, folder: Path) -> AsyncGenerator[Door, None]:
    """fm in a process of its own, a gateway in this one."""
    port, stop = free_port(), asyncio.Event()
    config = ServiceConfig(
        identity="gateway",
        site=SiteSection(name="test", credentials_dir=str(nats.credentials_dir)),
        bus=nats.section,
        store=StoreSection(),
        telemetry=TelemetrySection(),
        sections={"gateway": {"listen": f"127.0.0.1:{port}"}},
    )
    token = (nats.credentials_dir / "gateway.token").read_text().strip()
    with service_process("fm", nats, postgres, folder):
        async with (
            asyncio.TaskGroup() as group,
            aiohttp.ClientSession(headers=FM_HEADERS | {"X-Auth-Token": token}) as web,
        ):
            group.create_task(run_gateway(config, stop=stop))
            door = Door(f"http://127.0.0.1:{port}", web)
            try:
                await reaches(door.is_ready, what="fm answers through the gateway")
                yield door
            finally:
                stop.set()


@pytest.fixture
async def door(
    site_nats: NatsServer, postgres: Postgres, tmp_path: Path
) -> AsyncGenerator[Door, None]:
    async with a_site(site_nats, postgres, tmp_path) as door:
        yield door


async def test_an_alarm_is_raised_handled_and_remembered(door: Door) -> None:
    raised_at = datetime.now(UTC).isoformat()
    made = await door.do("POST", "/api/v1/alarms", alarm=FAULT | {"raised_at": raised_at})
    uuid = made["uuid"]
    path = f"/api/v1/alarms/{uuid}"
    assert [each["uuid"] for each in (await door.get("/api/v1/alarms"))["items"]] == [uuid]
    await door.do("PUT", f"{path}/acknowledgement", author="ada")
    await door.do("POST", f"{path}/comments", author="ada", text="on my way")
    alarm = await door.get(path)
    assert alarm["acknowledged_by"] == "ada"
    assert [each["text"] for each in alarm["comments"]] == ["on my way"]
    assert (await door.get(f"{path}/why"))["alarm"]["uuid"] == uuid

    hidden = await door.do("POST", "/api/v1/suppressions", alarm_id="100.103", author="ada")
    await reaches(lambda: suppressed(door, 1), what="it is suppressed")
    assert (await door.get("/api/v1/alarms"))["items"] == []
    shown = await door.get("/v1/event_suppression?q.field=suppression_status&q.value=suppressed")
    assert [row["alarm_id"] for row in shown["event_suppression"]] == ["100.103"]
    await door.do("DELETE", f"/api/v1/suppressions/{hidden['uuid']}")
    await reaches(lambda: suppressed(door, 0), what="it is shown again")

    before = datetime.now(UTC)
    await door.do("DELETE", path, author="ada", reason="it was restarted")
    assert (await door.get("/api/v1/alarms"))["items"] == []
    timeline = (await door.get(f"{path}/timeline"))["items"]
    assert (timeline[0]["kind"], timeline[-1]["kind"]) == ("raised", "cleared")
    assert timeline[-1]["author"] == "ada"
    assert [each["uuid"] for each in await listed_at(door, before)] == [uuid]
    assert (await door.get("/api/v1/alarms/counts"))["buckets"][-1]["raised"] >= 0


async def test_starlingx_s_calls_are_answered_by_the_real_fm(door: Door) -> None:
    body = {
        "alarm_id": "200.004",
        "alarm_state": "set",
        "entity_instance_id": "host=worker-1",
        "severity": "critical",
        "reason_text": "worker-1 is lost",
        "alarm_type": "communication",
        "probable_cause": "communication-subsystem-failure",
    }
    await door.ask("POST", "/v1/alarms", body)
    (alarm,) = (await door.get("/v1/alarms"))["alarms"]
    assert (alarm["alarm_id"], alarm["severity"]) == ("200.004", "critical")
    assert (await door.get("/v1/alarms/summary"))["status"] == "critical"
    await door.ask("DELETE", f"/v1/alarms/{alarm['uuid']}", status=204)
    events = (await door.get("/v1/event_log?limit=1"))["event_log"]
    assert [event["state"] for event in events] == ["clear"]
    full = await door.get(f"/v1/event_log/{events[0]['uuid']}")
    assert full["entity_type_id"] == "host"
    assert len((await door.get("/v1/event_suppression"))["event_suppression"]) > 100


async def suppressed(door: Door, count: int) -> bool:
    return (await door.get("/api/v1/alarms/summary"))["suppressed_count"] == count


async def listed_at(door: Door, at: datetime) -> list[Any]:
    """All pages of the list as it was just before `at`."""
    text = (at - timedelta(milliseconds=1)).isoformat().replace("+00:00", "Z")
    page = await door.get(f"/api/v1/alarms/at?at={text}")
    found = list(page["items"])
    while page["next"] is not None:
        page = await door.get(f"/api/v1/alarms/at?at={text}&after={quote(page['next'])}")
        found += page["items"]
    return found
