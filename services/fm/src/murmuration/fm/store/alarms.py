"""Active alarms and their history in the database."""

from datetime import datetime

import asyncpg
import msgspec

from murmuration.proto.envelope import encode
from murmuration.proto.fm import Alarm

READ = "select record::text from alarm where alarm_id = $1 and entity = $2 for update"
READ_UUID = "select record::text from alarm where uuid::text = $1 for update"
READ_ALL = "select record::text from alarm order by alarm_id, entity"
SAVE = """
insert into alarm (alarm_id, entity, uuid, severity, record) values ($1, $2, $3::uuid, $4, $5)
on conflict (alarm_id, entity) do update
set severity = excluded.severity, record = excluded.record
"""
DELETE = "delete from alarm where alarm_id = $1 and entity = $2"
REMEMBER = """
insert into history (at, what, uuid, alarm_id, entity, severity, reason, record)
values ($1, $2, $3::uuid, $4, $5, $6, $7, $8)
"""
_DECODER = msgspec.json.Decoder(Alarm)


async def find(connection: asyncpg.Connection, alarm_id: str, entity: str) -> Alarm | None:
    """The active alarm of exactly this key, its row locked."""
    row = await connection.fetchrow(READ, alarm_id, entity)
    return _DECODER.decode(row["record"]) if row else None


async def find_uuid(connection: asyncpg.Connection, uuid: str) -> Alarm | None:
    """The active alarm of this uuid, its row locked."""
    row = await connection.fetchrow(READ_UUID, uuid)
    return _DECODER.decode(row["record"]) if row else None


async def save(connection: asyncpg.Connection, alarm: Alarm) -> None:
    """Insert or replace an active alarm."""
    record = encode(alarm).decode()
    await connection.execute(
        SAVE, alarm.alarm_id, alarm.entity, alarm.uuid, alarm.severity.value, record
    )


async def delete(connection: asyncpg.Connection, alarm: Alarm) -> None:
    """Take an alarm out of the active ones."""
    await connection.execute(DELETE, alarm.alarm_id, alarm.entity)


async def remember(
    connection: asyncpg.Connection, alarm: Alarm, what: str, *, at: datetime, reason: str
) -> None:
    """One row of history: `what` is raised, changed or cleared."""
    await connection.execute(
        REMEMBER,
        at,
        what,
        alarm.uuid,
        alarm.alarm_id,
        alarm.entity,
        alarm.severity.value,
        reason,
        encode(alarm).decode(),
    )


async def every(connection: asyncpg.Connection) -> list[Alarm]:
    """All active alarms."""
    return [_DECODER.decode(row["record"]) for row in await connection.fetch(READ_ALL)]
