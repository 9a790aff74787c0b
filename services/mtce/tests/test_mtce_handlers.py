"""Handlers on a real PostgreSQL: what a transaction leaves behind, without a bus."""

from collections.abc import AsyncGenerator, Iterable
from datetime import UTC, datetime

import msgspec
import pytest

from murmuration.bus.follower import Received
from murmuration.bus.gaps import StateReceived
from murmuration.bus.message import Delivery
from murmuration.kernel.clock import ManualClock
from murmuration.mtce.app import MIGRATIONS
from murmuration.mtce.core.alarms import ALARM_IDS
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.model import Observation, unobserved
from murmuration.mtce.core.policy import Policy
from murmuration.mtce.core.verdict import Verdict
from murmuration.mtce.handlers.hosts import HostHandlers
from murmuration.mtce.handlers.outcomes import OutcomeHandlers
from murmuration.mtce.handlers.verdicts import VerdictHandlers
from murmuration.mtce.metrics import Transitions
from murmuration.mtce.store import hosts
from murmuration.proto.envelope import Version
from murmuration.proto.fm import RecordLog, Severity
from murmuration.proto.fm_derived import DegradeAsserted, DegradeCleared, HostDegrade
from murmuration.proto.ids import BootId, HostName, token
from murmuration.proto.mtce import Availability, HeartbeatState
from murmuration.proto.node import Condition, ConditionKind, HostHealth
from murmuration.proto.platform import StatePublished
from murmuration.proto.registry import CHANNELS, channel_of
from murmuration.proto.sysinv import (
    Administrative,
    Admission,
    Host,
    HostAccepted,
    HostChanged,
    HostRemoved,
    Origin,
    Personality,
)
from murmuration.store.database import Database, open_database
from murmuration.testkit.postgres import Postgres


class Heard:
    """An observer that says what the test wants."""

    def __init__(self) -> None:
        self.levels: dict[str, HeartbeatState] = {}

    def observe(self, name: HostName) -> Observation:
        level = self.levels.get(name)
        if level is None:
            return unobserved()
        return Observation(
            heartbeat=level,
            boot_id=BootId("00000000-0000-0000-0000-000000000001"),
            heard=True,
            silent_ms=1_010 if level is HeartbeatState.LOST else 10,
            excused_ms=0,
            silent_bus_ms=1_010,
            silent_udp_ms=1_010,
            period_ms=100,
            good_count=10,
            stopping=False,
        )


class Rig:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.heard = Heard()
        self.transitions = Transitions()
        clock = self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        machines = Machines(Policy(heartbeat_soak_s=0.0))
        self.hosts = HostHandlers(clock, self.heard, self.transitions, machines)
        self.verdicts = VerdictHandlers(clock, self.heard, machines)
        self.change = 0

    async def accept(self, names: Iterable[str], **fields: object) -> None:
        async with self.database.unit() as unit:
            for place, name in enumerate(names):
                payload = HostAccepted(host=host(name, place, **fields), reason="test")
                await self.hosts.declared(unit, self.received(payload))

    def received(self, payload: HostAccepted | HostChanged | HostRemoved) -> Received:
        self.change += 1
        delivery = Delivery("SYSINV", self.change, "", {}, b"")
        return Received(payload, channel_of(type(payload)), delivery, Version(1, self.change))

    async def settle(self, *names: str) -> int:
        async with self.database.unit() as unit:
            return len(await self.verdicts.settle(unit, [HostName(name) for name in names]))

    async def said(self) -> list[str]:
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "select type, entity from mur.outbox where type <> 'fm.log.record.v1'"
                " order by change"
            )
            await connection.execute("delete from mur.outbox")
        return [f"{row['type']} {row['entity']}" for row in rows]

    async def logs(self) -> list[str]:
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "select body from mur.outbox where type = 'fm.log.record.v1' order by change"
            )
        found = [msgspec.json.decode(row["body"], type=RecordLog) for row in rows]
        return [f"{one.log_id} {one.entity}" for one in found]

    async def conditions(self) -> dict[str, str]:
        async with self.database.connection() as connection:
            found = await hosts.roster(connection)
        return {declared.name: str(record.condition) for declared, record in found}


def host(name: str, index: int, **fields: object) -> Host:
    known: dict[str, object] = {
        "admission": Admission.ACCEPTED,
        "intended_administrative": Administrative.UNLOCKED,
        "origin": Origin.SIMULATED,
        **fields,
    }
    return Host(
        name=name,
        index=index,
        shard=0,
        personality=Personality.WORKER,
        observe_only=False,
        **known,  # type: ignore[arg-type]
    )


@pytest.fixture
async def rig(postgres: Postgres) -> AsyncGenerator[Rig, None]:
    login = postgres.database("mtce")
    async with open_database(postgres.section, login, migrations=MIGRATIONS) as database:
        database.verified.set()
        yield Rig(database)


async def test_the_roster_read_again_has_what_changed_came_and_went(rig: Rig) -> None:
    roster = hosts.Roster()

    async def same() -> bool:
        async with rig.database.connection() as connection:
            return await roster.read(connection) == await hosts.roster(connection)

    assert await same()
    await rig.accept(["worker-1", "worker-2"])
    assert await same()
    await rig.settle("worker-1")  # its state
    assert await same()
    await rig.accept(["worker-2"], pulse_period_ms=500)  # what is declared of it
    assert await same()
    async with rig.database.unit() as unit:
        await hosts.remove(unit.connection, HostName("worker-1"))
    assert await same()


async def test_state_event_and_alarms_are_one_transaction(rig: Rig) -> None:
    await rig.accept(["worker-1"])
    rig.heard.levels["worker-1"] = HeartbeatState.LOST
    assert await rig.settle("worker-1") == 1
    assert await rig.said() == [
        "mtce.host.state_changed.v1 worker-1",
        "mtce.host.state_changed.v1 worker-1",
        "fm.alarm.raise.v1 host=worker-1",
        "fm.alarm.raise.v1 host=worker-1",
    ]
    rig.heard.levels["worker-1"] = HeartbeatState.WELL
    with pytest.raises(RuntimeError, match="interrupted"):
        async with rig.database.unit() as unit:
            await rig.verdicts.settle(unit, [HostName("worker-1")])
            raise RuntimeError("interrupted")
    assert await rig.said() == []
    assert await rig.conditions() == {"worker-1": "unlocked-disabled-failed"}
    assert await rig.settle("worker-1") == 1
    assert await rig.settle("worker-1") == 0
    assert await rig.conditions() == {"worker-1": "unlocked-enabled-available"}


async def test_host_that_comes_serves_and_fails_is_in_the_log_that_operators_know(rig: Rig) -> None:
    await rig.accept(["worker-1"], admission=Admission.DISCOVERED)
    await rig.accept(["worker-1"], pulse_period_ms=500)
    for level in (HeartbeatState.WELL, HeartbeatState.LOST):
        rig.heard.levels["worker-1"] = level
        await rig.settle("worker-1")
    assert await rig.logs() == [
        "200.020 host=worker-1.event=discovered",
        "200.024 host=worker-1.config=period_ms",
        "200.020 host=worker-1.event=add",
        "200.022 host=worker-1.state=enabled",
        "200.022 host=worker-1.status=failed",
    ]


async def test_controller_that_is_a_worker_too_has_its_other_half_enabled(rig: Rig) -> None:
    both = msgspec.structs.replace(
        host("c-0", 0), personality=Personality.CONTROLLER, subfunctions=(Personality.WORKER,)
    )
    async with rig.database.unit() as unit:
        await rig.hosts.declared(unit, rig.received(HostAccepted(host=both, reason="test")))
    rig.heard.levels["c-0"] = HeartbeatState.WELL
    await rig.settle("c-0")
    async with rig.database.connection() as connection:
        ((declared, found),) = await hosts.roster(connection)
    assert declared.all_in_one
    assert found.work.worker is Availability.AVAILABLE, "its agent takes no orders: nothing to run"


async def test_two_thousand_verdicts_of_one_moment_are_all_written_once(rig: Rig) -> None:
    names = [f"host-{index}" for index in range(2_000)]
    await rig.accept(names)
    rig.heard.levels = dict.fromkeys(names, HeartbeatState.LOST)
    await rig.said()
    assert await rig.settle(*names) == 2_000
    assert await rig.settle(*names) == 0
    said = await rig.said()
    assert len(said) == len(names) * 3
    assert set((await rig.conditions()).values()) == {"unlocked-disabled-failed"}


async def test_everything_is_said_anew_and_alarms_that_are_not_there_are_cleared(rig: Rig) -> None:
    await rig.accept(["worker-1", "worker-2"])
    rig.heard.levels = {"worker-1": HeartbeatState.LOST, "worker-2": HeartbeatState.WELL}
    await rig.settle("worker-1", "worker-2")
    await rig.said()
    async with rig.database.unit() as unit:
        await rig.verdicts.republish(unit)
    assert await rig.said() == [
        "mtce.host.state_changed.v1 worker-1",
        "fm.alarm.raise.v1 host=worker-1",
        "fm.alarm.raise.v1 host=worker-1",
        *["fm.alarm.clear.v1 host=worker-1"] * (len(ALARM_IDS) - 2),
        "mtce.host.state_changed.v1 worker-2",
        *["fm.alarm.clear.v1 host=worker-2"] * len(ALARM_IDS),
    ]
    async with rig.database.unit() as unit:
        assert await rig.verdicts.assert_alarms(unit) == 2
    assert await rig.said() == ["fm.alarm.raise.v1 host=worker-1"] * 2


async def test_same_declaration_twice_says_nothing_new(rig: Rig) -> None:
    await rig.accept(["worker-1"])
    await rig.said()
    await rig.accept(["worker-1"])
    assert await rig.said() == []


async def test_intent_of_a_newer_word_leaves_what_was_intended(rig: Rig) -> None:
    await rig.accept(["worker-1"])
    await rig.accept(["worker-1"], intended_administrative=Administrative.UNKNOWN)
    assert await rig.conditions() == {"worker-1": "unlocked-disabled-offline"}
    await rig.accept(["worker-0", "worker-2"], intended_administrative=Administrative.UNKNOWN)
    assert (await rig.conditions())["worker-2"] == "locked-disabled-offline"


async def test_removing_a_host_that_is_unknown_or_only_discovered_is_quiet(rig: Rig) -> None:
    await rig.accept(["worker-1"], admission=Admission.DISCOVERED)
    async with rig.database.unit() as unit:
        for name in ("worker-1", "worker-9"):
            payload = HostRemoved(host=name, index=0, reason="test")
            await rig.hosts.removed(unit, rig.received(payload))
    assert await rig.said() == []
    async with rig.database.connection() as connection:
        assert await connection.fetchval("select count(*) from mirror_host") == 0


async def test_hosts_that_sysinv_did_not_tell_again_are_forgotten(rig: Rig) -> None:
    await rig.accept(["worker-1", "worker-2"])
    since = rig.change
    await rig.accept(["worker-2"])  # told afresh
    await rig.said()
    told = StatePublished(service="sysinv", since_epoch=1, since_change=since)
    channel = CHANNELS["sysinv.state.published.v1"]
    delivery = Delivery("SYSINV", 9, "", {}, b"")
    async with rig.database.unit() as unit:
        await rig.hosts.told_afresh(unit, Received(told, channel, delivery, Version(1, 9)))
    assert set(await rig.conditions()) == {"worker-2"}
    assert "mtce.host.forgotten.v1 worker-1" in await rig.said()


async def test_hosts_are_taken_from_the_bucket_where_events_are_gone(rig: Rig) -> None:
    await rig.accept(["worker-1"])
    async with rig.database.unit() as unit:
        for name, value in (("worker-1", None), ("worker-2", host("worker-2", 2))):
            state = StateReceived("sysinv_hosts", token(name), Version(1, 7), value)
            await rig.hosts.bridged(unit, state)
    assert set(await rig.conditions()) == {"worker-2"}


async def test_alarms_at_fm_degrade_a_host_in_service_until_they_are_gone(rig: Rig) -> None:
    await rig.accept(["worker-1"])
    rig.heard.levels["worker-1"] = HeartbeatState.WELL
    await rig.settle("worker-1")
    machines = Machines(Policy(heartbeat_soak_s=0.0))
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    outcomes = OutcomeHandlers(clock, rig.heard, rig.transitions, machines)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    degrade = HostDegrade(host="worker-1", causes=("u1",), cause_count=1, since=at)
    delivery = Delivery("FM", 1, "", {}, b"")

    async def hear(payload: DegradeAsserted | DegradeCleared) -> str:
        received = Received(payload, channel_of(type(payload)), delivery, Version(1, 1))
        handler = outcomes.degraded if isinstance(payload, DegradeAsserted) else outcomes.relieved
        async with rig.database.unit() as unit:
            await handler(unit, received)
        return (await rig.conditions())["worker-1"]

    asserted = DegradeAsserted(host="worker-1", degrade=degrade)
    assert await hear(asserted) == "unlocked-enabled-degraded"
    assert await hear(asserted) == "unlocked-enabled-degraded"
    cleared = DegradeCleared(host="worker-1", at=at)
    assert await hear(cleared) == "unlocked-enabled-available"
    async with rig.database.unit() as unit:
        await outcomes.degraded(
            unit,
            Received(
                DegradeAsserted(host="worker-9", degrade=degrade),
                channel_of(DegradeAsserted),
                delivery,
                Version(1, 2),
            ),
        )


async def test_boot_whose_workload_was_released_does_not_return_to_service(rig: Rig) -> None:
    await rig.accept(["worker-1"], origin=Origin.NAMESPACE)
    machines = Machines(Policy(heartbeat_soak_s=0.0, unlock_reboots=False))
    outcomes = OutcomeHandlers(rig.clock, rig.heard, rig.transitions, machines)
    async with rig.database.unit() as unit:
        await unit.connection.execute(
            "update host_state set operational = 'enabled', availability = 'available',"
            " heartbeat = 'well', episode = 1, work = '{}', due_at = null, task = '',"
            " boot_id = '00000000-0000-0000-0000-000000000001'"
        )
    rig.heard.levels["worker-1"] = HeartbeatState.LOST
    await rig.settle("worker-1")
    async with rig.database.unit() as unit:
        await outcomes.released(unit, HostName("worker-1"))
    rig.heard.levels["worker-1"] = HeartbeatState.WELL
    await rig.settle("worker-1")
    assert await rig.conditions() == {"worker-1": "unlocked-disabled-failed"}
    async with rig.database.connection() as connection:
        kinds = await connection.fetch("select kind, once from mur.effect order by id")
    assert [(row["kind"], row["once"]) for row in kinds] == [("agent.reboot", True)]


async def in_service(rig: Rig, name: str, boot_id: str) -> None:
    await rig.accept([name])
    async with rig.database.unit() as unit:
        await unit.connection.execute(
            "update host_state set operational = 'enabled', availability = 'available',"
            " heartbeat = 'well', episode = 1, work = '{}', due_at = null, task = '', boot_id = $1",
            boot_id,
        )


async def told_lost_by_another(rig: Rig, name: str) -> None:
    """Another replica, which hears nothing of it, writes its verdict; this one takes it over."""
    other = Heard()
    other.levels[name] = HeartbeatState.LOST
    found = Verdict(host=HostName(name), episode=1, seen=other.observe(HostName(name)))
    async with rig.database.unit() as unit:
        assert await rig.verdicts.reach(unit, [found]) == 1
    async with rig.database.unit() as unit:
        await rig.verdicts.take_over(unit)
    async with rig.database.unit() as unit:
        assert await rig.verdicts.take_over(unit) == [], "settled, whatever came of it"


async def test_host_that_only_another_replica_finds_silent_is_lost_by_its_verdict(rig: Rig) -> None:
    await in_service(rig, "worker-1", "00000000-0000-0000-0000-000000000001")
    await told_lost_by_another(rig, "worker-1")
    assert await rig.conditions() == {"worker-1": "unlocked-disabled-failed"}


async def test_host_that_is_heard_here_is_not_lost_by_the_verdict_of_another_replica(
    rig: Rig,
) -> None:
    await in_service(rig, "worker-1", "00000000-0000-0000-0000-000000000001")
    rig.heard.levels["worker-1"] = HeartbeatState.WELL
    await told_lost_by_another(rig, "worker-1")
    assert await rig.conditions() == {"worker-1": "unlocked-enabled-available"}


async def test_host_is_not_lost_by_a_verdict_about_an_earlier_boot_of_it(rig: Rig) -> None:
    await in_service(rig, "worker-1", "00000000-0000-0000-0000-000000000002")
    await told_lost_by_another(rig, "worker-1")
    assert await rig.conditions() == {"worker-1": "unlocked-enabled-available"}


async def test_host_is_not_failed_by_what_its_agent_said_in_an_earlier_boot(rig: Rig) -> None:
    boots = [f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2)]
    await in_service(rig, "worker-1", boots[1])
    machines = Machines(Policy(unlock_reboots=False))
    outcomes = OutcomeHandlers(rig.clock, rig.heard, rig.transitions, machines)
    at = rig.clock.now()
    fault = Condition(
        kind=ConditionKind.PROCESS, name="sm", severity=Severity.CRITICAL, reason="down", since=at
    )
    for n, boot_id in enumerate(boots, start=1):
        health = HostHealth(
            host="worker-1",
            incarnation=1,
            n=n,
            boot_id=boot_id,
            conditions=(fault,),
            observed_at=at,
        )
        delivery = Delivery("MTCE_OBSERVED", n, "", {}, b"")
        received = Received(health, channel_of(HostHealth), delivery, Version(1, n))
        async with rig.database.unit() as unit:
            await outcomes.health(unit, received)
        failed = (await rig.conditions())["worker-1"] == "unlocked-disabled-failed"
        assert failed is (boot_id == boots[1])
