"""The outbox, the relay and the follower together, on a real NATS and a real PostgreSQL."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from murmuration.bus import parking
from murmuration.bus.connection import Bus
from murmuration.bus.follower import Follower, Many, Received
from murmuration.bus.publisher import Publication, WindowPublisher
from murmuration.bus.relay import Relay
from murmuration.bus.state import load_bucket
from murmuration.bus.wire import header_block
from murmuration.proto.envelope import StateValue, encode
from murmuration.proto.mtce import HostForgotten
from murmuration.proto.registry import channel_of
from murmuration.proto.sysinv import (
    Administrative,
    Admission,
    Host,
    HostChanged,
    HostDelta,
    Origin,
    Personality,
)
from murmuration.store.database import Database, Unit, open_database
from murmuration.testkit.levels import reaches
from murmuration.testkit.plugin import Connect
from murmuration.testkit.postgres import Postgres


def host(name: str, index: int = 1) -> Host:
    return Host(
        name=name,
        index=index,
        shard=0,
        personality=Personality.WORKER,
        origin=Origin.SIMULATED,
        observe_only=False,
        admission=Admission.ACCEPTED,
        intended_administrative=Administrative.UNLOCKED,
        reported_at=datetime.now(UTC),
    )


async def nothing(_unit: Unit) -> None:
    return None


async def change(database: Database, name: str, index: int) -> None:
    async with database.unit() as unit:
        unit.emit(
            HostChanged(host=host(name, index), changed=("index",), reason="test"),
            entity=name,
            bucket="sysinv_hosts",
            state=host(name, index),
            host=name,
        )


@pytest.fixture
async def sysinv(connect: Connect) -> Bus:
    return await connect("sysinv")


@pytest.fixture
async def mtce(connect: Connect) -> Bus:
    return await connect("mtce")


@pytest.fixture
async def sender(postgres: Postgres) -> AsyncIterator[Database]:
    async with open_database(
        postgres.section, postgres.database("sysinv"), migrations=None
    ) as database:
        yield database


@pytest.fixture
async def reader(postgres: Postgres) -> AsyncIterator[Database]:
    async with open_database(
        postgres.section, postgres.database("mtce"), migrations=None
    ) as database:
        async with database.connection() as connection:
            await connection.execute("create table seen (name text, index int, n serial)")
        database.verified.set()
        yield database


async def record(unit: Unit, received: Received) -> None:
    await unit.connection.execute(
        "insert into seen (name, index) values ($1, $2)",
        received.payload.host.name,
        received.payload.host.index,
    )


@contextlib.asynccontextmanager
async def running(*works: object) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work.run()) for work in works]  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def seen(database: Database) -> list[tuple[str, int]]:
    async with database.connection() as connection:
        rows = await connection.fetch("select name, index from seen order by n")
    return [(row["name"], row["index"]) for row in rows]


async def test_change_reaches_reader_once_and_in_order_when_all_is_well(
    sender: Database, reader: Database, sysinv: Bus, mtce: Bus, admin: Bus
) -> None:
    relay = Relay(sender, sysinv, service="sysinv", republish=nothing)
    follower = Follower(reader, mtce, "SYSINV", {HostChanged: record})
    await relay.verify()
    async with running(relay, follower):
        for index in range(1, 201):
            await change(sender, "worker-1", index)
        expected = [("worker-1", index) for index in range(1, 201)]

        async def whole() -> bool:
            return len(await seen(reader)) == 200

        await reaches(whole)
    assert await seen(reader) == expected


async def test_nothing_is_lost_or_repeated_when_the_stream_is_deleted_and_the_reader_starts_over(
    sender: Database, reader: Database, sysinv: Bus, mtce: Bus, admin: Bus
) -> None:
    from murmuration.bus.provision import provision

    relay = Relay(sender, sysinv, service="sysinv", republish=nothing)
    follower = Follower(reader, mtce, "SYSINV", {HostChanged: record})
    await relay.verify()
    async with running(relay, follower):
        for index in range(1, 51):
            await change(sender, "worker-1", index)

        async def whole() -> bool:
            return len(await seen(reader)) == 50

        await reaches(whole)
    await admin.js.delete_stream("SYSINV")
    await provision(admin)
    async with running(relay, follower):
        for index in range(51, 61):
            await change(sender, "worker-1", index)

        async def more() -> bool:
            return len(await seen(reader)) >= 60

        await reaches(more)

        async def refilled() -> bool:
            info = await admin.js.stream_info("SYSINV")
            return info.state.messages == 60

        await reaches(refilled)
    assert await seen(reader) == [("worker-1", index) for index in range(1, 61)]


async def test_a_bucket_is_read_whole_when_it_has_more_keys_than_one_answer_may_hold(
    sysinv: Bus, mtce: Bus
) -> None:
    count = 2_500  # the server refuses to look up more than 1,024 subjects at once
    publisher = WindowPublisher(sysinv)
    for first in range(0, count, 500):
        window = [
            Publication(
                f"$KV.sysinv_hosts.worker-{index}",
                header_block([]),
                encode(StateValue(epoch=1, change=index)),
            )
            for index in range(first, first + 500)
        ]
        await publisher.publish(window)
    keys, revision = await load_bucket(mtce, "sysinv_hosts")
    assert (len(keys), revision) == (count, count)
    assert sorted(stored.value.change for stored in keys.values()) == list(range(count))


async def test_state_holds_the_newest_change_of_each_key_when_many_were_made(
    sender: Database, sysinv: Bus, mtce: Bus, admin: Bus
) -> None:
    relay = Relay(sender, sysinv, service="sysinv", republish=nothing)
    await relay.verify()
    async with running(relay):
        for index in range(1, 31):
            await change(sender, f"worker-{index % 3}", index)

        async def newest() -> bool:
            keys, _ = await load_bucket(mtce, "sysinv_hosts")
            return sorted(s.value.change for s in keys.values()) == [28, 29, 30]

        await reaches(newest)


async def test_a_new_epoch_starts_when_the_stream_knows_more_than_the_database(
    sender: Database, postgres: Postgres, sysinv: Bus, mtce: Bus, admin: Bus
) -> None:
    relay = Relay(sender, sysinv, service="sysinv", republish=nothing)
    await relay.verify()
    async with running(relay):
        for index in range(1, 6):
            await change(sender, "worker-1", index)

        async def published() -> bool:
            return await relay.lag() == 0

        await reaches(published)
    async with open_database(
        postgres.section, postgres.database("sysinv"), migrations=None
    ) as older:
        again = Relay(older, sysinv, service="sysinv", republish=nothing)
        with pytest.raises(Exception, match="has not been compared"):
            await change(older, "worker-1", 9)
        await again.verify()
        assert (await older.life()).epoch > 1_000_000
        async with running(again):
            await change(older, "worker-1", 7)

            async def more() -> bool:
                info = await admin.js.stream_info("SYSINV")
                return info.state.messages == 8  # five, the epoch, the end of its telling, and one

            await reaches(more)


async def test_undecodable_is_parked_and_what_is_behind_it_goes_on(
    reader: Database, sysinv: Bus, mtce: Bus, admin: Bus
) -> None:
    from murmuration.proto.envelope import encode

    good = HostChanged(host=host("worker-1", 3), changed=(), reason="by hand")
    follower = Follower(reader, mtce, "SYSINV", {HostChanged: record})
    for change_number, body in ((1, b'{"host": 7}'), (2, encode(good))):
        await sysinv.js.publish(
            "sysinv.event.host.changed.worker-1",
            body,
            headers={
                "ce-type": "sysinv.host.changed.v1",
                "ce-subject": "worker-1",
                "Mur-Epoch": "1",
                "Mur-Change": str(change_number),
            },
        )
    async with running(follower):

        async def passed() -> bool:
            return await seen(reader) == [("worker-1", 3)]

        await reaches(passed)
    async with reader.connection() as connection:
        parked = await connection.fetch("select subject, reason from mur.parked")
    assert len(parked) == 1
    assert "sysinv.host.changed.v1" in parked[0]["reason"]


async def test_rubbish_of_one_sender_is_parked_with_headers_that_can_be_stored_and_bounded(
    reader: Database, connect: Connect, sysinv: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parking, "KEPT_MAX", 3)
    node = await connect("node@worker-1")
    for number, subject in enumerate(("a\0b", "é" * 9_000, "b\0", "x", "y", "z")):
        headers = {"ce-type": channel_of(HostDelta).type, "ce-subject": subject, "ce-id": "\0"}
        body = b'{"host": %d}' % number
        await node.js.publish("sysinv.observed.worker-1.delta", body, headers=headers)
    kept = Follower(reader, sysinv, "SYSINV_OBSERVED", {HostDelta: record})

    async def last_are_kept() -> bool:
        async with reader.connection() as connection:
            rows = await connection.fetch("select entity from mur.parked order by id")
        return [row["entity"] for row in rows] == ["x", "y", "z"]

    async with running(kept):
        await reaches(lambda: kept.counts.parked == 6)
        await reaches(last_are_kept)


async def test_a_handler_that_fails_parks_only_its_message(
    reader: Database, sysinv: Bus, mtce: Bus, admin: Bus, sender: Database
) -> None:
    async def picky(unit: Unit, received: Received) -> None:
        await record(unit, received)
        unit.emit(
            HostForgotten(host=received.payload.host.name, reason="seen"),
            entity="x",
            host=received.payload.host.name,
        )
        if received.payload.host.index == 3:
            raise ZeroDivisionError("three")

    relay = Relay(sender, sysinv, service="sysinv", republish=nothing)
    await relay.verify()
    for index in range(1, 6):
        await change(sender, "worker-1", index)
    follower = Follower(reader, mtce, "SYSINV", {HostChanged: picky})
    async with running(relay, follower):

        async def passed() -> bool:
            return len(await seen(reader)) == 4

        await reaches(passed)
    async with reader.connection() as connection:
        assert await connection.fetchval("select count(*) from mur.parked") == 1
        assert await connection.fetchval("select count(*) from mur.outbox") == 4


async def test_a_handler_of_many_gets_what_came_together_in_order_and_one_by_one_when_it_fails(
    sender: Database, reader: Database, sysinv: Bus, mtce: Bus
) -> None:
    batches: list[list[int]] = []

    async def many(unit: Unit, batch: Sequence[Received]) -> None:
        batches.append([received.payload.host.index for received in batch])
        for received in batch:
            await record(unit, received)
            if received.payload.host.index == 30:
                raise ZeroDivisionError("thirty")

    relay = Relay(sender, sysinv, service="sysinv", republish=nothing)
    await relay.verify()
    async with sender.unit() as unit:
        for index in range(1, 51):
            unit.emit(
                HostChanged(host=host("worker-1", index), changed=(), reason="test"),
                entity="worker-1",
                host="worker-1",
            )
    follower = Follower(reader, mtce, "SYSINV", {HostChanged: Many(many)})
    async with running(relay):

        async def published() -> bool:
            return await relay.lag() == 0

        await reaches(published)
        async with running(follower):

            async def passed() -> bool:
                return len(await seen(reader)) == 49

            await reaches(passed)
    assert [index for _, index in await seen(reader)] == [n for n in range(1, 51) if n != 30]
    assert max(map(len, batches)) > 1, "what came together"
    failed = next(place for place, batch in enumerate(batches) if 30 in batch)
    again = batches[failed + 1 : failed + 1 + len(batches[failed])]
    assert again == [[index] for index in batches[failed]]
    async with reader.connection() as connection:
        assert await connection.fetchval("select count(*) from mur.parked") == 1
