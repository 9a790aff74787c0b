"""Alarms while fm, NATS, PostgreSQL and their producers are killed at moments the seed chooses."""

import asyncio
import contextlib
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import msgspec
import pytest

from murmuration.bus.connection import open_bus
from murmuration.bus.provision import provision
from murmuration.bus.state import load_bucket
from murmuration.proto import registry
from murmuration.proto.fm import Alarm
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import short_folder
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.processes import ServiceProcess
from tests.chaos.fm_producer import Plan, Step, steps_of
from tests.chaos.world import Process

HOSTS, PROCESSES = 20, 4
TOLD = """
select entity, kind, severity from history
where kind <> 'changed' or severity_before is not null order by id
"""


SERVED = ("nats", "postgres", "fm")


@dataclass
class Parts:
    """Everything that may be killed, and how it is started again."""

    nats: NatsServer
    postgres: Postgres
    fm: ServiceProcess
    producers: list[Process]

    @property
    def names(self) -> list[str]:
        """What runs and may be killed: a producer that has said everything is left in peace."""
        return ["nats", "postgres", "fm", *(each.name for each in self.producers if each.runs)]

    def kill(self, name: str) -> None:
        match name:
            case "nats":
                self.nats.kill()
            case "postgres":
                self.postgres.kill()
            case "fm":
                self.fm.kill()
            case _:
                self._producer(name).kill()

    def start(self, name: str) -> None:
        match name:
            case "nats":
                self.nats.start()
            case "postgres":
                self.postgres.start()
            case "fm":
                self.fm.start()
            case _:
                self._producer(name).start()

    def _producer(self, name: str) -> Process:
        return next(each for each in self.producers if each.name == name)


async def disturb(parts: Parts, dice: random.Random, struck: set[str], *, kills: int) -> None:
    """Kill so many, one after the other, the servers and fm first; each is started again."""
    names = [*dice.sample(SERVED, len(SERVED)), *dice.choices(parts.names, k=kills)]
    for victim in names[:kills]:
        print(f"kill {victim}")
        parts.kill(victim)
        struck.add(victim)
        try:
            await asyncio.sleep(dice.uniform(0.05, 0.6))
        finally:
            await asyncio.to_thread(parts.start, victim)
        await asyncio.sleep(dice.uniform(0.2, 1.0))


@asynccontextmanager
async def site(seed: int, steps: int) -> AsyncIterator[tuple[Parts, asyncpg.Pool]]:
    """Servers, fm and the producers, none started but the servers."""
    registry.load()
    async with contextlib.AsyncExitStack() as stack:
        folders = [Path(stack.enter_context(short_folder())) for _ in range(3)]
        postgres, nats = Postgres(folders[0]), NatsServer(folders[1])
        postgres.start()
        stack.callback(postgres.abandon)
        nats.start()
        stack.callback(nats.kill)
        admin = nats.login("provisioner")
        async with open_bus(nats.section, admin, identity="provisioner") as bus:
            await provision(bus)
        login = postgres.database("fm")
        fm = ServiceProcess("fm", nats, postgres, folders[2], database=login)
        stack.callback(fm.kill)
        producers = [
            _producers(number, nats, folders[2], seed=seed, steps=steps)
            for number in range(PROCESSES)
        ]
        for each in producers:
            stack.callback(each.kill)
        pool = asyncpg.create_pool(
            host=postgres.section.host,
            port=postgres.section.port,
            user=login.user,
            password=login.password,
            database=login.name,
            min_size=0,
            max_size=1,
        )
        await stack.enter_async_context(pool)
        yield Parts(nats, postgres, fm, producers), pool


def _producers(number: int, nats: NatsServer, folder: Path, *, seed: int, steps: int) -> Process:
    hosts = [f"c{number}-{place}" for place in range(HOSTS // PROCESSES)]
    plan = Plan(
        url=nats.section.url,
        spools=str(folder),
        seed=seed,
        steps=steps,
        hosts={host: nats.login(f"node@{host}") for host in hosts},
    )
    path = folder / f"plan-{number}.json"
    path.write_bytes(msgspec.json.encode(plan))
    command = [sys.executable, "-m", "tests.chaos.fm_producer", str(path)]
    return Process(f"producer-{number}", command, folder / f"producer-{number}.log")


def expected(seed: int, steps: int) -> tuple[dict[str, str], dict[str, list[tuple[str, str]]]]:
    """What must stand in the end (severity by entity), and what history must say of each entity."""
    active: dict[str, str] = {}
    told: dict[str, list[tuple[str, str]]] = {}
    hosts = [f"c{n}-{p}" for n in range(PROCESSES) for p in range(HOSTS // PROCESSES)]
    for host in hosts:
        for step in steps_of(host, seed=seed, count=steps):
            _take(step, active, told)
    return active, told


def _take(step: Step, active: dict[str, str], told: dict[str, list[tuple[str, str]]]) -> None:
    entity, severity = step
    before = active.get(entity)
    if severity is None:
        if before is not None:
            told.setdefault(entity, []).append(("cleared", active.pop(entity)))
    elif before != severity.value:
        kind = "raised" if before is None else "changed"
        told.setdefault(entity, []).append((kind, severity.value))
        active[entity] = severity.value


async def survive(*, steps: int, kills: int, deadline_s: float) -> None:
    seed = int(os.environ.get("CHAOS_SEED", random.SystemRandom().getrandbits(32)))
    print(f"CHAOS_SEED={seed}")
    async with site(seed, steps) as (parts, pool):
        for name in ("fm", *(each.name for each in parts.producers)):
            parts.start(name)
        struck = set[str]()
        disturber = asyncio.create_task(disturb(parts, random.Random(seed), struck, kills=kills))
        try:
            await reaches(
                lambda: not any(each.runs for each in parts.producers),
                deadline_s=deadline_s,
                what="every producer heard that all is durable",
            )
        finally:
            disturber.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await disturber
        assert struck >= set(SERVED)
        active, told = expected(seed, steps)
        assert await _active(pool) == active
        assert await _history(pool) == told
        await reaches(lambda: _bucket_is(parts, active), deadline_s=60, what="the bucket")


async def _active(pool: asyncpg.Pool) -> dict[str, str]:
    rows = await _fetch(pool, "select entity, severity from alarm")
    return {row["entity"]: row["severity"] for row in rows}


async def _history(pool: asyncpg.Pool) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for row in await _fetch(pool, TOLD):  # what producers said: not what fm concluded from it
        found.setdefault(row["entity"], []).append((row["kind"], row["severity"]))
    return found


async def _fetch(pool: asyncpg.Pool, sql: str) -> list[asyncpg.Record]:
    """Rows, though PostgreSQL may just have been started again."""
    while True:
        try:
            return await pool.fetch(sql)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await asyncio.sleep(0.1)


async def _bucket_is(parts: Parts, active: dict[str, str]) -> bool:
    login = parts.nats.login("gateway")
    async with open_bus(parts.nats.section, login, identity="gateway", wait_s=60) as bus:
        keys, _ = await load_bucket(bus, "fm_alarms")
    values = [stored.value for stored in keys.values() if not stored.value.deleted]
    alarms = [msgspec.json.decode(value.data, type=Alarm) for value in values]
    return {alarm.entity: alarm.severity.value for alarm in alarms} == active


@pytest.mark.timeout(600)  # 15 s; the deadline is for a machine that does much else
async def test_alarms_arrive_once_and_in_order_when_everything_is_killed() -> None:
    await survive(steps=500, kills=12, deadline_s=480)


@pytest.mark.soak
async def test_fm_soak_every_alarm_arrives_once_and_in_order() -> None:
    await survive(steps=10_000, kills=500, deadline_s=3_600)
