"""The contract of the two services made for the chaos tests: `thing` counts, `echo` listens.

Declared only where asked for: it is no part of the product's registry.

A command moves some things on by one; each thing says so with its new count, so a reader can tell
at once whether it missed one, saw one twice or saw them out of order. For every tenth count `echo`
sends `thing` an order, which must arrive exactly once too.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from murmuration.proto import registry
from murmuration.proto.envelope import Instant, Payload
from murmuration.proto.platform import (
    OperationIdField,
    add_marks,
    add_stateful,
    add_status,
)
from murmuration.proto.registry import (
    BucketSpec,
    Kind,
    Permanence,
    StreamSpec,
    add_bucket,
    add_stream,
    declare,
)
from murmuration.proto.sysinv import Accepted

MEBIBYTE = 2**20
BUCKET = "thing_things"
ORDER_EVERY = 10


class Thing(Payload, frozen=True, kw_only=True):
    """A thing and how often it was moved on."""

    name: str
    count: int


class MoveThings(Payload, frozen=True, kw_only=True):
    """Move each of these on by one."""

    operation_id: OperationIdField
    names: tuple[str, ...]


class RemoveThing(Payload, frozen=True, kw_only=True):
    """Forget a thing."""

    operation_id: OperationIdField
    name: str


class ThingMoved(Payload, frozen=True, kw_only=True):
    """A thing was moved on, or (`afresh`) is told as it is."""

    thing: Thing
    afresh: bool = False


class ThingRemoved(Payload, frozen=True, kw_only=True):
    """A thing is no more."""

    name: str


class Acknowledge(Payload, frozen=True, kw_only=True):
    """`echo` has seen this count of this thing."""

    operation_id: OperationIdField
    expires_at: Instant | None = None
    name: str
    count: int


def declare_all() -> None:
    """Put it into this process's registry."""
    for name, subject, permanence in (
        ("THING", "thing.event.>", Permanence.EVENTS),
        ("THING_ORDERS", "thing.order.>", Permanence.ORDERS),
        ("ECHO", "echo.event.>", Permanence.EVENTS),
    ):
        add_stream(
            StreamSpec(
                name=name,
                owner=name.partition("_")[0].lower(),
                subjects=(subject,),
                permanence=permanence,
                size_bytes_max=256 * MEBIBYTE,
                age_s_max=0,
                summary="Of the chaos tests.",
            )
        )
    for service, reader in (("thing", "echo"), ("echo", "thing")):
        add_status(service)
        add_stateful(service, readers=(reader,))
    add_marks("thing", ("echo",))
    declare(
        Kind.COMMAND,
        type="thing.thing.move.v1",
        subject="thing.cmd.move",
        publishers=("load",),
        subscribers=("thing",),
        reply=Accepted,
    )(MoveThings)
    declare(
        Kind.COMMAND,
        type="thing.thing.remove.v1",
        subject="thing.cmd.remove",
        publishers=("load",),
        subscribers=("thing",),
        reply=Accepted,
    )(RemoveThing)
    declare(
        Kind.EVENT,
        type="thing.thing.moved.v1",
        subject="thing.event.thing.moved.{name}",
        stream="THING",
        publishers=("thing",),
        subscribers=("echo",),
    )(ThingMoved)
    declare(
        Kind.EVENT,
        type="thing.thing.removed.v1",
        subject="thing.event.thing.removed.{name}",
        stream="THING",
        publishers=("thing",),
        subscribers=("echo",),
    )(ThingRemoved)
    declare(
        Kind.ORDER,
        type="thing.thing.acknowledge.v1",
        subject="thing.order.{sender}.acknowledge",
        stream="THING_ORDERS",
        publishers=("echo",),
        subscribers=("thing",),
    )(Acknowledge)
    add_bucket(
        BucketSpec(name=BUCKET, owner="thing", payload=Thing, readers=("echo",), summary="Things.")
    )


@contextmanager
def declared() -> Iterator[None]:
    """The whole registry with it; without it again at the end, for other tests read it too."""
    registry.load()
    tables = (registry.CHANNELS, registry.STREAMS, registry.BUCKETS, registry._BY_PAYLOAD)
    before = [dict(table) for table in tables]
    declare_all()
    try:
        yield
    finally:
        for table, kept in zip(tables, before, strict=True):
            table.clear()
            table.update(kept)  # type: ignore[arg-type]  # each its own
