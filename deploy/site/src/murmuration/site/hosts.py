"""The hosts of a site: which there are, where each keeps what, and the processes each is made of.

This machine is always one of them, observe-only. The others are network namespaces with the real
agents in them, or, without the rights for that, models in one simulator process.
"""

import importlib.util
import re
import socket
import sys
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from murmuration.site import certificates
from murmuration.site.errors import Refused
from murmuration.site.layout import Layout, write_private
from murmuration.site.network import HOST_COUNT_MAX, Network
from murmuration.site.process import Group, Probe, ProcessSpec
from murmuration.site.toml import Value, toml_text

DEFAULT_HOSTS = "controllers=2,workers=3"
KINDS = {"controllers": "controller", "workers": "worker", "storages": "storage"}
FIRST_NUMBER = {"controller": 0, "worker": 1, "storage": 0}
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123
NODE_NICE = 5  # an inventory is never urgent; on one machine it would delay the services' start
AFTER = ("nats",)  # an agent asks until sysinv answers, so it need not wait for it to start
RESERVED = ("site",)  # the bridge's namespace bears it
CONTROLLERS_OF_A_COUNT = 2
MACHINE = "machine"
NAMESPACE = "namespace"
SIMULATED = "simulated"
BUNDLE = "ca.pem"  # a host's own copy of the authorities to trust
SIMULATED_COUNT_MAX = 5_000  # what one simulator process beats for (its own limit)


@dataclass(frozen=True, kw_only=True, slots=True)
class HostPlan:
    """One host as the supervisor makes it."""

    name: str
    personality: str
    origin: str
    address: str = ""
    network: str | None = None

    @property
    def node(self) -> str:
        """The process name of its agent."""
        return f"{self.name}.node"

    @property
    def pulse(self) -> str:
        """The process name of its heartbeat sender."""
        return f"{self.name}.pulse"


def parse_hosts(text: str) -> tuple[str, ...]:
    """Host names from `N`, `name,name…` or `controllers=2,workers=3`. Raises Refused.

    `N` is that many hosts, the first two of them controllers.
    """
    text = text.strip()
    if text.isdecimal():
        count = int(text)
        controllers = min(CONTROLLERS_OF_A_COUNT, count)
        names = [*_numbered("controller", controllers), *_numbered("worker", count - controllers)]
    elif "=" in text:
        names = []
        for part in text.split(","):
            kind, _, number = part.strip().partition("=")
            if kind not in KINDS or not number.isdecimal():
                raise Refused(
                    f"--hosts: {part.strip()!r} is not understood.",
                    "Write for example controllers=2,workers=3.",
                )
            names += _numbered(KINDS[kind], int(number))
    else:
        names = [part.strip() for part in text.split(",")]
    _check_names(names)
    return tuple(names)


def _numbered(personality: str, count: int) -> list[str]:
    first = FIRST_NUMBER[personality]
    return [f"{personality}-{n}" for n in range(first, first + count)]


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if not LABEL.fullmatch(name) or name in RESERVED:
            raise Refused(
                f"--hosts: {name!r} cannot be a host's name.",
                "A name is lower-case letters, digits and hyphens, 63 at most, and not `site`.",
            )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise Refused(f"--hosts: {twice[0]!r} is there twice.", "Name it once.")


def personality_of(name: str) -> str:
    """What a host is for, by its name; a worker unless the name says otherwise."""
    kind = name.partition("-")[0]
    return kind if kind in FIRST_NUMBER else "worker"


def machine_name(others: Sequence[str]) -> str:
    """This machine's name as an RFC 1123 label that no other host bears."""
    label = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:53].strip("-")
    name = label or "this-machine"
    return f"{name}-machine" if name in (*others, *RESERVED) else name


def plan_hosts(names: Sequence[str], network: Network | None) -> tuple[HostPlan, ...]:
    """Every host, this machine last: in namespaces of `network`, or simulated without one."""
    if network is None:
        others = [
            HostPlan(
                name=name,
                personality=personality_of(name),
                origin=SIMULATED,
                address=f"198.19.{n // 250}.{n % 250 + 1}",  # the other half of RFC 2544's range
            )
            for n, name in enumerate(names)
        ]
    else:
        others = [
            HostPlan(
                name=name,
                personality=personality_of(name),
                origin=NAMESPACE,
                address=network.address(name),
                network=network.path(name),
            )
            for name in names
        ]
    machine = HostPlan(
        name=machine_name(names),
        personality="controller" if not names else "worker",
        origin=MACHINE,
        address=network.machine_address if network else "127.0.0.1",
    )
    return (*others, machine)


def check_count(count: int, *, simulated: bool) -> None:
    """Raise Refused when there are more hosts than this kind can have."""
    most = SIMULATED_COUNT_MAX if simulated else HOST_COUNT_MAX
    if count > most:
        raise Refused(f"--hosts: {count} hosts are too many.", f"At most {most} here.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Meeting:
    """Where hosts meet the site: NATS' URL, and `address:port` of its doors for heartbeats."""

    bus_url: str
    pulse_nats: str
    pulse_udp: str


def folder(layout: Layout, host: HostPlan) -> Path:
    """Where a host keeps what is its own."""
    return layout.hosts / host.name


def joining(layout: Layout, names: Sequence[str]) -> dict[str, str]:
    """The folders, made now, of the hosts that have agents: where their join tokens go."""
    found: dict[str, str] = {}
    for name in names:
        place = layout.hosts / name
        place.mkdir(mode=0o700, exist_ok=True)
        found[name] = str(place)
    return found


def boot(layout: Layout, host: HostPlan, meeting: Meeting) -> str:
    """Let a host be as after a power-on: a fresh boot id, no pulse key yet. The boot id.

    This machine keeps the kernel's boot id, which an empty one stands for.
    """
    place = folder(layout, host)
    place.mkdir(mode=0o700, exist_ok=True)
    boot_id = "" if host.origin == MACHINE else str(uuid.uuid4())
    (place / "pulse.json").unlink(missing_ok=True)
    certificates.copy(certificates.bundle(layout), place / BUNDLE)
    tables: dict[str, dict[str, Value]] = {
        "host": _host_table(host, boot_id, place),
        "bus": {"url": meeting.bus_url, "ca": str(place / BUNDLE)},
        "pulse": {"nats": meeting.pulse_nats, "udp": [meeting.pulse_udp]},
    }
    if host.origin == NAMESPACE:
        tables |= _plugin_tables(layout, host, place)
    write_private(place / "node.toml", toml_text(tables))
    return boot_id


def _plugin_tables(layout: Layout, host: HostPlan, place: Path) -> dict[str, dict[str, Value]]:
    """What a namespace host's agent looks after: folders of its own, and its link.

    Its processor, memory and disk are this machine's, which are not its own to speak of.
    """
    folders = {name: place / name for name in ("pmon.d", "goenabled.d", "services.d")}
    for each in folders.values():
        each.mkdir(mode=0o755, exist_ok=True)
    rebooting = (sys.executable, "-m", "murmuration.site.reboot", str(layout.control), host.name)
    return {
        "maintenance": {
            "reboot": list(rebooting),
            "test_dir": str(folders["goenabled.d"]),
            "services_dir": str(folders["services.d"]),
            "systemctl": "",
        },
        "processes": {"dir": str(folders["pmon.d"])},
    }


def _host_table(host: HostPlan, boot_id: str, place: Path) -> dict[str, Value]:
    return {
        "name": host.name,
        "personality": host.personality,
        "origin": host.origin,
        "observe_only": host.origin == MACHINE,
        "address": host.address,
        "boot_id": boot_id,
        "state_dir": str(place),
    }


def agent_specs(layout: Layout, host: HostPlan) -> list[ProcessSpec]:
    """The two processes of a host that has agents."""
    place = folder(layout, host)
    return [
        ProcessSpec(
            name=host.node,
            argv=(sys.executable, "-m", "murmuration.node", "--config", str(place / "node.toml")),
            group=Group.HOSTS,
            network=host.network,
            after=AFTER,
            nice=NODE_NICE,
        ),
        ProcessSpec(
            name=host.pulse,
            argv=(sys.executable, "-I", "-S", "-E", str(pulse_program()), str(place)),
            group=Group.HOSTS,
            network=host.network,
            after=AFTER,
        ),
    ]


def pulse_program() -> Path:
    """The heartbeat sender's file: it is started by path, so that nothing else is imported."""
    spec = importlib.util.find_spec("murmuration.pulse")
    if spec is None or spec.origin is None:
        raise Refused("The heartbeat agent is not installed.", "Install murmuration-pulse.")
    return Path(spec.origin).parent / "__main__.py"


def simulator_socket(layout: Layout) -> Path:
    """Where the simulator takes faults."""
    return layout.run / "sim.sock"


def simulator_spec(
    layout: Layout, hosts: Sequence[HostPlan], meeting: Meeting, *, ready: Probe
) -> ProcessSpec:
    """The one process of all simulated hosts; writes its configuration."""
    config = layout.hosts / "sim.toml"
    tables = "".join(
        toml_text({"[host]": _host_table(host, "", folder(layout, host))}) for host in hosts
    )
    head = toml_text(
        {
            "sim": {"state_dir": str(layout.run)},
            "bus": {
                "url": meeting.bus_url,
                "ca": str(certificates.bundle(layout)),
                "credentials_dir": str(layout.credentials),
            },
            "pulse": {"nats": meeting.pulse_nats, "udp": [meeting.pulse_udp]},
        }
    )
    write_private(config, head + tables)
    return ProcessSpec(
        name="sim",
        argv=(sys.executable, "-m", "murmuration.sim", "hosts", "--config", str(config)),
        group=Group.HOSTS,
        after=AFTER,
        ready=ready,
    )
