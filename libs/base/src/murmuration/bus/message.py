"""From what a stream delivers to what a handler is given."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from murmuration.proto import envelope
from murmuration.proto.envelope import Version
from murmuration.proto.registry import CHANNELS, Channel


@dataclass(frozen=True, slots=True)
class Delivery:
    """One stored message as the stream gives it; `sequence` is the stream's own number."""

    stream: str
    sequence: int
    subject: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def version(self) -> Version:
        """The sender's (epoch, change). Raises ValueError when the headers lack it."""
        return envelope.version_of(dict(self.headers))

    @property
    def type(self) -> str:
        """The CloudEvents type, empty when absent."""
        return self.headers.get(envelope.CE_TYPE, "")

    @property
    def entity(self) -> str:
        """The CloudEvents subject: the key of what changed; empty when absent."""
        return self.headers.get(envelope.CE_SUBJECT, "")

    @property
    def identity(self) -> str:
        """What tells this message from any other: its CloudEvents id, else its version."""
        headers = self.headers
        return headers.get(envelope.CE_ID) or ":".join(
            (
                self.subject,
                headers.get(envelope.EPOCH) or headers.get(envelope.INCARNATION, ""),
                headers.get(envelope.CHANGE) or headers.get(envelope.NUMBER, ""),
            )
        )

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context of the change, if it had one."""
        return self.headers.get(envelope.TRACEPARENT)

    @property
    def previous(self) -> int:
        """The number of the message before this one from the same sender to the same stream."""
        return int(self.headers.get(envelope.PREVIOUS, "0"))


class Undecodable(ValueError):
    """A known type whose body does not decode: it is parked."""


def channel_for(delivery: Delivery) -> Channel | None:
    """The declared channel of a delivery, or None for a type this version does not know.

    A message without the CloudEvents type (a plain publisher) is known by its subject.
    """
    if delivery.type:
        return CHANNELS.get(delivery.type)
    words = delivery.subject.split(".")
    for channel in CHANNELS.values():
        if channel.stream == delivery.stream and _matches(channel.filter.split("."), words):
            return channel
    return None


def _matches(pattern: list[str], words: list[str]) -> bool:
    return len(pattern) == len(words) and all(
        p in ("*", w) for p, w in zip(pattern, words, strict=True)
    )


def decode(delivery: Delivery, channel: Channel) -> msgspec.Struct:
    """The payload of a known channel. Raises Undecodable, saying what does not fit."""
    if channel.payload is None:
        raise Undecodable(f"{channel.type} has no JSON body")
    try:
        return msgspec.json.decode(delivery.body, type=channel.payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Undecodable(f"{channel.type}: {error}") from error
