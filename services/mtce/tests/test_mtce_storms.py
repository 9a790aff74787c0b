"""Storms on a real PostgreSQL: what is written, what is told, and what becomes of the hosts."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest

from murmuration.bus.follower import Received
from murmuration.bus.message import Delivery
from murmuration.kernel.clock import ManualClock
from murmuration.mtce.app import MIGRATIONS
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.model import Observation, unobserved
from murmuration.mtce.core.policy import Policy
from murmuration.mtce.core.storm import StormPolicy
from murmuration.mtce.handlers.hosts import HostHandlers
from murmuration.mtce.handlers.outcomes import OutcomeHandlers
from murmuration.mtce.handlers.storms import StormHandlers
from murmuration.mtce.handlers.verdicts import VerdictHandlers
from murmuration.mtce.metrics import Transitions
from murmuration.mtce.store import fences, hosts
from murmuration.proto.envelope import Version
from murmuration.proto.ids import BootId, HostName
from murmuration.proto.mtce import HeartbeatState, HostTask
from murmuration.proto.registry import channel_of
from murmuration.proto.sysinv import (
    Administrative,
    Admission,
    Host,
    HostAccepted,
    Origin,
    Personality,
)
from murmuration.store.database import Database, open_database
from murmuration.testkit.postgres import Postgres

NAMES = tuple(HostName(f"worker-{number}") for number in range(1, 6))
SOAK_S = 1.0


class Heard:
    """An observer that says what the test wants."""

    def __init__(self) -> None:
        self.levels: dict[str, HeartbeatState] = {}
        self.parting: set[str] = set()

    def observe(self, name: HostName) -> Observation:
        level = self.levels.get(name)
        if level is None:
            return unobserved()
        lost = level is HeartbeatState.LOST
        return Observation(
            heartbeat=level,
            boot_id=BootId("00000000-0000-0000-0000-000000000001"),
            heard=True,
            silent_ms=1_010 if lost else 10,
            excused_ms=0,
            silent_bus_ms=1_010 if lost else 10,
            silent_udp_ms=1_010 if lost else 10,
            period_ms=100,
            good_count=0 if lost else 10,
            stopping=name in self.parting,
        )


class Rig:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.heard = Heard()
        self.clock = ManualClock(datetime.now(UTC))
        machines = Machines(Policy(heartbeat_soak_s=SOAK_S))
        self.hosts = HostHandlers(self.clock, self.heard, Transitions(), machines, agents=False)
        self.verdicts = VerdictHandlers(self.clock, self.heard, machines, instance="one")
        self.outcomes = OutcomeHandlers(self.clock, self.heard, Transitions(), machines)
        policy = StormPolicy(hold_s=60, stagger_s=5)
        self.storms = StormHandlers(self.clock, self.heard, machines, policy)

    async def accept(self) -> None:
        async with self.database.unit() as unit:
            for index, name in enumerate(NAMES):
                host = Host(
                    name=name,
                    index=index,
                    shard=0,
                    personality=Personality.WORKER,
                    origin=Origin.SIMULATED,
                    observe_only=False,
                    admission=Admission.ACCEPTED,
                    intended_administrative=Administrative.UNLOCKED,
                    address=f"10.0.{index // 3}.{index + 1}",
                )
                payload = HostAccepted(host=host, reason="test")
                delivery = Delivery("SYSINV", index + 1, "", {}, b"")
                received = Received(
                    payload, channel_of(HostAccepted), delivery, Version(1, index + 1)
                )
                await self.hosts.declared(unit, received)

    async def be(self, level: HeartbeatState, *names: HostName) -> None:
        self.heard.levels.update(dict.fromkeys(names, level))
        async with self.database.unit() as unit:
            await self.verdicts.settle(unit, names)

    async def weather(self) -> list[str]:
        async with self.database.unit() as unit:
            return (await self.storms.settle(unit))[1]

    async def tasks(self) -> dict[str, HostTask]:
        async with self.database.connection() as connection:
            return {d.name: record.task for d, record in await hosts.roster(connection)}

    async def storms_of(self) -> dict[str, str]:
        async with self.database.connection() as connection:
            found = await hosts.roster(connection)
        return {d.name: record.work.storm for d, record in found if record.work.storm}

    async def said(self, words: str) -> list[str]:
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "select type, entity from mur.outbox where convert_from(body, 'utf8') like $1"
                " order by change",
                f"%{words}%",
            )
        return [f"{row['type'].split('.')[2]} {row['entity']}" for row in rows]


@pytest.fixture
async def rig(postgres: Postgres) -> AsyncGenerator[Rig, None]:
    login = postgres.database("mtce")
    async with open_database(postgres.section, login, migrations=MIGRATIONS) as database:
        database.verified.set()
        made = Rig(database)
        await made.accept()
        await made.be(HeartbeatState.WELL, *NAMES)
        made.clock.advance(2 * SOAK_S)
        async with database.unit() as unit:
            await made.outcomes.due(unit)
        yield made


async def test_hosts_of_one_network_that_fall_silent_together_are_held_under_one_alarm(
    rig: Rig,
) -> None:
    await rig.be(HeartbeatState.LOST, *NAMES[:2])
    (reason,) = await rig.weather()
    assert reason.startswith("2 of 3 hosts on network 10.0.0.0/24 fell silent within 2 s")
    assert await rig.said("200.017") == ["raise network=10.0.0.0/24"]
    assert await rig.weather() == []
    tasks = await rig.tasks()
    assert [tasks[name] for name in NAMES[:3]] == [
        HostTask.RECOVERY_WAIT,
        HostTask.RECOVERY_WAIT,
        HostTask.NONE,
    ]
    rig.clock.advance(86_400)  # its cause is known, and for people to mend
    assert await rig.weather() == []
    await rig.be(HeartbeatState.WELL, NAMES[0])
    assert (await rig.weather())[0] == "network 10.0.0.0/24 calms: 1 of 2 hosts are heard again"
    assert (await rig.tasks())[NAMES[1]] == HostTask.RECOVERING


async def test_hosts_that_share_nothing_are_held_by_the_guard_and_operators_see_its_log(
    rig: Rig,
) -> None:
    await rig.be(HeartbeatState.LOST, NAMES[0], NAMES[3])
    (reason,) = await rig.weather()
    assert "share no known cause" in reason or "network 10.0.1.0/24" in reason
    held = [said for said in await rig.said("200.020") if said.endswith("event=mnfa_enter")]
    assert len(held) == 2
    rig.clock.advance(61)
    assert (await rig.weather())[0].startswith("unknown cause calms: it lasts 60 s")
    tasks = await rig.tasks()
    assert [tasks[name] for name in (NAMES[0], NAMES[3])] == [
        HostTask.RECOVERING,
        HostTask.RECOVERY_WAIT,
    ]
    assert await rig.said("restarted one by one, 5 s apart") == ["raise storm=unknown"]


async def test_storm_that_ends_clears_its_alarm_and_holds_nobody(rig: Rig) -> None:
    await rig.be(HeartbeatState.LOST, *NAMES[:2])
    await rig.weather()
    await rig.be(HeartbeatState.WELL, *NAMES[:2])
    reasons = await rig.weather()
    assert reasons[-1] == "nobody is held any more for network 10.0.0.0/24"
    assert await rig.said("200.017") == ["raise network=10.0.0.0/24", "clear network=10.0.0.0/24"]


async def test_alarms_of_hosts_in_a_storm_name_it_until_they_serve(rig: Rig) -> None:
    await rig.be(HeartbeatState.LOST, *NAMES[:2])
    await rig.weather()
    assert await rig.storms_of() == dict.fromkeys(NAMES[:2], "network=10.0.0.0/24")
    await rig.be(HeartbeatState.WELL, *NAMES[:2])
    await rig.weather()
    rig.clock.advance(2 * SOAK_S)
    async with rig.database.unit() as unit:
        await rig.outcomes.due(unit)
    assert await rig.storms_of() == {}


async def test_release_by_the_graceful_policy_waits_for_the_recovery_to_fail(rig: Rig) -> None:
    await rig.be(HeartbeatState.LOST, NAMES[0])
    async with rig.database.connection() as connection:
        (stand,) = await fences.stands(connection, 10)
    assert (stand.lost, stand.failed) == (True, False)
    rig.clock.advance(10)  # it stays silent, and nothing can restart it
    async with rig.database.unit() as unit:
        await rig.outcomes.due(unit)
        (stand,) = await fences.stands(unit.connection, 10)
    assert (stand.lost, stand.failed) == (True, True)


async def test_hosts_that_said_good_bye_are_no_storm(rig: Rig) -> None:
    rig.heard.parting.update(NAMES[:2])
    await rig.be(HeartbeatState.LOST, *NAMES[:2])
    assert await rig.weather() == []
    assert set((await rig.tasks()).values()) == {HostTask.BOOTING, HostTask.NONE}


async def test_single_loss_and_losses_far_apart_are_no_storm(rig: Rig) -> None:
    await rig.be(HeartbeatState.LOST, NAMES[0])
    assert await rig.weather() == []
    rig.clock.advance(10)
    assert await rig.weather() == []
    assert await rig.said("200.017") == []


async def test_host_that_comes_back_for_a_moment_is_not_restarted_in_its_storm(rig: Rig) -> None:
    await rig.be(HeartbeatState.LOST, *NAMES[:3])
    await rig.weather()
    await rig.be(HeartbeatState.WELL, NAMES[0])
    assert await rig.weather() == []  # one of three: the storm goes on
    await rig.be(HeartbeatState.LOST, NAMES[0])
    await rig.weather()
    tasks = await rig.tasks()
    assert [tasks[name] for name in NAMES[:3]] == [HostTask.RECOVERY_WAIT] * 3
