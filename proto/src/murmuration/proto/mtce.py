"""mtce's contract: the states of hosts, and their heartbeats."""

from typing import Annotated

from msgspec import Meta

from murmuration.proto.envelope import Instant, OpenEnum, Payload
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
from murmuration.proto.sysinv import Administrative, PulseIndex

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
    UNKNOWN = "unknown"


class HeartbeatState(OpenEnum):
    """What the monitor thinks of a host's pulses."""

    AWAITED = "awaited"  # none heard in this watch yet
    WELL = "well"
    MINOR = "minor"  # 4 periods missed
    DEGRADED = "degraded"  # 6 periods missed
    LOST = "lost"  # 10 periods missed
    UNKNOWN = "unknown"


class HostState(Payload, frozen=True, kw_only=True):
    """The states of one host, each axis apart, and why they are so."""

    host: Annotated[str, Meta(max_length=63)]
    index: PulseIndex
    administrative: Administrative
    operational: Operational
    availability: Availability
    task: Annotated[str, Meta(description="code of the work in progress, empty when none")] = ""
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
