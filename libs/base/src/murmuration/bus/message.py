"""From what a stream delivers to what a handler is given."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice

import msgspec

from murmuration.proto import envelope
from murmuration.proto.envelope import Version
from murmuration.proto.ids import token
from murmuration.proto.registry import CHANNELS, Channel

NUL = rb"\u0000"  # the only way to write it in JSON; PostgreSQL has no text with it
HEADERS_CHARS = 2_048  # of all headers; within it no single one is looked at
HEADERS_MAX = 32
HEADER_CHARS = 512  # of one name or value: an index of PostgreSQL takes 2,700 bytes
REDELIVERED = "Nats-Stream"  # the server's header on what it read from a stream for somebody


@dataclass(frozen=True, slots=True)
class Delivery:
    """One stored message as the stream gives it; `sequence` is the stream's own number."""

    stream: str
    sequence: int
    subject: str
    headers: Mapping[str, str]
    body: bytes
    stored_ns: int = 0  # when the server stored it, since 1970; 0: not told

    def __post_init__(self) -> None:
        """Have headers and a subject that can be stored, whoever wrote them."""
        object.__setattr__(self, "headers", _storable(self.headers))
        if not self.subject.isprintable() or len(self.subject) > HEADER_CHARS:
            object.__setattr__(self, "subject", _text(self.subject))

    @property
    def version(self) -> Version:
        """The sender's (epoch, change). Raises ValueError when the headers lack or garble it."""
        envelope.number(self.headers.get(envelope.PREVIOUS, "0"))
        return envelope.version_of(self.headers)

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
        """The number of the message before this one from the same sender to the same stream.

        What is no number is behind nothing: the message is never due.
        """
        try:
            return envelope.number(self.headers.get(envelope.PREVIOUS, "0"))
        except ValueError:
            return envelope.NUMBER_MAX


def _storable(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Headers as they are, but for what PostgreSQL has no text or no room for: it is cut, or �."""
    text = "".join((*headers, *headers.values()))
    if text.isprintable() and len(text) <= HEADERS_CHARS:
        return headers
    kept = islice(headers.items(), HEADERS_MAX)
    return {_text(name): _text(value) for name, value in kept}


def _text(text: str) -> str:
    whole = text.encode(errors="replace").decode()
    return whole.replace("\0", "\ufffd")[:HEADER_CHARS]


class Undecodable(ValueError):
    """A known type whose body does not decode: it is parked."""


def channel_for(delivery: Delivery) -> Channel | None:
    """The declared channel of a delivery, or None for a type this version does not know.

    A message without the CloudEvents type (a plain publisher) is known by its subject; a type that
    does not belong to the subject is no channel's. What JetStream itself sent there (an answer
    directed to a foreign subject, which the server does not check) is nobody's either.
    """
    if REDELIVERED in delivery.headers:
        return None
    words = delivery.subject.split(".")
    if delivery.type:
        named = CHANNELS.get(delivery.type)
        fits = named is not None and _matches(_pattern(named), words)
        return named if fits else None
    for channel in CHANNELS.values():
        if channel.stream == delivery.stream and _matches(channel.filter.split("."), words):
            return channel
    return None


def _pattern(channel: Channel) -> list[str]:
    """The words of a channel's filter, made once: every message asks."""
    found = _PATTERNS.get(channel.subject)
    if found is None:
        found = _PATTERNS[channel.subject] = channel.filter.split(".")
    return found


_PATTERNS: dict[str, list[str]] = {}


def _matches(pattern: list[str], words: list[str]) -> bool:
    if len(pattern) != len(words):
        return False
    return all(map(_fits, pattern, words))


def _fits(part: str, word: str) -> bool:
    return part in (word, "*")


def decode(delivery: Delivery, channel: Channel) -> msgspec.Struct:
    """The payload of a known channel. Raises Undecodable, saying what does not fit."""
    if channel.payload is None:
        raise Undecodable(f"{channel.type} has no JSON body")
    if NUL in delivery.body:
        raise Undecodable(f"{channel.type}: U+0000 cannot be stored as text")
    try:
        payload = msgspec.json.decode(delivery.body, type=channel.payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Undecodable(f"{channel.type}: {error}") from error
    if not speaks_of_itself(channel, payload, delivery.subject):
        raise Undecodable(f"{channel.type}: sent on {delivery.subject} in the name of another")
    return payload


def own_tokens(channel: Channel, payload: msgspec.Struct) -> dict[str, str]:
    """The placeholders of a channel's subject that name a text field of its payload, filled."""
    found: dict[str, str] = {}
    for name in _own_fields(channel.subject, type(payload)):
        value = getattr(payload, name)
        if isinstance(value, str):
            found[name] = value
    return found


@cache
def _own_fields(subject: str, payload: type[msgspec.Struct]) -> tuple[str, ...]:
    """The placeholders of a subject that are fields of a payload: every message asks."""
    names = [part[1:-1] for part in subject.split(".") if part.startswith("{")]
    return tuple(name for name in names if name in payload.__struct_fields__)


def speaks_of_itself(channel: Channel, payload: msgspec.Struct, subject: str) -> bool:
    """Whether the subject agrees with the payload where a placeholder names one of its fields.

    The server checks who may publish on a subject, so `{host}` there is who really speaks; a
    payload that names another host is a host that speaks for another.
    """
    own = own_tokens(channel, payload)
    if not own:
        return True
    for part, word in zip(channel.subject.split("."), subject.split("."), strict=False):
        if part.startswith("{") and part[1:-1] in own:
            try:
                if token(own[part[1:-1]]) != word:
                    return False
            except ValueError:
                return False
    return True
