"""Path alarms as raised, in mtce's database."""

from collections.abc import Collection
from datetime import datetime

import asyncpg

from murmuration.mtce.core.paths import PathFault, PathKey
from murmuration.proto.fm import Severity
from murmuration.proto.ids import HostName

EVERY = "select * from path_fault order by alarm_id, entity"
SAVE = """
insert into path_fault (alarm_id, entity, host, severity, reason, raised_at)
values ($1, $2, $3, $4, $5, $6)
on conflict (alarm_id, entity) do update set
    host = excluded.host, severity = excluded.severity, reason = excluded.reason
"""
REMOVE = "delete from path_fault where alarm_id = $1 and entity = $2"


async def every(connection: asyncpg.Connection) -> dict[PathKey, tuple[PathFault, datetime]]:
    """What is raised, and since when."""
    found: dict[PathKey, tuple[PathFault, datetime]] = {}
    for row in await connection.fetch(EVERY):
        key = PathKey(row["alarm_id"], row["entity"])
        host = HostName(row["host"]) if row["host"] is not None else None
        fault = PathFault(key, host, Severity(row["severity"]), row["reason"])
        found[key] = (fault, row["raised_at"])
    return found


async def save(connection: asyncpg.Connection, fault: PathFault, now: datetime) -> None:
    """Keep that it is raised."""
    await connection.execute(SAVE, *fault.key, fault.host, fault.severity.value, fault.reason, now)


async def remove(connection: asyncpg.Connection, keys: Collection[PathKey]) -> None:
    """Keep that these are cleared."""
    if keys:
        await connection.executemany(REMOVE, [tuple(key) for key in keys])
