"""What every service says of itself, and what it can be asked whichever service it is."""

from typing import Annotated

import msgspec
from msgspec import Meta

from murmuration.proto.envelope import Change, Epoch, Instant, Payload
from murmuration.proto.registry import (
    BUCKETS,
    CHANNELS,
    BucketSpec,
    Channel,
    Kind,
    add_bucket,
    add_channel,
)
from murmuration.proto.sysinv import Accepted

SERVICES = ("sysinv", "mtce", "fm", "gateway")
STATEFUL = ("sysinv", "mtce", "fm")
ORDER_MARK = "order."  # before the sender's name: the mark of its orders, apart from its intake
PARKED_LIST_MAX = 200

ParkedId = Annotated[int, Meta(ge=1, description="as its service counts what it set aside")]
HeldId = Annotated[int, Meta(ge=1, description="as its service counts its effects")]
OperationIdField = Annotated[str, Meta(min_length=8, max_length=64)]


class EpochStarted(Payload, frozen=True, kw_only=True):
    """A service's database began a new life: readers take what follows as the whole state."""

    service: str
    epoch: Annotated[int, Meta(ge=1, description="life of the service's database")]
    reason: str


class StatePublished(Payload, frozen=True, kw_only=True):
    """The whole state was just told afresh: what was last told before `since` is no more."""

    service: str
    since_epoch: Epoch
    since_change: Change


class ServiceStatus(Payload, frozen=True, kw_only=True):
    """What a service answers to a health question; also the body of its /readyz."""

    service: str
    instance: str
    ready: bool
    reason: Annotated[str, Meta(description="one sentence, empty when all is well")] = ""
    role: Annotated[str, Meta(description="active, or standby behind another replica")] = "active"
    relay_lag: Annotated[int, Meta(ge=0, description="outbox rows not yet on the bus")] = 0
    consumer_lag: Annotated[int, Meta(ge=0, description="messages not yet taken in")] = 0
    parked: Annotated[int, Meta(ge=0, description="messages set aside as undecodable")] = 0
    held: Annotated[int, Meta(ge=0, description="effects that wait for an operator")] = 0
    uptime_s: Annotated[float, Meta(ge=0)] = 0.0


class GetStatus(Payload, frozen=True, kw_only=True):
    """Ask a service how it is."""


class Mark(Payload, frozen=True, kw_only=True):
    """How far the owner of an intake has taken in what a producer sent."""

    producer: str
    incarnation: Annotated[int, Meta(ge=0, description="start of the producer: only grows")]
    n: Annotated[int, Meta(ge=0, description="everything up to and with n is durable")]


class MarkPublished(Mark, frozen=True, kw_only=True):
    """Sent after every batch that moved a producer's mark."""


class Sent(Payload, frozen=True, kw_only=True):
    """What a service was about to send into others' streams: proof of how far its database was."""

    service: str


class GetMark(Payload, frozen=True, kw_only=True):
    """Ask how far a producer's messages were taken in; `order.<sender>` names its orders."""

    producer: Annotated[str, Meta(max_length=80)]


class ParkedMessage(Payload, frozen=True, kw_only=True):
    """A message set aside, because it could not be decoded or applied."""

    id: ParkedId
    stream: str
    sequence: Annotated[int, Meta(ge=0, description="its number in the stream")]
    subject: str
    type: str
    entity: str
    epoch: Epoch
    change: Change
    reason: str
    parked_at: Instant
    superseded: Annotated[
        bool, Meta(description="something newer of its entity was applied: it can only be dropped")
    ] = False
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: Annotated[str, Meta(description="only where one is asked for; undecodable replaced")] = ""


class ParkedMessages(Payload, frozen=True, kw_only=True):
    """What a service has set aside, oldest first."""

    service: str
    messages: tuple[ParkedMessage, ...]


class GetParked(Payload, frozen=True, kw_only=True):
    """Ask what a service has set aside: one by its `id`, or (0) the oldest behind `after`."""

    id: Annotated[int, Meta(ge=0, description="this one alone, with headers and body")] = 0
    after: Annotated[int, Meta(ge=0, description="those behind this id")] = 0
    limit: Annotated[int, Meta(ge=1, le=PARKED_LIST_MAX, description="messages at most")] = (
        PARKED_LIST_MAX
    )


class RetryParked(Payload, frozen=True, kw_only=True):
    """Apply a parked message now; refused when something newer of its entity was applied."""

    operation_id: OperationIdField
    id: ParkedId


class DropParked(Payload, frozen=True, kw_only=True):
    """Forget a parked message for good."""

    operation_id: OperationIdField
    id: ParkedId


class HeldEffect(Payload, frozen=True, kw_only=True):
    """Something that must not happen twice, decided before its service's database was put back."""

    id: HeldId
    operation_id: str
    kind: str
    entity: str
    decided_at: Instant
    held_at: Instant


class HeldEffects(Payload, frozen=True, kw_only=True):
    """What a service holds back until it is observed, confirmed or dropped; oldest first."""

    service: str
    effects: tuple[HeldEffect, ...]


class GetHeld(Payload, frozen=True, kw_only=True):
    """Ask what a service holds back, behind `after`."""

    after: Annotated[int, Meta(ge=0, description="those behind this id")] = 0
    limit: Annotated[int, Meta(ge=1, le=PARKED_LIST_MAX, description="effects at most")] = (
        PARKED_LIST_MAX
    )


class ConfirmHeld(Payload, frozen=True, kw_only=True):
    """Have a held effect done after all, once."""

    operation_id: OperationIdField
    id: HeldId


class DropHeld(Payload, frozen=True, kw_only=True):
    """Have a held effect not done: it counts as failed."""

    operation_id: OperationIdField
    id: HeldId


def _add(
    kind: Kind,
    *,
    service: str,
    name: str,
    payload: type[msgspec.Struct],
    publishers: tuple[str, ...],
    subscribers: tuple[str, ...],
    subject: str,
    reply: type[msgspec.Struct] | None = None,
) -> None:
    if f"{service}.{name}.v1" in CHANNELS:
        return
    add_channel(
        Channel(
            kind=kind,
            type=f"{service}.{name}.v1",
            subject=f"{service}.{subject}",
            payload=payload,
            reply=reply,
            stream=service.upper() if kind is Kind.EVENT else None,
            publishers=publishers,
            subscribers=subscribers,
            summary=(payload.__doc__ or "").strip().splitlines()[0],
        )
    )


def sent_bucket(service: str) -> str:
    """The bucket in which a service keeps for itself how far it has sent to others."""
    return f"{service}_sent"


def add_status(service: str) -> None:
    """Declare that `service` says how it is. May be repeated."""
    _add(
        Kind.QUERY,
        service=service,
        name="status.get",
        payload=GetStatus,
        publishers=("gateway", "tool"),
        subscribers=(service,),
        subject="query.status",
        reply=ServiceStatus,
    )


def add_stateful(service: str, *, readers: tuple[str, ...]) -> None:
    """Declare what a service with a database says and answers. May be repeated."""
    for name, payload, subject in (
        ("epoch.started", EpochStarted, "event.epoch.started"),
        ("state.published", StatePublished, "event.state.published"),
    ):
        _add(
            Kind.EVENT,
            service=service,
            name=name,
            payload=payload,
            publishers=(service,),
            subscribers=readers,
            subject=subject,
        )
    if sent_bucket(service) not in BUCKETS:
        add_bucket(
            BucketSpec(
                name=sent_bucket(service),
                owner=service,
                payload=Sent,
                readers=(),
                summary=f"How far {service} has sent into others' streams, for itself alone.",
            )
        )
    _add(
        Kind.QUERY,
        service=service,
        name="parked.get",
        payload=GetParked,
        publishers=("gateway",),
        subscribers=(service,),
        subject="query.parked",
        reply=ParkedMessages,
    )
    _add(
        Kind.QUERY,
        service=service,
        name="held.get",
        payload=GetHeld,
        publishers=("gateway",),
        subscribers=(service,),
        subject="query.held",
        reply=HeldEffects,
    )
    for name, command in (
        ("parked.retry", RetryParked),
        ("parked.drop", DropParked),
        ("held.confirm", ConfirmHeld),
        ("held.drop", DropHeld),
    ):
        _add(
            Kind.COMMAND,
            service=service,
            name=name,
            payload=command,
            publishers=("gateway",),
            subscribers=(service,),
            subject=f"cmd.{name}",
            reply=Accepted,
        )


def add_marks(owner: str, producers: tuple[str, ...]) -> None:
    """Declare that `owner` tells these producers how far it took in what they sent."""
    _add(
        Kind.CORE,
        service=owner,
        name="mark.published",
        payload=MarkPublished,
        publishers=(owner,),
        subscribers=producers,
        subject="mark.{producer}",
    )
    _add(
        Kind.QUERY,
        service=owner,
        name="mark.get",
        payload=GetMark,
        publishers=producers,
        subscribers=(owner,),
        subject="query.mark",
        reply=Mark,
    )


for _service in SERVICES:
    add_status(_service)
for _service in STATEFUL:
    add_stateful(_service, readers=("gateway", *(other for other in STATEFUL if other != _service)))
