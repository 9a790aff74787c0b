"""Everything around the monitor goes wrong at once, and no host that beats is said to have failed.

mtce is a process of its own; the machine is busy, every path loses a fifth of its frames, and one
after another the broker is frozen or killed, the monitor is paused, and links flap. A verdict is
false unless its host was really silent before it, by its own note. At the end a host dies, to see
that the monitor was not merely blind.
`./just soak verdicts` does it for half an hour, or as many seconds as VERDICTS_SOAK_S says.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from murmuration.testkit.beats import Beat, Beats, beating
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.ports import free_port
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.processes import ServiceProcess, service_process

HOSTS = 40
LOSS = 0.2
CI_S, SOAK_S = 15.0, 1_800.0
SOAK_LOAD = 5  # busy processes for each core
PAUSES_S = (0.3, 0.9, 1.5, 3.0)  # around the failure threshold of a second
FLAP_S = 0.4  # a link is away for less than the threshold: its host did not fail
BEFORE_S = 5.0  # a verdict follows a silence by so much at most, on a busy machine
HEALED_S = 120.0


@dataclass
class Weather:
    """What can go wrong around the monitor."""

    beats: Beats
    nats: NatsServer
    mtce: ServiceProcess
    connection: asyncpg.Connection
    dice: random.Random

    async def rage(self, seconds: float) -> None:
        """One thing after another, for so long."""
        kinds: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = (
            self.broker_freezes,
            self.broker_dies,
            self.monitor_pauses,
            self.links_flap,
        )
        for beat in self.beats.hosts.values():
            beat.loss = LOSS
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for kind in self.dice.sample(kinds, len(kinds)):
                await kind()
                await asyncio.sleep(self.dice.uniform(0.2, 2.0))
        for beat in self.beats.hosts.values():
            beat.loss = 0.0

    async def broker_freezes(self) -> None:
        """It keeps its connections, and lets everything go later."""
        self.nats.signal(signal.SIGSTOP)
        await asyncio.sleep(self.dice.choice(PAUSES_S))
        self.nats.signal(signal.SIGCONT)

    async def broker_dies(self) -> None:
        """As a crash, and a new start after a while."""
        self.nats.kill()
        await asyncio.sleep(self.dice.choice(PAUSES_S))
        await asyncio.to_thread(self.nats.start)

    async def monitor_pauses(self) -> None:
        """The monitor is frozen, as a paused virtual machine is."""
        assert self.mtce.process is not None
        self.mtce.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(self.dice.choice(PAUSES_S))
        self.mtce.process.send_signal(signal.SIGCONT)

    async def links_flap(self) -> None:
        """Half of the hosts are cut off for a moment."""
        cut = self.dice.sample(list(self.beats.hosts.values()), HOSTS // 2)
        for linked in (False, True):
            for beat in cut:
                beat.linked = linked
            await asyncio.sleep(FLAP_S)

    async def verdicts(self) -> list[tuple[str, float]]:
        """Every verdict: host, and when it was reached in Unix time."""
        rows = await self.connection.fetch(
            "select host, extract(epoch from reached_at)::float8 as at from verdict order by at"
        )
        return [(row["host"], row["at"]) for row in rows]

    async def false_verdicts(self) -> list[tuple[str, float]]:
        """The verdicts on hosts that were not really silent before."""
        return [
            (host, at)
            for host, at in await self.verdicts()
            if not any(
                begun <= at <= ended + BEFORE_S for begun, ended in self.beats.hosts[host].silences
            )
        ]

    async def all_serve(self) -> bool:
        """Whether every host is in service, and heard well."""
        count = await self.connection.fetchval(
            "select count(*) from host_state where availability = 'available'"
            " and heartbeat = 'well'"
        )
        return count == HOSTS


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that compute for nothing."""
    children = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)
    ]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


@pytest.fixture
async def weather(
    connect: Connect, site_nats: NatsServer, postgres: Postgres, tmp_path: Path
) -> AsyncIterator[Weather]:
    port = free_port()
    login = postgres.database("mtce")
    secret = bytes.fromhex((site_nats.credentials_dir / "site-secret").read_text())
    sysinv, sim = await connect("sysinv"), await connect("sim")
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    async with beating(sysinv, sim, secret, ("127.0.0.1", port)) as beats:
        for place in range(HOSTS):
            await beats.declare(f"worker-{place}")
        with service_process(
            "mtce",
            site_nats,
            postgres,
            tmp_path,
            database=login,
            udp_listen=f"127.0.0.1:{port}",
            heartbeat_soak_s=0.5,
            dead_office_s=0,
        ) as mtce:
            connection = await asyncpg.connect(
                host=postgres.section.host,
                port=postgres.section.port,
                user=login.user,
                password=login.password,
                database=login.name,
            )
            made = Weather(beats, site_nats, mtce, connection, random.Random(seed))
            try:
                await reaches(lambda: _begun(made), deadline_s=HEALED_S, what="service of all")
                yield made
            finally:
                await connection.close()


async def _begun(weather: Weather) -> bool:
    if await weather.connection.fetchval("select to_regclass('verdict')") is None:
        return False
    return await weather.all_serve()


async def proves(weather: Weather, seconds: float) -> None:
    """No false verdict in bad weather; a true one after it."""
    await weather.rage(seconds)
    await reaches(weather.all_serve, deadline_s=HEALED_S, what="service of all after it")
    found = await weather.verdicts()
    print(f"{len(found)} verdicts in {seconds:g} s of bad weather")
    assert await weather.false_verdicts() == []
    victim: Beat = weather.beats.hosts["worker-7"]
    victim.beats = False
    died_at = time.time()

    async def told() -> bool:
        return any(host == victim.name and at > died_at for host, at in await weather.verdicts())

    await reaches(told, deadline_s=HEALED_S, what="a verdict on a dead host")


async def test_no_host_that_beats_is_failed_when_all_around_the_monitor_goes_wrong(
    weather: Weather,
) -> None:
    with busy(os.cpu_count() or 1):
        await proves(weather, CI_S)


@pytest.mark.soak
async def test_no_host_that_beats_is_failed_for_half_an_hour_of_bad_weather(
    weather: Weather,
) -> None:
    with busy(SOAK_LOAD * (os.cpu_count() or 1)):
        await proves(weather, float(os.environ.get("VERDICTS_SOAK_S", SOAK_S)))
