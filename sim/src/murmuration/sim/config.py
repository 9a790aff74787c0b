"""sim.toml: which hosts to simulate, and where the site is."""

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from murmuration.kernel.errors import Rejected
from murmuration.proto.ids import parse_host_name
from murmuration.proto.sysinv import Origin, Personality
from murmuration.runtime.config import (
    BusSection,
    Credentials,
    Section,
    TelemetrySection,
    read_credentials,
)
from murmuration.sim.core.host import Declared
from murmuration.sim.core.world import HOST_COUNT_MAX


class SimSection(Section, frozen=True, kw_only=True):
    """The simulator itself."""

    state_dir: Annotated[str, Meta(min_length=1, description="where sim.sock is")]
    flap_every_s: Annotated[float, Meta(ge=0, description="a data link bounces; 0: never")] = 900.0


class SimBusSection(BusSection, frozen=True, kw_only=True):
    """Where NATS is, and the folder with sim.json (credentials)."""

    credentials_dir: str = ""


class PulseSection(Section, frozen=True, kw_only=True):
    """Where heartbeats go."""

    nats: Annotated[
        str, Meta(description="address:port of NATS' door for them; empty: where bus.url is")
    ] = ""
    udp: Annotated[tuple[str, ...], Meta(max_length=8, description="address:port each")] = ()


class HostEntry(Section, frozen=True, kw_only=True):
    """One [[host]]: the keys of node.toml's [host]; it is always told as simulated."""

    name: str
    personality: Personality = Personality.WORKER
    origin: Origin = Origin.SIMULATED
    observe_only: bool = False
    address: str = ""
    boot_id: Annotated[str, Meta(description="accepted and unused: the world gives boots")] = ""
    state_dir: Annotated[str, Meta(description="accepted and unused: nothing is kept")] = ""


class _File(Section, frozen=True, kw_only=True):
    sim: SimSection
    bus: SimBusSection = SimBusSection()
    pulse: PulseSection = PulseSection()
    telemetry: TelemetrySection = TelemetrySection()
    host: Annotated[tuple[HostEntry, ...], Meta(max_length=HOST_COUNT_MAX)] = ()


class SimConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the simulator is told."""

    sim: SimSection
    bus: SimBusSection
    pulse: PulseSection
    telemetry: TelemetrySection
    hosts: tuple[Declared, ...]
    credentials: Credentials


def load(path: Path) -> SimConfig:
    """Read sim.toml and the credentials. Raises Rejected, naming what is wrong."""
    try:
        found = msgspec.convert(tomllib.loads(path.read_text()), _File)
    except OSError as error:
        raise Rejected(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Rejected(f"{path}: {error}") from error
    names = [entry.name for entry in found.host]
    for name in names:
        try:
            parse_host_name(name)
        except ValueError as error:
            raise Rejected(f"{path}: [[host]]: {error}") from error
        if names.count(name) > 1:
            raise Rejected(f"{path}: two hosts are named {name}")
    if any(entry.origin is not Origin.SIMULATED for entry in found.host):
        raise Rejected(f'{path}: [[host]]: the origin of a simulated host is "simulated"')
    return SimConfig(
        sim=found.sim,
        bus=found.bus,
        pulse=found.pulse,
        telemetry=found.telemetry,
        hosts=tuple(
            Declared(
                name=entry.name,
                personality=entry.personality,
                address=entry.address,
                observe_only=entry.observe_only,
            )
            for entry in found.host
        ),
        credentials=read_credentials(Path(found.bus.credentials_dir), "sim"),
    )
