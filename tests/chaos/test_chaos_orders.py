"""Orders and parked messages, between two services in the test's own process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from murmuration.bus.commands import RequestServer
from murmuration.bus.connection import Bus, open_bus
from murmuration.bus.follower import Follower, Received
from murmuration.bus.relay import Relay
from murmuration.kernel.errors import Conflict, NotFound, Rejected, Unavailable
from murmuration.proto.platform import (
    DropParked,
    GetMark,
    GetParked,
    Mark,
    ParkedMessages,
    RetryParked,
)
from murmuration.proto.sysinv import Accepted
from murmuration.runtime.platform import serve_platform
from murmuration.store.database import Database, Unit, open_database
from murmuration.testkit.levels import reaches
from murmuration.testkit.postgres import Postgres
from tests.chaos.contract import Acknowledge, ThingMoved
from tests.chaos.world import LOGIN, World, world


async def nothing(_unit: Unit) -> None:
    """No state to tell."""


@dataclass
class Pair:
    """`echo` sends orders to `thing`, which may be taught to fail."""

    site: World
    echo: Database
    thing: Database
    load: Bus
    relay: Relay
    follower: Follower
    carried_out: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    fails: Callable[[Acknowledge], bool] = lambda _order: False

    async def order(
        self,
        name: str,
        count: int,
        *,
        operation_id: str | None = None,
        expires_at: datetime | None = None,
    ) -> None:
        order = Acknowledge(
            operation_id=operation_id or f"{name}-{count}-order",
            expires_at=expires_at,
            name=name,
            count=count,
        )
        async with self.echo.unit() as unit:
            unit.emit(order, entity=name, sender="echo")

    async def carry_out(self, _unit: Unit, received: Received) -> None:
        order: Acknowledge = received.payload
        if self.fails(order):
            raise ZeroDivisionError(order.name)
        self.carried_out.append((order.name, order.count))

    async def mark(self) -> int:
        ask = GetMark(producer="order.echo")
        return (await self.load.request(ask, Mark, as_type="thing.mark.get.v1")).n

    async def settled(self) -> None:
        """Until everything that echo said has been taken in."""

        async def all_taken() -> bool:
            try:
                return await self.mark() == (await self.echo.life()).change
            except Unavailable:
                return False

        await reaches(all_taken, what="the mark")

    async def parked(self, ask: GetParked | None = None) -> ParkedMessages:
        ask = ask or GetParked()
        return await self.load.request(ask, ParkedMessages, as_type="thing.parked.get.v1")

    async def retry(self, number: int, operation_id: str = "retry-it-1") -> Accepted:
        request = RetryParked(operation_id=operation_id, id=number)
        return await self.load.request(request, Accepted, as_type="thing.parked.retry.v1")

    async def drop(self, number: int) -> Accepted:
        request = DropParked(operation_id="drop-it-1", id=number)
        return await self.load.request(request, Accepted, as_type="thing.parked.drop.v1")


@asynccontextmanager
async def running(*works: object) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work.run()) for work in works]  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def pair(postgres: Postgres) -> AsyncIterator[Pair]:
    async with contextlib.AsyncExitStack() as stack:
        site = await stack.enter_async_context(world(postgres=postgres, replicas=False))

        async def bus(identity: str) -> Bus:
            return await stack.enter_async_context(open_bus(site.section, LOGIN, identity=identity))

        async def database(service: str) -> Database:
            section = site.postgres.server.section
            opened = open_database(section, site.logins[service], migrations=None)
            return await stack.enter_async_context(opened)

        echo_bus, thing_bus = await bus("echo"), await bus("thing")
        echo, thing = await database("echo"), await database("thing")
        holder: list[Pair] = []

        async def carry_out(unit: Unit, received: Received) -> None:
            await holder[0].carry_out(unit, received)

        relay = Relay(echo, echo_bus, service="echo", republish=nothing, foreign=("THING_ORDERS",))
        follower = Follower(thing, thing_bus, "THING_ORDERS", {Acknowledge: carry_out})
        server = RequestServer(thing_bus, version="0.1.0")
        serve_platform(server, thing, [follower], service="thing")
        await relay.verify()
        await Relay(thing, thing_bus, service="thing", republish=nothing).verify()
        made = Pair(site, echo, thing, await bus("load"), relay, follower)
        holder.append(made)
        async with running(relay, follower, server):

            async def served() -> bool:
                with contextlib.suppress(Exception):
                    await made.mark()
                    return True
                return False

            await reaches(served)
            yield made


async def test_order_is_carried_out_once_and_not_after_its_expiry(pair: Pair) -> None:
    now = datetime.now(UTC)
    await pair.order("one", 1, expires_at=now + timedelta(hours=1))
    await pair.order("one", 2, expires_at=now - timedelta(seconds=1))
    await pair.order("one", 3)
    await pair.order("one", 4, operation_id="one-3-order")  # said again, as after a new epoch
    await pair.settled()
    assert pair.carried_out == [("one", 1), ("one", 3)]
    assert pair.follower.counts.expired == 1
    assert pair.follower.counts.repeated == 1


async def test_orders_are_sent_again_when_the_receivers_stream_lost_them(pair: Pair) -> None:
    await pair.order("one", 1)
    await pair.settled()
    for part in pair.site.nats:
        part.kill()
    for count in range(2, 12):
        await pair.order("one", count)
    for part in pair.site.nats:
        part.start()
    await pair.settled()
    await pair.load.js.delete_stream("THING_ORDERS")
    for count in range(12, 20):
        await pair.order("one", count)
    await pair.site.provision()
    await pair.settled()
    assert pair.carried_out == [("one", count) for count in range(1, 20)]


async def test_sender_starts_a_new_epoch_when_the_receiver_knows_more_than_its_database(
    pair: Pair,
) -> None:
    for count in range(1, 6):
        await pair.order("one", count)
    await pair.settled()
    epoch = (await pair.echo.life()).epoch
    async with pair.echo.connection() as connection:  # as an older copy, whose own trace is lost
        await connection.execute("update mur.life set change = 2")
        await connection.execute("delete from mur.outbox where change > 2")
        await connection.execute("update mur.last_sent set change = 2")
    pair.site.nats[0].kill()  # a reconnect makes the relay look
    pair.site.nats[0].start()

    async def begun() -> bool:
        return (await pair.echo.life()).epoch > epoch

    await reaches(begun)
    await pair.order("two", 1)
    await reaches(lambda: ("two", 1) in pair.carried_out)
    assert pair.carried_out == [("one", count) for count in range(1, 6)] + [("two", 1)]


async def test_parked_message_is_applied_by_a_retry_when_nothing_newer_of_its_entity_was(
    pair: Pair,
) -> None:
    pair.fails = lambda order: order.name == "bad"
    for name, count in (("good", 1), ("bad", 2), ("good", 3)):
        await pair.order(name, count)
    await pair.settled()
    assert pair.carried_out[-1] == ("good", 3)
    (parked,) = (await pair.parked()).messages
    assert (parked.entity, parked.type, parked.body) == ("bad", "thing.thing.acknowledge.v1", "")
    assert "ZeroDivisionError" in parked.reason
    (shown,) = (await pair.parked(GetParked(id=parked.id))).messages
    assert '"count":2' in shown.body
    assert shown.headers["ce-subject"] == "bad"
    with pytest.raises(Rejected, match="still fails"):
        await pair.retry(parked.id)
    pair.fails = lambda _order: False
    first = await pair.retry(parked.id, "retry-it-2")
    assert "was applied" in first.reason
    assert await pair.retry(parked.id, "retry-it-2") == first
    assert pair.carried_out[-1] == ("bad", 2)
    assert not (await pair.parked()).messages


async def test_retry_is_refused_when_something_newer_of_the_entity_was_applied(pair: Pair) -> None:
    pair.fails = lambda order: order.count < 3
    for count in (1, 2, 3):
        await pair.order("one", count)
    await pair.settled()
    assert pair.carried_out == [("one", 3)]
    pair.fails = lambda _order: False
    first, second = (await pair.parked()).messages
    assert first.superseded and second.superseded
    with pytest.raises(Conflict, match="newer"):
        await pair.retry(first.id)
    assert "dropped" in (await pair.drop(first.id)).reason
    with pytest.raises(NotFound):
        await pair.retry(first.id, "retry-it-3")
    assert [m.id for m in (await pair.parked()).messages] == [second.id]


async def test_older_parked_message_is_superseded_when_the_newer_one_was_retried(
    pair: Pair,
) -> None:
    pair.fails = lambda _order: True
    for count in (1, 2):
        await pair.order("one", count)
    await pair.settled()
    pair.fails = lambda _order: False
    first, second = (await pair.parked()).messages
    await pair.retry(second.id)
    with pytest.raises(Conflict):
        await pair.retry(first.id, "retry-it-4")
    assert pair.carried_out == [("one", 2)]


async def test_reader_says_a_gap_and_goes_on_when_it_has_no_state_to_bridge_it(pair: Pair) -> None:
    seen: list[int] = []

    async def moved(_unit: Unit, received: Received) -> None:
        seen.append(received.payload.thing.count)

    body = b'{"thing":{"name":"x","count":%d}}'
    for change, previous in ((1, 0), (2, 1), (5, 4), (6, 5)):
        await pair.load.js.publish(
            "thing.event.thing.moved.x",
            body % change,
            headers={
                "ce-type": "thing.thing.moved.v1",
                "ce-subject": "x",
                "Mur-Epoch": "1",
                "Mur-Change": str(change),
                "Mur-Prev": str(previous),
            },
        )
    reader = Follower(pair.echo, pair.load, "THING", {ThingMoved: moved})
    async with running(reader):
        await reaches(lambda: seen == [1, 2, 5, 6])
    assert reader.counts.gaps == 1
