"""Notifications end to end: real fm, NATS and PostgreSQL, and receivers that listen."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec
import pytest
from aiohttp import web

from murmuration.bus.connection import Bus
from murmuration.bus.state import load_bucket
from murmuration.fm import app
from murmuration.kernel.errors import Conflict, NotFound, Rejected
from murmuration.proto.envelope import encode
from murmuration.proto.fm import ClearAlarm, RaiseAlarm
from murmuration.proto.fm_notify import (
    AddSilence,
    ExpireSilence,
    GetReceivers,
    GetRouting,
    GetSilences,
    Matcher,
    MatchOperator,
    Notification,
    Receiver,
    ReceiverKind,
    Receivers,
    ReceiverStatus,
    RemoveReceiver,
    RetryDeliveries,
    Route,
    Routing,
    SetReceiver,
    SetRouting,
    Silences,
    SilenceState,
    TryReceiver,
)
from murmuration.proto.fm_operators import Raised
from murmuration.proto.fm_vocabulary import AlarmType, Severity
from murmuration.proto.sysinv import Accepted
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.ports import free_port
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import asks, running, service_config

R = TypeVar("R", bound=msgspec.Struct)
SECRET = b"a secret of the operators"


class Hooks:
    """An HTTP server that keeps what it is sent, and answers as it is told."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.attempts = 0
        self.taken: list[tuple[dict[str, str], bytes]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.attempts += 1
        body = await request.read()
        if self.status == web.HTTPOk.status_code:
            self.taken.append((dict(request.headers), body))
        return web.Response(status=self.status, text="so it is", headers={"Location": "/else"})

    def notes(self) -> list[Notification]:
        return [msgspec.json.decode(body, type=Notification) for _, body in self.taken]

    def told(self) -> list[tuple[str, list[str]]]:
        """Status and entities of each notification."""
        return [
            (note.status, [f"{one.status} {one.labels['entity']}" for one in note.alarms])
            for note in self.notes()
        ]


@asynccontextmanager
async def listening(path: str = "/hook") -> AsyncGenerator[Hooks, None]:
    port = free_port()
    hooks = Hooks(f"http://127.0.0.1:{port}")
    made = web.Application()
    made.router.add_post(path, hooks.take)
    runner = web.AppRunner(made)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield hooks
    finally:
        await runner.cleanup()


class Site:
    """What stands around fm: one producer, one gateway."""

    def __init__(self, mtce: Bus, gateway: Bus) -> None:
        self.mtce = mtce
        self.gateway = gateway
        self.n = 0
        self.operations = 0

    async def send(self, verb: str, message: msgspec.Struct) -> None:
        self.n += 1
        await self.mtce.js.publish(
            f"fm.intake.mtce.{verb}",
            encode(message),
            headers={
                "Mur-Epoch": "1",
                "Mur-Change": str(self.n),
                "Mur-Prev": str(self.n - 1),
                "ce-type": f"fm.alarm.{verb}.v1",
            },
        )

    async def raises(
        self, alarm_id: str, entity: str, severity: Severity = Severity.CRITICAL
    ) -> None:
        await self.send(
            "raise",
            RaiseAlarm(
                alarm_id=alarm_id,
                entity=entity,
                severity=severity,
                reason_text="test",
                alarm_type=AlarmType.COMMUNICATION,
                probable_cause="unknown",
                raised_at=datetime.now(UTC),
            ),
        )

    async def clears(self, alarm_id: str, entity: str) -> None:
        at = datetime.now(UTC)
        await self.send("clear", ClearAlarm(alarm_id=alarm_id, entity=entity, cleared_at=at))

    async def does(self, make: Callable[..., msgspec.Struct], **fields: Any) -> str:
        """A command of an operator; returns the reason of its answer."""
        self.operations += 1
        request = make(operation_id=f"operation-{self.operations}", author="ann", **fields)
        return (await self.asks(request, Accepted)).reason

    async def asks(self, request: msgspec.Struct, reply: type[R]) -> R:
        return await asks(self.gateway, request, reply)

    async def receives(self, kind: str, url: str, secret: str = "") -> None:
        """One receiver that is told everything, soon."""
        receiver = Receiver(name="ops", kind=ReceiverKind(kind), url=url, secret=secret)
        await self.does(SetReceiver, receiver=receiver)
        route = Route(
            name="all", receiver="ops", group_wait_s=1, group_interval_s=1, group_by=("host",)
        )
        await self.does(SetRouting, routing=Routing(routes=(route,)))

    async def cause_is_known(self) -> bool:
        """Whether an active alarm has a cause, as the bucket tells."""
        keys, _ = await load_bucket(self.gateway, "fm_alarms")
        return any(b"root_cause" in bytes(stored.value.data) for stored in keys.values())

    async def status(self) -> ReceiverStatus:
        (found,) = (await self.asks(GetReceivers(), Receivers)).items
        return found


@pytest.fixture
async def site(connect: Connect) -> Site:
    return Site(await connect("mtce"), await connect("gateway"))


async def test_group_is_told_signed_with_its_cause_alone_and_told_when_it_is_resolved(
    site: Site, site_nats: NatsServer, postgres: Postgres
) -> None:
    config = service_config("fm", site_nats, postgres)
    secret = Path(config.site.credentials_dir) / "receiver-hook"
    secret.write_bytes(SECRET + b"\n")
    async with running(app.run, config), listening() as hooks:
        await site.raises("200.004", "host=c-1")
        await site.raises("200.006", "host=c-1.process=p")
        await reaches(site.cause_is_known)
        await site.receives("webhook", f"{hooks.url}/hook", "hook")
        await reaches(lambda: hooks.taken)
        headers, body = hooks.taken[0]
        signed = f"{headers['X-Murmuration-Timestamp']}.".encode() + body
        digest = hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
        assert headers["X-Murmuration-Signature"] == f"sha256={digest}"
        assert hooks.told() == [("firing", ["firing host=c-1"])]
        assert hooks.notes()[0].alarms[0].explains == 1
        assert hooks.notes()[0].group_labels == {"host": "c-1"}
        await site.raises("200.010", "host=c-1", Severity.WARNING)
        await reaches(lambda: len(hooks.taken) == 2)
        assert hooks.told()[1] == ("firing", ["firing host=c-1", "firing host=c-1"])
        for alarm_id, entity in (
            ("200.006", "host=c-1.process=p"),
            ("200.004", "host=c-1"),
            ("200.010", "host=c-1"),
        ):
            await site.clears(alarm_id, entity)
        await reaches(lambda: hooks.told()[-1][0] == "resolved")
        resolved = [text for _, texts in hooks.told() for text in texts if "resolved" in text]
        assert resolved == ["resolved host=c-1", "resolved host=c-1"]


async def test_figures_of_causes_and_of_each_receiver_are_scraped(
    site: Site, site_nats: NatsServer, postgres: Postgres
) -> None:
    config = service_config("fm", site_nats, postgres)
    url = f"http://{config.sections['fm']['listen']}/metrics"
    async with running(app.run, config), listening() as hooks, aiohttp.ClientSession() as http:
        hooks.status = 503
        await site.raises("200.004", "host=c-1")
        await site.raises("200.006", "host=c-1.process=p")
        await reaches(site.cause_is_known)
        await site.receives("webhook", f"{hooks.url}/hook")
        await reaches(lambda: hooks.attempts)
        hooks.status = 200
        await reaches(lambda: hooks.taken)

        async def scraped() -> bool:
            async with http.get(url) as answer:
                lines = (await answer.text()).splitlines()
            return {
                "mur_fm_correlated_alarms 2.0",
                "mur_fm_causes_total 1.0",
                "mur_fm_correlation_loads_total 1.0",
                'mur_fm_deliveries_total{outcome="failed",receiver="ops"} 1.0',
                'mur_fm_deliveries_total{outcome="sent",receiver="ops"} 1.0',
            } <= set(lines)

        await reaches(scraped)


async def test_nothing_is_lost_or_told_twice_when_the_receiver_and_fm_are_away(
    site: Site, site_nats: NatsServer, postgres: Postgres
) -> None:
    config = service_config("fm", site_nats, postgres)
    async with listening() as hooks:
        hooks.status = 302
        async with running(app.run, config):
            await site.receives("webhook", f"{hooks.url}/hook")
            await site.raises("100.101", "host=c-1")

            async def failed() -> bool:
                status = await site.status()
                return status.waiting == 1 and "HTTP 302 so it is" in status.error

            await reaches(failed)
        hooks.status = 200
        await site.raises("100.101", "host=c-2")
        async with running(app.run, config):
            await reaches(lambda: len(hooks.taken) == 2)

            async def empty() -> bool:
                status = await site.status()
                return not status.waiting and status.delivered_at is not None

            await reaches(empty)
        assert sorted(hooks.told()) == [
            ("firing", ["firing host=c-1"]),
            ("firing", ["firing host=c-2"]),
        ]


async def test_silence_holds_back_until_it_ends(
    site: Site, site_nats: NatsServer, postgres: Postgres
) -> None:
    async with running(app.run, service_config("fm", site_nats, postgres)), listening() as hooks:
        matcher = Matcher(label="host", operator=MatchOperator.LIKE, value="c-1*")
        silence = AddSilence(
            operation_id="operation-silence",
            matchers=(matcher,),
            ends_at=datetime.now(UTC) + timedelta(hours=1),
            author="ann",
            comment="being repaired",
        )
        made = await site.asks(silence, Raised)
        assert (await site.asks(silence, Raised)) == made
        await site.receives("webhook", f"{hooks.url}/hook")
        await site.raises("100.101", "host=c-1")
        await site.raises("100.101", "host=c-2")
        await reaches(lambda: hooks.told() == [("firing", ["firing host=c-2"])])
        (active,) = (await site.asks(GetSilences(), Silences)).items
        assert (active.id, active.state) == (made.uuid, SilenceState.ACTIVE)
        await site.does(ExpireSilence, id=made.uuid)
        await reaches(lambda: ("firing", ["firing host=c-1"]) in hooks.told())
        assert not (await site.asks(GetSilences(), Silences)).items
        (expired,) = (await site.asks(GetSilences(expired=True), Silences)).items
        assert expired.state is SilenceState.EXPIRED


async def test_alertmanager_is_told_what_fires_and_what_is_resolved(
    site: Site, site_nats: NatsServer, postgres: Postgres
) -> None:
    async with (
        running(app.run, service_config("fm", site_nats, postgres)),
        listening("/api/v2/alerts") as hooks,
    ):
        await site.receives("alertmanager", f"{hooks.url}/")
        await site.raises("100.101", "host=c-1")
        await reaches(lambda: hooks.taken)
        (alert,) = msgspec.json.decode(hooks.taken[0][1])
        assert alert["labels"] == {
            "alertname": "alarm 100.101",
            "site": "test",
            "alarm_id": "100.101",
            "entity": "host=c-1",
            "host": "c-1",
            "severity": "critical",
            "alarm_type": "communication",
            "probable_cause": "unknown",
            "producer": "mtce",
            "service_affecting": "no",
        }
        assert datetime.fromisoformat(alert["endsAt"]) > datetime.now(UTC)
        await site.clears("100.101", "host=c-1")
        await reaches(lambda: len(hooks.taken) == 2)
        (alert,) = msgspec.json.decode(hooks.taken[1][1])
        assert datetime.fromisoformat(alert["endsAt"]) <= datetime.now(UTC)


async def test_traps_reach_a_real_receiver_of_traps(
    site: Site, site_nats: NatsServer, postgres: Postgres, tmp_path: Path
) -> None:
    port, lines = free_port(), list[str]()
    conf = tmp_path / "snmptrapd.conf"
    conf.write_text("authCommunity log secret\n")
    listener = await asyncio.create_subprocess_exec(
        *("/usr/sbin/snmptrapd", "-f", "-Lo", "-On", "-C", "-c", str(conf)),
        *("-m", "", "-F", "%W %v\n", f"udp:127.0.0.1:{port}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )

    async def read() -> None:
        assert listener.stdout is not None
        async for line in listener.stdout:
            lines.append(line.decode())

    reading = asyncio.create_task(read())
    config = service_config("fm", site_nats, postgres)
    (Path(config.site.credentials_dir) / "receiver-traps").write_text("secret")
    try:
        async with running(app.run, config):
            await reaches(lambda: any("NET-SNMP version" in line for line in lines))
            await site.receives("snmp", f"snmp://127.0.0.1:{port}", "traps")
            await site.does(TryReceiver, name="ops")
            base = ".1.3.6.1.4.1.8072.9999.9999.4711"
            await reaches(lambda: any(f"OID: {base}.0.3" in line for line in lines))
            await site.raises("100.101", "host=c-1")
            await reaches(lambda: any(f"OID: {base}.0.1" in line for line in lines))
            (raised,) = [line for line in lines if f"OID: {base}.0.1" in line]
            assert f'{base}.1.2.0 = STRING: "100.101"' in raised
            assert f'{base}.1.3.0 = STRING: "host=c-1"' in raised
            assert f"{base}.1.4.0 = INTEGER: 3" in raised
            await site.clears("100.101", "host=c-1")
            await reaches(lambda: any(f"OID: {base}.0.2" in line for line in lines))
    finally:
        listener.terminate()
        await listener.wait()
        reading.cancel()


async def test_operators_are_told_what_is_wrong_with_receivers_and_routes(
    site: Site, site_nats: NatsServer, postgres: Postgres
) -> None:
    async with running(app.run, service_config("fm", site_nats, postgres)):
        bad = Receiver(name="ops", kind=ReceiverKind.WEBHOOK, url="file:///etc/passwd")
        with pytest.raises(Rejected, match="http://host"):
            await site.does(SetReceiver, receiver=bad)
        routing = Routing(routes=(Route(name="all", receiver="ops"),))
        with pytest.raises(Rejected, match="not there: ops"):
            await site.does(SetRouting, routing=routing)
        with pytest.raises(NotFound):
            await site.does(TryReceiver, name="ops")
        good = msgspec.structs.replace(bad, url="http://127.0.0.1:9/")
        assert await site.does(SetReceiver, receiver=good) == "receiver ops was added"
        assert await site.does(SetRouting, routing=routing) == "there are 1 routes now"
        assert await site.asks(GetRouting(), Routing) == routing
        with pytest.raises(Conflict, match="a route names ops"):
            await site.does(RemoveReceiver, name="ops")
        assert await site.does(RetryDeliveries, name="ops") == (
            "0 notifications for ops are sent again"
        )
        await site.does(SetRouting, routing=Routing())
        assert await site.does(RemoveReceiver, name="ops") == "receiver ops was removed"
        with pytest.raises(NotFound):
            await site.does(ExpireSilence, id="no uuid")
