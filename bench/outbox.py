"""State change, outbox and published event, against bare publishing of the same bytes.

Both sides run in one process on one NATS and one PostgreSQL, in turns, so that a machine whose
speed drifts treats them alike; the ratio is that of the medians.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from bench.harness import Options, Row
from murmuration.bus.connection import Bus, open_bus
from murmuration.bus.provision import provision
from murmuration.bus.publisher import Publication, WindowPublisher
from murmuration.bus.reader import StreamReader
from murmuration.bus.relay import Relay
from murmuration.bus.wire import header_block
from murmuration.proto import registry
from murmuration.proto.envelope import encode
from murmuration.proto.sysinv import (
    Administrative,
    Admission,
    Host,
    HostChanged,
    HostFacts,
    Origin,
    Personality,
)
from murmuration.runtime.config import read_credentials
from murmuration.store.database import Database, Unit, open_database
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import short_folder
from murmuration.testkit.postgres import Postgres

TITLE = "outbox: state change + outbox + event published, 100 changes a transaction"
ROWS = (
    Row(name="ratio", unit="x", target=0.9, better="higher"),
    Row(name="ratio_hand", unit="x", target=0.45, better="higher"),
    Row(name="alone_p50_ms", unit="ms", target=2.0),
    Row(name="alone_p99_ms", unit="ms", target=6.0),
    Row(name="outbox_per_s", unit="1/s"),
    Row(name="publish_async_per_s", unit="1/s"),
    Row(name="hand_per_s", unit="1/s"),
)
PER_UNIT = 100
WRITERS = 4
WINDOW = 500
BARE = "mtce.event.host.state_changed.worker-1"  # an event stream like the relay's, without a relay
UPSERT = """
insert into thing (name, n) select * from unnest($1::text[], $2::bigint[])
on conflict (name) do update set n = excluded.n
"""


def event(number: int) -> HostChanged:
    """A change of a host, about 600 bytes as JSON."""
    host = Host(
        name=f"worker-{number % 1000}",
        index=number % 1000,
        shard=0,
        personality=Personality.WORKER,
        origin=Origin.SIMULATED,
        observe_only=False,
        admission=Admission.ACCEPTED,
        intended_administrative=Administrative.UNLOCKED,
        facts=HostFacts(cpu_count=number % 64),
        reported_at=datetime.now(UTC),
    )
    return HostChanged(host=host, changed=("facts",), reason="bench")


async def nothing(_unit: Unit) -> None:
    """No state to say anew."""


@asynccontextmanager
async def parts() -> AsyncGenerator[tuple[Database, Bus, Bus, Bus], None]:
    """A database and the connections of sysinv, mtce and gateway, on servers of their own."""
    registry.load()
    with short_folder() as pg_folder, short_folder() as nats_folder:
        postgres, nats = Postgres(pg_folder), NatsServer(nats_folder)
        postgres.start()
        nats.start()
        try:
            async with contextlib.AsyncExitStack() as stack:

                async def connect(identity: str) -> Bus:
                    login = read_credentials(nats.credentials_dir, identity).bus
                    return await stack.enter_async_context(
                        open_bus(nats.section, login, identity=identity)
                    )

                await provision(await connect("provisioner"))
                buses = [await connect(name) for name in ("sysinv", "mtce", "gateway")]
                database = await stack.enter_async_context(
                    open_database(postgres.section, postgres.database("sysinv"), migrations=None)
                )
                async with database.connection() as connection:
                    await connection.execute("create table thing (name text primary key, n bigint)")
                yield database, buses[0], buses[1], buses[2]
        finally:
            nats.kill()
            postgres.abandon()


async def write(database: Database, start: int, count: int) -> None:
    """`count` state changes with their events, PER_UNIT a transaction, several writers."""

    async def writer(offset: int) -> None:
        for first in range(start + offset, start + count, WRITERS * PER_UNIT):
            async with database.unit() as unit:
                names = [f"worker-{offset}-{n}" for n in range(PER_UNIT)]
                numbers = list(range(first, first + PER_UNIT))
                await unit.connection.execute(UPSERT, names, numbers)
                for number in numbers:
                    unit.emit(event(number), entity="worker-1", host="worker-1")

    async with asyncio.TaskGroup() as group:
        for place in range(WRITERS):
            group.create_task(writer(place * PER_UNIT))


async def outbox_rate(database: Database, relay: Relay, count: int) -> float:
    """Changes per second, first statement to last acknowledgement."""
    target = relay.published + count
    started = time.perf_counter()
    await write(database, 0, count)
    while relay.published < target:  # noqa: ASYNC110 - a level of the relay: it has no event for a benchmark
        await asyncio.sleep(0.002)
    return count / (time.perf_counter() - started)


async def async_rate(bus: Bus, count: int) -> float:
    """The client library's publish_async, window of 500."""
    js = bus.nc.jetstream(publish_async_max_pending=WINDOW)
    bodies = [encode(event(number)) for number in range(count)]
    started = time.perf_counter()
    futures = [await js.publish_async(BARE, body, wait_stall=30) for body in bodies]
    await asyncio.gather(*futures)
    return count / (time.perf_counter() - started)


async def hand_rate(bus: Bus, count: int) -> float:
    """Our own window publisher, without a database."""
    publisher = WindowPublisher(bus)
    block = header_block([])
    messages = [Publication(BARE, block, encode(event(number))) for number in range(count)]
    started = time.perf_counter()
    for first in range(0, count, WINDOW):
        await publisher.publish(messages[first : first + WINDOW])
    rate = count / (time.perf_counter() - started)
    await publisher.close()
    return rate


async def latencies(database: Database, reader: Bus, count: int) -> list[float]:
    """Milliseconds from the commit to the event at a stream reader, one change at a time."""
    arrived: asyncio.Queue[float] = asyncio.Queue()
    last = (await reader.js.stream_info("SYSINV")).state.last_seq

    async def read() -> None:
        async for batch in StreamReader(reader, "SYSINV", start=last + 1).batches():
            for _ in batch:
                arrived.put_nowait(time.perf_counter())

    task = asyncio.create_task(read())
    found: list[float] = []
    try:
        for number in range(count):
            async with database.unit() as unit:
                await unit.connection.execute(UPSERT, ["alone"], [number])
                unit.emit(event(number), entity="worker-1", host="worker-1")
                started = time.perf_counter()
            at = await asyncio.wait_for(arrived.get(), 10)
            found.append((at - started) * 1_000)
            await asyncio.sleep(0.005)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return found


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS."""
    count, rounds, alone = (4_000, 2, 100) if options.quick else (20_000, 5, 1_000)
    outbox: list[float] = []
    bare: list[float] = []
    hand: list[float] = []
    async with parts() as (database, sysinv, mtce, gateway):
        relay = Relay(database, sysinv, service="sysinv", republish=nothing)
        await relay.verify()
        task = asyncio.create_task(relay.run())
        try:
            await outbox_rate(database, relay, count)  # warm up
            for _ in range(rounds):
                outbox.append(await outbox_rate(database, relay, count))
                bare.append(await async_rate(mtce, count))
                hand.append(await hand_rate(mtce, count))
            waited = await latencies(database, gateway, alone)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    for value in waited:
        options.sample("alone_ms", value)
    cuts = statistics.quantiles(waited, n=100)
    return {
        "ratio": statistics.median(outbox) / statistics.median(bare),
        "ratio_hand": statistics.median(outbox) / statistics.median(hand),
        "alone_p50_ms": statistics.median(waited),
        "alone_p99_ms": cuts[98],
        "outbox_per_s": statistics.median(outbox),
        "publish_async_per_s": statistics.median(bare),
        "hand_per_s": statistics.median(hand),
    }
