"""The follower where not the message is at fault, or nobody knows what became of it."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import nats.errors
import pytest

from murmuration.bus import parking
from murmuration.bus.commands import CONCURRENT_MAX, RequestServer
from murmuration.bus.connection import Bus
from murmuration.bus.follower import MAY_BE_DONE, Follower, Received
from murmuration.kernel.errors import MurmurationError
from murmuration.proto.envelope import encode
from murmuration.proto.mtce import HostOrder
from murmuration.proto.platform import GetMark, Mark
from murmuration.proto.registry import channel_of
from murmuration.proto.sysinv import HostAction
from murmuration.store.database import Database, Unit, open_database
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.postgres import Postgres


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    login = postgres.database("mtce")
    async with open_database(postgres.section, login, migrations=None) as made:
        made.verified.set()
        yield made


@contextlib.asynccontextmanager
async def running(follower: Follower) -> AsyncIterator[None]:
    task = asyncio.create_task(follower.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def is_parked(database: Database, count: int) -> None:
    """Wait for so many rows: what the follower counts may not have been committed yet."""

    async def parked() -> bool:
        async with database.connection() as connection:
            return await connection.fetchval("select count(*) from mur.parked") == count

    await reaches(parked)


async def order(sysinv: Bus, number: int, host: str = "worker-1") -> None:
    made = HostOrder(
        operation_id=f"operation-{number}",
        host=host,
        action=HostAction.RESET,
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )
    headers = {
        "ce-type": channel_of(HostOrder).type,
        "ce-subject": host,
        "Mur-Epoch": "1",
        "Mur-Change": str(number),
        "Mur-Prev": str(number - 1),
    }
    await sysinv.js.publish("mtce.order.sysinv.host.reset", encode(made), headers=headers)


async def test_order_from_before_the_database_was_put_back_waits_for_an_operator(
    database: Database, connect: Connect
) -> None:
    done = list[str]()

    async def act(_unit: Unit, received: Received) -> None:
        done.append(received.payload.operation_id)

    sysinv, mtce = await connect("sysinv"), await connect("mtce")
    await order(sysinv, 1)
    async with database.connection() as connection:
        await connection.execute("update mur.life set put_back_at = clock_timestamp()")
    follower = Follower(database, mtce, "MTCE_ORDERS", {HostOrder: act})
    async with running(follower):
        await is_parked(database, 1)
        await order(sysinv, 2)
        await reaches(lambda: done == ["operation-2"])
    async with database.connection() as connection:
        row = await connection.fetchrow("select id, reason from mur.parked")
    assert row is not None and row["reason"] == MAY_BE_DONE


async def test_order_that_waits_is_done_once_when_an_operator_says_so(
    database: Database, connect: Connect
) -> None:
    done = list[str]()

    async def act(_unit: Unit, received: Received) -> None:
        done.append(received.payload.operation_id)

    await order(await connect("sysinv"), 1)
    async with database.connection() as connection:
        await connection.execute("update mur.life set put_back_at = clock_timestamp()")
    follower = Follower(database, await connect("mtce"), "MTCE_ORDERS", {HostOrder: act})
    async with running(follower):
        await is_parked(database, 1)
    for _ in range(2):
        async with database.unit() as unit:
            await follower.retry(unit, await parking.take(unit, 1))
    assert done == ["operation-1"]


async def test_message_behind_a_poisoned_one_is_not_parked_for_what_others_did(
    database: Database, connect: Connect
) -> None:
    done, failed = list[str](), list[str]()

    async def act(_unit: Unit, received: Received) -> None:
        if received.payload.host == "poison":
            raise ZeroDivisionError
        if len(failed) < 2:
            failed.append(received.payload.host)
            raise asyncpg.DeadlockDetectedError("for others")
        done.append(received.payload.operation_id)

    sysinv = await connect("sysinv")
    await order(sysinv, 1, "poison")
    await order(sysinv, 2)
    follower = Follower(database, await connect("mtce"), "MTCE_ORDERS", {HostOrder: act})
    async with running(follower):
        await reaches(lambda: done[-1:] == ["operation-2"])
        await is_parked(database, 1)
    async with database.connection() as connection:
        assert await connection.fetchval("select array_agg(entity) from mur.parked") == ["poison"]


async def test_requests_beyond_the_bound_are_told_to_try_later(connect: Connect) -> None:
    fm, asking = await connect("fm"), await connect("mtce")
    hold, at_work = asyncio.Event(), list[str]()

    async def answer(request: GetMark) -> Mark:
        at_work.append(request.producer)
        await hold.wait()
        return Mark(producer=request.producer, incarnation=0, n=0)

    server = RequestServer(fm, version="0.1.0")
    server.answer(GetMark, answer, as_type="fm.mark.get.v1")
    serving = asyncio.create_task(server.run())

    async def ask(number: int) -> str:
        try:
            await asking.request(
                GetMark(producer=f"p{number}"), Mark, timeout_s=20, as_type="fm.mark.get.v1"
            )
        except MurmurationError as error:
            return str(error)
        return ""

    async def serves() -> bool:
        with contextlib.suppress(nats.errors.Error):
            await asking.nc.request("fm.query.mark", b"{", timeout=1)
            return True
        return False

    await reaches(serves)
    asks = [asyncio.create_task(ask(number)) for number in range(3 * CONCURRENT_MAX)]
    await reaches(lambda: sum(one.done() for one in asks) == 2 * CONCURRENT_MAX)
    hold.set()
    answers = await asyncio.gather(*asks)
    assert len(at_work) == CONCURRENT_MAX
    assert sum("too many requests" in text for text in answers) == 2 * CONCURRENT_MAX
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_answer_lost_while_the_server_reads_its_configuration_again_is_asked_for_once_more(
    connect: Connect, site_nats: NatsServer
) -> None:
    fm, asking = await connect("fm"), await connect("mtce")
    hold, at_work = asyncio.Event(), list[str]()

    async def answer(request: GetMark) -> Mark:
        at_work.append(request.producer)
        await hold.wait()
        return Mark(producer=request.producer, incarnation=0, n=7)

    def read_again() -> int:
        return (site_nats.folder / "nats.log").read_text().count("Reloaded server configuration")

    server = RequestServer(fm, version="0.1.0")
    server.answer(GetMark, answer, as_type="fm.mark.get.v1")
    serving = asyncio.create_task(server.run())
    await reaches(lambda: "fm.query.mark" in str(fm.nc._subs.values()) or fm.nc._subs)
    asked = asyncio.create_task(
        asking.request(GetMark(producer="p"), Mark, timeout_s=8, as_type="fm.mark.get.v1")
    )
    await reaches(lambda: at_work)
    site_nats.signal(signal.SIGHUP)
    await reaches(read_again)
    hold.set()
    assert (await asked).n == 7
    assert at_work == ["p", "p"], "the answer to the first question was not lost"
    assert any("permissions violation" in text for text in fm.errors)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
