"""node.toml: one host's configuration, written by whoever sets the host up."""

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from murmuration.kernel.errors import Rejected
from murmuration.proto.ids import HostName, parse_host_name
from murmuration.proto.sysinv import Origin, Personality
from murmuration.runtime.config import (
    BusSection,
    Section,
    TelemetrySection,
    decode_section,
    read_file,
)

NATS_PORT = 4222


class HostSection(Section, frozen=True, kw_only=True):
    """The host the agent speaks for."""

    name: str
    personality: Personality = Personality.WORKER
    origin: Origin = Origin.MACHINE
    observe_only: Annotated[bool, Meta(description="refuse every change on this host")] = False
    address: Annotated[str, Meta(description="management address")] = ""
    boot_id: Annotated[str, Meta(description="UUID; empty: the kernel's")] = ""
    state_dir: Annotated[str, Meta(min_length=1, description="join.token, and what is kept")]


class AgentBusSection(BusSection, frozen=True, kw_only=True):
    """Where NATS is."""

    ping_interval_s: Annotated[float, Meta(gt=0, le=60)] = 1.0  # reports are no heartbeats


class PulseSection(Section, frozen=True, kw_only=True):
    """Where heartbeats go."""

    nats: Annotated[
        str, Meta(description="address:port of NATS' door for them; empty: where bus.url is")
    ] = ""
    udp: Annotated[tuple[str, ...], Meta(max_length=8, description="address:port each")] = ()


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the agent is told."""

    host: HostSection
    bus: AgentBusSection
    pulse: PulseSection
    telemetry: TelemetrySection

    @property
    def name(self) -> HostName:
        """The host's name, checked when the file was read."""
        return HostName(self.host.name)


def load(path: Path) -> NodeConfig:
    """Read node.toml. Raises Rejected, naming what is wrong."""
    sections, environ = read_file(path), os.environ
    host = decode_section(HostSection, "host", sections, environ)
    bus = decode_section(AgentBusSection, "bus", sections, environ)
    try:
        parse_host_name(host.name)
    except ValueError as error:
        raise Rejected(f"configuration section [host]: {error}") from error
    pulse = decode_section(PulseSection, "pulse", sections, environ)
    endpoint(bus.url)
    for address in (*pulse.udp, *((pulse.nats,) if pulse.nats else ())):
        endpoint(f"udp://{address}")
    return NodeConfig(
        host=host,
        bus=bus,
        pulse=pulse,
        telemetry=decode_section(TelemetrySection, "telemetry", sections, environ),
    )


def endpoint(url: str) -> tuple[str, int]:
    """Host and port of a URL; NATS's port when it names none. Raises Rejected."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or NATS_PORT
    except ValueError as error:
        raise Rejected(f"{url!r} is not an address with a port: {error}") from error
    if not host:
        raise Rejected(f"{url!r} is not an address with a port")
    return host, port
