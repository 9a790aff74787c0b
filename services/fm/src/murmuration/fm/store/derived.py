"""What was said last of gates and degraded hosts."""

import asyncpg
import msgspec

from murmuration.proto.envelope import encode
from murmuration.proto.fm_derived import GateState, HostDegrade

READ = "select gate, record from derived order by gate, host"
SAVE = """
insert into derived (gate, host, record) values ($1, $2, $3)
on conflict (gate, host) do update set record = excluded.record
"""
DELETE = "delete from derived where gate = '' and host = $1"


async def every(connection: asyncpg.Connection) -> list[GateState | HostDegrade]:
    """All gates, and the hosts that are degraded."""
    rows = await connection.fetch(READ)
    return [
        msgspec.json.decode(row["record"], type=GateState if row["gate"] else HostDegrade)
        for row in rows
    ]


async def save(connection: asyncpg.Connection, record: GateState | HostDegrade) -> None:
    """Remember what is said of a gate or of a degraded host."""
    if isinstance(record, GateState):
        await connection.execute(SAVE, record.gate.value, "", encode(record))
    else:
        await connection.execute(SAVE, "", record.host, encode(record))


async def delete(connection: asyncpg.Connection, host: str) -> None:
    """A host is no longer degraded."""
    await connection.execute(DELETE, host)
