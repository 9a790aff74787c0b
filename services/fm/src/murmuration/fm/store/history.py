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


class Row(NamedTuple):
    """One row of history to be; the fields are the columns."""

    recorded_at: datetime
    at: datetime
    kind: str
    uuid: str
    alarm_id: str
    entity: str
    path: str
    severity: str
    severity_before: str | None
    raised_at: datetime
    changed: tuple[str, ...]
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
        recorded_at=now,
        at=transition.at,
        kind=transition.kind.value,
        uuid=subject.uuid,
        alarm_id=event_id,
        entity=subject.entity,
        path=transition.path,
        severity=subject.severity.value,
        severity_before=before.value if before else None,
        raised_at=raised_at,
        changed=transition.changed,
        reason=transition.reason,
        author=transition.author,
        record=record,
    )


_INSERT = (
    f"insert into history ({', '.join(Row._fields)})"
    f" values ({', '.join(f'${place}' for place in range(1, len(Row._fields) + 1))})"
)


async def append(connection: asyncpg.Connection, rows: Sequence[Row]) -> None:
    """Store rows in their order; under the lock, which gives today its partition."""
    if len(rows) == 1:
        await connection.execute(_INSERT, *rows[0])  # a copy would be one round trip more
    elif rows:
        await connection.copy_records_to_table("history", records=rows, columns=Row._fields)


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
