"""Where hosts stand: the mirror of what sysinv and mtce say, as correlation needs it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import asyncpg
import msgspec

from murmuration.fm.core.picture import Placed
from murmuration.fm.core.topology import Place, Uplink
from murmuration.proto.envelope import Version

DECLARE = """
insert into place as p (host, number, personality, uplinks, sysinv_epoch, sysinv_change)
values ($1, nextval('place_number'), $2, $3, $4, $5)
on conflict (host) do update set personality = excluded.personality, uplinks = excluded.uplinks,
    sysinv_epoch = excluded.sysinv_epoch, sysinv_change = excluded.sysinv_change,
    number = case when (p.personality, p.uplinks) is distinct from
        (excluded.personality, excluded.uplinks) then excluded.number else p.number end
"""
MAINTAIN = """
insert into place as p (host, number, locked, condition, storm, mtce_epoch, mtce_change)
values ($1, nextval('place_number'), $2, $3, $4, $5, $6)
on conflict (host) do update set locked = excluded.locked, condition = excluded.condition,
    storm = excluded.storm, mtce_epoch = excluded.mtce_epoch, mtce_change = excluded.mtce_change,
    number = case when (p.locked, p.condition, p.storm) is distinct from
        (excluded.locked, excluded.condition, excluded.storm) then excluded.number else p.number end
"""
UNDECLARE = """
update place set personality = '', uplinks = '{}', sysinv_epoch = null, sysinv_change = null,
    number = nextval('place_number')
where host = any($1) and sysinv_epoch is not null
"""
UNMAINTAIN = """
update place set locked = false, condition = '', storm = '', mtce_epoch = null,
    mtce_change = null, number = nextval('place_number')
where host = any($1) and mtce_epoch is not null
"""
UNTOLD_BY_SYSINV = "select host from place where (sysinv_epoch, sysinv_change) < ($1, $2)"
UNTOLD_BY_MTCE = "select host from place where (mtce_epoch, mtce_change) < ($1, $2)"
PRUNE = "delete from place where sysinv_epoch is null and mtce_epoch is null"
_READ = """
select host, number, personality, uplinks::text as uplinks, locked, condition, storm,
    sysinv_epoch is null and mtce_epoch is null as gone
from place where {} order by number
"""
READ_SINCE = _READ.format("number > $1")
READ_OF = _READ.format("host = any($1)")
_UPLINKS = msgspec.json.Decoder(dict[str, Uplink])


class Moved(NamedTuple):
    """A host as it stands after the change of this number."""

    number: int
    said: Placed


async def declare(
    connection: asyncpg.Connection,
    host: str,
    *,
    personality: str,
    uplinks: Mapping[str, Uplink],
    version: Version,
) -> None:
    """Store what sysinv says of a host."""
    encoded = msgspec.json.encode(uplinks).decode()
    await connection.execute(DECLARE, host, personality, encoded, *version)


async def maintain(
    connection: asyncpg.Connection,
    host: str,
    *,
    locked: bool,
    condition: str,
    storm: str,
    version: Version,
) -> None:
    """Store what mtce says of a host."""
    await connection.execute(MAINTAIN, host, locked, condition, storm, *version)


async def undeclare(connection: asyncpg.Connection, hosts: Sequence[str]) -> None:
    """Forget what sysinv said of these hosts."""
    await connection.execute(UNDECLARE, hosts)


async def unmaintain(connection: asyncpg.Connection, hosts: Sequence[str]) -> None:
    """Forget what mtce said of these hosts."""
    await connection.execute(UNMAINTAIN, hosts)


async def untold_by_sysinv(connection: asyncpg.Connection, since: Version) -> list[str]:
    """The hosts that sysinv told of last before `since`."""
    return [row["host"] for row in await connection.fetch(UNTOLD_BY_SYSINV, *since)]


async def untold_by_mtce(connection: asyncpg.Connection, since: Version) -> list[str]:
    """The hosts that mtce told of last before `since`."""
    return [row["host"] for row in await connection.fetch(UNTOLD_BY_MTCE, *since)]


async def prune(connection: asyncpg.Connection) -> None:
    """Remove the rows of hosts that are gone."""
    await connection.execute(PRUNE)


async def moved_since(connection: asyncpg.Connection, number: int) -> list[Moved]:
    """The hosts that changed after this number, in order; 0: all."""
    rows = await connection.fetch(READ_SINCE, number)
    return [Moved(row["number"], Placed(host=row["host"], place=_place(row))) for row in rows]


async def of(connection: asyncpg.Connection, hosts: Sequence[str]) -> list[Placed]:
    """Where these hosts stand."""
    rows = await connection.fetch(READ_OF, hosts)
    return [Placed(host=row["host"], place=_place(row)) for row in rows]


def _place(row: asyncpg.Record) -> Place | None:
    if row["gone"]:
        return None
    return Place(
        personality=row["personality"],
        locked=row["locked"],
        condition=row["condition"],
        uplinks=_UPLINKS.decode(row["uplinks"]),
        storm=row["storm"],
    )
