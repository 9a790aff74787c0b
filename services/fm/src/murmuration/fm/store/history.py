"""History in the database: what happened, one row each, in partitions of a day.

A day's partition is made before its first row: by a task ahead of time, or under the lock. Ids
grow in order of commit, for writers hold the lock.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg

from murmuration.fm.core.model import Transition
from murmuration.proto.fm import Alarm

APPEND = """
insert into history (recorded_at, at, kind, uuid, alarm_id, entity, path, severity,
    severity_before, raised_at, changed, reason, author, record)
select $1, r.at, r.kind, r.uuid, r.alarm_id, r.entity, r.path, r.severity, r.severity_before,
    r.raised_at, string_to_array(r.changed, ' '), r.reason, r.author, r.record
from unnest($2::timestamptz[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::timestamptz[], $11::text[], $12::text[], $13::text[], $14::bytea[])
    as r (at, kind, uuid, alarm_id, entity, path, severity, severity_before, raised_at, changed,
        reason, author, record)
"""


class Row(NamedTuple):
    """One row of history to be."""

    at: datetime
    kind: str
    uuid: str
    alarm_id: str
    entity: str
    path: str
    severity: str
    severity_before: str | None
    raised_at: datetime
    changed: str
    reason: str
    author: str
    record: bytes


def row(transition: Transition, record: bytes, now: datetime) -> Row:
    """The row of a transition with its subject's JSON; nothing is later than `now`."""
    subject = transition.subject
    if isinstance(subject, Alarm):
        event_id, raised_at = subject.alarm_id, min(subject.first_raised_at, now)
    else:
        event_id, raised_at = subject.log_id, transition.at
    before = transition.severity_before
    return Row(
        at=transition.at,
        kind=transition.kind.value,
        uuid=subject.uuid,
        alarm_id=event_id,
        entity=subject.entity,
        path=transition.path,
        severity=subject.severity.value,
        severity_before=before.value if before else None,
        raised_at=raised_at,
        changed=" ".join(transition.changed),
        reason=transition.reason,
        author=transition.author,
        record=record,
    )


async def append(connection: asyncpg.Connection, rows: Sequence[Row], now: datetime) -> None:
    """Store rows as recorded at `now`, in their order."""
    if rows:
        columns = (list(column) for column in zip(*rows, strict=True))
        await connection.execute(APPEND, now, *columns)


def partition_of(day: datetime) -> str:
    """The name of the partition in which an instant lies."""
    return f"history_{day.astimezone(UTC):%Y%m%d}"


async def make_day(connection: asyncpg.Connection, day: datetime) -> None:
    """Make the partition of a day (UTC) if it is not there."""
    name = partition_of(day)
    start = day.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    end = start + timedelta(days=1)
    await connection.execute(
        f"create table if not exists {name} partition of history "
        f"for values from ('{start.isoformat()}') to ('{end.isoformat()}')"
    )
