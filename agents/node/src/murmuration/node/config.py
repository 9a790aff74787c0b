"""node.toml: one host's configuration, written by whoever sets the host up."""

import os
from pathlib import Path
from typing import Annotated, TypeVar
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
NETWORKS = ("oam", "management", "cluster-host")
SENSOR_ACTIONS = ("ignore", "log", "alarm", "reset", "power-cycle")
S = TypeVar("S", bound=Section)


class HostSection(Section, frozen=True, kw_only=True):
    """The host the agent speaks for."""

    name: str
    personality: Personality = Personality.WORKER
    subfunctions: Annotated[
        tuple[Personality, ...],
        Meta(max_length=4, description="what else it is for: worker, on an all-in-one controller"),
    ] = ()
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


Program = Annotated[
    tuple[str, ...], Meta(max_length=32, description="a program and its arguments; empty: none")
]
Percent = Annotated[float, Meta(gt=0, le=100)]


class MaintenanceSection(Section, frozen=True, kw_only=True):
    """What the host does when mtce orders it. A program that is not named is not run: refused."""

    reboot: Annotated[Program, Meta(description="asks for an orderly reboot")] = ()
    reboot_now: Annotated[Program, Meta(description="when that took too long; empty: wait on")] = ()
    wipe: Annotated[Program, Meta(description="before the host is given away")] = ()
    test_dir: Annotated[str, Meta(description="go-enabled tests; empty: refused")] = ""
    services_dir: Annotated[
        str, Meta(description="scripts of services; empty: none, where tests are named")
    ] = ""
    systemctl: str = "/usr/bin/systemctl"  # absent: it is not asked

    @property
    def may(self) -> frozenset[str]:
        """The kinds of orders that this host can carry out."""
        able = {
            "reboot": self.reboot,
            "wipe": self.wipe,
            "in-test": self.test_dir,
            "services": self.services_dir or self.test_dir,  # who is enabled may have none
        }
        return frozenset(kind for kind, means in able.items() if means)


class ProcessesSection(Section, frozen=True, kw_only=True):
    """The process monitor."""

    dir: Annotated[str, Meta(description="pmon.d: a file for each process; empty: off")] = ""
    start_delay_s: Annotated[float, Meta(ge=0, le=600, description="after the agent's start")] = 0.0
    init_file: Annotated[str, Meta(description="there when the host is initialised")] = ""
    active_port: Annotated[int, Meta(ge=0, le=65_535, description="answers of active ones")] = 2_200


class ResourcesSection(Section, frozen=True, kw_only=True):
    """Thresholds of processor and memory; below one by `clear_below`, its alarm ends."""

    enabled: bool = False
    root: Annotated[str, Meta(description="folder in which proc lies")] = "/"
    every_s: Annotated[float, Meta(ge=0.05, le=600)] = 30.0
    samples: Annotated[int, Meta(ge=1, le=100, description="in a row before a change")] = 3
    clear_below: Annotated[float, Meta(ge=0, le=50, description="percentage points")] = 2.0
    cpu_major_percent: Percent = 90.0
    cpu_critical_percent: Percent = 95.0
    memory_major_percent: Percent = 80.0
    memory_critical_percent: Percent = 90.0


class FilesystemsSection(Section, frozen=True, kw_only=True):
    """Fill levels, and whether writes come through."""

    paths: Annotated[tuple[str, ...], Meta(max_length=128, description="mount points")] = ()
    probe_dirs: Annotated[
        tuple[str, ...], Meta(max_length=128, description="folders to write a probe into")
    ] = ()
    every_s: Annotated[float, Meta(ge=0.05, le=600)] = 15.0
    stall_after_s: Annotated[float, Meta(ge=0.05, le=600)] = 30.0
    samples: Annotated[int, Meta(ge=1, le=100)] = 2
    clear_below: Annotated[float, Meta(ge=0, le=50)] = 2.0
    major_percent: Percent = 80.0
    critical_percent: Percent = 90.0


class SensorLimit(Section, frozen=True, kw_only=True):
    """Policy for the sensors whose name fits `match` (a shell pattern); the first that fits holds.

    Without limits of its own, the driver's (hwmon's min, max, crit) hold.
    """

    match: Annotated[str, Meta(min_length=1, max_length=128)]
    minor_above: float | None = None
    major_above: float | None = None
    critical_above: float | None = None
    minor_below: float | None = None
    major_below: float | None = None
    critical_below: float | None = None
    minor: str = "ignore"
    major: str = "log"
    critical: str = "alarm"


class SensorsSection(Section, frozen=True, kw_only=True):
    """In-band sensors."""

    dir: Annotated[str, Meta(description="/sys/class/hwmon; empty: off")] = ""
    every_s: Annotated[float, Meta(ge=0.05, le=3_600)] = 120.0
    samples: Annotated[int, Meta(ge=1, le=100, description="in a row before a change")] = 1
    limits: Annotated[tuple[SensorLimit, ...], Meta(max_length=256)] = ()


class LinkRole(Section, frozen=True, kw_only=True):
    """An interface with a part in the site; `ports` are the links it is made of, itself if none."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    network: Annotated[str, Meta(description="oam, management or cluster-host")]
    ports: Annotated[tuple[str, ...], Meta(max_length=16)] = ()


class LinksSection(Section, frozen=True, kw_only=True):
    """Which links matter, and for what."""

    interfaces: Annotated[tuple[LinkRole, ...], Meta(max_length=64)] = ()
    debounce_s: Annotated[float, Meta(ge=0, le=60, description="a flap shorter is none")] = 1.0


class TracesSection(Section, frozen=True, kw_only=True):
    """Where an earlier boot left traces of its end."""

    pstore_dir: Annotated[str, Meta(description="/sys/fs/pstore; empty: off")] = ""


class WatchdogSection(Section, frozen=True, kw_only=True):
    """The watchdog on this host, which the process monitor's quorum is a condition of."""

    socket: Annotated[str, Meta(description="of murmuration-watchdog; empty: off")] = ""
    lease_s: Annotated[float, Meta(ge=10, le=600, description="the agent may be away so long")] = (
        90.0  # ten: four renewals, each of which may wait for its answer
    )


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the agent is told."""

    host: HostSection
    bus: AgentBusSection
    pulse: PulseSection
    telemetry: TelemetrySection
    maintenance: MaintenanceSection
    processes: ProcessesSection
    resources: ResourcesSection
    filesystems: FilesystemsSection
    sensors: SensorsSection
    links: LinksSection
    traces: TracesSection
    watchdog: WatchdogSection

    @property
    def name(self) -> HostName:
        """The host's name, checked when the file was read."""
        return HostName(self.host.name)


def load(path: Path) -> NodeConfig:
    """Read node.toml. Raises Rejected, naming what is wrong."""
    sections, environ = read_file(path), os.environ

    def section(kind: type[S], name: str) -> S:
        return decode_section(kind, name, sections, environ)

    host = section(HostSection, "host")
    bus = section(AgentBusSection, "bus")
    try:
        parse_host_name(host.name)
    except ValueError as error:
        raise Rejected(f"configuration section [host]: {error}") from error
    pulse = section(PulseSection, "pulse")
    endpoint(bus.url)
    for address in (*pulse.udp, *((pulse.nats,) if pulse.nats else ())):
        endpoint(f"udp://{address}")
    return NodeConfig(
        host=host,
        bus=bus,
        pulse=pulse,
        telemetry=section(TelemetrySection, "telemetry"),
        maintenance=_allowed(host, section(MaintenanceSection, "maintenance")),
        processes=section(ProcessesSection, "processes"),
        resources=section(ResourcesSection, "resources"),
        filesystems=section(FilesystemsSection, "filesystems"),
        sensors=_sensible(section(SensorsSection, "sensors")),
        links=_known(section(LinksSection, "links")),
        traces=section(TracesSection, "traces"),
        watchdog=section(WatchdogSection, "watchdog"),
    )


def _allowed(host: HostSection, section: MaintenanceSection) -> MaintenanceSection:
    """What is left of the orders on a host that is only observed: nothing."""
    return MaintenanceSection() if host.observe_only else section


def _sensible(section: SensorsSection) -> SensorsSection:
    for limit in section.limits:
        for severity in ("minor", "major", "critical"):
            allowed = SENSOR_ACTIONS if severity == "critical" else SENSOR_ACTIONS[:3]
            if getattr(limit, severity) not in allowed:
                raise Rejected(
                    f"configuration section [sensors]: {severity} of {limit.match!r} is not one of "
                    + ", ".join(allowed)
                )
    return section


def _known(section: LinksSection) -> LinksSection:
    for link in section.interfaces:
        if link.network not in NETWORKS:
            raise Rejected(
                f"configuration section [links]: the network of {link.name} is not one of "
                + ", ".join(NETWORKS)
            )
    return section


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
