"""Raises and clears from the intake to durable alarm, durable history and published event.

fm runs as a process of its own, as at a site, on its own NATS and on the embedded PostgreSQL with
fsync on; one producer fills the intake stream in windows. A round raises alarms on as many
entities, none of an earlier round (they would be flapping), and clears them all. Measured is from
the first publish to the moment at which all of these hold: the last history row is committed, and
the last event is in the stream FM.

The peer, on the same database, the other servers idle: the same records written bare, one upsert
and one history insert (id, time, key, record) for each batch of 500. Rounds of both alternate, and
the ratio is that of the medians.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from bench.harness import Options, Row
from murmuration.bus.connection import Bus, open_bus
from murmuration.bus.provision import provision
from murmuration.bus.publisher import Publication, WindowPublisher
from murmuration.bus.wire import header_block
from murmuration.proto import registry
from murmuration.proto.envelope import encode
from murmuration.proto.fm import AlarmType, ClearAlarm, RaiseAlarm, Severity
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import short_folder
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.processes import service_process

TITLE = "fm: raises and clears to durable alarm, history and event"
ROWS = (
    Row(name="transitions_per_s", unit="1/s", target=6_000, better="higher"),
    Row(name="ratio", unit="x", target=0.12, better="higher"),
    Row(name="bare_per_s", unit="1/s"),
)
WINDOW = 500
BATCH = 500
BARE_TABLES = """
create table if not exists bare_alarm (
    alarm_id text, entity text, uuid uuid, record bytea, primary key (alarm_id, entity)
);
create table if not exists bare_history (
    id bigserial primary key, at timestamptz, alarm_id text, entity text, record bytea
);
truncate bare_alarm, bare_history
"""
BARE_UPSERT = """
insert into bare_alarm
select a, e, gen_random_uuid(), r from unnest($1::text[], $2::text[], $3::bytea[]) as x (a, e, r)
on conflict (alarm_id, entity) do update set record = excluded.record
"""
BARE_HISTORY = """
insert into bare_history (at, alarm_id, entity, record)
select $1, * from unnest($2::text[], $3::text[], $4::bytea[])
"""


def fault(number: int) -> RaiseAlarm:
    """An alarm of the size they have."""
    return RaiseAlarm(
        alarm_id="100.103",
        entity=f"host=worker-{number % 1_000}.memory=pool-{number}",
        severity=Severity.MAJOR,
        reason_text=f"platform memory over its threshold of 80%: {80 + number % 20}% are used",
        alarm_type=AlarmType.OPERATIONAL_VIOLATION,
        probable_cause="threshold-crossed",
        raised_at=datetime.now(UTC),
    )


class Producer:
    """Fills the intake as a service's relay does."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._publisher = WindowPublisher(bus)
        self._n = 0

    def message(self, request: RaiseAlarm | ClearAlarm) -> Publication:
        """The next message."""
        self._n += 1
        verb = "raise" if isinstance(request, RaiseAlarm) else "clear"
        block = header_block(
            {
                "Mur-Epoch": "1",
                "Mur-Change": str(self._n),
                "Mur-Prev": str(self._n - 1),
                "ce-type": f"fm.alarm.{verb}.v1",
            }.items()
        )
        return Publication(f"fm.intake.mtce.{verb}", block, encode(request))

    async def send(self, messages: list[Publication]) -> None:
        """Publish all, in windows."""
        for first in range(0, len(messages), WINDOW):
            await self._publisher.publish(messages[first : first + WINDOW])


class Site:
    """NATS, PostgreSQL and fm, and what measures them."""

    def __init__(
        self, producer: Producer, admin: Bus, listener: Bus, database: asyncpg.Connection
    ) -> None:
        self.producer = producer
        self.admin = admin
        self.listener = listener
        self.database = database
        self.raised = 0  # by rounds so far

    async def recorded(self) -> int:
        """Transitions in history."""
        return int(await self.database.fetchval("select count(*) from history") or 0)

    async def said(self) -> int:
        """The last sequence of the stream FM."""
        return (await self.admin.js.stream_info("FM")).state.last_seq

    async def until(self, recorded: int, said: int) -> None:
        """Wait until so much is durable and published."""
        while await self.said() < said:  # noqa: ASYNC110 - a level of another process
            await asyncio.sleep(0.02)
        while await self.recorded() < recorded:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@asynccontextmanager
async def site() -> AsyncGenerator[Site, None]:
    """A site with fm ready, on servers of its own."""
    registry.load()
    async with contextlib.AsyncExitStack() as stack:
        folders = [Path(stack.enter_context(short_folder())) for _ in range(3)]
        postgres, nats = Postgres(folders[0]), NatsServer(folders[1])
        postgres.start()
        stack.callback(postgres.abandon)
        nats.start()
        stack.callback(nats.kill)

        async def connect(identity: str) -> Bus:
            opened = open_bus(nats.section, nats.login(identity), identity=identity)
            return await stack.enter_async_context(opened)

        admin = await connect("provisioner")
        await provision(admin)
        login = postgres.database("fm")
        stack.enter_context(service_process("fm", nats, postgres, folders[2], database=login))
        database = await asyncpg.connect(
            host=postgres.section.host,
            port=postgres.section.port,
            user=login.user,
            password=login.password,
            database=login.name,
        )
        stack.push_async_callback(database.close)
        yield Site(Producer(await connect("mtce")), admin, await connect("gateway"), database)


async def round_of(site: Site, count: int) -> float:
    """Transitions per second of `count` raises and their clears."""
    requests = [fault(site.raised + number) for number in range(count)]
    site.raised += count
    clears = [
        ClearAlarm(alarm_id=r.alarm_id, entity=r.entity, cleared_at=datetime.now(UTC))
        for r in requests
    ]
    messages = [site.producer.message(request) for request in (*requests, *clears)]
    recorded, said = await site.recorded(), await site.said()
    started = time.perf_counter()
    await site.producer.send(messages)
    await site.until(recorded + len(messages), said + len(messages))
    return len(messages) / (time.perf_counter() - started)


async def bare(site: Site, count: int) -> float:
    """Rows per second of the peer: the same records, upserted and kept."""
    requests = [fault(number) for number in range(count)]
    rows = [(r.alarm_id, r.entity, encode(r)) for r in requests] * 2
    await site.database.execute(BARE_TABLES)
    started = time.perf_counter()
    for first in range(0, len(rows), BATCH):
        columns = [list(column) for column in zip(*rows[first : first + BATCH], strict=True)]
        async with site.database.transaction():
            await site.database.execute(BARE_UPSERT, *columns)
            await site.database.execute(BARE_HISTORY, datetime.now(UTC), *columns)
    return len(rows) / (time.perf_counter() - started)


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS."""
    count, rounds = (1_000, 1) if options.quick else (20_000, 5)
    rates: list[float] = []
    bares: list[float] = []
    async with site() as parts:
        await ready(parts)
        await round_of(parts, 500)
        for _ in range(rounds):
            bares.append(await bare(parts, count))
            rates.append(await round_of(parts, count))
            options.sample("transitions_per_s", rates[-1])
    rate, peer = statistics.median(rates), statistics.median(bares)
    return {"transitions_per_s": rate, "bare_per_s": peer, "ratio": rate / peer}


async def ready(parts: Site) -> None:
    """Wait until fm has made its tables."""
    while not await parts.database.fetchval(  # noqa: ASYNC110 - a level of another process
        "select to_regclass('history') is not null"
    ):
        await asyncio.sleep(0.05)
