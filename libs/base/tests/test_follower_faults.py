"""The follower where not the message is at fault, or nobody knows what became of it."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import cast

import asyncpg
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

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
from murmuration.runtime.config import BusSection
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
async def running(work: Follower | RequestServer) -> AsyncIterator[None]:
    task = asyncio.create_task(work.run())
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


@contextlib.asynccontextmanager
async def marks_answered(
    fm: Bus, asking: Bus, answer: Callable[[GetMark], Awaitable[Mark]]
) -> AsyncIterator[None]:
    """Within it fm answers GetMark by `answer`."""
    server = RequestServer(fm, version="0.1.0")
    server.answer(GetMark, answer, as_type="fm.mark.get.v1")

    async def serves() -> bool:
        with contextlib.suppress(nats.errors.Error):
            await asking.nc.request("fm.query.mark", b"{", timeout=1)
            return True
        return False

    async with running(server):
        await reaches(serves)
        yield


class Answers:
    """Answers by 7 when it is let, and keeps who asked."""

    def __init__(self) -> None:
        self.at_work = list[str]()
        self.hold = asyncio.Event()

    async def __call__(self, request: GetMark) -> Mark:
        """Hold, then answer."""
        self.at_work.append(request.producer)
        await self.hold.wait()
        return Mark(producer=request.producer, incarnation=0, n=7)


async def mark(asking: Bus, producer: str, timeout_s: float) -> int:
    """The answer, 0 when the asker was told to try later."""
    try:
        question = GetMark(producer=producer)
        return (
            await asking.request(question, Mark, timeout_s=timeout_s, as_type="fm.mark.get.v1")
        ).n
    except MurmurationError as error:
        assert "too many requests" in str(error)
        return 0


async def test_requests_beyond_the_bound_are_told_to_try_later(connect: Connect) -> None:
    fm, asking, answers = await connect("fm"), await connect("mtce"), Answers()
    async with marks_answered(fm, asking, answers):
        asks = [
            asyncio.create_task(mark(asking, f"p{number}", 60))
            for number in range(3 * CONCURRENT_MAX)
        ]
        await reaches(lambda: sum(one.done() for one in asks) == 2 * CONCURRENT_MAX)
        answers.hold.set()
        told = await asyncio.gather(*asks)
    assert len(answers.at_work) == CONCURRENT_MAX
    assert told.count(0) == 2 * CONCURRENT_MAX


async def test_answer_lost_while_the_server_reads_its_configuration_again_is_asked_for_once_more(
    connect: Connect, site_nats: NatsServer
) -> None:
    fm, asking, answers = await connect("fm"), await connect("mtce"), Answers()

    def read_again() -> int:
        return (site_nats.folder / "nats.log").read_text().count("Reloaded server configuration")

    async with marks_answered(fm, asking, answers):
        asked = asyncio.create_task(mark(asking, "p", 12))
        await reaches(lambda: answers.at_work)
        site_nats.signal(signal.SIGHUP)
        await reaches(read_again)
        answers.hold.set()
        assert await asked == 7
    assert answers.at_work == ["p", "p"], "the answer to the first question was not lost"
    assert any("permissions violation" in text for text in fm.errors)


class Unanswered:
    """Implements of a client what a request needs; every question waits in `asked`."""

    def __init__(self) -> None:
        self.asked = list[asyncio.Future[Msg]]()

    def jetstream(self, timeout: float) -> None:
        """None: nothing is stored here."""

    async def request(self, *_question: object, headers: object) -> Msg:
        """The answer that the test gives."""
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]


def message(body: bytes, **headers: str) -> Msg:
    made = {name.replace("_", "-"): text for name, text in headers.items()}
    return Msg(_client=cast("Client", None), data=body, headers=made)


@pytest.mark.parametrize("refusal", [message(b"full", Mur_Error="unavailable"), None])
async def test_repeat_that_finds_no_room_does_not_speak_for_the_question_at_work(
    refusal: Msg | None,
) -> None:
    client = Unanswered()
    bus = Bus(cast("Client", client), BusSection(url="nats://127.0.0.1"), "mtce")
    asked = asyncio.create_task(mark(bus, "p", 0.05))
    await reaches(lambda: len(client.asked) == 2)
    if refusal is None:
        client.asked[1].set_exception(nats.errors.NoRespondersError())
    else:
        client.asked[1].set_result(refusal)
    await asyncio.sleep(0.1)
    assert not asked.done()
    client.asked[0].set_result(message(encode(Mark(producer="p", incarnation=0, n=7))))
    assert await asked == 7
