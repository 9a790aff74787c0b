"""The contract of the two services made for the chaos tests: `thing` counts, `echo` listens.

Declared only in processes that import this module: it is no part of the product's registry.

A command moves some things on by one; each thing says so with its new count, so a reader can tell
at once whether it missed one, saw one twice or saw them out of order. For every tenth count `echo`
sends `thing` an order, which must arrive exactly once too.
"""

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

for _name, _subject, _permanence in (
    ("THING", "thing.event.>", Permanence.EVENTS),
    ("THING_ORDERS", "thing.order.>", Permanence.ORDERS),
    ("ECHO", "echo.event.>", Permanence.EVENTS),
):
    add_stream(
        StreamSpec(
            name=_name,
            owner=_name.partition("_")[0].lower(),
            subjects=(_subject,),
            permanence=_permanence,
            size_bytes_max=256 * MEBIBYTE,
            age_s_max=0,
            summary="Of the chaos tests.",
        )
    )
for _service, _reader in (("thing", "echo"), ("echo", "thing")):
    add_status(_service)
    add_stateful(_service, readers=(_reader,))
add_marks("thing", ("echo",))


class Thing(Payload, frozen=True, kw_only=True):
    """A thing and how often it was moved on."""

    name: str
    count: int


@declare(
    Kind.COMMAND,
    type="thing.thing.move.v1",
    subject="thing.cmd.move",
    publishers=("load",),
    subscribers=("thing",),
    reply=Accepted,
)
class MoveThings(Payload, frozen=True, kw_only=True):
    """Move each of these on by one."""

    operation_id: OperationIdField
    names: tuple[str, ...]


@declare(
    Kind.COMMAND,
    type="thing.thing.remove.v1",
    subject="thing.cmd.remove",
    publishers=("load",),
    subscribers=("thing",),
    reply=Accepted,
)
class RemoveThing(Payload, frozen=True, kw_only=True):
    """Forget a thing."""

    operation_id: OperationIdField
    name: str


@declare(
    Kind.EVENT,
    type="thing.thing.moved.v1",
    subject="thing.event.thing.moved.{name}",
    stream="THING",
    publishers=("thing",),
    subscribers=("echo",),
)
class ThingMoved(Payload, frozen=True, kw_only=True):
    """A thing was moved on, or (`afresh`) is told as it is."""

    thing: Thing
    afresh: bool = False


@declare(
    Kind.EVENT,
    type="thing.thing.removed.v1",
    subject="thing.event.thing.removed.{name}",
    stream="THING",
    publishers=("thing",),
    subscribers=("echo",),
)
class ThingRemoved(Payload, frozen=True, kw_only=True):
    """A thing is no more."""

    name: str


@declare(
    Kind.ORDER,
    type="thing.thing.acknowledge.v1",
    subject="thing.order.{sender}.acknowledge",
    stream="THING_ORDERS",
    publishers=("echo",),
    subscribers=("thing",),
)
class Acknowledge(Payload, frozen=True, kw_only=True):
    """`echo` has seen this count of this thing."""

    operation_id: OperationIdField
    expires_at: Instant | None = None
    name: str
    count: int


add_bucket(
    BucketSpec(name=BUCKET, owner="thing", payload=Thing, readers=("echo",), summary="Things.")
)
