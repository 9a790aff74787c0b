"""sysinv's contract: hosts as declared and as discovered."""

from typing import Annotated

from msgspec import Meta, field

from murmuration.proto.envelope import Change, Epoch, Instant, OpenEnum, Payload
from murmuration.proto.registry import (
    BucketSpec,
    Kind,
    Permanence,
    StreamSpec,
    add_bucket,
    add_stream,
    declare,
)

add_stream(
    StreamSpec(
        name="SYSINV",
        owner="sysinv",
        subjects=("sysinv.event.>",),
        permanence=Permanence.EVENTS,
        size_bytes_max=256 * 2**20,
        age_s_max=7 * 86_400,
        summary="What changed about hosts as declared and discovered.",
    )
)
add_stream(
    StreamSpec(
        name="SYSINV_OBSERVED",
        owner="sysinv",
        subjects=("sysinv.observed.>",),
        permanence=Permanence.OBSERVED,
        size_bytes_max=64 * 2**20,
        age_s_max=3_600,
        summary="What agents see on their hosts: full reports and deltas.",
    )
)


PulseIndex = Annotated[int, Meta(ge=0, le=99_999, description="pulse index, given at enrolment")]
PulseShard = Annotated[int, Meta(ge=0, le=99, description="pulse shard")]
Incarnation = Annotated[int, Meta(ge=0, description="ns clock at the agent's start: only grows")]
Number = Annotated[int, Meta(ge=1, description="number of this message in the incarnation")]


class Personality(OpenEnum):
    """What a host is for."""

    CONTROLLER = "controller"
    WORKER = "worker"
    STORAGE = "storage"
    UNKNOWN = "unknown"


class Origin(OpenEnum):
    """What stands behind a host; everything but MACHINE is labelled wherever it is shown."""

    MACHINE = "machine"  # a real machine with an agent on it
    NAMESPACE = "namespace"  # a network namespace with real links and real agents
    SIMULATED = "simulated"  # a model inside the simulator
    UNKNOWN = "unknown"


class Admission(OpenEnum):
    """Whether the operator wants this host."""

    DISCOVERED = "discovered"  # has enrolled, waits to be accepted
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"


class Administrative(OpenEnum):
    """X.731 administrative state."""

    LOCKED = "locked"
    UNLOCKED = "unlocked"
    UNKNOWN = "unknown"


class Neighbour(Payload, frozen=True, kw_only=True):
    """Who is at the other end of a cable, by LLDP (IEEE 802.1AB)."""

    system: Annotated[
        str, Meta(min_length=1, max_length=255, description="system name, else chassis id")
    ]
    port: Annotated[str, Meta(max_length=255, description="port id")] = ""


class HostAction(OpenEnum):
    """What an operator may want done with a host."""

    LOCK = "lock"
    FORCE_LOCK = "force-lock"
    UNLOCK = "unlock"
    RESET = "reset"
    REBOOT = "reboot"
    POWER_ON = "power-on"
    POWER_OFF = "power-off"
    REINSTALL = "reinstall"
    SWACT = "swact"
    FORCE_SWACT = "force-swact"
    DELETE = "delete"
    UNKNOWN = "unknown"


class RefusalCode(OpenEnum):
    """Why an action is refused; the sentence beside it says what to do."""

    NONE = ""
    NOT_ACCEPTED = "not-accepted"
    OBSERVE_ONLY = "observe-only"
    SIMULATED = "simulated"
    HOST_UNLOCKED = "host-unlocked"
    HOST_POWERED_OFF = "host-powered-off"
    HOST_OFFLINE = "host-offline"
    ACTION_RUNNING = "action-running"
    ACTIVE_CONTROLLER = "active-controller"
    CONTROLLER_REDUNDANCY = "controller-redundancy"
    BMC_NOT_CONFIGURED = "bmc-not-configured"
    BMC_NOT_CONNECTED = "bmc-not-connected"
    SWACT_UNSUPPORTED = "swact-unsupported"
    NOT_A_CONTROLLER = "not-a-controller"
    UNKNOWN_HOST = "unknown-host"
    UNKNOWN_ACTION = "unknown-action"
    UNKNOWN = "unknown"


class Link(Payload, frozen=True, kw_only=True):
    """One network link of a host, as the kernel tells it."""

    name: Annotated[str, Meta(max_length=64)]
    index: Annotated[int, Meta(ge=0, description="kernel interface index")]
    kind: Annotated[str, Meta(max_length=32, description="ether, loopback, veth, bond, vlan, …")]
    mac: Annotated[str, Meta(max_length=64, description="colon form, empty when it has none")] = ""
    mtu_bytes: Annotated[int, Meta(ge=0)] = 0
    admin_up: Annotated[bool, Meta(description="IFF_UP: somebody wants it up")] = False
    oper_up: Annotated[bool, Meta(description="carrier and peer are there")] = False
    speed_mbps: Annotated[int, Meta(ge=0, description="0 when the driver does not say")] = 0
    addresses: tuple[str, ...] = ()
    neighbour: Annotated[
        Neighbour | None, Meta(description="none: nobody speaks LLDP there, or nobody listens")
    ] = None


class HostFacts(Payload, frozen=True, kw_only=True):
    """What a host is made of, read from /proc, /sys and SMBIOS; empty or 0 when not told."""

    vendor: str = ""
    product: str = ""
    serial: str = ""
    firmware: str = ""
    architecture: str = ""
    kernel: str = ""
    os: str = ""
    cpu_model: str = ""
    cpu_count: Annotated[int, Meta(ge=0, description="logical processors online")] = 0
    memory_bytes: Annotated[int, Meta(ge=0)] = 0
    numa_node_count: Annotated[int, Meta(ge=0)] = 0
    virtualization: Annotated[str, Meta(description="hypervisor's name, empty on metal")] = ""


class BmcProtocol(OpenEnum):
    """How a host's BMC is spoken to."""

    DYNAMIC = "dynamic"  # Redfish is tried first, then IPMI; what answered is kept
    REDFISH = "redfish"
    IPMI = "ipmi"
    UNKNOWN = "unknown"


class BmcTrust(OpenEnum):
    """How the certificate of a BMC is checked before the password is said."""

    PIN = "pin"  # SHA-256 of the certificate
    CA = "ca"  # the system's authorities
    INSECURE = "insecure"  # TLS without a check
    PLAINTEXT = "plaintext"  # no TLS
    UNKNOWN = "unknown"


class HostBmc(Payload, frozen=True, kw_only=True):
    """Where a host's BMC is; its password is in mtce's secret store and nowhere else."""

    protocol: BmcProtocol = BmcProtocol.DYNAMIC
    address: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9.:_-]+$",
            min_length=1,
            max_length=253,
            examples=["10.10.10.11"],
            description="host name or address, without scheme and port",
        ),
    ]
    user: Annotated[str, Meta(min_length=1, max_length=64)]
    redfish_port: Annotated[int, Meta(ge=1, le=65_535, description="TCP port")] = 443
    ipmi_port: Annotated[int, Meta(ge=1, le=65_535, description="UDP port")] = 623
    trust: BmcTrust = BmcTrust.PIN
    pin: Annotated[
        str,
        Meta(
            pattern=r"^([0-9a-f]{64})?$",
            max_length=64,
            examples=["ab" * 32],
            description="SHA-256 of the certificate, hex; with trust `pin`",
        ),
    ] = ""
    system: Annotated[
        str, Meta(max_length=64, description="Redfish id or UUID, where a BMC has several systems")
    ] = ""


LABELS_MAX = 32  # of one host
LabelKey = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_.-]*$", min_length=1, max_length=63, examples=["rack"])
]
LabelValue = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]*$", max_length=63, examples=["A1"])]
Labels = Annotated[
    dict[LabelKey, LabelValue],
    Meta(max_length=LABELS_MAX, description="what operators say of a host"),
]
FENCE_LABEL = "fence"  # `fast`: released as soon as there is proof; anything else: graceful


Subfunctions = Annotated[
    tuple[Personality, ...],
    Meta(max_length=4, description="what else it is for: a worker, on an all-in-one controller"),
]


class Host(Payload, frozen=True, kw_only=True):
    """One host: what was declared of it and what its agent last reported."""

    name: Annotated[str, Meta(max_length=63, description="RFC 1123 label")]
    index: PulseIndex
    shard: PulseShard
    personality: Personality
    subfunctions: Subfunctions = ()
    origin: Origin
    observe_only: Annotated[bool, Meta(description="agents refuse every change on this host")]
    admission: Admission
    intended_administrative: Administrative
    address: Annotated[str, Meta(description="management address, empty when unknown")] = ""
    boot_id: Annotated[str, Meta(description="UUID of the running boot, empty before a report")] = (
        ""
    )
    pulse_period_ms: Annotated[int, Meta(ge=50, le=1_000)] = 100
    bmc: HostBmc | None = None
    labels: Labels = field(default_factory=dict)
    facts: HostFacts = field(default_factory=HostFacts)
    links: tuple[Link, ...] = ()
    enrolled_at: Instant | None = None
    reported_at: Instant | None = None


@declare(
    Kind.EVENT,
    type="sysinv.host.discovered.v1",
    subject="sysinv.event.host.discovered.{host}",
    stream="SYSINV",
    publishers=("sysinv",),
    subscribers=("mtce", "fm", "gateway"),
)
class HostDiscovered(Payload, frozen=True, kw_only=True):
    """A host enrolled for the first time."""

    host: Host
    reason: str


@declare(
    Kind.EVENT,
    type="sysinv.host.accepted.v1",
    subject="sysinv.event.host.accepted.{host}",
    stream="SYSINV",
    publishers=("sysinv",),
    subscribers=("mtce", "fm", "gateway"),
)
class HostAccepted(Payload, frozen=True, kw_only=True):
    """A discovered host was accepted into the site; mtce watches it from now on."""

    host: Host
    reason: str


@declare(
    Kind.EVENT,
    type="sysinv.host.changed.v1",
    subject="sysinv.event.host.changed.{host}",
    stream="SYSINV",
    publishers=("sysinv",),
    subscribers=("mtce", "fm", "gateway"),
)
class HostChanged(Payload, frozen=True, kw_only=True):
    """A host's facts, links, boot or declaration changed."""

    host: Host
    changed: Annotated[tuple[str, ...], Meta(description="names of the fields that differ")]
    reason: str


@declare(
    Kind.EVENT,
    type="sysinv.host.removed.v1",
    subject="sysinv.event.host.removed.{host}",
    stream="SYSINV",
    publishers=("sysinv",),
    subscribers=("mtce", "fm", "gateway"),
)
class HostRemoved(Payload, frozen=True, kw_only=True):
    """A host was deleted from the inventory; its pulse index is not given again in this epoch."""

    host: Annotated[str, Meta(max_length=63)]
    index: PulseIndex
    reason: str


@declare(
    Kind.OBSERVED,
    type="sysinv.host.reported.v1",
    subject="sysinv.observed.{host}.report",
    stream="SYSINV_OBSERVED",
    publishers=("node", "sim"),
    subscribers=("sysinv",),
)
class HostReport(Payload, frozen=True, kw_only=True):
    """Everything an agent sees on its host; sent at start, when asked, and every ten minutes."""

    host: Annotated[str, Meta(max_length=63)]
    incarnation: Incarnation
    n: Number
    boot_id: str
    facts: HostFacts
    links: tuple[Link, ...]
    observed_at: Instant


@declare(
    Kind.OBSERVED,
    type="sysinv.host.links_changed.v1",
    subject="sysinv.observed.{host}.delta",
    stream="SYSINV_OBSERVED",
    publishers=("node", "sim"),
    subscribers=("sysinv",),
)
class HostDelta(Payload, frozen=True, kw_only=True):
    """Links that appeared, changed or went since message n-1; a gap in n asks for a full report."""

    host: Annotated[str, Meta(max_length=63)]
    incarnation: Incarnation
    n: Number
    links_changed: tuple[Link, ...] = ()
    links_removed: Annotated[tuple[str, ...], Meta(description="names")] = ()
    observed_at: Instant


class EnrolReply(Payload, frozen=True, kw_only=True):
    """What a host needs to take part: its index and the key of its pulses."""

    host: str
    index: PulseIndex
    shard: PulseShard
    pulse_period_ms: int
    pulse_key: Annotated[str, Meta(description="hex, 32 bytes; keys the frame's BLAKE2s MAC")]
    epoch: Epoch
    change: Change
    pulse_jwt: Annotated[str, Meta(description="credentials of the sender, for `pulse_nkey`")] = ""
    ca: Annotated[str, Meta(description="PEM, authorities to trust from now on; empty: as is")] = ""


@declare(
    Kind.COMMAND,
    type="sysinv.host.enrol.v1",
    subject="sysinv.cmd.host.enrol.{host}",
    publishers=("node", "sim"),
    subscribers=("sysinv",),
    reply=EnrolReply,
)
class EnrolHost(Payload, frozen=True, kw_only=True):
    """An agent introduces its host; repeated at every start of the agent."""

    operation_id: Annotated[str, Meta(min_length=8, max_length=64)]
    host: Annotated[str, Meta(max_length=63)]
    personality: Personality
    subfunctions: Subfunctions = ()
    origin: Origin
    observe_only: bool
    boot_id: str
    address: str = ""
    pulse_nkey: Annotated[
        str, Meta(max_length=56, description="public key of the heartbeat sender, made on the host")
    ] = ""


class HostCredentials(Payload, frozen=True, kw_only=True):
    """What a host that has joined logs in with, together with the key that it made itself."""

    host: str
    node_jwt: Annotated[str, Meta(description="NATS user JWT for `node_nkey`")]


@declare(
    Kind.COMMAND,
    type="sysinv.host.join.v1",
    subject="sysinv.cmd.host.join.{host}",
    publishers=("join",),
    subscribers=("sysinv",),
    reply=HostCredentials,
)
class JoinHost(Payload, frozen=True, kw_only=True):
    """A host without credentials shows its join token and the public key it made for itself.

    The token is good for one host and one key, until it expires; repeating the request with the
    same key gives the same answer.
    """

    operation_id: Annotated[str, Meta(min_length=8, max_length=64)]
    host: Annotated[str, Meta(max_length=63)]
    token_jwt: Annotated[str, Meta(max_length=4_096, description="the token's public part")]
    node_nkey: Annotated[str, Meta(max_length=56, description="public key, base32")]
    proof: Annotated[
        str,
        Meta(max_length=128, description="hex: the token's key signs `join <host> <node_nkey>`"),
    ]


class Accepted(Payload, frozen=True, kw_only=True):
    """Reply to a command: done, and the change a reader can wait for."""

    operation_id: str
    service: str
    epoch: Epoch
    change: Change
    reason: Annotated[str, Meta(description="one sentence: what was done, or why nothing was")]


@declare(
    Kind.COMMAND,
    type="sysinv.host.accept.v1",
    subject="sysinv.cmd.host.accept",
    publishers=("gateway",),
    subscribers=("sysinv",),
    reply=Accepted,
)
class AcceptHost(Payload, frozen=True, kw_only=True):
    """Accept a discovered host into the site."""

    operation_id: Annotated[str, Meta(min_length=8, max_length=64)]
    host: Annotated[str, Meta(max_length=63)]


@declare(
    Kind.COMMAND,
    type="sysinv.host.set_administrative.v1",
    subject="sysinv.cmd.host.set_administrative",
    publishers=("gateway",),
    subscribers=("sysinv",),
    reply=Accepted,
)
class SetAdministrative(Payload, frozen=True, kw_only=True):
    """Say what administrative state a host is intended to have; mtce carries it out."""

    operation_id: Annotated[str, Meta(min_length=8, max_length=64)]
    host: Annotated[str, Meta(max_length=63)]
    administrative: Administrative


@declare(
    Kind.COMMAND,
    type="sysinv.host.act.v1",
    subject="sysinv.cmd.host.act",
    publishers=("gateway",),
    subscribers=("sysinv",),
    reply=Accepted,
)
class ActOnHost(Payload, frozen=True, kw_only=True):
    """Have something done with a host: sysinv checks what it owns, notes it and orders it."""

    operation_id: Annotated[str, Meta(min_length=8, max_length=64)]
    host: Annotated[str, Meta(max_length=63)]
    action: HostAction


class ActionCheck(Payload, frozen=True, kw_only=True):
    """Whether an action would be taken on, and why not."""

    refusal: RefusalCode = RefusalCode.NONE
    reason: Annotated[str, Meta(description="one sentence, empty when it would be taken on")] = ""


@declare(
    Kind.QUERY,
    type="sysinv.host.check.v1",
    subject="sysinv.query.host.check",
    publishers=("gateway",),
    subscribers=("sysinv",),
    reply=ActionCheck,
)
class CheckAction(Payload, frozen=True, kw_only=True):
    """Ask what sysinv would say to an action; nothing is changed or noted."""

    host: Annotated[str, Meta(max_length=63)]
    action: HostAction


@declare(
    Kind.COMMAND,
    type="sysinv.host.set_bmc.v1",
    subject="sysinv.cmd.host.set_bmc",
    publishers=("gateway",),
    subscribers=("sysinv",),
    reply=Accepted,
)
class SetHostBmc(Payload, frozen=True, kw_only=True):
    """Declare where the BMC of a host is, or that it has none; bears no password."""

    operation_id: Annotated[str, Meta(min_length=8, max_length=64)]
    host: Annotated[str, Meta(max_length=63)]
    bmc: HostBmc | None


@declare(
    Kind.COMMAND,
    type="sysinv.host.label.v1",
    subject="sysinv.cmd.host.label",
    publishers=("gateway",),
    subscribers=("sysinv",),
    reply=Accepted,
)
class LabelHost(Payload, frozen=True, kw_only=True):
    """Set and remove labels of a host; the others stay."""

    operation_id: Annotated[str, Meta(min_length=8, max_length=64)]
    host: Annotated[str, Meta(max_length=63)]
    labels: Labels = field(default_factory=dict)
    removed: Annotated[tuple[LabelKey, ...], Meta(max_length=LABELS_MAX)] = ()


@declare(
    Kind.CORE,
    type="sysinv.report.ask.v1",
    subject="sysinv.ask.{host}.report",
    publishers=("sysinv",),
    subscribers=("node", "sim"),
)
class AskReport(Payload, frozen=True, kw_only=True):
    """sysinv missed a delta of this host: the agent sends a full report."""

    host: str


add_bucket(
    BucketSpec(
        name="sysinv_hosts",
        owner="sysinv",
        payload=Host,
        readers=("mtce", "fm", "gateway"),
        summary="Hosts as declared and discovered, by name.",
    )
)
