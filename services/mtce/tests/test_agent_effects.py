"""Orders to agents as effects: no order waits for a host to return and restarts it then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from nats.aio.msg import Msg

from murmuration.bus.connection import Bus
from murmuration.kernel.errors import DeadlineExceeded, Unavailable
from murmuration.mtce.adapters import agents
from murmuration.mtce.adapters.agents import agent_performers
from murmuration.mtce.app import MIGRATIONS
from murmuration.mtce.core.model import EffectKind, HostEffect, Observation, unobserved
from murmuration.proto.envelope import encode
from murmuration.proto.ids import HostName
from murmuration.proto.node import OrderOutcome, OrderReply, RebootHost
from murmuration.proto.registry import channel_of
from murmuration.proto.sysinv import Personality
from murmuration.runtime.effects import Performer
from murmuration.store.database import Database, open_database
from murmuration.store.effects import Effect
from murmuration.testkit.levels import reaches
from murmuration.testkit.plugin import Connect
from murmuration.testkit.postgres import Postgres

HOST = HostName("worker-1")
SUBJECT = channel_of(RebootHost).subject.format(host=HOST)


class Host:
    """A host whose agent is frozen or not, and whose pulses are heard or not."""

    def __init__(self) -> None:
        self.heard = False
        self.thawed = asyncio.Event()
        self.asked: list[RebootHost] = []

    @property
    def reboots(self) -> list[RebootHost]:
        """What it would carry out."""
        return [each for each in self.asked if each.expires_at > datetime.now(UTC)]

    def observe(self, name: HostName) -> Observation:
        assert name == HOST
        return replace(unobserved(), heard=self.heard, silent_ms=0 if self.heard else 9_000)

    @asynccontextmanager
    async def agent(self, bus: Bus) -> AsyncIterator[None]:
        """Answer as an agent does, once it is thawed."""

        async def answer(message: Msg) -> None:
            await self.thawed.wait()
            order = msgspec.json.decode(message.data, type=RebootHost)
            self.asked.append(order)
            if order.expires_at <= datetime.now(UTC):
                await bus.nc.publish(message.reply, b"it expired", headers={"Mur-Error": "stale"})
                return
            reply = OrderReply(
                operation_id=order.operation_id,
                host=HOST,
                boot_id="boot-1",
                outcome=OrderOutcome.BEGUN,
                reason="reboot has begun",
            )
            await bus.nc.publish(message.reply, encode(reply))

        subscription = await bus.nc.subscribe(SUBJECT, cb=answer)
        await bus.nc.flush()
        try:
            yield
        finally:
            await subscription.unsubscribe()


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    login = postgres.database("mtce")
    async with open_database(postgres.section, login, migrations=MIGRATIONS) as found:
        async with found.connection():
            found.verified.set()
        yield found


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
async def reboots(connect: Connect, database: Database, host: Host) -> Performer:
    found = agent_performers(await connect("mtce"), database, host)
    return found[EffectKind.AGENT_REBOOT.value]


def effect(*, silent: bool) -> Effect:
    body = HostEffect(
        host=HOST,
        personality=Personality.WORKER,
        boot_id="boot-1",
        silent=silent,
        expires_at=datetime.now(UTC) + timedelta(seconds=600),
        reason="test",
    )
    return Effect(
        id=1,
        operation_id="h7-1-1000",
        kind=EffectKind.AGENT_REBOOT.value,
        entity=HOST,
        once=True,
        status="sent",
        body=encode(body),
    )


async def test_silent_host_is_rebooted_when_its_agent_answers(
    reboots: Performer, host: Host, connect: Connect
) -> None:
    host.thawed.set()
    async with host.agent(await connect(f"node@{HOST}")):
        assert await reboots.perform(effect(silent=True)) == "reboot has begun"
    (order,) = host.reboots
    assert order.expires_at < datetime.now(UTC) + timedelta(seconds=agents.ANSWER_S)


async def test_order_does_not_wait_for_a_frozen_host_to_thaw(
    reboots: Performer, host: Host, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "ANSWER_S", 0.2)
    async with host.agent(await connect(f"node@{HOST}")):
        with pytest.raises(DeadlineExceeded):
            await reboots.perform(effect(silent=True))
        host.heard = True
        host.thawed.set()
        await reaches(lambda: host.asked)
    assert not host.reboots


async def test_host_that_thaws_while_it_is_asked_is_not_rebooted(
    reboots: Performer, host: Host, connect: Connect
) -> None:
    async with host.agent(await connect(f"node@{HOST}")):
        asking = asyncio.create_task(reboots.perform(effect(silent=True)))
        await asyncio.sleep(0)
        host.thawed.set()
        await reaches(lambda: host.asked)
        host.heard = True
        with pytest.raises(Unavailable, match="heard again"):
            await asking
    assert not host.reboots


async def test_reboot_that_is_not_for_a_silence_is_ordered_of_a_host_that_is_heard(
    reboots: Performer, host: Host, connect: Connect
) -> None:
    host.heard = True
    host.thawed.set()
    async with host.agent(await connect(f"node@{HOST}")):
        await reboots.perform(effect(silent=False))
    assert len(host.asked) == len(host.reboots) == 1


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (EffectKind.AGENT_TEST, {"scope": "main"}),
        (EffectKind.AGENT_TEST_WORKER, {"scope": "subfunction"}),
        (EffectKind.AGENT_START, {"action": "start", "group": "controller"}),
        (EffectKind.AGENT_START_WORKER, {"action": "start", "group": "worker"}),
        (EffectKind.AGENT_STOP, {"action": "stop", "group": "controller"}),
        (EffectKind.AGENT_STOP_WORKER, {"action": "stop", "group": "worker"}),
    ],
)
async def test_each_half_of_an_all_in_one_controller_has_its_own_tests_and_services(
    connect: Connect, database: Database, host: Host, kind: EffectKind, expected: dict[str, str]
) -> None:
    asked: list[dict[str, str]] = []
    bus = await connect(f"node@{HOST}")

    async def answer(message: Msg) -> None:
        asked.append(msgspec.json.decode(message.data))
        reply = OrderReply(
            operation_id="h7-1-1000",
            host=HOST,
            boot_id="boot-1",
            outcome=OrderOutcome.DONE,
            reason="done",
        )
        await bus.nc.publish(message.reply, encode(reply))

    for verb in ("intest", "services"):
        await bus.nc.subscribe(f"node.cmd.{HOST}.{verb}", cb=answer)
    await bus.nc.flush()
    performer = agent_performers(await connect("mtce"), database, host)[kind.value]
    given = effect(silent=False)
    body = msgspec.json.decode(given.body) | {"personality": "controller"}
    given = given._replace(kind=kind.value, body=msgspec.json.encode(body))
    assert await performer.perform(given) == "done"
    (order,) = asked
    assert {key: order.get(key, "main") for key in expected} == expected
