"""What conditions ask for, on a real PostgreSQL: heeded, refused, and shown to who asks why."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from murmuration.bus.follower import Received
from murmuration.bus.message import Delivery
from murmuration.kernel.clock import ManualClock
from murmuration.kernel.errors import Rejected
from murmuration.mtce.app import MIGRATIONS
from murmuration.mtce.core.bmc_fsm import Audit
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.model import Observation, unobserved
from murmuration.mtce.core.policy import Policy
from murmuration.mtce.core.sensors import Sensed, SensorAction, SensorPolicy
from murmuration.mtce.handlers.asks import AskHandlers
from murmuration.mtce.handlers.bmcs import BmcHandlers
from murmuration.mtce.handlers.hosts import HostHandlers
from murmuration.mtce.handlers.observed import ObservedHandlers
from murmuration.mtce.handlers.outcomes import OutcomeHandlers
from murmuration.mtce.handlers.verdicts import VerdictHandlers
from murmuration.mtce.metrics import Transitions
from murmuration.mtce.store import hosts, why
from murmuration.proto.envelope import Version
from murmuration.proto.fm import Severity
from murmuration.proto.ids import BootId, HostName
from murmuration.proto.mtce import HeartbeatState
from murmuration.proto.mtce_bmc import BmcPower, BmcSensor, BmcSensorState
from murmuration.proto.node import AskedAction, Condition, ConditionKind, HostHealth
from murmuration.proto.registry import channel_of
from murmuration.proto.sysinv import (
    Administrative,
    Admission,
    Host,
    HostAccepted,
    HostBmc,
    Origin,
    Personality,
)
from murmuration.store.database import Database, open_database
from murmuration.testkit.postgres import Postgres

NAMES = [HostName(f"worker-{number}") for number in range(1, 5)]
ONE = NAMES[0]
BOOT = "00000000-0000-0000-0000-000000000001"
ASKING = SensorPolicy(critical=SensorAction.POWER_CYCLE)


class Heard:
    """An observer that hears everybody."""

    def observe(self, name: HostName) -> Observation:
        del name
        return replace(
            unobserved(),
            heartbeat=HeartbeatState.WELL,
            boot_id=BootId(BOOT),
            heard=True,
            good_count=10,
        )


class Rig:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.observer = Heard()
        self.machines = Machines(Policy(heartbeat_soak_s=0.0))
        given = (self.clock, self.observer, Transitions(), self.machines)
        self.hosts = HostHandlers(*given, agents=False)
        self.outcomes = OutcomeHandlers(*given)
        self.verdicts = VerdictHandlers(self.clock, self.observer, self.machines)
        self.observed = ObservedHandlers(self.clock)
        self.bmcs = BmcHandlers(self.clock, ASKING)
        self.bmcs.on_power = self.outcomes.power_seen
        self.asks = AskHandlers(*given, policy=ASKING, own_host="worker-2")
        self.n = 0

    def received(self, payload: HostAccepted | HostHealth) -> Received:
        self.n += 1
        delivery = Delivery("X", self.n, "", {}, b"")
        return Received(payload, channel_of(type(payload)), delivery, Version(1, self.n))

    async def accept(self, intended: Administrative = Administrative.UNLOCKED) -> None:
        async with self.database.unit() as unit:
            for index, name in enumerate(NAMES):
                host = Host(
                    name=name,
                    index=index,
                    shard=0,
                    personality=Personality.WORKER,
                    origin=Origin.MACHINE,
                    observe_only=False,
                    admission=Admission.ACCEPTED,
                    intended_administrative=intended,
                    bmc=HostBmc(address="10.0.0.1", user="admin"),
                )
                received = self.received(HostAccepted(host=host, reason="test"))
                await self.hosts.declared(unit, received)
                await self.bmcs.declared(unit, received)
            await self.verdicts.settle(unit, NAMES)

    async def says(self, name: str, asked: AskedAction, *, boot: str = BOOT) -> None:
        """The agent of a host tells of a hot sensor."""
        hot = Condition(
            kind=ConditionKind.SENSOR,
            name="Inlet",
            severity=Severity.CRITICAL,
            asked=asked,
            reason="hot",
            since=self.clock.now(),
        )
        self.n += 1
        health = HostHealth(
            host=name,
            incarnation=1,
            n=self.n,
            boot_id=boot,
            conditions=(hot,),
            observed_at=self.clock.now(),
        )
        async with self.database.unit() as unit:
            await self.observed.health(unit, self.received(health))

    async def heed(self) -> list[str]:
        async with self.database.unit() as unit:
            return [step.reason for step in await self.asks.settle(unit)]

    async def audits(self, power: BmcPower) -> None:
        async with self.database.unit() as unit:
            await self.bmcs.audited(unit, {ONE: Audit(power=power)})

    async def effects(self) -> list[str]:
        async with self.database.connection() as connection:
            rows = await connection.fetch("select kind, entity from mur.effect order by id")
        return [f"{row['kind']} {row['entity']}" for row in rows]

    async def condition(self, name: HostName) -> str:
        async with self.database.connection() as connection:
            found = (await hosts.load(connection, [name]))[name].record
        assert found is not None
        return str(found.condition)


@pytest.fixture
async def rig(postgres: Postgres) -> AsyncGenerator[Rig, None]:
    login = postgres.database("mtce")
    async with open_database(postgres.section, login, migrations=MIGRATIONS) as database:
        database.verified.set()
        yield Rig(database)


async def test_reset_that_an_agents_condition_asks_for_is_done_once_and_shown_in_why(
    rig: Rig,
) -> None:
    await rig.accept()
    assert await rig.heed() == []
    await rig.says(ONE, AskedAction.RESET)
    (reason,) = await rig.heed()
    assert "sensor/Inlet asks for a reset, as its policy has it" in reason
    assert await rig.heed() == []
    assert await rig.effects() == ["bmc.reset bmc/worker-1"]
    async with rig.database.connection() as connection:
        *_, last = await why.last(connection, ONE, 5)
    assert (last.input, last.stage) == ("sensor/Inlet asks for a reset", "critical resetting")


async def test_what_an_earlier_boot_asked_for_is_passed_and_own_host_is_refused(rig: Rig) -> None:
    await rig.accept()
    await rig.says(ONE, AskedAction.RESET, boot="another")
    assert await rig.heed() == []
    await rig.says("worker-2", AskedAction.RESET)
    (reason,) = await rig.heed()
    assert "which is refused: host maintenance itself runs on it" in reason
    assert await rig.effects() == []


async def test_power_cycle_that_a_sensor_of_the_bmc_asks_for_is_begun_and_alarmed(rig: Rig) -> None:
    await rig.accept()
    await rig.audits(BmcPower.ON)
    sensor = BmcSensor(name="Inlet", group="temperature", state=BmcSensorState.CRITICAL, value=95.0)
    async with rig.database.unit() as unit:
        await rig.bmcs.sensed(unit, ONE, Sensed({"Inlet": sensor}, frozenset({"Inlet"})))
    (reason,) = await rig.heed()
    assert "sensor/Inlet asks for a power-cycle" in reason
    assert await rig.effects() == ["bmc.power_off bmc/worker-1"]
    async with rig.database.connection() as connection:
        said = await connection.fetchval(
            "select count(*) from mur.outbox where entity like '%Inlet'"
        )
    assert said == 1


def test_only_critical_sensors_may_ask() -> None:
    with pytest.raises(Rejected, match="only a critical sensor"):
        SensorPolicy(major=SensorAction.RESET)


async def test_power_that_an_audit_finds_moves_a_locked_host_and_pulses_outweigh_it(
    rig: Rig,
) -> None:
    await rig.accept(Administrative.LOCKED)
    await rig.audits(BmcPower.OFF)
    assert await rig.condition(ONE) == "locked-disabled-online", "it beats"
    async with rig.database.unit() as unit:
        await unit.connection.execute(
            "update host_state set heartbeat = 'lost', availability = 'offline'"
        )
    await rig.audits(BmcPower.OFF)
    assert await rig.condition(ONE) == "locked-disabled-power-off"
    await rig.audits(BmcPower.ON)
    assert await rig.condition(ONE) == "locked-disabled-offline"
