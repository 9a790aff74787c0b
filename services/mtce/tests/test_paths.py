"""Faults of the ways of pulses: which alarms they are, and what becomes of hosts."""

from collections.abc import AsyncGenerator, Iterable

import pytest
from services.mtce.tests.test_asks import NAMES, ONE, Rig

from murmuration.mtce.app import MIGRATIONS
from murmuration.mtce.core.levels import PathNote
from murmuration.mtce.core.paths import faults
from murmuration.mtce.core.verdict_table import Outcome
from murmuration.mtce.handlers.paths import PathHandlers
from murmuration.proto.fm import Severity
from murmuration.proto.ids import HostName
from murmuration.store.database import open_database
from murmuration.testkit.postgres import Postgres


def said(
    outcome: Outcome, names: Iterable[HostName], *, watched: int = 9, doubt: str = ""
) -> list[str]:
    notes = {PathNote(name, outcome) for name in names}
    found = faults(notes, watched=watched, doubt=doubt, own_host="c-0")
    return [f"{one.key.alarm_id} {one.key.entity} {one.severity.value}" for one in found.values()]


@pytest.mark.parametrize(
    ("outcome", "alarm"),
    [
        (Outcome.PATH_ALARM, "200.009 host=worker-1 major"),
        (Outcome.DISPUTED, "200.009 host=worker-1 critical"),
        (Outcome.BUS_ALARM, "200.018 host=worker-1 major"),
    ],
)
def test_way_of_one_host_is_its_alarm(outcome: Outcome, alarm: str) -> None:
    assert said(outcome, [ONE]) == [alarm]


def test_same_fault_of_half_of_the_hosts_is_the_monitors_own_and_one_alarm() -> None:
    assert said(Outcome.PATH_ALARM, NAMES, watched=8) == ["200.019 host=c-0.reach=udp major"]
    assert said(Outcome.BUS_ALARM, NAMES, watched=8) == ["200.019 host=c-0.reach=nats major"]
    assert len(said(Outcome.PATH_ALARM, NAMES, watched=9)) == 4
    assert said(Outcome.PATH_ALARM, [ONE], watched=1) == ["200.009 host=worker-1 major"]


def test_doubt_of_the_own_reach_is_a_critical_alarm() -> None:
    doubted = said(Outcome.NOTHING, [], doubt="nothing was heard")
    assert doubted == ["200.019 host=c-0.reach=all critical"]


@pytest.fixture
async def rig(postgres: Postgres) -> AsyncGenerator[Rig, None]:
    login = postgres.database("mtce")
    async with open_database(postgres.section, login, migrations=MIGRATIONS) as database:
        database.verified.set()
        yield Rig(database)


async def test_host_is_degraded_while_a_way_of_its_pulses_is_at_fault(rig: Rig) -> None:
    await rig.accept()
    handlers = PathHandlers(rig.clock, rig.observer, rig.machines)
    notes = {PathNote(ONE, Outcome.PATH_ALARM)}
    silent = faults(notes, watched=9, doubt="", own_host="c-0")
    for found, condition, severity in (
        (silent, "unlocked-enabled-degraded", Severity.MAJOR),
        ({}, "unlocked-enabled-available", None),
    ):
        for again in (False, True):
            async with rig.database.unit() as unit:
                steps = await handlers.settle(unit, found)
            assert bool(steps) is not again
        assert await rig.condition(ONE) == condition
        async with rig.database.connection() as connection:
            raised = await connection.fetch("select severity from path_fault")
        assert [row["severity"] for row in raised] == ([severity.value] if severity else [])
    async with rig.database.connection() as connection:
        rows = await connection.fetch(
            "select type from mur.outbox where convert_from(body, 'utf8') like '%200.009%'"
            " and type like 'fm.%' order by change"
        )
    assert [row["type"] for row in rows] == ["fm.alarm.raise.v1", "fm.alarm.clear.v1"]
