"""The producer's client with a real spool, a real NATS and a real fm."""

import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from murmuration.alarms.client import open_alarms
from murmuration.alarms.spool import ASSERT, Said, Spool
from murmuration.bus.connection import Bus
from murmuration.fm import app
from murmuration.kernel.errors import Unavailable
from murmuration.proto.fm import AlarmType, ClearAlarm, RaiseAlarm, Severity
from murmuration.store.database import open_database
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import running, service_config


def fault(number: int) -> RaiseAlarm:
    return RaiseAlarm(
        alarm_id="100.101",
        entity=f"host=worker-1.port={number}",
        severity=Severity.MINOR,
        reason_text="test",
        alarm_type=AlarmType.OTHER,
        probable_cause="unknown",
        raised_at=datetime.now(UTC),
    )


@pytest.fixture
async def node(connect: Connect) -> Bus:
    return await connect("node@worker-1")


def held(key: str, body: bytes) -> Said:
    return Said("raise", key, body, holds=True)


def test_spool_keeps_its_numbers_and_what_holds_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    spool = Spool(path, fresh_incarnation=7)
    assert spool.append([held("a", b"1"), held("b", b"2")]) == [1, 2]
    assert spool.append([Said("clear", "a", b"3")]) == [3]
    spool.trim(1)
    spool.close()
    again = Spool(path, fresh_incarnation=9)
    assert (again.incarnation, again.last_n, again.count) == (7, 3, 2)
    assert [m.n for m in again.after(0, 10)] == [2, 3]
    assert again.held() == [("b", b"2")]
    again.begin_incarnation(11)
    assert (again.incarnation, again.last_n) == (11, 1)
    assert [(m.n, m.body) for m in again.after(0, 10)] == [(1, b"2")]


def test_spool_refuses_and_stores_nothing_when_it_is_full(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", fresh_incarnation=1, messages_max=2)
    spool.append([held("a", b"1")])
    with pytest.raises(Unavailable, match="full"):
        spool.append([held("b", b"2"), held("c", b"3")])
    assert (spool.last_n, spool.count) == (1, 1)


def test_assertion_says_nothing_of_what_was_cleared_meanwhile(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", fresh_incarnation=1)
    spool.append([held("a", b"1"), held("b", b"2")])
    asserted = [Said(ASSERT, key) for key, _ in spool.held()]
    spool.append([Said("clear", "a", b"3")])
    assert spool.append(asserted) == [3, 4]
    assert [(m.verb, m.body) for m in spool.after(3, 10)] == [("raise", b"2")]


def test_spool_holds_nothing_below_what_was_cleared_nor_what_has_a_lease(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", fresh_incarnation=1)
    keys = ("1/host=a", "1/host=a.port=1", "2/host=a.port=1", "1/host=ab")
    spool.append([*(held(key, b"") for key in keys), Said("raise", "1/host=leased", b"")])
    spool.append([Said("clear_below", "1/host=a", b"")])
    assert [key for key, _ in spool.held()] == ["1/host=ab", "2/host=a.port=1"]
    spool.append([Said("clear_below", "/host=a", b""), Said("log", "2/host=a", b"")])
    assert [key for key, _ in spool.held()] == ["1/host=ab"]


async def test_alarms_said_while_fm_and_nats_are_away_arrive_once_each(
    node: Bus, site_nats: NatsServer, postgres: Postgres, tmp_path: Path
) -> None:
    database = postgres.database("fm")
    config = service_config("fm", site_nats, postgres, database=database)
    async with open_alarms(node, producer="node-worker-1", spool=tmp_path / "spool.db") as alarms:
        assert await alarms.raise_many([fault(number) for number in range(50)]) == 50
        site_nats.signal(signal.SIGSTOP)
        for number in range(50, 100):
            await alarms.raise_alarm(fault(number))
        assert alarms.unconfirmed == 100
        site_nats.kill()
        site_nats.start()
        async with running(app.run, config):
            await reaches(lambda: alarms.unconfirmed == 0)
            await alarms.clear_alarm(
                ClearAlarm(
                    alarm_id="100.101", entity="host=worker-1.port=7", cleared_at=datetime.now(UTC)
                )
            )
            await reaches(lambda: alarms.unconfirmed == 0)
    async with (
        open_database(postgres.section, database, migrations=None) as look,
        look.connection() as connection,
    ):
        assert await connection.fetchval("select count(*) from alarm") == 99
        assert await connection.fetchval("select count(*) from history") == 101
