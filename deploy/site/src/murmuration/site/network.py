"""The network of a site's namespace hosts, as data: names, addresses, and who owns it.

    machine ── mur-N ══ uplink ┐
                               br0 198.18.N.1 in <prefix>-site
    <prefix>-worker-1: eth0 ══ p3 ┘

198.18.0.0/15 is set aside for tests of network devices (RFC 2544), so it meets nobody's real
network. A record of every network lies in /run/murmuration/networks, written before the first
namespace is made: whoever comes next removes the networks of supervisors that are no more.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

NAMESPACES = "/var/run/netns"  # where ip-netns(8) keeps names
RECORDS = Path("/run/murmuration/networks")
PREFIX = "mur"
HOST_COUNT_MAX = 200  # addresses .11 to .210
FIRST_HOST = 11
NATS_PORT = 4222
NATS_PULSE_PORT = 4223  # NATS' door for heartbeats
PULSE_PORT = 8790


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """One site's namespaces, bridge and links."""

    prefix: str
    subnet: int  # N of 198.18.N.0/24
    hosts: tuple[str, ...]
    state: str
    owner_pid: int
    owner_started: int  # clock ticks since boot: with the pid it names one process for ever

    @property
    def site_name(self) -> str:
        """The namespace of the bridge, NATS and the UDP receivers."""
        return f"{self.prefix}-site"

    @property
    def site_path(self) -> str:
        """Where that namespace is bound."""
        return f"{NAMESPACES}/{self.site_name}"

    @property
    def site_address(self) -> str:
        """Where NATS and the UDP receivers listen."""
        return f"198.18.{self.subnet}.1"

    @property
    def machine_link(self) -> str:
        """The link by which the machine's own namespace reaches the site."""
        return f"mur-{self.subnet}"

    @property
    def machine_address(self) -> str:
        """The machine's address on that link."""
        return f"198.18.{self.subnet}.2"

    def namespace(self, host: str) -> str:
        """The name of a host's namespace."""
        return f"{self.prefix}-{host}"

    def path(self, host: str) -> str:
        """Where a host's namespace is bound."""
        return f"{NAMESPACES}/{self.namespace(host)}"

    def address(self, host: str) -> str:
        """A host's address on its eth0."""
        return f"198.18.{self.subnet}.{FIRST_HOST + self.hosts.index(host)}"

    def port(self, host: str) -> str:
        """The bridge's end of a host's link, short enough for IFNAMSIZ (15 characters)."""
        return f"p{self.hosts.index(host)}"

    @property
    def names(self) -> tuple[str, ...]:
        """All namespaces, the bridge's last."""
        return (*(self.namespace(host) for host in self.hosts), self.site_name)

    @property
    def record(self) -> Path:
        """Where this network is written down."""
        return RECORDS / f"{self.prefix}.json"

    @property
    def owner_lives(self) -> bool:
        """Whether the supervisor that made it is still there."""
        return self.owner_pid > 0 and process_started(self.owner_pid) == self.owner_started

    def to_json(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))


def from_json(text: str) -> Network:
    """The opposite of `to_json`. Raises ValueError."""
    try:
        found: dict[str, Any] = json.loads(text)
        found["hosts"] = tuple(found["hosts"])
        return Network(**found)
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a record of a network: {error}") from error


def process_started(pid: int) -> int:
    """When a process started, in clock ticks since boot (proc(5) stat, field 22); 0: no such."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[19])


def records() -> list[Network]:
    """Every network written down on this machine; what cannot be read is passed over."""
    found: list[Network] = []
    for path in sorted(RECORDS.glob("*.json")):
        try:
            found.append(from_json(path.read_text()))
        except (OSError, ValueError):
            continue
    return found


@contextmanager
def records_locked() -> Iterator[None]:
    """Be the only one on this machine that makes or removes networks. Blocks until it is."""
    RECORDS.mkdir(mode=0o711, parents=True, exist_ok=True)
    descriptor = os.open(RECORDS / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def used_subnets() -> set[int]:
    """Every N of 198.18.N.0/24 that a route of this namespace touches, or a record names."""
    used = {network.subnet for network in records()}
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        columns = line.split()
        target = int(columns[1], 16).to_bytes(4, "little")
        mask = int(columns[7], 16).to_bytes(4, "little")
        if target[:2] == b"\xc6\x12" and mask[:2] == b"\xff\xff":
            used.update([target[2]] if mask[2] == 255 else range(256))
    return used
