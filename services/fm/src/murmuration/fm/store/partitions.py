"""The days of history: made ahead, dropped when too old or when all together are too large.

Invariants: today and the days made ahead are never dropped. Where today alone is too large, its
oldest rows go: a storm fills the disk to the limit and no further.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg

from murmuration.fm.store.history import make_day, partition_of

AHEAD_D = 2
TRIM_ROWS = 20_000  # of one statement, which holds the rows' locks
ROW_BYTES = 1_200  # of one row with its indexes, as measured with records of 500 bytes
LOCK_WAIT = "set local lock_timeout = '2s'"  # a long reader must not make the intake wait behind us
LIST = """
select c.relname as name, pg_total_relation_size(c.oid) as size_bytes
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'history'::regclass order by c.relname
"""


class Partition(NamedTuple):
    """One day of history."""

    name: str
    size_bytes: int


async def make_ahead(connection: asyncpg.Connection, now: datetime) -> None:
    """Make the partitions of today and of the next days. May be repeated."""
    for day in range(AHEAD_D + 1):
        await make_day(connection, now + timedelta(days=day))


async def listed(connection: asyncpg.Connection) -> list[Partition]:
    """The partitions, oldest first."""
    rows = await connection.fetch(LIST)
    return [Partition(row["name"], row["size_bytes"]) for row in rows]


def superfluous(
    partitions: list[Partition], now: datetime, *, age_d: int, size_bytes_max: int
) -> list[str]:
    """The names of those to drop, oldest first: too old, or too much together."""
    oldest_kept = partition_of(now.astimezone(UTC) - timedelta(days=age_d))
    today = partition_of(now)
    total = sum(each.size_bytes for each in partitions)
    found: list[str] = []
    for each in partitions:
        if each.name >= today or (each.name >= oldest_kept and total <= size_bytes_max):
            break
        found.append(each.name)
        total -= each.size_bytes
    return found


async def drop(connection: asyncpg.Connection, name: str) -> None:
    """Drop one partition, or give up when a reader holds it for long (it is tried again)."""
    async with connection.transaction():
        await connection.execute(LOCK_WAIT)
        await connection.execute(f"drop table {name}")


async def trim(connection: asyncpg.Connection, now: datetime, *, rows_max: int) -> int:
    """Delete the oldest of today's rows beyond `rows_max`, TRIM_ROWS at most; how many."""
    name = partition_of(now)
    status = await connection.execute(
        f"delete from {name} where id in (select id from {name} "
        f"where id <= (select max(id) from {name}) - {rows_max} order by id limit {TRIM_ROWS})"
    )
    return int(status.rpartition(" ")[2])
