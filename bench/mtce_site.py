"""What benchmarks of a whole mtce share: its servers, so many hosts declared and beating."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from bench.monitoring import Child, swarms
from murmuration.bus.connection import Bus, open_bus
from murmuration.bus.provision import provision
from murmuration.proto import registry
from murmuration.proto.envelope import encode
from murmuration.proto.sysinv import (
    Administrative,
    Admission,
    Host,
    HostAccepted,
    Origin,
    Personality,
)
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import free_port, short_folder
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import service_config

DEADLINE_S = 120.0


@dataclass
class MtceSite:
    """A real NATS, a real PostgreSQL, hosts that beat; mtce in a process of its own."""

    nats: NatsServer
    connection: asyncpg.Connection
    swarm: list[Child]
    config_file: Path
    log_file: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start mtce; what it says goes to its log."""
        with self.log_file.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "murmuration.mtce"],
                env={**os.environ, "MUR_CONFIG": str(self.config_file)},
                stdout=output,
                stderr=output,
            )

    def stop(self, number: signal.Signals) -> None:
        """End mtce, and wait for it."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(30)
            self.process = None

    async def serving(self) -> int:
        """How many hosts are in service."""
        serve = "select count(*) from host_state where availability = 'available'"
        return int(await self.connection.fetchval(serve) or 0)

    async def until(self, level: Callable[[], Any], what: str) -> None:
        """Wait for a level. Raises RuntimeError, with the end of mtce's log."""
        try:
            await reaches(level, deadline_s=DEADLINE_S, what=what)
        except AssertionError as error:
            raise RuntimeError(f"{error}: {self.log_file.read_text()[-2_000:]}") from error

    def said(self, word: str, since: int = 0) -> str:
        """The first line of mtce's log, from a place on, that has this word; empty when none."""
        text = self.log_file.read_text()[since:]
        return next((line for line in text.splitlines() if word in line), "")


async def _accept(sysinv: Bus, index: int, period_ms: int) -> None:
    name = f"host-{index}"
    host = Host(
        name=name,
        index=index,
        shard=0,
        personality=Personality.WORKER,
        origin=Origin.SIMULATED,
        observe_only=False,
        admission=Admission.ACCEPTED,
        intended_administrative=Administrative.UNLOCKED,
        pulse_period_ms=period_ms,
        address=f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}",
    )
    headers = {
        "ce-type": "sysinv.host.accepted.v1",
        "ce-subject": name,
        "Mur-Epoch": "1",
        "Mur-Change": str(index + 1),
    }
    await sysinv.js.publish(
        f"sysinv.event.host.accepted.{name}",
        encode(HostAccepted(host=host, reason="bench")),
        headers=headers,
    )


def _config_text(config: Any) -> str:
    own = "\n".join(f"{key} = {_toml(value)}" for key, value in config.sections["mtce"].items())
    return (
        f'[site]\nname = "bench"\ncredentials_dir = "{config.site.credentials_dir}"\n'
        f'[bus]\nurl = "{config.bus.url}"\n'
        f'[store]\nhost = "{config.store.host}"\nport = {config.store.port}\n[mtce]\n{own}\n'
    )


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


@asynccontextmanager
async def mtce_site(
    *, hosts: int, period_ms: int, processes: int = 2
) -> AsyncGenerator[MtceSite, None]:
    """A site with so many unlocked hosts; yields when all are in service."""
    registry.load()
    with short_folder() as folder:
        nats, postgres = NatsServer(folder), Postgres(folder)
        nats.start()
        postgres.start()
        try:
            async with open_bus(
                nats.section, nats.login("provisioner"), identity="provisioner"
            ) as bus:
                await provision(bus)
            login = postgres.database("mtce")
            config = service_config(
                "mtce",
                nats,
                postgres,
                database=login,
                udp_listen=f"127.0.0.1:{free_port()}",
                heartbeat_soak_s=0.5,
                dead_office_s=0,
            )
            config_file = folder / "site.toml"
            config_file.write_text(_config_text(config))
            with swarms(nats, hosts=hosts, period_ms=period_ms, processes=processes) as swarm:
                async with open_bus(
                    nats.section, nats.login("sysinv"), identity="sysinv"
                ) as sysinv:
                    for index in range(hosts):
                        await _accept(sysinv, index, period_ms)
                connection = await asyncpg.connect(
                    host=config.store.host,
                    port=config.store.port,
                    user=login.user,
                    password=login.password,
                    database=login.name,
                )
                site = MtceSite(nats, connection, swarm, config_file, folder / "mtce.log")
                site.start()
                try:
                    await site.until(lambda: _all_serve(site, hosts), "all hosts in service")
                    yield site
                finally:
                    site.stop(signal.SIGKILL)
                    await connection.close()
        finally:
            nats.kill()
            postgres.abandon()


async def _all_serve(site: MtceSite, hosts: int) -> bool:
    with suppress(asyncpg.UndefinedTableError):
        return await site.serving() == hosts
    return False
