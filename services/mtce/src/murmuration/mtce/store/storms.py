"""Storms and what hosts share, in mtce's database."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from murmuration.mtce.core.storm import Begun, Kind, Share, Storm
from murmuration.proto.ids import HostName

KEPT_MAX: Final = 200  # storms that are over: enough to see a pattern
SAVE_SHARES = """
with gone as (delete from host_share where host = $1 and (kind, key) not in (
    select * from unnest($2::text[], $3::text[])))
insert into host_share (host, kind, key)
select $1, kind, key from unnest($2::text[], $3::text[]) as given (kind, key)
on conflict do nothing
"""
SHARES = """
select m.name, h.kind, h.key from mirror_host m left join host_share h on h.host = m.name
where m.accepted
"""
LOST = """
select s.name, coalesce(v.reached_at, s.changed_at) as since
from host_state s left join verdict v
    on (v.host, v.boot_id, v.episode) = (s.name, s.boot_id, s.episode)
where s.heartbeat = 'lost' and s.administrative = 'unlocked'
    and coalesce(s.work ->> 'operation_id', '') = ''  -- not one that an operator restarts,
    and coalesce(s.work #>> '{frames,0,procedure}', '') <> 'critical'  -- nor an operator's policy,
    and coalesce(s.work #>> '{frames,0,stage}', '') <> 'parted'  -- nor one that said good-bye
"""
OPEN = """
select s.number, s.kind, s.key, s.begun_at, s.calm_at,
    array_agg(h.host) filter (where h.held) as held,
    array_agg(h.host) filter (where not h.held) as gone
from storm s left join storm_host h on h.storm = s.number
where s.ended_at is null group by s.number order by s.number
"""
BEGIN = """
insert into storm (kind, key, reason, begun_at) values ($1, $2, $3, $4) returning number
"""
JOIN = """
insert into storm_host (storm, host) select $1, unnest($2::text[])
on conflict (storm, host) do update set held = true
"""
CALM = "update storm set calm_at = $2 where number = $1"
RELEASE = "update storm_host set held = false where storm = $1 and host = any($2)"
END = "update storm set ended_at = $2 where number = $1"
TRIM = """
delete from storm where ended_at is not null and number not in (
    select number from storm order by number desc limit $1)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What storms are worked out from."""

    lost: dict[HostName, datetime]
    shares: dict[HostName, frozenset[Share]]
    storms: list[Storm]


async def save_shares(
    connection: asyncpg.Connection, host: HostName, shares: Collection[Share]
) -> None:
    """Keep what a host shares with others; what it no longer does is dropped."""
    kinds = [share.kind.value for share in shares]
    await connection.execute(SAVE_SHARES, host, kinds, [share.key for share in shares])


async def facts(connection: asyncpg.Connection) -> Facts:
    """Who is silent, what hosts share, and which storms there are."""
    shares: defaultdict[HostName, set[Share]] = defaultdict(set)
    lost = {HostName(row["name"]): row["since"] for row in await connection.fetch(LOST)}
    storms = [_storm(row) for row in await connection.fetch(OPEN)]
    if lost or storms:
        for row in await connection.fetch(SHARES):
            found = shares[HostName(row["name"])]
            if row["kind"] is not None:
                found.add(Share(Kind(row["kind"]), row["key"]))
    return Facts(
        lost=lost,
        shares={name: frozenset(each) for name, each in shares.items()},
        storms=storms,
    )


async def begin(connection: asyncpg.Connection, begun: Begun, now: datetime) -> int:
    """Record a storm with its hosts; its number."""
    given = (begun.share.kind.value, begun.share.key, begun.reason, now)
    number = int(await connection.fetchval(BEGIN, *given) or 0)
    await join(connection, number, begun.hosts)
    return number


async def join(connection: asyncpg.Connection, number: int, hosts: Iterable[HostName]) -> None:
    """Hold these hosts too."""
    await connection.execute(JOIN, number, list(hosts))


async def calm(connection: asyncpg.Connection, number: int, now: datetime) -> None:
    """Note since when its hosts are let go."""
    await connection.execute(CALM, number, now)


async def release(connection: asyncpg.Connection, number: int, hosts: Iterable[HostName]) -> None:
    """Hold these hosts no longer."""
    await connection.execute(RELEASE, number, list(hosts))


async def end(connection: asyncpg.Connection, number: int, now: datetime) -> None:
    """Note that it is over, and forget the oldest that are."""
    await connection.execute(END, number, now)
    await connection.execute(TRIM, KEPT_MAX)


def _storm(row: asyncpg.Record) -> Storm:
    return Storm(
        number=row["number"],
        share=Share(Kind(row["kind"]), row["key"]),
        begun_at=row["begun_at"],
        held=frozenset(HostName(name) for name in row["held"] or ()),
        gone=frozenset(HostName(name) for name in row["gone"] or ()),
        calm_at=row["calm_at"],
    )
