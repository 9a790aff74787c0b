"""The whole gateway on a real NATS, with events and states put there by hand."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from services.gateway.tests.gateway_site import (
    BEGIN,
    a_host,
    a_state,
    an_alarm,
    cleared,
    declared,
    observed,
    raised,
)
from services.gateway.tests.gateway_site import Occurred as Event
from services.gateway.tests.test_gateway_http import Listener

from murmuration.bus.commands import RequestServer
from murmuration.bus.connection import Bus
from murmuration.gateway.app import run
from murmuration.kernel.errors import Conflict
from murmuration.proto.envelope import CE_SUBJECT, PREVIOUS, StateValue, encode
from murmuration.proto.envelope import cloud_event_headers as headers_of
from murmuration.proto.ids import token
from murmuration.proto.mtce import PulseDigest, PulseSample
from murmuration.proto.platform import GetStatus, ServiceStatus
from murmuration.proto.registry import CHANNELS
from murmuration.proto.sysinv import Accepted, ActOnHost
from murmuration.runtime.config import (
    ServiceConfig,
    SiteSection,
    StoreSection,
    TelemetrySection,
)
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.ports import free_port

PSS_KB_MAX = 60 * 1024


class Door:
    """One running replica and a client with its token."""

    def __init__(self, port: int, web: aiohttp.ClientSession) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.web = web

    async def get(self, path: str, status: int | None = 200) -> Any:
        async with self.web.get(self.base + path) as response:
            assert status in (None, response.status), await response.text()
            return await response.json(content_type=None)

    async def ready(self) -> None:
        async def is_ready() -> bool:
            try:
                async with self.web.get(f"{self.base}/readyz") as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False

        await reaches(is_ready, what="the gateway is ready")

    async def health(self) -> Any:
        return await self.get("/api/v1/health")

    @asynccontextmanager
    async def listen(self, after: str = "") -> AsyncGenerator[Listener, None]:
        headers = {"Last-Event-ID": after} if after else {}
        async with self.web.get(f"{self.base}/api/v1/stream", headers=headers) as response:
            yield Listener(response)


def config_for(server: NatsServer, port: int) -> ServiceConfig:
    return ServiceConfig(
        identity="gateway",
        site=SiteSection(name="test", credentials_dir=str(server.credentials_dir)),
        bus=server.section,
        store=StoreSection(),
        telemetry=TelemetrySection(),
        sections={"gateway": {"listen": f"127.0.0.1:{port}"}},
    )


def bearer(server: NatsServer) -> dict[str, str]:
    secret = (server.credentials_dir / "gateway.token").read_text().strip()
    return {"Authorization": f"Bearer {secret}"}


@asynccontextmanager
async def a_replica(server: NatsServer) -> AsyncGenerator[Door, None]:
    port, stop = free_port(), asyncio.Event()
    async with (
        asyncio.TaskGroup() as group,
        aiohttp.ClientSession(headers=bearer(server)) as web,
    ):
        group.create_task(run(config_for(server, port), stop=stop))
        door = Door(port, web)
        try:
            await door.ready()
            yield door
        finally:
            stop.set()


async def publish(bus: Bus, event: Event, **tokens: str) -> None:
    """As a relay does: one numbered event in the sender's own stream."""
    channel = CHANNELS[event.type]
    subject = ".".join(
        token(tokens.get(part[1:-1], "any")) if part.startswith("{") else part
        for part in channel.subject.split(".")
    )
    headers = headers_of(
        channel, version=event.version, entity=event.entity, time=event.time, traceparent=None
    )
    headers[PREVIOUS] = str(event.previous)
    headers[CE_SUBJECT] = event.entity
    await bus.js.publish(subject, bytes(event.data), headers=headers)


async def put(bus: Bus, bucket: str, key: str, change: int, value: msgspec.Struct | None) -> None:
    """As a relay does: the state a change leaves behind."""
    data = msgspec.Raw(encode(value))
    state = StateValue(epoch=1, change=change, deleted=value is None, data=data)
    await bus.js.publish(f"$KV.{bucket}.{token(key)}", encode(state))


@pytest.fixture
async def told(site_nats: NatsServer, connect: Connect) -> NatsServer:
    """A site with two hosts and an alarm, of which the streams know only the later part."""
    sysinv, mtce, fm = await connect("sysinv"), await connect("mtce"), await connect("fm")
    for n, name in enumerate(("c-0", "w-1")):
        await put(sysinv, "sysinv_hosts", name, n + 1, a_host(name))
        await put(mtce, "mtce_hosts", name, n + 1, a_state(name))
    await publish(sysinv, declared(a_host("w-1"), 2), host="w-1")
    alarm = an_alarm("u1", entity="host=w-1")
    key = "200.004/host=w-1"
    await put(fm, "fm_alarms", key, 1, alarm)
    await publish(fm, raised(alarm, 1), alarm_id="200.004")
    return site_nats


async def test_the_site_is_shown_from_states_and_streams(
    told: NatsServer, connect: Connect
) -> None:
    async with a_replica(told) as door:
        hosts = (await door.get("/api/v1/hosts"))["items"]
        assert [host["name"] for host in hosts] == ["c-0", "w-1"]
        assert hosts[1]["alarms"]["critical"] == 1
        assert hosts[1]["availability"] == "available"
        events = (await door.get("/api/v1/events"))["items"]
        assert [event["type"] for event in events] == [
            "fm.alarm.raised.v1",
            "sysinv.host.changed.v1",
        ]
        assert events[-1]["cursor"] == "fm.1.1-mtce.1.2-sysinv.1.2"
        async with door.listen() as listener:
            assert (await listener.until("snapshot"))[-1][1]["site"]["host_count"] == 2
            fm, mtce = await connect("fm"), await connect("mtce")
            await publish(mtce, observed(a_state("w-1", reason="lost"), 3), host="w-1")
            heard = await listener.until("log")
            assert next(data for name, data in heard if name == "host")["reason"] == "lost"
            await publish(
                fm,
                cleared(an_alarm("u1", entity="host=w-1"), 2),
                alarm_id="200.004",
            )
            assert "alarm_cleared" in [name for name, _ in await listener.until("log")]
            digest = PulseDigest(at=BEGIN, window_ms=500, hosts=(PulseSample("w-1", 5, 5, 90, 12),))
            await mtce.publish(digest)
            frame = (await listener.until("pulse"))[-1][1]
            assert frame["hosts"] == [["w-1", 5, 5, 90, 12]]


async def test_a_tombstone_keeps_a_cleared_alarm_out(told: NatsServer, connect: Connect) -> None:
    fm = await connect("fm")
    await put(fm, "fm_alarms", "200.004/host=w-1", 2, None)
    async with a_replica(told) as door:
        assert (await door.get("/api/v1/alarms"))["items"] == []


async def test_commands_reach_their_owner_and_its_answers_come_back(
    told: NatsServer, connect: Connect
) -> None:
    sysinv = await connect("sysinv")
    async with a_replica(told) as door:
        path = f"{door.base}/api/v1/hosts/w-1/administrative"
        body = {"administrative": "locked", "operation_id": "operation-1"}
        async with door.web.put(path, json=body) as response:
            assert response.status == 503
            assert (await response.json(content_type=None))["detail"] == "sysinv is away"

        async def answer(command: ActOnHost) -> Accepted:
            if command.host == "c-0":
                raise Conflict("it is the last controller")
            event = declared(a_host("w-1", address="changed"), 3)
            await publish(sysinv, event, host="w-1")
            return Accepted(
                operation_id=command.operation_id,
                service="sysinv",
                epoch=1,
                change=3,
                reason="Its intended state is locked.",
            )

        async def status(_request: GetStatus) -> ServiceStatus:
            return ServiceStatus(service="sysinv", instance="1", ready=True)

        server = RequestServer(sysinv, version="1.0.0")
        server.answer(ActOnHost, answer)
        server.answer(GetStatus, status, as_type="sysinv.status.get.v1")
        serving = asyncio.create_task(server.run())

        async def is_answered() -> bool:
            items = {item["name"]: item for item in (await door.health())["items"]}
            return "sysinv" in items and items["sysinv"]["status"] == "ok"

        await reaches(is_answered, what="sysinv is asked and counted")
        async with door.web.put(path, json=body) as response:
            assert response.status == 200
            reply = await response.json()
        assert reply["operation_id"] == "operation-1"
        host = await door.get(f"/api/v1/hosts/w-1?wait={reply['after']}")
        assert host["address"] == "changed"
        async with door.web.put(path.replace("w-1", "c-0"), json=body) as response:
            assert response.status == 409
            assert "last controller" in await response.text()
        items = {item["name"]: item for item in (await door.health())["items"]}
        assert items["sysinv"]["instances"] == 1
        assert items["fm"]["status"] == "down"
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_while_nats_is_away_the_last_known_is_shown_and_then_made_good(
    told: NatsServer, connect: Connect
) -> None:
    fm = await connect("fm")
    async with a_replica(told) as door, door.listen() as listener:
        await listener.until("snapshot")
        told.kill()

        async def says_away() -> bool:
            return (await door.health())["summary"].startswith("NATS is away")

        await reaches(says_away)
        heard = await listener.next()
        while heard[0] != "health" or heard[1]["status"] != "down":
            heard = await listener.next()
        assert len((await door.get("/api/v1/hosts"))["items"]) == 2
        async with door.web.delete(f"{door.base}/api/v1/alarms/u1", json={}) as response:
            assert response.status == 503
        assert (await door.web.get(f"{door.base}/readyz")).status == 503
        told.start()
        await door.ready()
        await reaches(lambda: fm.connected)
        await publish(
            fm,
            cleared(an_alarm("u1", entity="host=w-1"), 2),
            alarm_id="200.004",
        )
        assert "alarm_cleared" in [name for name, _ in await listener.until("log")]


async def test_a_listener_can_go_on_at_another_replica(told: NatsServer, connect: Connect) -> None:
    fm, mtce = await connect("fm"), await connect("mtce")
    async with a_replica(told) as first, a_replica(told) as second:
        async with first.listen() as listener:
            await listener.until("snapshot")
            await publish(mtce, observed(a_state("c-0", reason="one"), 3), host="c-0")
            await listener.until("log")
            last = listener.last_id
        alarm = an_alarm("u2", entity="host=c-0")
        await publish(fm, raised(alarm, 2), alarm_id="200.004")
        await publish(mtce, observed(a_state("c-0", reason="two"), 4), host="c-0")
        async with second.listen(last) as listener:
            entries = [(await listener.until("log"))[-1][1]["id"] for _ in range(2)]
            assert sorted(entries) == ["fm:1:2", "mtce:1:4"]


async def test_what_cannot_be_decoded_is_said_and_harms_nothing(
    told: NatsServer, connect: Connect
) -> None:
    fm = await connect("fm")
    async with a_replica(told) as door:
        good = raised(an_alarm("u2", entity="host=c-0"), 3)
        bad = msgspec.structs.replace(an_alarm("u3"), entity="")
        object.__setattr__(good, "previous", 1)
        broken = raised(bad, 2)
        await publish(fm, broken, alarm_id="200.004")
        await publish(fm, good, alarm_id="200.004")
        await door.get("/api/v1/alarms/u2?wait=fm:1:3")
        await door.get("/api/v1/alarms/u3", 404)

        async def is_said() -> bool:
            items = {item["name"]: item for item in (await door.health())["items"]}
            return "fm" in items and items["gateway"]["parked"] == 1

        await reaches(is_said)


def test_the_process_is_small_and_stops_when_asked(told: NatsServer, tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "site.toml"
    config.write_text(
        f'[site]\nname = "test"\ncredentials_dir = "{told.credentials_dir}"\n'
        f'[bus]\nurl = "{told.section.url}"\n[gateway]\nlisten = "127.0.0.1:{port}"\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "murmuration.gateway"],
        env=os.environ | {"MUR_CONFIG": str(config)},
        cwd=tmp_path,
    )
    try:

        async def use() -> None:
            async with aiohttp.ClientSession(headers=bearer(told)) as web:
                door = Door(port, web)
                await door.ready()
                await door.get("/api/v1/openapi.json")
                async with door.listen() as listener:
                    await listener.until("snapshot")

        asyncio.run(use())
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        pss_kb = next(int(line.split()[1]) for line in rollup.splitlines() if "Pss:" in line)
        assert pss_kb <= PSS_KB_MAX
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
