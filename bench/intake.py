"""From the producers' client, spool and all, to a durable row at the intake's owner.

Eight producers say alarms at once, each durable in its own spool before the call returns; the owner
takes them in with marks, one row each. Measured is the last row committed after the first call.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench.harness import Options, Row
from murmuration.alarms.client import AlarmClient, open_alarms
from murmuration.bus.connection import Bus, open_bus
from murmuration.bus.follower import Follower, Received
from murmuration.bus.provision import provision
from murmuration.proto import registry
from murmuration.proto.fm import AlarmType, RaiseAlarm, Severity
from murmuration.store.database import Database, Unit, open_database
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import short_folder
from murmuration.testkit.postgres import Postgres

TITLE = "intake: producer library to durable row, eight producers"
ROWS = (Row(name="rate_per_s", unit="1/s", target=5_000, better="higher"),)
PRODUCERS = 8
AT_ONCE = 500  # calls of one producer that wait for its disk together
INSERT = "insert into said (producer, entity, reason) values ($1, $2, $3)"


def fault(number: int) -> RaiseAlarm:
    """An alarm of the size they have."""
    return RaiseAlarm(
        alarm_id="100.101",
        entity=f"host=worker-{number % 1000}.memory=platform",
        severity=Severity.MAJOR,
        reason_text=f"platform memory threshold exceeded; threshold 80%, actual {number % 100}%",
        alarm_type=AlarmType.OPERATIONAL_VIOLATION,
        probable_cause="threshold-crossed",
        raised_at=datetime.now(UTC),
    )


async def keep(unit: Unit, received: Received) -> None:
    """One row for each message."""
    alarm: RaiseAlarm = received.payload
    producer = received.delivery.subject.split(".")[2]
    await unit.connection.execute(INSERT, producer, alarm.entity, alarm.reason_text)


async def say(client: AlarmClient, count: int) -> None:
    """`count` alarms, AT_ONCE calls in flight."""
    for first in range(0, count, AT_ONCE):
        async with asyncio.TaskGroup() as group:
            for number in range(first, min(first + AT_ONCE, count)):
                group.create_task(client.raise_alarm(fault(number)))


@asynccontextmanager
async def parts() -> AsyncGenerator[tuple[Database, Bus, list[AlarmClient]], None]:
    """The owner's database and connection, and eight producers with spools of their own."""
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

        await provision(await connect("provisioner"))
        login = postgres.database("fm")
        opened = open_database(postgres.section, login, migrations=None)
        database = await stack.enter_async_context(opened)
        async with database.connection() as connection:
            await connection.execute(
                "create table said (id bigserial, producer text, entity text, reason text)"
            )
        database.verified.set()
        clients: list[AlarmClient] = []
        for place in range(PRODUCERS):
            spool = folders[2] / f"{place}.db"
            bus = await connect(f"node@bench-{place}")
            opened = open_alarms(bus, producer=f"node-bench-{place}", spool=spool)
            clients.append(await stack.enter_async_context(opened))
        yield database, await connect("fm"), clients


async def rows(database: Database) -> int:
    """How many are durable."""
    async with database.connection() as connection:
        return int(await connection.fetchval("select count(*) from said") or 0)


async def once(database: Database, clients: list[AlarmClient], count: int) -> float:
    """Rows per second of `count` alarms from each producer."""
    target = await rows(database) + count * len(clients)
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(say(client, count))
    while await rows(database) < target:  # noqa: ASYNC110 - a level in a database
        await asyncio.sleep(0.02)
    return count * len(clients) / (time.perf_counter() - started)


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS."""
    count, rounds = (500, 1) if options.quick else (2_500, 5)
    found: list[float] = []
    async with parts() as (database, fm, clients):
        follower = Follower(database, fm, "FM_INTAKE", {RaiseAlarm: keep})
        task = asyncio.create_task(follower.run())
        try:
            await once(database, clients, 100)
            for _ in range(rounds):
                found.append(await once(database, clients, count))
                options.sample("rate_per_s", found[-1])
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    return {"rate_per_s": statistics.median(found)}
