"""The lock of each service's contract: what was published stays as it was.

`proto/contracts/<service>.lock` holds an entry per type, stream and bucket, each draft or
published. A draft follows the registry. A published entry is frozen: the registry may only gain
what `shape.changes` and `GAINABLE` allow, and the entry takes that over when it is published again.

Invariants: only `publish` writes a published entry; the digest covers all of an entry, so an edit
by hand is noticed.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from murmuration.proto import pulse
from murmuration.proto.generate.shape import Binary, Shape, changes, shape_of
from murmuration.proto.generate.tree import COMMAND, ContractError
from murmuration.proto.registry import (
    BUCKETS,
    CHANNELS,
    STREAMS,
    BucketSpec,
    Channel,
    StreamSpec,
    StructType,
)

FOLDER = "contracts"
GAINABLE = ("subscribers", "readers", "subjects")  # a published list may grow, never shrink
FRAMES = {  # the layouts of what is not JSON
    "mtce.pulse.frame.v1": Binary(
        {
            "magic": pulse.MAGIC.decode(),
            "version": pulse.VERSION,
            "format": pulse.FORMAT,
            "size_bytes": pulse.FRAME_BYTES,
            "mac_bytes": pulse.MAC_BYTES,
        }
    )
}

Status = Literal["draft", "published"]


class Entry(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What every entry has: where it stands, and the digest of all the rest of it."""

    status: Status
    digest: str = ""


class TypeEntry(Entry, kw_only=True, frozen=True, omit_defaults=True):
    """One declared message."""

    kind: str
    subject: str
    stream: str = ""
    publishers: tuple[str, ...]
    subscribers: tuple[str, ...]
    payload: Shape
    reply: Shape | None = None


class StreamEntry(Entry, kw_only=True, frozen=True, omit_defaults=True):
    """One stream; its sizes and ages are an operator's to choose and not locked."""

    subjects: tuple[str, ...]
    permanence: str


class BucketEntry(Entry, kw_only=True, frozen=True, omit_defaults=True):
    """One bucket."""

    readers: tuple[str, ...]
    payload: Shape


E = TypeVar("E", bound=Entry)


class Lock(msgspec.Struct, kw_only=True, frozen=True):
    """The contract of one service."""

    service: str
    types: dict[str, TypeEntry] = {}
    streams: dict[str, StreamEntry] = {}
    buckets: dict[str, BucketEntry] = {}


def declared(service: str) -> Lock:
    """The lock of a service as the registry is now, everything a draft."""
    return Lock(
        service=service,
        types={
            c.type: sealed(_type_entry(c))
            for c in sorted(CHANNELS.values(), key=lambda c: c.type)
            if c.service == service
        },
        streams={
            s.name: sealed(_stream_entry(s))
            for s in sorted(STREAMS.values(), key=lambda s: s.name)
            if s.owner == service
        },
        buckets={
            b.name: sealed(_bucket_entry(b))
            for b in sorted(BUCKETS.values(), key=lambda b: b.name)
            if b.owner == service
        },
    )


def services() -> list[str]:
    """Every service that declares something."""
    return sorted(
        {c.service for c in CHANNELS.values()}
        | {s.owner for s in STREAMS.values()}
        | {b.owner for b in BUCKETS.values()}
    )


def locked(root: Path) -> dict[str, Lock]:
    """The locks on disk, by service. Raises ContractError for one that was edited by hand."""
    found: dict[str, Lock] = {}
    wrong: list[str] = []
    for file in sorted((root / FOLDER).glob("*.lock")):
        try:
            lock = msgspec.json.decode(file.read_bytes(), type=Lock)
        except msgspec.DecodeError as error:
            raise ContractError([f"{FOLDER}/{file.name} is not a lock: {error}."]) from error
        found[file.stem] = lock
        for name, entry in entries(lock):
            if sealed(entry).digest != entry.digest:
                wrong.append(
                    f"{FOLDER}/{file.name}: the entry of {name} was changed by hand: restore it "
                    f"and run `{COMMAND}`."
                )
    if wrong:
        raise ContractError(wrong)
    return found


def violations(root: Path) -> list[str]:
    """One sentence per change of something published that it may not bear."""
    sentences: list[str] = []
    for service, lock in locked(root).items():
        now = declared(service)
        for name, entry in lock.types.items():
            sentences += _judge(name, entry, now.types.get(name), _next_version(name))
        for name, entry in lock.streams.items():
            sentences += _judge(f"stream {name}", entry, now.streams.get(name), _OTHER_NAME)
        for name, entry in lock.buckets.items():
            sentences += _judge(f"bucket {name}", entry, now.buckets.get(name), _OTHER_NAME)
    return sentences


def merged(root: Path) -> dict[str, Lock]:
    """What the locks should hold now: published entries as they are, drafts as declared."""
    before = locked(root)
    found: dict[str, Lock] = {}
    for service in services():
        now, old = declared(service), before.get(service) or Lock(service=service)
        found[service] = Lock(
            service=service,
            types=_kept(old.types, now.types),
            streams=_kept(old.streams, now.streams),
            buckets=_kept(old.buckets, now.buckets),
        )
    return found


def published(service: str) -> Lock:
    """The lock of a service with everything published as it is declared now."""
    now = declared(service)
    return Lock(
        service=service,
        types={name: _publish(entry) for name, entry in now.types.items()},
        streams={name: _publish(entry) for name, entry in now.streams.items()},
        buckets={name: _publish(entry) for name, entry in now.buckets.items()},
    )


def text(lock: Lock) -> bytes:
    """The bytes of a lock file."""
    return msgspec.json.format(msgspec.json.encode(lock, order="sorted"), indent=2) + b"\n"


def path(service: str) -> str:
    """The place of a service's lock, from proto/."""
    return f"{FOLDER}/{service}.lock"


def sealed(entry: E) -> E:
    """The entry with the digest of the rest of it."""
    rest = msgspec.json.encode(msgspec.structs.replace(entry, digest=""), order="sorted")
    return msgspec.structs.replace(entry, digest=f"sha256:{hashlib.sha256(rest).hexdigest()}")


_OTHER_NAME = "give the new form another name"


def _next_version(name: str) -> str:
    number = re.search(r"\.v([0-9]+)$", name)
    return f"make it v{int(number[1]) + 1}" if number else "make it v2"


def _judge(name: str, entry: E, now: E | None, remedy: str) -> Iterator[str]:
    if entry.status != "published":
        return
    if now is None:
        yield f"{name} is published and no longer declared: put it back; for another form {remedy}."
        return
    for phrase in _differences(entry, now):
        yield f"{name} is published and {phrase}: {remedy}."


def _differences(before: Entry, after: Entry) -> Iterator[str]:
    for field in msgspec.structs.fields(type(before)):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.name in ("status", "digest") or old == new:
            continue
        if field.name in ("payload", "reply"):
            if old is None or new is None:
                yield f"its reply is {'gone' if new is None else 'new'}"
            else:
                where = "" if field.name == "payload" else "reply"
                yield from changes(old, new, where)
        elif field.name in GAINABLE:
            for lost in sorted(set(old) - set(new)):
                yield f"its {field.name} have lost {lost}"
        else:
            yield f"its {field.name} is {_said(new)} now, it was {_said(old)}"


def _said(value: str | tuple[str, ...]) -> str:
    return value or "none" if isinstance(value, str) else ", ".join(value) or "none"


def _kept(old: dict[str, E], now: dict[str, E]) -> dict[str, E]:
    found: dict[str, E] = {}
    for name, entry in now.items():
        known = old.get(name)
        found[name] = known if known is not None and known.status == "published" else entry
    return found


def _publish(entry: E) -> E:
    return sealed(msgspec.structs.replace(entry, status="published"))


def entries(lock: Lock) -> Iterator[tuple[str, Entry]]:
    """Every entry of a lock, by name."""
    yield from lock.types.items()
    yield from lock.streams.items()
    yield from lock.buckets.items()


def _type_entry(channel: Channel) -> TypeEntry:
    return TypeEntry(
        status="draft",
        kind=channel.kind.value,
        subject=channel.subject,
        stream=channel.stream or "",
        publishers=tuple(sorted(channel.publishers)),
        subscribers=tuple(sorted(channel.subscribers)),
        payload=_payload_shape(channel.type, channel.payload),
        reply=shape_of(channel.reply) if channel.reply else None,
    )


def _payload_shape(type_name: str, payload: StructType | None) -> Shape:
    if payload is not None:
        return shape_of(payload)
    try:
        return FRAMES[type_name]
    except KeyError as error:
        raise ContractError([f"{type_name} is not JSON: name its layout in locks.FRAMES."]) from (
            error
        )


def _stream_entry(spec: StreamSpec) -> StreamEntry:
    return StreamEntry(
        status="draft", subjects=tuple(sorted(spec.subjects)), permanence=spec.permanence.value
    )


def _bucket_entry(spec: BucketSpec) -> BucketEntry:
    return BucketEntry(
        status="draft", readers=tuple(sorted(spec.readers)), payload=shape_of(spec.payload)
    )
