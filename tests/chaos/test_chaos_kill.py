"""Everything killed -9 or frozen in turn, at moments the seed chooses."""

import asyncio
import contextlib
import os
import random
import sys
import time

import pytest

from tests.chaos.load import (
    Model,
    converges,
    each_once_in_order,
    orders_once,
    produce,
)
from tests.chaos.world import Process, World, world

PRODUCERS = 20


async def disturb(
    site: World, model: Model, dice: random.Random, struck: set[str], *, pause_s: float, step: int
) -> None:
    """One process after the other, until cancelled; the schedule is printed as it goes.

    The next one waits for `step` changes: where everything is slow, the load still comes to an end.
    """
    began = time.monotonic()
    names: list[Process] = []
    while True:
        if not names:
            names = [*site.replicas, *site.nats, site.postgres]
            dice.shuffle(names)
        victim = names.pop()
        made = model.changes
        freeze, away_s = dice.random() < 0.4, dice.uniform(0.2, 2.0)
        what = "freeze" if freeze else "kill"
        print(f"{time.monotonic() - began:7.2f} {what} {victim.name} for {away_s:.2f} s")
        (victim.freeze if freeze else victim.kill)()
        struck.add(victim.name)
        try:
            await asyncio.sleep(away_s)
        finally:
            if freeze:
                victim.thaw()
            else:
                await asyncio.to_thread(victim.start)
        await asyncio.sleep(dice.uniform(0.2, pause_s))
        while model.changes < made + step:
            await asyncio.sleep(0.05)


async def kill_all_in_turn(
    *, changes: int, servers: int, times: int, pause_s: float, deadline_s: float
) -> None:
    seed = int(os.environ.get("CHAOS_SEED", random.SystemRandom().getrandbits(32)))
    dice = random.Random(seed)
    print(f"CHAOS_SEED={seed}")
    model = Model()
    async with world(servers=servers) as site, site.bus() as bus:
        struck = set[str]()
        disturbing = disturb(
            site, model, random.Random(seed), struck, pause_s=pause_s, step=changes // times
        )
        disturber = asyncio.create_task(disturbing)
        began = time.monotonic()
        try:
            async with asyncio.timeout(deadline_s):
                await produce(bus, model, changes=changes, producers=PRODUCERS, dice=dice)
        finally:
            disturber.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await disturber
        assert struck == {one.name for one in (*site.replicas, *site.nats, site.postgres)}
        made_s = time.monotonic() - began
        await converges(site, model)
        await orders_once(site, model)
        await each_once_in_order(site, model)
        print(
            f"{model.changes} changes in {made_s:.1f} s, {model.retries} commands sent again, "
            f"all is well after {time.monotonic() - began:.1f} s",
            file=sys.stderr,
        )


@pytest.mark.timeout(600)  # 30 s on a quiet machine
async def test_nothing_is_lost_or_repeated_when_everything_is_killed_or_frozen_in_turn() -> None:
    await kill_all_in_turn(changes=10_000, servers=3, times=14, pause_s=1.0, deadline_s=300)


@pytest.mark.soak
async def test_bus_soak_nothing_is_lost_or_repeated_with_three_servers() -> None:
    await kill_all_in_turn(changes=200_000, servers=3, times=120, pause_s=6.0, deadline_s=7_200)
