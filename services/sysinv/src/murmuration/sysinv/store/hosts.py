"""Hosts in the database."""

from dataclasses import dataclass

import asyncpg
import msgspec

from murmuration.kernel.errors import NotFound
from murmuration.proto.envelope import encode
from murmuration.proto.sysinv import Host
from murmuration.sysinv.core.model import Numbering

# A row that is not there cannot be locked: enrolments of one name queue on an advisory lock.
LOCK_NAME = "select pg_advisory_xact_lock(hashtextextended('host/' || $1, 0))"
READ = "select record::text, incarnation, n from host where name = $1 for update"
READ_ALL = "select record::text from host order by index"
NEXT_INDEX = "select nextval('host_index')"
SAVE = """
insert into host (name, index, record, incarnation, n) values ($1, $2, $3, $4, $5)
on conflict (name) do update
set record = excluded.record, incarnation = excluded.incarnation, n = excluded.n
"""
REMOVE = "delete from host where name = $1"
_DECODER = msgspec.json.Decoder(Host)


@dataclass(frozen=True, slots=True)
class StoredHost:
    """A host and the last message of its agent."""

    host: Host
    numbering: Numbering


async def find(connection: asyncpg.Connection, name: str) -> StoredHost | None:
    """One host, its row locked until the end of the transaction."""
    await connection.execute(LOCK_NAME, name)
    row = await connection.fetchrow(READ, name)
    if row is None:
        return None
    return StoredHost(_DECODER.decode(row["record"]), Numbering(row["incarnation"], row["n"]))


async def get(connection: asyncpg.Connection, name: str) -> StoredHost:
    """As `find`. Raises NotFound."""
    found = await find(connection, name)
    if found is None:
        raise NotFound(f"there is no host {name[:80]}")
    return found


async def next_index(connection: asyncpg.Connection) -> int:
    """A pulse index never given before in this database."""
    return int(await connection.fetchval(NEXT_INDEX) or 0)


async def save(connection: asyncpg.Connection, host: Host, numbering: Numbering) -> None:
    """Insert or replace a host."""
    await connection.execute(
        SAVE, host.name, host.index, encode(host).decode(), numbering.incarnation, numbering.n
    )


async def remove(connection: asyncpg.Connection, name: str) -> None:
    """Forget a host; its index stays given."""
    await connection.execute(REMOVE, name)


async def every(connection: asyncpg.Connection) -> list[Host]:
    """All hosts, by index."""
    return [_DECODER.decode(row["record"]) for row in await connection.fetch(READ_ALL)]
