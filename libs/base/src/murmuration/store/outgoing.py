"""What a transaction says to the world, before it has numbers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from murmuration.kernel.errors import Bug, Rejected, TooLarge
from murmuration.proto.envelope import BODY_BYTES_MAX, TRACEPARENT, encode
from murmuration.proto.ids import token
from murmuration.proto.registry import CHANNELS, Channel, channel_of

_PROPAGATOR = TraceContextTextMapPropagator()


class Outgoing(NamedTuple):
    """One row of the outbox to be; a bucket with state None is a tombstone."""

    stream: str
    subject: str
    type: str
    entity: str
    traceparent: str | None
    body: bytes
    bucket: str | None
    key: str | None
    state: bytes | None


def columns(rows: Sequence[Outgoing]) -> tuple[Sequence[object] | None, ...]:
    """The arguments of mur.append: what rows have in common once, the rest as a column each.

    What the server can tell by itself is left out: each element of an array costs a microsecond.
    """
    kinds: dict[tuple[str, str, str | None, str | None], int] = {}
    last: dict[str, int] = {}
    of_kind: list[int] = []
    backs: list[int] = []
    for place, row in enumerate(rows):
        stream = row.stream
        of_kind.append(
            kinds.setdefault((stream, row.type, row.traceparent, row.bucket), len(kinds) + 1)
        )
        backs.append(place - last.get(stream, place))
        last[stream] = place
    with_state = any(row.key is not None for row in rows)
    return (
        *(list(column) for column in zip(*kinds, strict=True)),
        of_kind if len(kinds) > 1 else None,
        backs if len(last) > 1 else None,
        [row.subject for row in rows],
        [row.entity for row in rows],
        [row.body for row in rows],
        [row.key for row in rows] if with_state else None,
        [row.state for row in rows] if with_state else None,
    )


def current_traceparent() -> str | None:
    """The W3C traceparent of the current span, or None outside one."""
    span = trace.get_current_span()
    if span is trace.INVALID_SPAN or not span.get_span_context().is_valid:
        return None
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get(TRACEPARENT)


def subject_of(channel: Channel, tokens: Mapping[str, str]) -> str:
    """The channel's subject with its placeholders filled by encoded `tokens`.

    Raises Bug when a placeholder has no token.
    """
    try:
        return channel.subject.format_map({name: token(text) for name, text in tokens.items()})
    except KeyError as error:
        raise Bug(f"{channel.type}: the subject needs {error}") from error


def outgoing(
    payload: msgspec.Struct,
    *,
    entity: str,
    tokens: Mapping[str, str],
    bucket: str | None = None,
    key: str | None = None,
    state: msgspec.Struct | None = None,
    as_type: str | None = None,
) -> Outgoing:
    """Make the row of one event, order or intake message.

    With `bucket`, `state` is the snapshot the change leaves behind (None: deleted), under the
    encoded `key`, or the entity's when none is given. `as_type` names the channel where one payload
    serves several. Raises TooLarge over BODY_BYTES_MAX, Rejected for an entity with line breaks,
    Bug for a payload that belongs to no stream.
    """
    channel = CHANNELS[as_type] if as_type else channel_of(type(payload))
    if channel.stream is None:
        raise Bug(f"{channel.type} is not kept in a stream")
    if any(mark in entity for mark in "\r\n\0"):
        raise Rejected(f"{channel.type}: an entity is one line of text, not {entity[:80]!r}")
    body = encode(payload)
    if len(body) > BODY_BYTES_MAX:
        raise TooLarge(
            f"{channel.type} of {entity} has {len(body)} bytes, the limit is {BODY_BYTES_MAX}"
        )
    return Outgoing(
        stream=channel.stream,
        subject=subject_of(channel, tokens),
        type=channel.type,
        entity=entity,
        traceparent=current_traceparent(),
        body=body,
        bucket=bucket,
        key=token(key or entity) if bucket else None,
        state=encode(state) if bucket and state is not None else None,
    )
