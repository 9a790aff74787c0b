"""The outbox as the relay reads it."""

from typing import NamedTuple

import asyncpg

from murmuration.bus.publisher import Publication
from murmuration.bus.wire import header_lines
from murmuration.proto import envelope
from murmuration.proto.envelope import Version

FETCH = """
select change, epoch, previous, subject, type, entity, traceparent, body, bucket, key, state, at
from mur.unsent($1, $2, $3, $4)
"""
STATES = """
select epoch, change, bucket, key, state from mur.outbox
where stream = $1 and change > $2 order by change limit $3
"""
_START = f"{envelope.CE_SPECVERSION}: 1.0\r\n{envelope.CE_ID}"
EXPECTED = "Nats-Expected-Last-Sequence"
LAG = "select count(*) from mur.outbox where stream = $1 and change > $2"
SAVE_CURSOR = """
insert into mur.cursor as c (stream, epoch, change, sequence) values ($1, $2, $3, $4)
on conflict (stream) do update
set epoch = excluded.epoch, change = excluded.change, sequence = excluded.sequence
where (c.epoch, c.change) <= (excluded.epoch, excluded.change)
"""
READ_CURSOR = "select epoch, change, sequence from mur.cursor where stream = $1"
TRIM = """
delete from mur.outbox o using mur.cursor c
where o.stream = c.stream and o.created_at < now() - interval '24 hours'
  and (o.epoch, o.change) <= (c.epoch, c.change)
"""
TRIM_OPERATIONS = "delete from mur.operation where created_at < now() - interval '7 days'"
TRIM_EFFECTS = """
delete from mur.effect
where status in ('done', 'failed') and changed_at < now() - interval '30 days'
"""
START_EPOCH = """
update mur.life
set epoch = greatest($1::bigint + 1, extract(epoch from now())::bigint),
    reason = $3, started_at = now(),
    put_back_at = case when $4 then now() else put_back_at end
where (epoch, change) <= ($1::bigint, $2::bigint)
returning epoch, change
"""
HOLD_EFFECTS = """
update mur.effect set status = 'held', outcome = 'a new epoch began', changed_at = now()
where once and status in ('open', 'sent')
"""


class Cursor(NamedTuple):
    """How far a stream was filled: the last version sent, and its sequence in the stream.

    Of a foreign stream what is stored is what its owner confirmed; rows behind it are kept.
    """

    version: Version
    sequence: int


def publication(
    row: asyncpg.Record, service: str, *, expected_sequence: int | None = None
) -> Publication:
    """The message of one outbox row, in CloudEvents binary mode.

    With `expected_sequence` the stream stores it only as the message right behind that one.
    """
    change, epoch, previous, subject, kind, entity, traceparent, body, *_, at = row
    lines = (
        f"{_START}: {service}:{epoch}:{change}\r\n{envelope.CE_TYPE}: {kind}\r\n"
        f"{envelope.CE_SOURCE}: /{service}\r\n{envelope.CE_SUBJECT}: {entity}\r\n"
        f"{envelope.CE_TIME}: {at}\r\n{envelope.EPOCH}: {epoch}\r\n"
        f"{envelope.CHANGE}: {change}\r\n{envelope.PREVIOUS}: {previous}\r\n"
    )
    count = 9
    if traceparent:
        lines, count = f"{lines}{envelope.TRACEPARENT}: {traceparent}\r\n", count + 1
    if expected_sequence is not None:
        lines, count = f"{lines}{EXPECTED}: {expected_sequence}\r\n", count + 1
    return Publication(subject, header_lines(lines, count), body)


async def read_cursor(connection: asyncpg.Connection, stream: str) -> Cursor:
    """The stored cursor of a stream, at zero when it has none."""
    row = await connection.fetchrow(READ_CURSOR, stream)
    if row is None:
        return Cursor(envelope.ZERO, 0)
    return Cursor(Version(row["epoch"], row["change"]), row["sequence"])
