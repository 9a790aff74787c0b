"""What fm concludes from its alarms for others: hosts that are degraded, gates that are blocked.

Computed once, from the catalogue's thresholds; told only when it changes.
"""

from typing import Annotated

from msgspec import Meta

from murmuration.proto.envelope import Instant, OpenEnum, Payload
from murmuration.proto.registry import BucketSpec, Kind, add_bucket, declare

CAUSES_MAX = 50  # causing alarms named; how many there are is counted

CausesField = Annotated[
    tuple[str, ...], Meta(max_length=CAUSES_MAX, description="uuids of alarms, worst first")
]


class HostDegrade(Payload, frozen=True, kw_only=True):
    """A host with at least one active alarm that degrades it."""

    host: str
    causes: CausesField
    cause_count: Annotated[int, Meta(ge=0, description="all of them")]
    since: Instant


@declare(
    Kind.EVENT,
    type="fm.degrade.asserted.v1",
    subject="fm.event.degrade.asserted.{host}",
    stream="FM",
    publishers=("fm",),
    subscribers=("gateway", "mtce"),
)
class DegradeAsserted(Payload, frozen=True, kw_only=True):
    """A host is degraded, or other alarms degrade it now."""

    host: str
    degrade: HostDegrade


@declare(
    Kind.EVENT,
    type="fm.degrade.cleared.v1",
    subject="fm.event.degrade.cleared.{host}",
    stream="FM",
    publishers=("fm",),
    subscribers=("gateway", "mtce"),
)
class DegradeCleared(Payload, frozen=True, kw_only=True):
    """No active alarm degrades the host any more."""

    host: str
    at: Instant


class Gate(OpenEnum):
    """How careful an orchestrated change is about alarms."""

    STRICT = "strict"  # any alarm blocks
    RELAXED = "relaxed"  # an alarm that affects management blocks
    PERMISSIVE = "permissive"  # none blocks
    UNKNOWN = "unknown"


class GateState(Payload, frozen=True, kw_only=True):
    """Whether a gate is blocked, and by what."""

    gate: Gate
    blocked: bool
    causes: CausesField = ()
    cause_count: Annotated[int, Meta(ge=0, description="all of them")] = 0
    since: Instant


@declare(
    Kind.EVENT,
    type="fm.gate.blocked.v1",
    subject="fm.event.gate.blocked.{gate}",
    stream="FM",
    publishers=("fm",),
    subscribers=("gateway",),
)
class GateBlocked(Payload, frozen=True, kw_only=True):
    """A gate is blocked, or other alarms block it now."""

    gate: Gate
    state: GateState


@declare(
    Kind.EVENT,
    type="fm.gate.freed.v1",
    subject="fm.event.gate.freed.{gate}",
    stream="FM",
    publishers=("fm",),
    subscribers=("gateway",),
)
class GateFreed(Payload, frozen=True, kw_only=True):
    """Nothing blocks a gate any more."""

    gate: Gate
    state: GateState


add_bucket(
    BucketSpec(
        name="fm_degrades",
        owner="fm",
        payload=HostDegrade,
        readers=("gateway", "mtce"),
        summary="Degraded hosts, by name.",
    )
)
add_bucket(
    BucketSpec(
        name="fm_gates",
        owner="fm",
        payload=GateState,
        readers=("gateway",),
        summary="The gates of orchestration, by name.",
    )
)
