"""One suite for the real bus and store and for their stand-ins: what one does, the other does."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import nats.js.errors
import pytest

from murmuration.bus.connection import Bus
from murmuration.bus.message import Delivery
from murmuration.bus.outbox import FETCH, START_EPOCH
from murmuration.bus.stream import read_message, read_tail
from murmuration.kernel.errors import Conflict
from murmuration.proto.envelope import ZERO, Version
from murmuration.store.database import Database, Unit, open_database
from murmuration.store.outgoing import Outgoing
from murmuration.testkit.memory import MemoryBus, MemoryStore, OutboxRow, Stored
from murmuration.testkit.plugin import Connect
from murmuration.testkit.postgres import Postgres

STREAM, SUBJECT, BUCKET = "MTCE", "mtce.event.host.forgotten.x", "mtce_hosts"


class AnyBus(Protocol):
    async def publish(self, body: bytes, *, expected_sequence: int | None = None) -> int: ...
    async def read(self, start: int, limit: int) -> list[Delivery]: ...
    async def tail(self) -> int: ...
    async def put(self, key: str, value: bytes, *, expected_revision: int) -> int: ...
    async def get(self, key: str) -> Stored | None: ...


class InMemory:
    def __init__(self) -> None:
        self._bus = MemoryBus()

    async def publish(self, body: bytes, *, expected_sequence: int | None = None) -> int:
        headers = {"Mur-Epoch": "1"}
        return self._bus.publish(
            STREAM, SUBJECT, body, headers=headers, expected_sequence=expected_sequence
        )

    async def read(self, start: int, limit: int) -> list[Delivery]:
        return self._bus.read(STREAM, start, limit)

    async def tail(self) -> int:
        return self._bus.tail(STREAM)

    async def put(self, key: str, value: bytes, *, expected_revision: int) -> int:
        return self._bus.put(BUCKET, key, value, expected_revision=expected_revision)

    async def get(self, key: str) -> Stored | None:
        return self._bus.get(BUCKET, key)


class OnNats:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def publish(self, body: bytes, *, expected_sequence: int | None = None) -> int:
        headers = {"Mur-Epoch": "1"}
        if expected_sequence is not None:
            headers["Nats-Expected-Last-Sequence"] = str(expected_sequence)
        return await self._acknowledged(SUBJECT, body, headers)

    async def _acknowledged(self, subject: str, body: bytes, headers: dict[str, str]) -> int:
        try:
            return (await self._bus.js.publish(subject, body, headers=headers)).seq
        except nats.js.errors.APIError as error:
            raise Conflict(str(error)) from error

    async def read(self, start: int, limit: int) -> list[Delivery]:
        found: list[Delivery] = []
        for sequence in range(max(1, start), start + limit):
            message = await read_message(self._bus, STREAM, sequence)
            if message is not None:
                found.append(message)
        return found

    async def tail(self) -> int:
        return (await read_tail(self._bus, STREAM)).sequence

    async def put(self, key: str, value: bytes, *, expected_revision: int) -> int:
        headers = {"Nats-Expected-Last-Subject-Sequence": str(expected_revision)}
        return await self._acknowledged(f"$KV.{BUCKET}.{key}", value, headers)

    async def get(self, key: str) -> Stored | None:
        try:
            found = await self._bus.js.get_last_msg(
                f"KV_{BUCKET}", f"$KV.{BUCKET}.{key}", direct=True
            )
        except nats.js.errors.NotFoundError:
            return None
        return Stored(found.data or b"", found.seq or 0)


@pytest.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest, connect: Connect) -> AnyBus:
    return InMemory() if request.param == "memory" else OnNats(await connect("mtce"))


async def test_messages_are_numbered_and_read_from_any_sequence(bus: AnyBus) -> None:
    assert await bus.tail() == 0
    assert await bus.read(1, 5) == []
    assert [await bus.publish(b"%d" % n) for n in range(5)] == [1, 2, 3, 4, 5]
    assert [(m.sequence, m.body) for m in await bus.read(3, 2)] == [(3, b"2"), (4, b"3")]
    (last,) = await bus.read(5, 10)
    assert (last.stream, last.subject, last.headers["Mur-Epoch"]) == (STREAM, SUBJECT, "1")
    assert await bus.tail() == 5


async def test_message_is_stored_only_behind_the_sequence_it_expects(bus: AnyBus) -> None:
    assert await bus.publish(b"a", expected_sequence=0) == 1
    for wrong in (0, 2):
        with pytest.raises(Conflict):
            await bus.publish(b"b", expected_sequence=wrong)
    assert await bus.publish(b"b", expected_sequence=1) == 2
    assert [m.body for m in await bus.read(1, 10)] == [b"a", b"b"]


async def test_key_is_written_only_over_the_revision_it_names(bus: AnyBus) -> None:
    assert await bus.get("x") is None
    first = await bus.put("x", b"1", expected_revision=0)
    with pytest.raises(Conflict):
        await bus.put("x", b"2", expected_revision=0)
    second = await bus.put("x", b"2", expected_revision=first)
    assert second > first
    with pytest.raises(Conflict):
        await bus.put("x", b"3", expected_revision=first)
    assert await bus.get("x") == Stored(b"2", second)
    assert await bus.put("y", b"1", expected_revision=0) > second


Work = Callable[["AnyUnit"], Awaitable[None]]


class AnyUnit(Protocol):
    async def write(self, key: str, value: bytes) -> None: ...
    async def say(self, stream: str, entity: str, body: bytes) -> None: ...
    async def move(self, sender: str, position: Version) -> None: ...


class AnyStore(Protocol):
    async def unit(self, work: Work) -> None: ...
    async def read(self, key: str) -> bytes | None: ...
    async def position(self, sender: str) -> Version | None: ...
    async def outbox(self, stream: str, after: Version) -> list[OutboxRow]: ...
    async def start_epoch(self) -> None: ...
    async def life(self) -> Version: ...


class StoreInMemory:
    def __init__(self) -> None:
        self._store = MemoryStore()

    async def unit(self, work: Work) -> None:
        with self._store.unit() as unit:

            class Asked:
                async def write(self, key: str, value: bytes) -> None:
                    unit.write(key, value)

                async def say(self, stream: str, entity: str, body: bytes) -> None:
                    unit.say(stream, entity, body)

                async def move(self, sender: str, position: Version) -> None:
                    unit.move(sender, position)

            await work(Asked())

    async def read(self, key: str) -> bytes | None:
        return self._store.read(key)

    async def position(self, sender: str) -> Version | None:
        return self._store.position(sender)

    async def outbox(self, stream: str, after: Version) -> list[OutboxRow]:
        return self._store.outbox(stream, after, 100)

    async def start_epoch(self) -> None:
        self._store.start_epoch(self._store.life.epoch + 1)

    async def life(self) -> Version:
        return self._store.life


class StoreInPostgres:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def unit(self, work: Work) -> None:
        async with self._database.unit() as real:
            await work(_Asked(real))

    async def read(self, key: str) -> bytes | None:
        async with self._database.connection() as connection:
            return await connection.fetchval("select value from fact where key = $1", key)

    async def position(self, sender: str) -> Version | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "select epoch, change from mur.position where sender = $1", sender
            )
        return Version(*row) if row else None

    async def outbox(self, stream: str, after: Version) -> list[OutboxRow]:
        async with self._database.connection() as connection:
            life = await self._database.life()
            change = after.change if after.epoch == life.epoch else 0
            rows = await connection.fetch(FETCH, stream, change, life.epoch, 100)
        return [
            OutboxRow(
                Version(r["epoch"], r["change"]), r["previous"], stream, r["entity"], r["body"]
            )
            for r in rows
        ]

    async def start_epoch(self) -> None:
        async with self._database.unit() as unit:
            life = await self._database.life()
            await unit.connection.execute(START_EPOCH, *life, "test", False)

    async def life(self) -> Version:
        return await self._database.life()


class _Asked:
    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def write(self, key: str, value: bytes) -> None:
        await self._unit.connection.execute(
            "insert into fact values ($1, $2) on conflict (key) do update set value = $2",
            key,
            value,
        )

    async def say(self, stream: str, entity: str, body: bytes) -> None:
        row = Outgoing(stream, SUBJECT, "", entity, None, body, None, None, None)
        self._unit._rows.append(row)

    async def move(self, sender: str, position: Version) -> None:
        await self._unit.connection.execute(
            "insert into mur.position (sender, epoch, change, sequence) values ($1, $2, $3, 0)"
            " on conflict (sender) do update set epoch = $2, change = $3",
            sender,
            *position,
        )


@pytest.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest, postgres: Postgres) -> AsyncIterator[AnyStore]:
    if request.param == "memory":
        yield StoreInMemory()
        return
    async with open_database(
        postgres.section, postgres.database("mtce"), migrations=None
    ) as database:
        async with database.connection() as connection:
            await connection.execute("create table fact (key text primary key, value bytea)")
        database.verified.set()
        yield StoreInPostgres(database)


async def test_unit_is_all_or_nothing(store: AnyStore) -> None:
    async def well(unit: AnyUnit) -> None:
        await unit.write("a", b"1")
        await unit.say("MTCE", "a", b"said")
        await unit.move("SYSINV", Version(1, 7))

    async def badly(unit: AnyUnit) -> None:
        await unit.write("a", b"2")
        await unit.say("MTCE", "a", b"never")
        await unit.move("SYSINV", Version(1, 8))
        raise RuntimeError("interrupted")

    before = await store.life()
    await store.unit(well)
    with contextlib.suppress(RuntimeError):
        await store.unit(badly)
    assert await store.read("a") == b"1"
    assert await store.read("b") is None
    assert await store.position("SYSINV") == Version(1, 7)
    assert await store.position("FM") is None
    assert [row.body for row in await store.outbox("MTCE", ZERO)] == [b"said"]
    assert await store.life() == Version(before.epoch, before.change + 1)


async def test_messages_name_the_one_before_them_to_the_same_stream(store: AnyStore) -> None:
    def saying(*streams: str) -> Work:
        async def work(unit: AnyUnit) -> None:
            for stream in streams:
                await unit.say(stream, "x", stream.encode())

        return work

    await store.unit(saying("MTCE", "FM_INTAKE", "MTCE"))
    await store.unit(saying("FM_INTAKE"))
    await store.unit(saying("MTCE", "FM_INTAKE"))
    epoch = (await store.life()).epoch

    async def chain(stream: str, after: int = 0) -> list[tuple[int, int]]:
        rows = await store.outbox(stream, Version(epoch, after))
        return [(row.version.change, row.previous) for row in rows]

    assert await chain("MTCE") == [(1, 0), (3, 1), (5, 3)]
    assert await chain("FM_INTAKE") == [(2, 0), (4, 2), (6, 4)]
    assert await chain("MTCE", 3) == [(5, 3)]


async def test_new_epoch_goes_on_counting_and_begins_each_chain_anew(store: AnyStore) -> None:
    async def say(unit: AnyUnit) -> None:
        await unit.say("MTCE", "x", b"")

    await store.unit(say)
    before = await store.life()
    await store.start_epoch()
    fresh = await store.life()
    assert fresh > before
    assert fresh.change == before.change
    await store.unit(say)
    (row,) = await store.outbox("MTCE", Version(fresh.epoch, 0))
    assert (row.version, row.previous) == (Version(fresh.epoch, before.change + 1), 0)
