"""State buckets when more waits than is kept in memory, and a relay that has nothing to send."""

import asyncio

import asyncpg
import structlog

from murmuration.bus.commands import RequestServer
from murmuration.bus.connection import Bus
from murmuration.bus.outbox import STATES
from murmuration.bus.relay import Relay
from murmuration.bus.state import WAITING_MAX, Census, StateWriter, load_bucket
from murmuration.proto.envelope import Version
from murmuration.proto.platform import GetMark, Mark
from murmuration.store.database import Unit, open_database
from murmuration.store.outgoing import Outgoing
from murmuration.testkit.levels import reaches
from murmuration.testkit.plugin import Connect
from murmuration.testkit.postgres import Postgres

KEYS = 700


def said(number: int) -> Outgoing:
    """A change of one of KEYS keys."""
    name = f"worker-{number % KEYS}"
    return Outgoing(
        stream="SYSINV",
        subject=f"sysinv.event.host.changed.{name}",
        type="sysinv.host.changed.v1",
        entity=name,
        traceparent=None,
        body=b"{}",
        bucket="sysinv_hosts",
        key=name,
        state=b"%d" % number,
    )


async def test_states_left_in_the_outbox_are_written_when_more_waits_than_is_kept(
    postgres: Postgres, connect: Connect, admin: Bus
) -> None:
    count = 3 * WAITING_MAX
    bus = await connect("sysinv")
    login = postgres.database("sysinv")
    async with open_database(postgres.section, login, migrations=None) as database:
        database.verified.set()
        async with database.unit() as unit:
            for number in range(count):
                unit.say(said(number))

        async def rows(after: int, limit: int) -> list[asyncpg.Record]:
            async with database.connection() as connection:
                return await connection.fetch(STATES, "SYSINV", after, limit)

        async def nothing() -> Census:
            return Census(Version(0, 0), {})

        writer = StateWriter(bus, service="sysinv", census=nothing, said=rows)
        # more different keys than it keeps, so that the rest is left where it is
        crowd = [dict(row) | {"key": f"crowd-{n}"} for n, row in enumerate(await rows(0, count))]
        writer.offer(crowd[:WAITING_MAX])  # type: ignore[arg-type]
        for first in range(WAITING_MAX, count, 500):
            writer.offer(await rows(first, 500))
        running = asyncio.create_task(writer.run())
        try:

            async def newest() -> bool:
                keys, _ = await load_bucket(bus, "sysinv_hosts")
                found = {
                    key: int(bytes(stored.value.data))
                    for key, stored in keys.items()
                    if key.startswith("worker-")
                }
                return found == {f"worker-{n % KEYS}": n for n in range(count - KEYS, count)}

            await reaches(newest)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_relay_goes_on_when_it_never_said_anything_to_anothers_stream(
    postgres: Postgres, connect: Connect, admin: Bus
) -> None:
    asked: list[GetMark] = []

    async def mark(ask: GetMark) -> Mark:
        asked.append(ask)
        return Mark(producer=ask.producer, incarnation=0, n=0)

    async def nothing(_unit: Unit) -> None:
        return None

    server = RequestServer(await connect("fm"), version="1.0.0")
    server.answer(GetMark, mark, as_type="fm.mark.get.v1")
    bus = await connect("mtce")
    login = postgres.database("mtce")
    async with open_database(postgres.section, login, migrations=None) as database:
        relay = Relay(database, bus, service="mtce", republish=nothing, foreign=("FM_INTAKE",))
        with structlog.testing.capture_logs() as logs:
            tasks = [asyncio.create_task(server.run())]
            try:
                await relay.verify()
                tasks.append(asyncio.create_task(relay.run()))
                await reaches(lambda: len(asked) >= 4)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    assert [entry for entry in logs if entry["event"] == "relay.stopped"] == []
