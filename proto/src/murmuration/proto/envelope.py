"""What travels around a payload: CloudEvents 1.0 in NATS binary mode, and headers of our own.

Invariant: `(epoch, change)` of one sender only grows; it is the order of commit in the sender's
database, and the only order readers and guards compare.
"""

import enum
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from murmuration.proto.registry import Channel

E = TypeVar("E", bound="OpenEnum")

CE_ID = "ce-id"
CE_TYPE = "ce-type"
CE_SOURCE = "ce-source"
CE_SUBJECT = "ce-subject"
CE_TIME = "ce-time"
CE_SPECVERSION = "ce-specversion"
TRACEPARENT = "traceparent"
EPOCH = "Mur-Epoch"
CHANGE = "Mur-Change"
INCARNATION = "Mur-Incarnation"
NUMBER = "Mur-N"
PREVIOUS = "Mur-Prev"

NUMBER_DIGITS_MAX = 19
NUMBER_MAX = 2**63 - 1  # a bigint of the database
BODY_BYTES_MAX = 256 * 1024  # a quarter of NATS's own default of 1 MiB: room for headers and growth

Instant = Annotated[datetime, msgspec.Meta(tz=True, description="UTC instant, RFC 3339")]
Epoch = Annotated[int, msgspec.Meta(ge=0, description="life of the sender's database")]
Change = Annotated[int, msgspec.Meta(ge=0, description="number of the change in that life")]


class OpenEnum(enum.StrEnum):
    """An enum that a newer sender may extend: an unknown member decodes as UNKNOWN."""

    @classmethod
    def _missing_(cls, value: object) -> "OpenEnum | None":
        return cls.__members__.get("UNKNOWN")


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything that travels: frozen, keyword-only, unknown fields ignored."""


class Version(NamedTuple):
    """Where a fact stands in the life of its sender's database: (epoch, change), ordered."""

    epoch: int
    change: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.change}"


ZERO = Version(0, 0)


def cloud_event_headers(
    channel: Channel, *, version: Version, entity: str, time: datetime, traceparent: str | None
) -> dict[str, str]:
    """The NATS headers of one event; `entity` is the key of what changed, `time` aware UTC."""
    headers = {
        CE_SPECVERSION: "1.0",
        CE_ID: f"{channel.service}:{version}",
        CE_TYPE: channel.type,
        CE_SOURCE: f"/{channel.service}",
        CE_SUBJECT: entity,
        CE_TIME: time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        EPOCH: str(version.epoch),
        CHANGE: str(version.change),
    }
    if traceparent:
        headers[TRACEPARENT] = traceparent
    return headers


def number(text: str) -> int:
    """A number in a header: 0 to 2^63-1, decimal digits alone. Raises ValueError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= NUMBER_DIGITS_MAX):
        raise ValueError(f"{text[:40]!r} is not a number")
    found = int(text)
    if found > NUMBER_MAX:
        raise ValueError(f"{text} is too large a number")
    return found


def version_of(headers: Mapping[str, str] | None) -> Version:
    """The sender's (epoch, change) in `headers`. Raises ValueError when absent or not numbers."""
    found = headers or {}
    try:
        return Version(number(found[EPOCH]), number(found[CHANGE]))
    except KeyError as error:
        raise ValueError(f"header {error} is missing") from error


class StateValue(Payload, frozen=True, kw_only=True):
    """The value of a state key: the snapshot, and the change it is of. `deleted` is a tombstone."""

    epoch: Epoch
    change: Change
    deleted: bool = False
    data: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def version(self) -> Version:
        """Where this snapshot stands."""
        return Version(self.epoch, self.change)


def encode(payload: Any) -> bytes:
    """JSON, keys in declared order."""
    return _ENCODER.encode(payload)


_ENCODER = msgspec.json.Encoder()
