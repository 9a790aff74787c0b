"""A small site of real processes which may be killed, frozen, emptied and put back at any moment.

NATS (one or three servers), PostgreSQL, two replicas each of `thing` and `echo`. No identities: who
may say what is tested elsewhere.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

import asyncpg
import msgspec

from murmuration.bus.connection import Bus, open_bus
from murmuration.bus.provision import bucket_config, stream_config
from murmuration.proto import registry
from murmuration.proto.platform import sent_bucket
from murmuration.runtime.config import (
    BusCredentials,
    BusSection,
    Credentials,
    DatabaseCredentials,
)
from murmuration.security.ed25519 import fresh_user_seed
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import find_server
from murmuration.testkit.ports import free_port, short_folder
from murmuration.testkit.postgres import Postgres
from tests.chaos import contract

ROOT = Path(__file__).parents[2]
SERVICES = ("thing", "echo")
LOGIN = BusCredentials(jwt="none", seed=fresh_user_seed(bytes(32)))
STREAMS = ("THING", "THING_ORDERS", "ECHO")
BUCKETS = (contract.BUCKET, *(sent_bucket(service) for service in SERVICES))
CONFIG = """
[site]
credentials_dir = "{credentials}"
[bus]
url = "{url}"
ping_interval_s = 0.5
[store]
host = "{host}"
[telemetry]
log_level = "info"
"""


class Process:
    """A process that is started again in the same way after it was killed."""

    def __init__(self, name: str, command: list[str], log: Path, env: dict[str, str] | None = None):
        self.name = name
        self._command = command
        self._log = log
        self._env = env
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert self._running is None, f"{self.name} runs"
        output: IO[bytes]
        with self._log.open("ab") as output:
            self._running = subprocess.Popen(
                self._command, stdout=output, stderr=output, env=self._env, cwd=ROOT
            )

    def signal(self, number: signal.Signals) -> None:
        if self._running is not None and self._running.poll() is None:
            self._running.send_signal(number)

    def kill(self) -> None:
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None

    @property
    def runs(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)


class Database(Process):
    """PostgreSQL, as a process like the others."""

    def __init__(self, server: Postgres) -> None:
        super().__init__("postgres", [], server.folder / "pg.log")
        self.server = server
        self.shared = server.process is not None  # of other tests too: neither started nor ended

    def start(self) -> None:
        for attempt in range(50):
            try:
                self.server.start()
                return
            except RuntimeError:  # what was killed may still be going
                if attempt == 49:
                    raise
                self.server.kill()

    def signal(self, number: signal.Signals) -> None:
        """To the server and all its children, for each has its own session."""
        process = self.server.process
        if process is None:
            return
        path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        children = [int(pid) for pid in path.read_text().split()]
        for pid in (process.pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    @property
    def runs(self) -> bool:
        return self.server.process is not None and self.server.process.poll() is None

    def kill(self) -> None:
        self.server.kill()

    def sql(self, statement: str, *, attempts: int = 1) -> None:
        """Run a statement as the administrator; again while it is refused."""
        for attempt in range(attempts):
            done = self.server.execute(statement)
            if done.returncode == 0:
                return
            if attempt == attempts - 1:
                raise RuntimeError(done.stderr.decode())
            time.sleep(0.1)

    def keep(self) -> None:
        """Copy the data directory, as a backup of this moment."""
        self.kill()
        shutil.copytree(self.server.data, self.server.folder / "kept")
        self.start()

    def put_back(self) -> None:
        """Put the copy in the place of the data directory."""
        self.kill()
        shutil.rmtree(self.server.data)
        (self.server.folder / "kept").rename(self.server.data)
        self.start()


class World:
    """The processes of one test, and what can be asked of them from outside."""

    def __init__(
        self,
        folder: Path,
        *,
        servers: int,
        nats_store: Path | None,
        database: Path | None,
        postgres: Postgres | None,
    ) -> None:
        self.folder = folder
        self.nats_store = nats_store or folder / "store"
        database = database or folder / "db"
        database.mkdir(mode=0o777)
        self.postgres = Database(postgres or Postgres(database))
        self.ports = [free_port() for _ in range(servers)]
        cluster = [free_port() for _ in range(servers)]
        self.nats = [self._nats(n, self.ports[n], cluster) for n in range(servers)]
        self.url = ",".join(f"nats://127.0.0.1:{port}" for port in self.ports)
        self.section = BusSection(url=self.url, ping_interval_s=0.5)
        self.logins: dict[str, DatabaseCredentials] = {}
        self.replicas = [
            self._replica(service, number) for service in SERVICES for number in (1, 2)
        ]

    def _nats(self, number: int, port: int, cluster: list[int]) -> Process:
        config: dict[str, object] = {
            "server_name": f"n{number}",
            "host": "127.0.0.1",
            "port": port,
            "ping_interval": "5s",
            "ping_max": 2,
            "write_deadline": "2s",
            "jetstream": {
                "store_dir": str(self.nats_store / f"n{number}"),
                "sync_interval": "1s",
                "max_file_store": 2**40,  # what streams may reserve, however small the disk is
            },
        }
        if len(cluster) > 1:
            config["cluster"] = {
                "name": "chaos",
                "listen": f"127.0.0.1:{cluster[number]}",
                "routes": [f"nats://127.0.0.1:{other}" for other in cluster],
            }
        path = self.folder / f"nats{number}.conf"
        path.write_text(json.dumps(config))
        command = [str(find_server()), "-c", str(path)]
        return Process(f"nats-{number}", command, self.folder / f"nats{number}.log")

    def _replica(self, service: str, number: int) -> Process:
        name = f"{service}-{number}"
        env = {**os.environ, "MUR_CONFIG": str(self.folder / "site.toml")}
        command = [sys.executable, "-m", "tests.chaos.thing", service]
        return Process(name, command, self.folder / f"{name}.log", env)

    def of(self, service: str) -> list[Process]:
        """The replicas of a service."""
        return [process for process in self.replicas if process.name.startswith(service)]

    async def start(self, *, replicas: bool) -> None:
        """All of it: servers, streams, replicas."""
        if not self.postgres.shared:
            self.postgres.start()
        for server in self.nats:
            server.start()
        credentials = self.folder / "credentials"
        credentials.mkdir()
        for service in SERVICES:
            self.logins[service] = self.postgres.server.database(service)
            login = Credentials(bus=LOGIN, database=self.logins[service])
            (credentials / f"{service}.json").write_bytes(msgspec.json.encode(login))
        (self.folder / "site.toml").write_text(
            CONFIG.format(credentials=credentials, url=self.url, host=self.postgres.server.folder)
        )
        await self.provision()
        for replica in self.replicas if replicas else ():
            replica.start()

    def keep_nats(self) -> None:
        """Copy the servers' stores, as they are at this moment (stopped for it)."""
        for server in self.nats:
            server.kill()
        shutil.copytree(self.nats_store, self.folder / "kept-store")
        for server in self.nats:
            server.start()

    def put_nats_back(self) -> None:
        """Put the servers' stores back to the copy."""
        for server in self.nats:
            server.kill()
        shutil.rmtree(self.nats_store)
        (self.folder / "kept-store").rename(self.nats_store)
        for server in self.nats:
            server.start()

    def cut_nats(self, dice: random.Random) -> list[str]:
        """As a power cut: the ends of the streams' files never reached the disk."""
        for server in self.nats:
            server.kill()
        cut: list[str] = []
        for path in sorted(self.nats_store.rglob("msgs/*.blk")):
            size = path.stat().st_size
            kept = size - dice.randint(0, size // 4)
            os.truncate(path, kept)
            cut.append(f"{path.parent.parent.name} to {kept} of {size} bytes")
        for server in self.nats:
            server.start()
        return cut

    def copy_database(self, service: str) -> None:
        """Keep a copy of one service's database, as a backup of this moment."""
        name = self.logins[service].name
        self._alone(name, f"create database {name}_kept template {name} owner {name}")

    def put_database_back(self, service: str) -> None:
        """Put the copy in the place of the database, under running replicas."""
        name = self.logins[service].name
        self._alone(name, f"drop database {name}")
        self._alone(name, f"alter database {name}_kept rename to {name}")

    def _alone(self, name: str, sql: str) -> None:
        """Run `sql` with nobody connected to that database."""
        gone = f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
        self.postgres.sql(f"alter role {name} nologin")
        try:
            self.postgres.sql(gone)
            self.postgres.sql(sql, attempts=50)
        finally:
            self.postgres.sql(f"alter role {name} login")

    @asynccontextmanager
    async def bus(self, identity: str = "load") -> AsyncIterator[Bus]:
        """A connection of its own."""
        async with open_bus(self.section, LOGIN, identity=identity) as bus:
            yield bus

    async def provision(self) -> None:
        """The streams and buckets of the chaos contract alone."""
        replicas = len(self.nats)
        configs = [stream_config(registry.STREAMS[name], replicas=replicas) for name in STREAMS]
        for name in BUCKETS:
            configs.append(bucket_config(registry.BUCKETS[name], replicas=replicas))
        async with self.bus("provisioner") as bus:
            for config in configs:

                async def made(config: object = config) -> bool:
                    try:
                        await bus.js.add_stream(config)  # type: ignore[arg-type]
                    except Exception:
                        return False
                    return True

                await reaches(made, what=f"stream {config.name}")

    @asynccontextmanager
    async def database(self, service: str) -> AsyncIterator[asyncpg.Connection]:
        """A connection to a service's database, to look at it."""
        login = self.logins[service]
        connection = await asyncpg.connect(
            host=str(self.postgres.server.folder),
            user=login.user,
            password=login.password,
            database=login.name,
        )
        try:
            yield connection
        finally:
            await connection.close()

    def logs(self, name: str) -> str:
        """What a replica has written."""
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def said(self, event: str) -> list[str]:
        """The log lines of that event, of all replicas."""
        needle = f'"event": "{event}"'
        return [
            line
            for replica in self.replicas
            for line in self.logs(replica.name).splitlines()
            if needle in line
        ]

    def end(self) -> None:
        """Nothing is left behind."""
        for process in (*self.replicas, *self.nats):
            process.thaw()
            process.kill()
        if not self.postgres.shared:
            self.postgres.thaw()
            self.postgres.server.abandon()


@contextmanager
def chaos_folder() -> Iterator[Path]:
    """A folder for a world; kept, and named, where CHAOS_KEEP asks for it."""
    with short_folder() as folder:
        yield folder
        keep = os.environ.get("CHAOS_KEEP")
        if keep:
            shutil.copytree(folder, keep, dirs_exist_ok=True, ignore=_sockets)


def _sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(".s.") or name in ("pg", "store")]


@asynccontextmanager
async def world(
    *,
    servers: int = 1,
    nats_store: Path | None = None,
    database: Path | None = None,
    postgres: Postgres | None = None,
    replicas: bool = True,
) -> AsyncIterator[World]:
    """A running world; its servers alone without `replicas`; `postgres` may be one that runs."""
    with contract.declared(), chaos_folder() as folder:
        made = World(
            folder, servers=servers, nats_store=nats_store, database=database, postgres=postgres
        )
        try:
            await made.start(replicas=replicas)
            yield made
        finally:
            made.end()
