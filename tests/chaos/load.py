"""Producers that never give up, the model of what must be true in the end, and its checkers."""

import asyncio
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field

import asyncpg
import msgspec

from murmuration.bus.connection import Bus
from murmuration.bus.reader import StreamReader
from murmuration.bus.state import load_bucket
from murmuration.kernel.errors import DeadlineExceeded, MurmurationError, Unavailable
from murmuration.proto.envelope import ZERO, Version
from murmuration.proto.sysinv import Accepted
from murmuration.testkit.levels import reaches
from tests.chaos.contract import BUCKET, ORDER_EVERY, MoveThings, Thing
from tests.chaos.world import World

PER_COMMAND = 5
OWN = 6  # things of one producer; one further is shared by all
REQUEST_S = 3.0


@dataclass
class Model:
    """What was accepted: how often each thing was moved on."""

    counts: Counter[str] = field(default_factory=Counter[str])
    retries: int = 0
    reasons: set[str] = field(default_factory=set[str])

    @property
    def changes(self) -> int:
        """All moves accepted so far."""
        return self.counts.total()


async def insist(bus: Bus, request: MoveThings, model: Model) -> Accepted:
    """Send a command, the same one, until it is answered: its outcome is then known."""
    while True:
        try:
            accepted = await bus.request(request, Accepted, timeout_s=REQUEST_S)
        except (Unavailable, DeadlineExceeded) as error:
            model.retries += 1
            model.reasons.add(str(error))
            await asyncio.sleep(0.05)
            continue
        model.counts.update(request.names)
        return accepted


async def produce(
    bus: Bus, model: Model, *, changes: int, producers: int, dice: random.Random
) -> None:
    """`changes` moves by so many producers at once."""
    each = changes // producers // PER_COMMAND

    async def producer(number: int, seed: int) -> None:
        own = random.Random(seed)
        things = [f"thing-{number}-{n}" for n in range(OWN)] + ["shared"]
        for _ in range(each):
            names = tuple(own.sample(things, PER_COMMAND))
            await insist(bus, MoveThings(operation_id=uuid.uuid4().hex, names=names), model)

    async with asyncio.TaskGroup() as group:
        for number in range(producers):
            group.create_task(producer(number, dice.getrandbits(32)))


async def counts(world: World, service: str, table: str) -> dict[str, int]:
    """name -> count of a table; nothing before its service has made it."""
    async with world.database(service) as connection:
        try:
            rows = await connection.fetch(f"select name, count from {table}")
        except asyncpg.UndefinedTableError:
            return {}
    return {row["name"]: row["count"] for row in rows}


async def bucket(world: World) -> dict[str, int]:
    """name -> count of the state bucket, what is deleted left out."""
    async with world.bus("look") as bus:
        keys, _ = await load_bucket(bus, BUCKET)
    things = [
        msgspec.json.decode(stored.value.data, type=Thing)
        for stored in keys.values()
        if not stored.value.deleted
    ]
    return {thing.name: thing.count for thing in things}


async def _same(world: World, expected: dict[str, int]) -> bool:
    try:
        return (
            await counts(world, "thing", "thing") == expected
            and await counts(world, "echo", "mirror") == expected
            and await bucket(world) == expected
        )
    except (OSError, MurmurationError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False  # one of them is being started


async def converges(world: World, model: Model, *, deadline_s: float = 60.0) -> None:
    """The final state, exactly: the writer's, the reader's, and the bucket's."""
    expected = dict(model.counts)
    try:
        await reaches(lambda: _same(world, expected), deadline_s=deadline_s, what="the final state")
    except AssertionError:
        for name, found in (
            ("thing", await counts(world, "thing", "thing")),
            ("mirror", await counts(world, "echo", "mirror")),
            ("bucket", await bucket(world)),
        ):
            wrong = {k: (expected.get(k), found.get(k)) for k in expected.keys() | found.keys()}
            print(name, {k: v for k, v in wrong.items() if v[0] != v[1]})  # what to look at first
        raise


async def each_once_in_order(world: World, model: Model) -> None:
    """Each change of each thing was seen once, in order; nothing else was."""
    async with world.database("echo") as connection:
        rows = await connection.fetch("select name, count from seen where not afresh order by n")
    seen: dict[str, list[int]] = {}
    for row in rows:
        seen.setdefault(row["name"], []).append(row["count"])
    for name, found in seen.items():
        expected = list(range(1, model.counts[name] + 1))
        assert found == expected, f"{name}: {_first_difference(found, expected)}"
    assert len(rows) == model.changes


def _first_difference(found: list[int], expected: list[int]) -> str:
    for place, (one, other) in enumerate(zip(found, expected, strict=False)):
        if one != other:
            return f"at {place} {found[max(0, place - 3) : place + 3]}, not {other}"
    return f"{len(found)} seen, {len(expected)} made"


async def orders_once(world: World, model: Model) -> None:
    """Every tenth count of each thing was acknowledged to the writer, once."""
    expected = Counter(
        (name, count)
        for name, total in model.counts.items()
        for count in range(ORDER_EVERY, total + 1, ORDER_EVERY)
    )

    async def found() -> Counter[tuple[str, int]]:
        async with world.database("thing") as connection:
            rows = await connection.fetch("select name, count from acknowledged")
        return Counter((row["name"], row["count"]) for row in rows)

    async def arrived() -> bool:
        return await found() == expected

    try:
        await reaches(arrived, deadline_s=30, what="the orders")
    except AssertionError:
        got = await found()
        print(
            "missing",
            list((expected - got).items())[:5],
            "more",
            list((got - expected).items())[:5],
        )
        raise


async def stream_is_whole(world: World) -> None:
    """The stream holds each change once, in order, each behind the one it names."""
    async with world.bus("look") as bus:
        last = (await bus.js.stream_info("THING")).state.last_seq
        versions: list[tuple[Version, int]] = []
        async for batch in StreamReader(bus, "THING", start=1).batches():
            versions += [(delivery.version, delivery.previous) for delivery in batch]
            if batch[-1].sequence >= last:
                break
    before = ZERO
    for version, previous in versions:
        assert version > before, f"{version} after {before}"
        due = before.change if before.epoch == version.epoch else 0
        assert previous == due, f"{version} names {previous}, before it is {before}"
        before = version


async def wait_seen(world: World, model: Model) -> None:
    """Until the reader has taken in all that was accepted so far."""

    async def seen() -> bool:
        return await counts(world, "echo", "mirror") == dict(model.counts)

    await reaches(seen, deadline_s=60, what="the reader")
