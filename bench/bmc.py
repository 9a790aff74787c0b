"""The poller of BMCs at the size of a large site: 500 simulated Redfish BMCs, audited every 10 s.

The BMCs live in a process of their own, each on a loopback address, over HTTP without TLS; one of
them never answers. Measured is the CPU time of this process, in which mtce's poller, its Redfish
client and its database side run and nothing else, over WINDOW_S once every BMC has been audited.
- cpu_pct: of one core.
- audits_per_s: what was audited meanwhile; 50/s are due, so that one that is slow delays no other.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bench.harness import Options, Row
from murmuration.bmc.connect import bmc_clients
from murmuration.bmc.secrets import FileSecrets
from murmuration.mtce.adapters.bmc import Bmcs
from murmuration.mtce.app import MIGRATIONS
from murmuration.mtce.core.sensors import SensorPolicy
from murmuration.mtce.handlers.bmcs import BmcHandlers
from murmuration.mtce.store import bmcs
from murmuration.mtce.store.bmcs import BmcConfig
from murmuration.mtce.tasks_bmc import BmcTasks, Pace
from murmuration.proto import registry
from murmuration.proto.ids import HostName
from murmuration.proto.mtce_bmc import BmcPower, FencePolicy
from murmuration.proto.sysinv import BmcProtocol, BmcTrust, HostBmc
from murmuration.runtime.clock import SystemClock
from murmuration.sim.bmc import PASSWORD, USER, addresses
from murmuration.store.database import Database, open_database
from murmuration.testkit.levels import reaches
from murmuration.testkit.ports import free_port, short_folder
from murmuration.testkit.postgres import Postgres

TITLE = "bmc: 500 Redfish BMCs audited every 10 s"
ROWS = (
    Row(name="cpu_pct", unit="%", target=15),
    Row(name="audits_per_s", unit="1/s", target=45, better="higher"),
)
COUNT = 500
AUDIT_S = 10.0
WINDOW_S = 30.0
KNOWN = """
insert into mirror_host (name, index, period_ms, accepted, administrative, epoch, change)
values ($1, $2, 100, true, 'locked', 1, 1)
"""


@asynccontextmanager
async def machines(count: int, port: int) -> AsyncIterator[None]:
    """The simulated BMCs, in a process of their own; the last one is mute."""
    command = [sys.executable, "-m", "murmuration.sim", "bmcs", "--mute", "1"]
    process = await asyncio.create_subprocess_exec(
        *command, "--count", str(count), "--port", str(port), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), 60)
        yield
    finally:
        process.kill()
        await process.wait()


async def declare(database: Database, secrets: FileSecrets, count: int, port: int) -> None:
    """As sysinv's events would: hosts with BMCs."""
    async with database.unit() as unit:
        for place, address in enumerate(addresses(count)):
            name = HostName(f"worker-{place}")
            secrets.write(name, PASSWORD)
            bmc = HostBmc(
                protocol=BmcProtocol.REDFISH,
                address=address,
                user=USER,
                redfish_port=port,
                trust=BmcTrust.PLAINTEXT,
            )
            await unit.connection.execute(KNOWN, name, place)
            await bmcs.save_config(unit.connection, name, BmcConfig(bmc, FencePolicy.GRACEFUL))


async def audited(database: Database) -> int:
    """How many BMCs have been found on."""
    async with database.connection() as connection:
        records = await bmcs.every(connection)
    return sum(record.power is BmcPower.ON for record in records)


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS."""
    count, window_s = (100, 10.0) if options.quick else (COUNT, WINDOW_S)
    registry.load()
    async with contextlib.AsyncExitStack() as stack:
        folders = [Path(stack.enter_context(short_folder())) for _ in range(2)]
        postgres, port, clock = Postgres(folders[0]), free_port(), SystemClock()
        postgres.start()
        stack.callback(postgres.abandon)
        opened = open_database(postgres.section, postgres.database("mtce"), migrations=MIGRATIONS)
        database = await stack.enter_async_context(opened)
        async with database.connection():
            database.verified.set()
        await stack.enter_async_context(machines(count, port))
        secrets = FileSecrets(folders[1] / "bmc")
        await declare(database, secrets, count, port)
        clients = await stack.enter_async_context(bmc_clients())
        tasks = BmcTasks(
            source=Bmcs(clients, secrets, clock),
            database=database,
            handlers=BmcHandlers(clock, SensorPolicy()),
            pace=Pace(audit_s=AUDIT_S),
        )
        task = asyncio.create_task(tasks.run())
        try:
            await reaches(lambda: _all_but(database, count), deadline_s=60, what="a first round")
            await asyncio.sleep(AUDIT_S)  # what a first audit costs more is over
            cpu, audits, at = time.process_time(), tasks.audit_count, time.monotonic()
            await asyncio.sleep(window_s)
            took_s = time.monotonic() - at
            cpu_pct = (time.process_time() - cpu) / took_s * 100
            rate = (tasks.audit_count - audits) / took_s
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    scale = COUNT / count  # of a quick run
    return {"cpu_pct": cpu_pct * scale, "audits_per_s": rate * scale}


async def _all_but(database: Database, count: int) -> bool:
    return await audited(database) >= count - 1
