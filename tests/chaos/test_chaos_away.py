"""NATS or PostgreSQL away at the start and later, and the disk of either full."""

import asyncio
import itertools
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from murmuration.bus.connection import Bus
from murmuration.testkit.levels import reaches
from murmuration.testkit.ports import short_folder
from tests.chaos.load import (
    Model,
    converges,
    each_once_in_order,
    orders_once,
    produce,
    stream_is_whole,
)
from tests.chaos.world import Process, World, world

CHANGES = 200
AWAY_S = 2.0  # longer than any wait before the next try
AWAY_SOAK_S = 60.0
ROUND = itertools.count(100)
MEBIBYTE = 2**20


async def more(bus: Bus, model: Model, *, changes: int = CHANGES) -> None:
    dice = random.Random(next(ROUND))
    await produce(bus, model, changes=changes, producers=10, dice=dice)


async def all_is_well(site: World, model: Model) -> None:
    await converges(site, model)
    await orders_once(site, model)
    await each_once_in_order(site, model)
    await stream_is_whole(site)


async def without(site: World, part: Process, bus: Bus, model: Model, *, away_s: float) -> None:
    """A round of changes during which `part` is away for a while."""
    load = asyncio.create_task(more(bus, model))
    part.kill()
    await asyncio.sleep(away_s)  # not a wait for something: this is how long it is away
    part.start()
    await load
    await all_is_well(site, model)


async def away_at_start_and_later(*, away_s: float) -> None:
    """Both servers are away when the services start, and later each for `away_s`."""
    model = Model()
    async with world(replicas=False) as site, site.bus() as bus:
        for server in (site.nats[0], site.postgres):
            server.kill()
        for replica in site.replicas:
            replica.start()
        await reaches(
            lambda: all(site.logs(replica.name) for replica in site.replicas),
            what="the services' first words",
        )
        await asyncio.sleep(away_s / 2)
        site.nats[0].start()
        await asyncio.sleep(away_s / 2)
        site.postgres.start()
        await more(bus, model)
        await all_is_well(site, model)
        for part in (site.nats[0], site.postgres):
            await without(site, part, bus, model, away_s=away_s)
        assert all(replica.runs for replica in site.replicas), "a service gave up"


async def test_services_wait_and_lose_nothing_when_a_server_is_away_at_start_and_later() -> None:
    await away_at_start_and_later(away_s=AWAY_S)


@pytest.mark.soak
async def test_bus_soak_away_services_wait_when_a_server_is_away_for_a_minute() -> None:
    await away_at_start_and_later(away_s=AWAY_SOAK_S)


@contextmanager
def small_disk(folder: Path, *, mebibytes: int) -> Iterator[Path]:
    """A file system of its own that can be filled."""
    disk = folder / "disk"
    disk.mkdir()
    size = f"size={mebibytes}m,mode=0777"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "mur-chaos", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave nothing free."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (MEBIBYTE, 4_096):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue
    return ballast


async def test_nothing_is_lost_when_the_disk_of_nats_is_full_for_a_while() -> None:
    model = Model()
    with short_folder() as folder, small_disk(folder, mebibytes=16) as disk:
        async with world(nats_store=disk / "nats") as site, site.bus() as bus:
            await more(bus, model)
            await all_is_well(site, model)
            ballast, said = fill(disk), len(site.said("relay.stopped"))
            await more(bus, model)  # accepted: it is durable in the database
            await reaches(lambda: len(site.said("relay.stopped")) > said, what="the relay says so")
            assert "no space left" in (site.folder / "nats0.log").read_text()
            ballast.unlink()
            site.nats[0].kill()  # JetStream stays off after a write failed, until a new start
            site.nats[0].start()
            await more(bus, model)
            await all_is_well(site, model)


async def test_commands_are_refused_and_nothing_is_lost_when_the_disk_of_postgres_is_full() -> None:
    model = Model()
    with short_folder() as folder, small_disk(folder, mebibytes=256) as disk:
        async with world(database=disk / "db") as site, site.bus() as bus:
            await more(bus, model)
            ballast = fill(disk)
            load = asyncio.create_task(more(bus, model, changes=5_000))
            await reaches(
                lambda: any("DiskFull" in reason for reason in model.reasons) or load.done(),
                what="refusals that say why",
            )
            assert not load.done(), "the disk was large enough"
            ballast.unlink()
            if not site.postgres.runs:
                site.postgres.kill()
                site.postgres.start()
            await load
            await all_is_well(site, model)
