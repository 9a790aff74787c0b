"""What a simulated host says of itself: plausible, and the same each time for the same name.

`serial` begins with SIM and `virtualization` says simulated, so that no list can mistake it.
"""

from hashlib import blake2s

from murmuration.proto.sysinv import HostFacts, Link, Personality

MANAGEMENT, DATA = "eth0", "eth1"
_GIB = 2**30
_LOAD_SWING_NS = 120_000_000_000  # a slow wave, so that the trace of a host lives
_LOAD_PHASE_NS = 7_000_000_000
_MODELS = {
    Personality.CONTROLLER: ("PowerEdge XR12", "Intel(R) Xeon(R) Gold 6338N CPU @ 2.20GHz", 64),
    Personality.WORKER: ("ProLiant DL110", "Intel(R) Xeon(R) Gold 6433N", 64),
    Personality.STORAGE: ("PowerEdge R7615", "AMD EPYC 9354 32-Core Processor", 128),
}


def facts_of(name: str, personality: Personality) -> HostFacts:
    """The facts of a simulated host."""
    product, cpu, memory_gib = _MODELS.get(personality, _MODELS[Personality.WORKER])
    return HostFacts(
        vendor="Simulated",
        product=product,
        serial=f"SIM{_number(name):08X}",
        firmware="Simulated 1.0",
        architecture="x86_64",
        kernel="6.1.0-26-rt-amd64",
        os="Debian GNU/Linux 12 (bookworm)",
        cpu_model=cpu,
        cpu_count=64,
        memory_bytes=memory_gib * _GIB,
        numa_node_count=2,
        virtualization="simulated",
    )


def links_of(name: str, address: str, *, management_up: bool, data_up: bool) -> tuple[Link, ...]:
    """The links of a simulated host: loopback, management and data."""
    return (
        Link(
            name="lo",
            index=1,
            kind="loopback",
            mac="00:00:00:00:00:00",
            mtu_bytes=65_536,
            admin_up=True,
            oper_up=True,
            addresses=("127.0.0.1/8",),
        ),
        _port(name, MANAGEMENT, 2, up=management_up, address=address),
        _port(name, DATA, 3, up=data_up, address=""),
    )


def load_percent(index: int, now_ns: int) -> int:
    """A load between 10 and 60 % that swings slowly, each host at its own phase."""
    phase = (now_ns + index * _LOAD_PHASE_NS) % _LOAD_SWING_NS
    half = _LOAD_SWING_NS // 2
    return 10 + 50 * (phase if phase < half else _LOAD_SWING_NS - phase) // half


def _port(name: str, port: str, index: int, *, up: bool, address: str) -> Link:
    tail = _number(f"{name}/{port}")
    octets = ":".join(f"{tail >> shift & 0xFF:02x}" for shift in (24, 16, 8, 0))
    return Link(
        name=port,
        index=index,
        kind="ether",
        mac=f"02:00:{octets}",
        mtu_bytes=1_500,
        admin_up=True,
        oper_up=up,
        speed_mbps=25_000 if up else 0,
        addresses=(f"{address}/24",) if address else (),
    )


def _number(text: str) -> int:
    return int.from_bytes(blake2s(text.encode(), digest_size=4).digest(), "big")
