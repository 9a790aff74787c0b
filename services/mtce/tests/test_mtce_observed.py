"""What agents say of their hosts, taken in on a real PostgreSQL."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from murmuration.bus.follower import Received
from murmuration.bus.message import Delivery
from murmuration.kernel.clock import ManualClock
from murmuration.kernel.errors import NotFound, Stale
from murmuration.mtce.app import MIGRATIONS
from murmuration.mtce.core.health import judge
from murmuration.mtce.core.model import Ask, Declared
from murmuration.mtce.handlers.observed import REFRESH_S, ObservedHandlers
from murmuration.mtce.store import hosts
from murmuration.proto.envelope import Version
from murmuration.proto.fm import Severity
from murmuration.proto.ids import HostName
from murmuration.proto.mtce import HealthCause
from murmuration.proto.node import (
    AskedAction,
    AskHealth,
    Condition,
    ConditionKind,
    EndKind,
    HostBooted,
    HostEnding,
    HostHealth,
    HostTested,
    InTestScope,
    PreviousEnd,
    Reading,
    ScriptFailure,
)
from murmuration.proto.registry import channel_of
from murmuration.proto.sysinv import Administrative, HostRemoved
from murmuration.store.database import Database, open_database
from murmuration.testkit.postgres import Postgres

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Rig:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = ManualClock(NOW)
        self.handlers = ObservedHandlers(self.clock)

    async def take(self, payload: msgspec.Struct) -> list[str]:
        """The types of the events that follow from one message."""
        delivery = Delivery("MTCE_OBSERVED", 1, "", {}, b"")
        received = Received(payload, channel_of(type(payload)), delivery, Version(1, 1))
        handlers: dict[type[msgspec.Struct], Any] = {
            HostHealth: self.handlers.health,
            HostBooted: self.handlers.booted,
            HostEnding: self.handlers.ending,
            HostTested: self.handlers.tested,
            HostRemoved: self.handlers.removed,
        }
        async with self.database.unit() as unit:
            await handlers[type(payload)](unit, received)
        rows = await self.rows("select type, body from mur.outbox order by change")
        async with self.database.connection() as connection:
            await connection.execute("delete from mur.outbox")
        return [f"{row['type']}: {msgspec.json.decode(row['body'])['reason']}" for row in rows]

    async def rows(self, query: str) -> list[dict[str, Any]]:
        async with self.database.connection() as connection:
            return [dict(row) for row in await connection.fetch(query)]


@pytest.fixture
async def rig(postgres: Postgres) -> AsyncGenerator[Rig]:
    credentials = postgres.database("mtce")
    async with open_database(postgres.section, credentials, migrations=MIGRATIONS) as database:
        database.verified.set()
        async with database.unit() as unit:
            declared = Declared(
                name=HostName("h1"),
                index=1,
                period_ms=100,
                administrative=Administrative.UNLOCKED,
            )
            await hosts.save_mirror(unit.connection, declared, accepted=True, version=Version(1, 1))
        yield Rig(database)


def condition(
    name: str, severity: Severity, kind: ConditionKind = ConditionKind.PROCESS
) -> Condition:
    return Condition(kind=kind, name=name, severity=severity, reason=f"{name} failed", since=NOW)


def health(n: int, *conditions: Condition, host: str = "h1", value: float = 1.0) -> HostHealth:
    reading = Reading(kind=ConditionKind.RESOURCE, name="cpu", value=value, unit="%")
    return HostHealth(
        host=host,
        incarnation=7,
        n=n,
        boot_id="b1",
        conditions=conditions,
        readings=(reading,),
        observed_at=NOW,
    )


async def test_health_is_told_when_it_differs_and_not_for_its_readings(rig: Rig) -> None:
    changed = "mtce.host.health_changed.v1: h1: "
    sshd = condition("sshd", Severity.MAJOR)
    assert await rig.take(health(1)) == [f"{changed}its processes changed; all is well"]
    assert await rig.take(health(2, value=2.0)) == []
    assert await rig.take(health(3, sshd)) == [
        f"{changed}process/sshd is wrong; 1 condition stands"
    ]
    assert (await rig.rows("select causes, failed from host_health"))[0] == {
        "causes": ["process"],
        "failed": "",
    }
    assert await rig.take(health(4)) == [f"{changed}process/sshd is well again; all is well"]
    rig.clock.advance(REFRESH_S)
    assert len(await rig.take(health(5, value=3.0))) == 1


async def test_older_health_and_another_sites_host_are_passed(rig: Rig) -> None:
    await rig.take(health(5))
    for message in (health(5), health(4), health(9, host="h2")):
        with pytest.raises(Stale):
            await rig.take(message)


async def test_boot_is_told_once_with_the_end_of_the_one_before(rig: Rig) -> None:
    ending = HostEnding(
        host="h1", incarnation=7, n=1, boot_id="b1", kind=EndKind.REBOOTING, observed_at=NOW
    )
    booted = HostBooted(
        host="h1",
        incarnation=8,
        n=1,
        boot_id="b2",
        previous_boot_id="b1",
        previous_end=PreviousEnd.PANIC,
        record="Kernel panic",
        observed_at=NOW,
    )
    assert await rig.take(ending) == []
    told = ["mtce.host.came_up.v1: h1 has booted; the boot before ended in a kernel panic"]
    assert await rig.take(booted) == told
    assert await rig.take(booted) == []
    rows = await rig.rows("select boot_id, ending, previous_end from host_boot order by boot_id")
    assert [tuple(row.values()) for row in rows] == [("b1", "rebooting", ""), ("b2", "", "panic")]


async def test_result_of_an_order_is_kept_once(rig: Rig) -> None:
    tested = HostTested(
        host="h1",
        incarnation=7,
        n=2,
        boot_id="b1",
        operation_id="test-0001",
        scope=InTestScope.MAIN,
        passed=False,
        script_count=2,
        failures=(ScriptFailure(script="disk", reason="the disk is absent"),),
        observed_at=NOW,
    )
    for _ in range(2):
        await rig.take(tested)
    rows = await rig.rows("select operation_id, passed, reason from agent_result")
    assert [tuple(row.values()) for row in rows] == [("test-0001", False, "the disk is absent")]


async def test_health_is_answered_as_last_told_and_not_found_before(rig: Rig) -> None:
    ask = AskHealth(host="h1")
    with pytest.raises(NotFound, match="no agent has told"):
        await rig.handlers.answer(rig.database, ask)
    await rig.take(health(1, condition("sshd", Severity.MAJOR)))
    answer = await rig.handlers.answer(rig.database, ask)
    assert [each.name for each in answer.conditions] == ["sshd"]


async def test_removed_host_takes_its_health_back(rig: Rig) -> None:
    await rig.take(health(1))
    told = await rig.take(HostRemoved(host="h1", index=1, reason="test"))
    assert told == ["mtce.host.health_changed.v1: h1 was removed"]
    async with rig.database.unit() as unit:
        await hosts.remove(unit.connection, HostName("h1"))
    assert await rig.rows("select * from host_health") == []


@pytest.mark.parametrize(
    ("conditions", "causes", "failed"),
    [
        ([], (), ""),
        ([condition("p", Severity.MINOR)], (), ""),
        ([condition("p", Severity.MAJOR)], (HealthCause.PROCESS,), ""),
        ([condition("p", Severity.CRITICAL)], (HealthCause.PROCESS,), "p failed"),
        ([condition("/", Severity.MAJOR, ConditionKind.FILESYSTEM)], (), ""),
        (
            [
                condition("/", Severity.CRITICAL, ConditionKind.STALL),
                condition("fan", Severity.MAJOR, ConditionKind.SENSOR),
            ],
            (HealthCause.RESOURCE, HealthCause.SENSOR),
            "",
        ),
    ],
)
def test_conditions_are_judged_by_kind_and_severity(
    conditions: list[Condition], causes: tuple[HealthCause, ...], failed: str
) -> None:
    judged = judge(conditions)
    assert (judged.causes, judged.failed) == (causes, failed)


def test_strongest_action_that_is_asked_counts() -> None:
    hot = msgspec.structs.replace(
        condition("cpu", Severity.CRITICAL, ConditionKind.SENSOR), asked=AskedAction.RESET
    )
    hotter = msgspec.structs.replace(hot, asked=AskedAction.POWER_CYCLE)
    assert judge([hot]).asked == Ask("sensor/cpu", AskedAction.RESET)
    assert judge([hot, hotter]).asked == Ask("sensor/cpu", AskedAction.POWER_CYCLE)
