"""NATS forgets: its store put back, a stream deleted, its last moments lost, readers start over."""

import itertools
import random

from murmuration.bus.connection import Bus
from murmuration.testkit.levels import reaches
from murmuration.testkit.postgres import Postgres
from tests.chaos.load import (
    Model,
    converges,
    each_once_in_order,
    orders_once,
    produce,
    stream_is_whole,
    wait_seen,
)
from tests.chaos.world import World, world

CHANGES = 200
ROUND = itertools.count()


async def more(bus: Bus, model: Model) -> None:
    dice = random.Random(next(ROUND))  # each round moves other things on
    await produce(bus, model, changes=CHANGES, producers=10, dice=dice)


async def all_is_well(site: World, model: Model) -> None:
    await converges(site, model)
    await orders_once(site, model)
    await each_once_in_order(site, model)
    await stream_is_whole(site)


async def test_stream_is_filled_again_when_its_store_is_put_back_or_cut_or_deleted(
    postgres: Postgres,
) -> None:
    model, dice = Model(), random.Random(7)
    async with world(postgres=postgres) as site, site.bus() as bus:
        await more(bus, model)
        site.keep_nats()
        await more(bus, model)
        await wait_seen(site, model)
        site.put_nats_back()
        # filled again without any new change to wake the relay
        await all_is_well(site, model)
        await more(bus, model)
        await all_is_well(site, model)

        for _ in range(3):
            await more(bus, model)
            print(site.cut_nats(dice))
            await all_is_well(site, model)

        await bus.js.delete_stream("THING")
        await bus.js.delete_stream("THING_ORDERS")
        await bus.js.delete_stream("KV_thing_things")
        await site.provision()
        await more(bus, model)
        await all_is_well(site, model)

        for replica in site.of("echo"):
            replica.kill()
        async with site.database("echo") as connection:
            await connection.execute("update mur.position set sequence = 1, message = ''")
        for replica in site.of("echo"):
            replica.start()
        await more(bus, model)
        await all_is_well(site, model)


async def test_reader_bridges_from_state_when_the_events_it_needs_are_gone_for_good(
    postgres: Postgres,
) -> None:
    model = Model()
    async with world(postgres=postgres) as site, site.bus() as bus:
        await more(bus, model)
        await converges(site, model)
        for replica in site.of("echo"):
            replica.kill()
        await more(bus, model)

        async def published() -> bool:
            async with site.database("thing") as connection:
                return bool(
                    await connection.fetchval(
                        "select (select change from mur.cursor where stream = 'THING') = change"
                        " from mur.life"
                    )
                )

        await reaches(published)
        for replica in site.of("thing"):
            replica.kill()
        async with site.database("thing") as connection:  # as the trim after a day
            await connection.execute("delete from mur.outbox")
        await bus.js.delete_stream("THING")
        await bus.js.delete_stream("KV_thing_things")
        await site.provision()
        for replica in site.replicas:
            replica.start()
        await more(bus, model)
        await converges(site, model)
        assert len(site.said("relay.told_afresh")) == 1
        assert site.said("follower.gap")
