"""`python -m tests.chaos.thing thing|echo`: one replica of a service made for the chaos tests.

`thing` counts and says so; `echo` keeps what it saw, in the order it saw it, and orders `thing` to
acknowledge every tenth. Both stand on the libraries alone, as every service does.
"""

import asyncio
import sys
from pathlib import Path

import asyncpg

from murmuration.bus.follower import Received
from murmuration.bus.gaps import StateReceived
from murmuration.kernel.errors import NotFound
from murmuration.proto import registry
from murmuration.proto.platform import EpochStarted, StatePublished
from murmuration.runtime.config import ServiceConfig
from murmuration.runtime.service import main, run_service, service_context
from murmuration.store.database import Unit
from tests.chaos import contract
from tests.chaos.contract import (
    BUCKET,
    ORDER_EVERY,
    Acknowledge,
    MoveThings,
    RemoveThing,
    Thing,
    ThingMoved,
    ThingRemoved,
)

MIGRATIONS = Path(__file__).parent / "migrations"
MOVE = """
insert into thing as t (name, count) values ($1, 1)
on conflict (name) do update set count = t.count + 1 returning count
"""
SEE = "insert into seen (name, count, afresh, epoch, change) values ($1, $2, $3, $4, $5)"
MIRROR = """
insert into mirror (name, count, epoch, change) values ($1, $2, $3, $4)
on conflict (name) do update
set count = excluded.count, epoch = excluded.epoch, change = excluded.change
"""
REST = "delete from mirror where (epoch, change) <= ($1, $2)"


def say(unit: Unit, thing: Thing, *, afresh: bool = False) -> None:
    moved = ThingMoved(thing=thing, afresh=afresh)
    unit.emit(moved, entity=thing.name, bucket=BUCKET, state=thing, name=thing.name)


async def move(unit: Unit, request: MoveThings) -> str:
    for name in sorted(request.names):
        count = await unit.connection.fetchval(MOVE, name)
        say(unit, Thing(name=name, count=int(count or 0)))
    return f"{len(request.names)} things were moved on"


async def remove(unit: Unit, request: RemoveThing) -> str:
    gone = await unit.connection.fetchval(
        "delete from thing where name = $1 returning name", request.name
    )
    if gone is None:
        raise NotFound(f"there is no {request.name}")
    unit.emit(
        ThingRemoved(name=request.name), entity=request.name, bucket=BUCKET, name=request.name
    )
    return f"{request.name} is no more"


async def acknowledged(unit: Unit, received: Received) -> None:
    order: Acknowledge = received.payload
    await unit.connection.execute(
        "insert into acknowledged (name, count) values ($1, $2)", order.name, order.count
    )


async def tell_things(unit: Unit) -> None:
    for row in await unit.connection.fetch("select name, count from thing order by name"):
        say(unit, Thing(name=row["name"], count=row["count"]), afresh=True)


async def run_thing(config: ServiceConfig, *, stop: asyncio.Event) -> None:
    async with service_context(
        config, listen="127.0.0.1:0", migrations=MIGRATIONS / "thing", republish=tell_things
    ) as context:
        context.server.command(MoveThings, context.database, move)
        context.server.command(RemoveThing, context.database, remove)
        context.follow("THING_ORDERS", {Acknowledge: acknowledged})
        await run_service(context, stop)


async def mirror(connection: asyncpg.Connection, thing: Thing, version: tuple[int, int]) -> None:
    await connection.execute(MIRROR, thing.name, thing.count, *version)


async def moved(unit: Unit, received: Received) -> None:
    event: ThingMoved = received.payload
    thing = event.thing
    await unit.connection.execute(SEE, thing.name, thing.count, event.afresh, *received.version)
    await mirror(unit.connection, thing, received.version)
    if thing.count % ORDER_EVERY == 0 and not event.afresh:
        order = Acknowledge(
            operation_id=f"seen-{thing.name}-{thing.count}", name=thing.name, count=thing.count
        )
        unit.emit(order, entity=thing.name, sender="echo")


async def removed(unit: Unit, received: Received) -> None:
    await unit.connection.execute("delete from mirror where name = $1", received.payload.name)


async def restarted(unit: Unit, received: Received) -> None:
    event: EpochStarted = received.payload
    await unit.connection.execute(
        "insert into epoch (epoch, reason) values ($1, $2)", event.epoch, event.reason
    )


async def rest_is_gone(unit: Unit, received: Received) -> None:
    event: StatePublished = received.payload
    await unit.connection.execute(REST, event.since_epoch, event.since_change)


async def bridged(unit: Unit, state: StateReceived) -> None:
    if isinstance(state.value, Thing):
        await mirror(unit.connection, state.value, state.version)
    else:
        await unit.connection.execute("delete from mirror where name = $1", state.key)


async def nothing_to_tell(_unit: Unit) -> None:
    """`echo` has no state of its own to tell."""


async def run_echo(config: ServiceConfig, *, stop: asyncio.Event) -> None:
    async with service_context(
        config,
        listen="127.0.0.1:0",
        migrations=MIGRATIONS / "echo",
        republish=nothing_to_tell,
        foreign=("THING_ORDERS",),
    ) as context:
        context.follow(
            "THING",
            {
                ThingMoved: moved,
                ThingRemoved: removed,
                EpochStarted: restarted,
                StatePublished: rest_is_gone,
            },
            states={BUCKET: bridged},
        )
        await run_service(context, stop)


if __name__ == "__main__":
    registry.load()
    contract.declare_all()
    role = sys.argv[1]
    sys.exit(main(role, run_thing if role == "thing" else run_echo))
