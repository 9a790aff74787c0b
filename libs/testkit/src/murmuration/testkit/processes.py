"""A real service as a process of its own, on real NATS and PostgreSQL: to be measured or killed."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from murmuration.runtime.config import DatabaseCredentials
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import service_config

STOP_S = 20.0
CONFIG = """
[site]
name = "test"
credentials_dir = "{credentials}"
[bus]
url = "{url}"
[store]
host = "{host}"
port = {port}
[telemetry]
log_level = "warning"
[{identity}]
"""


class ServiceProcess:
    """One replica of a service; `kill` and `start` as often as wanted."""

    def __init__(
        self,
        identity: str,
        nats: NatsServer,
        postgres: Postgres,
        folder: Path,
        *,
        database: DatabaseCredentials | None = None,
        **section: object,
    ) -> None:
        """`section` is the service's own section; its database is new unless given."""
        self.identity = identity
        config = service_config(identity, nats, postgres, database=database, **section)
        self._log = folder / f"{identity}.log"
        self._config = folder / f"{identity}.toml"
        lines = [
            f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}"
            for key, value in config.sections[identity].items()
        ]
        self._config.write_text(
            CONFIG.format(
                credentials=nats.credentials_dir,
                url=nats.section.url,
                host=postgres.section.host,
                port=postgres.section.port,
                identity=identity,
            )
            + "\n".join(lines)
            + "\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of the process."""
        return {**os.environ, "MUR_CONFIG": str(self._config)}

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Start it; it may not be running."""
        assert self.process is None, f"{self.identity} runs"
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"murmuration.{self.identity}"],
                stdout=output,
                stderr=output,
                env=dict(self.environment),
            )

    def kill(self) -> None:
        """End it at once, as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """Ask it to end, and see to it."""
        if self.process is not None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_S)
            self.kill()


@contextmanager
def service_process(
    identity: str,
    nats: NatsServer,
    postgres: Postgres,
    folder: Path,
    *,
    database: DatabaseCredentials | None = None,
    **section: object,
) -> Iterator[ServiceProcess]:
    """A running service until the end of the context."""
    service = ServiceProcess(identity, nats, postgres, folder, database=database, **section)
    service.start()
    try:
        yield service
    finally:
        service.stop()
