"""The registry: what may travel on the bus, who says it and who listens.

Every module of `murmuration.proto` declares its channels here when it is imported; `load()` imports
them all. JSON Schema, AsyncAPI, TypeScript, the permissions of every identity and the lock of
published versions are made from this table and from nothing else.

Invariants: a type name is declared once; the placeholders of a subject are whole tokens; whatever a
stream holds names that stream.
"""

import enum
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

StructType = type[msgspec.Struct]


class Kind(enum.StrEnum):
    """How a message travels."""

    EVENT = "event"  # JetStream, the publisher's own stream, CloudEvents headers
    INTAKE = "intake"  # JetStream, the receiver's stream, exact by (incarnation, n)
    ORDER = "order"  # JetStream, the receiver's stream, from another service's outbox
    OBSERVED = "observed"  # JetStream, short retention, published by agents
    COMMAND = "command"  # request/reply, changes state, repeatable by operation id
    QUERY = "query"  # request/reply, read only
    CORE = "core"  # plain NATS, never stored


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """One declared message.

    `type` is `<service>.<noun>.<verb>.v<N>`; `subject` may hold `{placeholders}`; `reply` is the
    payload of the answer of a command or query; `payload` is None where the body is not JSON.
    """

    kind: Kind
    type: str
    subject: str
    payload: StructType | None
    reply: StructType | None
    stream: str | None
    publishers: tuple[str, ...]
    subscribers: tuple[str, ...]
    summary: str

    @property
    def service(self) -> str:
        """The service whose contract this is: the first token of the type."""
        return self.type.partition(".")[0]

    @property
    def filter(self) -> str:
        """The subject with every placeholder as `*`, for subscriptions and permissions."""
        return ".".join("*" if part.startswith("{") else part for part in self.subject.split("."))


class Permanence(enum.StrEnum):
    """What a stream does when it is full."""

    EVENTS = "events"  # discards the oldest
    INTAKE = "intake"  # refuses the newest: the sender waits and says so
    ORDERS = "orders"  # likewise; written by other services' relays
    OBSERVED = "observed"  # discards the oldest, short retention


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamSpec:
    """One JetStream stream; sizes in bytes, ages in seconds (0: no limit)."""

    name: str
    owner: str
    subjects: tuple[str, ...]
    permanence: Permanence
    size_bytes_max: int
    age_s_max: int
    summary: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BucketSpec:
    """One key-value bucket: the derived cache of one noun, written by its owner's relay."""

    name: str
    owner: str
    payload: type[msgspec.Struct]
    readers: tuple[str, ...]
    summary: str


CHANNELS: dict[str, Channel] = {}
STREAMS: dict[str, StreamSpec] = {}
BUCKETS: dict[str, BucketSpec] = {}
MODULES = (
    "sysinv",
    "mtce",
    "mtce_bmc",
    "fm",
    "fm_operators",
    "fm_derived",
    "fm_notify",
    "node",
    "platform",
)

P = TypeVar("P", bound=StructType)


def declare(
    kind: Kind,
    *,
    type: str,
    subject: str,
    publishers: tuple[str, ...],
    subscribers: tuple[str, ...],
    stream: str | None = None,
    reply: StructType | None = None,
) -> Callable[[P], P]:
    """Class decorator: register the Struct as the payload of one channel."""

    def register(payload: P) -> P:
        summary = (payload.__doc__ or "").strip().splitlines()[0]
        add_channel(
            Channel(
                kind=kind,
                type=type,
                subject=subject,
                payload=payload,
                reply=reply,
                stream=stream,
                publishers=publishers,
                subscribers=subscribers,
                summary=summary,
            )
        )
        return payload

    return register


def add_channel(channel: Channel) -> None:
    """Register a channel. Raises ValueError when its type is taken."""
    if channel.type in CHANNELS:
        raise ValueError(f"{channel.type} is declared twice")
    CHANNELS[channel.type] = channel


def add_stream(spec: StreamSpec) -> StreamSpec:
    """Register a stream. Raises ValueError when its name is taken."""
    if spec.name in STREAMS:
        raise ValueError(f"stream {spec.name} is declared twice")
    STREAMS[spec.name] = spec
    return spec


def add_bucket(spec: BucketSpec) -> BucketSpec:
    """Register a bucket. Raises ValueError when its name is taken."""
    if spec.name in BUCKETS:
        raise ValueError(f"bucket {spec.name} is declared twice")
    BUCKETS[spec.name] = spec
    return spec


def load() -> None:
    """Import every module of the contract, so that the tables above are whole. May be repeated."""
    for name in MODULES:
        importlib.import_module(f"murmuration.proto.{name}")
    missing = {c.stream for c in CHANNELS.values() if c.stream} - STREAMS.keys()
    if missing:
        raise ValueError(f"channels name undeclared streams: {sorted(missing)}")


def channel_of(payload: type[msgspec.Struct]) -> Channel:
    """The channel whose payload is this Struct. Raises KeyError when none is."""
    channel = _BY_PAYLOAD.get(payload)
    if channel is None:
        _BY_PAYLOAD.update({c.payload: c for c in CHANNELS.values() if c.payload is not None})
        channel = _BY_PAYLOAD[payload]
    return channel


_BY_PAYLOAD: dict[type[msgspec.Struct], Channel] = {}
