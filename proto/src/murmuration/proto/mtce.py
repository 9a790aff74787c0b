"""mtce's contract: the states of hosts, and their heartbeats."""

from typing import Annotated

from msgspec import Meta, field

from murmuration.proto.envelope import Instant, OpenEnum, Payload
from murmuration.proto.platform import add_marks
from murmuration.proto.registry import (
    BucketSpec,
    Channel,
    Kind,
    Permanence,
    StreamSpec,
    add_bucket,
    add_channel,
    add_stream,
    declare,
)
from murmuration.proto.sysinv import Administrative, HostAction, PulseIndex, RefusalCode

add_stream(
    StreamSpec(
        name="MTCE",
        owner="mtce",
        subjects=("mtce.event.>",),
        permanence=Permanence.EVENTS,
        size_bytes_max=256 * 2**20,
        age_s_max=7 * 86_400,
        summary="What changed about the states of hosts.",
    )
)
add_stream(
    StreamSpec(
        name="MTCE_ORDERS",
        owner="mtce",
        subjects=("mtce.order.>",),
        permanence=Permanence.ORDERS,
        size_bytes_max=64 * 2**20,
        age_s_max=7 * 86_400,
        summary="What is to be done with hosts; full refuses, the sender keeps its orders.",
    )
)
add_marks("mtce", ("sysinv",))


class Operational(OpenEnum):
    """X.731 operational state."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    UNKNOWN = "unknown"


class Availability(OpenEnum):
    """X.731 availability status, with the words operators of this field know."""

    OFFLINE = "offline"  # nothing heard of it
    ONLINE = "online"  # heard, but not in service
    AVAILABLE = "available"
    DEGRADED = "degraded"
    FAILED = "failed"
    INTEST = "intest"  # up, and being tested before it may serve
    POWER_OFF = "power-off"  # its BMC said so
    OFFDUTY = "offduty"  # not meant to serve: a subfunction that the host has not
    NOT_INSTALLED = "not-installed"
    UNKNOWN = "unknown"


class HeartbeatState(OpenEnum):
    """What the monitor thinks of a host's pulses."""

    AWAITED = "awaited"  # none heard in this watch yet
    WELL = "well"
    MINOR = "minor"  # 4 periods missed
    DEGRADED = "degraded"  # 6 periods missed
    LOST = "lost"  # 10 periods missed
    UNKNOWN = "unknown"


class HostTask(OpenEnum):
    """The work in progress on a host; TASK_TEXT says it to people."""

    NONE = ""
    LOCKING = "locking"
    FORCE_LOCKING = "force-locking"
    UNLOCKING = "unlocking"
    ENABLING = "enabling"
    ENABLING_WORKER = "enabling-worker"
    REBOOTING = "rebooting"
    RESETTING = "resetting"
    BOOTING = "booting"
    TESTING = "testing"
    STARTING_SERVICES = "starting-services"
    STOPPING_SERVICES = "stopping-services"
    SOAKING = "soaking"
    RECOVERY_WAIT = "graceful-recovery-wait"
    RECOVERING = "recovering"
    RETRY_WAIT = "retry-wait"
    POWERING_ON = "powering-on"
    POWERING_OFF = "powering-off"
    REINSTALLING = "reinstalling"
    DELETING = "deleting"
    CONFIG_THRESHOLD = "config-threshold"
    GOENABLE_THRESHOLD = "goenable-threshold"
    SERVICES_THRESHOLD = "services-threshold"
    HEARTBEAT_THRESHOLD = "heartbeat-threshold"
    LUKS_THRESHOLD = "luks-threshold"
    RESET_THRESHOLD = "reset-threshold"
    CRITICAL_RESETTING = "critical-resetting"
    CRITICAL_POWER_CYCLING = "critical-power-cycling"
    CRITICAL_POWER_DOWN = "critical-power-down"
    UNKNOWN = "unknown"


TASK_TEXT: dict[HostTask, str] = {
    HostTask.NONE: "",
    HostTask.LOCKING: "Locking",
    HostTask.FORCE_LOCKING: "Force locking",
    HostTask.UNLOCKING: "Unlocking",
    HostTask.ENABLING: "Enabling",
    HostTask.ENABLING_WORKER: "Enabling worker service",
    HostTask.REBOOTING: "Rebooting",
    HostTask.RESETTING: "Resetting by its BMC",
    HostTask.BOOTING: "Booting",
    HostTask.TESTING: "Testing",
    HostTask.STARTING_SERVICES: "Starting its services",
    HostTask.STOPPING_SERVICES: "Stopping its services",
    HostTask.SOAKING: "Watching its heartbeat",
    HostTask.RECOVERY_WAIT: "Graceful recovery wait",
    HostTask.RECOVERING: "Graceful recovery",
    HostTask.RETRY_WAIT: "Waiting before the next try",
    HostTask.POWERING_ON: "Powering on",
    HostTask.POWERING_OFF: "Powering off",
    HostTask.REINSTALLING: "Reinstalling",
    HostTask.DELETING: "Deleting",
    HostTask.CONFIG_THRESHOLD: "Configuration failed too often: lock and unlock to retry",
    HostTask.GOENABLE_THRESHOLD: "Tests failed too often: lock and unlock to retry",
    HostTask.SERVICES_THRESHOLD: "Services failed too often: lock and unlock to retry",
    HostTask.HEARTBEAT_THRESHOLD: "Heartbeat failed too often: lock and unlock to retry",
    HostTask.LUKS_THRESHOLD: "The encrypted volume failed too often: lock and unlock to retry",
    HostTask.RESET_THRESHOLD: "It could not be restarted: restart it by hand, lock and unlock it",
    HostTask.CRITICAL_RESETTING: "Critical event: resetting",
    HostTask.CRITICAL_POWER_CYCLING: "Critical event: power-cycling",
    HostTask.CRITICAL_POWER_DOWN: "Critical event: powered down, lock and unlock to retry",
    HostTask.UNKNOWN: "At work",
}


class HealthCause(OpenEnum):
    """Why a host in service counts as degraded; it has none when it is well."""

    HEARTBEAT = "heartbeat"  # pulses missing on both paths
    CLUSTER_HEARTBEAT = "cluster-heartbeat"  # pulses missing on one path
    PROCESS = "process"  # a process of the host failed
    RESOURCE = "resource"  # CPU, memory or a filesystem over its threshold
    SENSOR = "sensor"
    SUBFUNCTION = "subfunction"
    SM = "sm"
    CONFIG = "config"
    LUKS = "luks"
    ALARM = "alarm"  # fm holds an alarm that degrades it
    UNKNOWN = "unknown"


class RecoveryCause(OpenEnum):
    """Why a host failed while it was brought into service; tries are limited for each."""

    CONFIG = "config"
    GOENABLE = "goenable"
    HOST_SERVICES = "host-services"
    HEARTBEAT = "heartbeat"
    LUKS = "luks"
    RESET = "reset"
    CRITICAL = "critical"  # a sensor stayed critical over all restarts that were asked for it
    UNKNOWN = "unknown"


class HostState(Payload, frozen=True, kw_only=True):
    """The states of one host, each axis apart, and why they are so."""

    host: Annotated[str, Meta(max_length=63)]
    index: PulseIndex
    administrative: Administrative
    operational: Operational
    availability: Availability
    subfunction_operational: Operational = Operational.DISABLED
    subfunction_availability: Availability = Availability.NOT_INSTALLED
    task: HostTask = HostTask.NONE
    operation_id: Annotated[str, Meta(description="of the action in progress, empty if none")] = ""
    action: HostAction | None = None
    deadline_at: Annotated[
        Instant | None, Meta(description="when the work in progress goes on, whatever comes")
    ] = None
    health: Annotated[
        tuple[HealthCause, ...], Meta(description="why it is degraded; empty when well")
    ] = ()
    failures: Annotated[
        dict[str, int], Meta(description="failures since it last served, by recovery cause")
    ] = field(default_factory=dict)
    gave_up: Annotated[
        RecoveryCause | None, Meta(description="the cause that failed too often")
    ] = None
    storm: Annotated[
        str, Meta(description="what its silence is put down to, as alarm 200.017 has it for entity")
    ] = ""
    heartbeat: HeartbeatState
    boot_id: Annotated[str, Meta(description="boot last heard, empty when none")] = ""
    episode: Annotated[int, Meta(ge=0, description="counts up each time it was heard well again")]
    last_heard_at: Instant | None = None
    changed_at: Instant
    reason: Annotated[str, Meta(description="one sentence: why the states are what they are")]


@declare(
    Kind.EVENT,
    type="mtce.host.state_changed.v1",
    subject="mtce.event.host.state_changed.{host}",
    stream="MTCE",
    publishers=("mtce",),
    subscribers=("gateway", "fm", "sysinv"),
)
class HostStateChanged(Payload, frozen=True, kw_only=True):
    """A host went from one state to another."""

    state: HostState
    previous: Annotated[str, Meta(description="administrative-operational-availability before")]
    evidence: Annotated[dict[str, str], Meta(description="the figures the decision rests on")]


@declare(
    Kind.EVENT,
    type="mtce.host.forgotten.v1",
    subject="mtce.event.host.forgotten.{host}",
    stream="MTCE",
    publishers=("mtce",),
    subscribers=("gateway", "fm"),
)
class HostForgotten(Payload, frozen=True, kw_only=True):
    """mtce no longer watches a host, because it was removed from the inventory."""

    host: str
    reason: str


@declare(
    Kind.ORDER,
    type="mtce.host.act.v1",
    subject="mtce.order.{sender}.host.{action}",
    stream="MTCE_ORDERS",
    publishers=("sysinv",),
    subscribers=("mtce",),
)
class HostOrder(Payload, frozen=True, kw_only=True):
    """Do this with a host; mtce checks it again, and tells what becomes of it by events."""

    operation_id: Annotated[str, Meta(min_length=8, max_length=64)]
    host: Annotated[str, Meta(max_length=63)]
    action: HostAction
    expires_at: Instant


class Operation(Payload, frozen=True, kw_only=True):
    """An action on a host, as far as it got."""

    operation_id: str
    host: str
    action: HostAction
    task: HostTask = HostTask.NONE
    refusal: RefusalCode = RefusalCode.NONE
    reason: Annotated[str, Meta(description="one sentence: what is done, or why it ended so")]
    at: Instant
    deadline_at: Annotated[Instant | None, Meta(description="of the present stage")] = None


@declare(
    Kind.EVENT,
    type="mtce.operation.accepted.v1",
    subject="mtce.event.operation.accepted.{host}",
    stream="MTCE",
    publishers=("mtce",),
    subscribers=("gateway", "sysinv"),
)
class OperationAccepted(Payload, frozen=True, kw_only=True):
    """mtce has begun what was ordered."""

    operation: Operation


@declare(
    Kind.EVENT,
    type="mtce.operation.refused.v1",
    subject="mtce.event.operation.refused.{host}",
    stream="MTCE",
    publishers=("mtce",),
    subscribers=("gateway", "sysinv"),
)
class OperationRefused(Payload, frozen=True, kw_only=True):
    """mtce does not do what was ordered; nothing was changed."""

    operation: Operation


@declare(
    Kind.EVENT,
    type="mtce.operation.completed.v1",
    subject="mtce.event.operation.completed.{host}",
    stream="MTCE",
    publishers=("mtce",),
    subscribers=("gateway", "sysinv"),
)
class OperationCompleted(Payload, frozen=True, kw_only=True):
    """What was ordered is done."""

    operation: Operation


@declare(
    Kind.EVENT,
    type="mtce.operation.failed.v1",
    subject="mtce.event.operation.failed.{host}",
    stream="MTCE",
    publishers=("mtce",),
    subscribers=("gateway", "sysinv"),
)
class OperationFailed(Payload, frozen=True, kw_only=True):
    """What was ordered could not be done, or something else came in between."""

    operation: Operation


class HostStep(Payload, frozen=True, kw_only=True):
    """One decision about a host: what led to it and what came of it."""

    at: Instant
    input: Annotated[str, Meta(description="what happened")]
    stage: Annotated[str, Meta(description="where the work in progress then stood")] = ""
    state: Annotated[str, Meta(description="administrative-operational-availability after it")]
    operation_id: str = ""
    reason: str
    evidence: dict[str, str] = field(default_factory=dict)


class HostWhy(Payload, frozen=True, kw_only=True):
    """Why a host is as it is: its decisions, oldest first, the last of which holds."""

    host: str
    steps: tuple[HostStep, ...]


WHY_STEPS_MAX = 200  # decisions kept of a host


@declare(
    Kind.QUERY,
    type="mtce.host.why.v1",
    subject="mtce.query.host.why",
    publishers=("gateway",),
    subscribers=("mtce",),
    reply=HostWhy,
)
class AskWhy(Payload, frozen=True, kw_only=True):
    """Ask why a host is as it is."""

    host: Annotated[str, Meta(max_length=63)]
    limit: Annotated[int, Meta(ge=1, le=WHY_STEPS_MAX, description="the last ones at most")] = 20


class PlannedStage(Payload, frozen=True, kw_only=True):
    """One stage of what would be done."""

    stage: str
    text: Annotated[str, Meta(description="what is done, for people")]
    effect: Annotated[str, Meta(description="kind of effect on the host, empty if none")] = ""
    once: Annotated[bool, Meta(description="never sent twice, whatever is killed when")] = False
    deadline_s: Annotated[float, Meta(ge=0, description="the longest it takes; 0: no time")] = 0.0
    otherwise: Annotated[str, Meta(description="what follows when that time is over")] = ""


class HostPlan(Payload, frozen=True, kw_only=True):
    """What an action would do, if everything goes well; nothing was changed."""

    host: str
    action: HostAction
    refusal: RefusalCode = RefusalCode.NONE
    reason: Annotated[str, Meta(description="one sentence: what it comes to, or why not")]
    affected: Annotated[tuple[str, ...], Meta(description="who notices, in words")] = ()
    stages: tuple[PlannedStage, ...] = ()


@declare(
    Kind.QUERY,
    type="mtce.host.plan.v1",
    subject="mtce.query.host.plan",
    publishers=("gateway",),
    subscribers=("mtce",),
    reply=HostPlan,
)
class AskPlan(Payload, frozen=True, kw_only=True):
    """Ask what an action would do; nothing is changed."""

    host: Annotated[str, Meta(max_length=63)]
    action: HostAction


@declare(
    Kind.CORE,
    type="mtce.pulse.digest.v1",
    subject="mtce.digest.pulse",
    publishers=("mtce",),
    subscribers=("gateway",),
)
class PulseDigest(Payload, frozen=True, kw_only=True):
    """What the monitor heard in the last half second, for the live trace; never stored."""

    at: Instant
    window_ms: Annotated[int, Meta(ge=1)]
    hosts: tuple["PulseSample", ...]


class PulseSample(Payload, array_like=True, frozen=True):
    """One host in a digest."""

    host: str
    received: Annotated[int, Meta(ge=0, description="frames that came in the window, NATS")]
    received_udp: Annotated[int, Meta(ge=0, description="frames that came in the window, UDP")]
    silent_ms: Annotated[int, Meta(ge=0, description="since the last frame on any path")]
    load_percent: Annotated[int, Meta(ge=0, description="1 min load average over cores, x 100")]


@declare(
    Kind.CORE,
    type="mtce.observer.told.v1",
    subject="mtce.observer.{instance}",
    publishers=("mtce",),
    subscribers=("mtce",),
)
class ObserverTold(Payload, frozen=True, kw_only=True):
    """What one replica of mtce hears, for the others: five times a second, never stored.

    Bit n of a string of bits is pulse index n: bit n % 8 of byte n / 8; zeros at the end are left
    out. A host with neither bit is one of which this replica does not know.
    """

    instance: Annotated[str, Meta(max_length=128, description="of the replica")]
    machine: Annotated[str, Meta(max_length=255, description="the host it runs on")]
    doubt: Annotated[str, Meta(description="why it doubts itself, empty when it does not")] = ""
    heard: Annotated[str, Meta(description="hex of bits: heard within four periods")] = ""
    silent: Annotated[str, Meta(description="hex of bits: heard before, silent now")] = ""


# The pulse itself is a fixed binary frame: `murmuration.proto.pulse` holds its layout.
add_channel(
    Channel(
        kind=Kind.CORE,
        type="mtce.pulse.frame.v1",
        subject="mtce.pulse.{shard}.{index}",
        payload=None,
        reply=None,
        stream=None,
        publishers=("pulse", "sim"),
        subscribers=("mtce",),
        summary="One heartbeat of one host: 64 bytes, layout in murmuration.proto.pulse.",
    )
)
add_bucket(
    BucketSpec(
        name="mtce_hosts",
        owner="mtce",
        payload=HostState,
        readers=("gateway", "fm", "sysinv"),
        summary="States of hosts, by name.",
    )
)
