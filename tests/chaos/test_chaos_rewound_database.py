"""PostgreSQL is put back to an older copy: noticed before the first write, said, and survived."""

import itertools
import random

import pytest

from murmuration.bus.connection import Bus
from murmuration.bus.reader import StreamReader
from murmuration.proto.envelope import Version
from murmuration.testkit.levels import reaches
from murmuration.testkit.postgres import Postgres
from tests.chaos.load import Model, bucket, converges, counts, produce, wait_seen
from tests.chaos.world import World, world

CHANGES = 200
ROUND = itertools.count()


async def more(bus: Bus, model: Model) -> None:
    dice = random.Random(next(ROUND))  # each round moves other things on
    await produce(bus, model, changes=CHANGES, producers=10, dice=dice)


async def published_versions(site: World) -> list[Version]:
    """What the stream of `thing` holds, in order."""
    async with site.bus("look") as bus:
        last = (await bus.js.stream_info("THING")).state.last_seq
        found: list[Version] = []
        async for batch in StreamReader(bus, "THING", start=1).batches():
            found += [delivery.version for delivery in batch]
            if batch[-1].sequence >= last:
                break
    return found


async def epoch_starts(site: World, service: str, before: int) -> int:
    """The new epoch of a service, once it has begun."""

    async def begun() -> int:
        try:
            async with site.database(service) as connection:
                epoch = int(await connection.fetchval("select epoch from mur.life") or 0)
        except OSError:
            return 0
        return epoch if epoch > before else 0

    return await reaches(begun, what=f"a new epoch of {service}")


async def epoch_of(site: World, service: str) -> int:
    async with site.database(service) as connection:
        return int(await connection.fetchval("select epoch from mur.life") or 0)


@pytest.mark.parametrize("what", ["server", "thing"])
async def test_new_epoch_begins_and_readers_converge_when_the_database_is_put_back(
    what: str, postgres: Postgres
) -> None:
    model = Model()
    async with world(postgres=postgres if what == "thing" else None) as site, site.bus() as bus:
        await more(bus, model)
        await converges(site, model)
        epoch = await epoch_of(site, "thing")
        async with site.database("thing") as connection:
            await connection.execute(
                "insert into mur.effect (operation_id, kind, entity, once, body, epoch)"
                " values ('reset-1', 'reset', 'x', true, '', 1),"
                " ('tell-1', 'tell', 'x', false, '', 1)"
            )
        kept = dict(model.counts)
        (site.postgres.keep if what == "server" else lambda: site.copy_database("thing"))()
        await more(bus, model)
        await wait_seen(site, model)
        (site.postgres.put_back if what == "server" else lambda: site.put_database_back("thing"))()
        model.counts.clear()
        model.counts.update(kept)  # what was accepted since is lost with the copy, and said
        fresh = await epoch_starts(site, "thing", epoch)
        await more(bus, model)
        await converges(site, model)

        versions = await published_versions(site)
        assert versions == sorted(set(versions)), "numbers were used twice"
        assert {version.epoch for version in versions} == {epoch, fresh}
        async with site.database("echo") as connection:
            told = await connection.fetch("select epoch, reason from epoch")
        assert [row["epoch"] for row in told] == [fresh]
        assert "put back" in told[0]["reason"]
        async with site.database("thing") as connection:
            effects = await connection.fetch("select operation_id, status from mur.effect")
        assert {row["operation_id"]: row["status"] for row in effects} == {
            "reset-1": "held",
            "tell-1": "open",
        }


async def test_reader_put_back_takes_in_again_and_repeats_no_number_when_it_sends_orders(
    postgres: Postgres,
) -> None:
    model = Model()
    async with world(postgres=postgres) as site, site.bus() as bus:
        await more(bus, model)
        await converges(site, model)
        epoch = await epoch_of(site, "echo")
        site.copy_database("echo")
        await more(bus, model)
        await wait_seen(site, model)
        site.put_database_back("echo")
        await epoch_starts(site, "echo", epoch)
        await more(bus, model)
        await converges(site, model)
        async with site.database("thing") as connection:
            twice = await connection.fetch(
                "select name, count from acknowledged group by 1, 2 having count(*) > 1"
            )
        assert not twice, "an order was carried out twice"
        assert await counts(site, "echo", "mirror") == await bucket(site)
