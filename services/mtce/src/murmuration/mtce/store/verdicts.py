"""Verdicts: one row for each time a host was proven silent, whoever proved it.

A row names the boot and the episode on record, so a replica that looks at an older record than the
present one, or at a host that is on record as lost already, writes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from murmuration.mtce.core.model import Observation
from murmuration.mtce.core.verdict import Verdict
from murmuration.proto.ids import HostName

KEPT_MAX: Final = 20  # verdicts of one host: enough to see a pattern
REACH = """
insert into verdict (host, boot_id, episode, observer, seen)
select given.host, s.boot_id, s.episode, $4, given.seen::jsonb
from unnest($1::text[], $2::bigint[], $3::text[]) as given (host, episode, seen)
join host_state s on s.name = given.host and s.episode = given.episode
where s.heartbeat <> 'lost'
on conflict do nothing
"""
OPEN = """
select v.host, v.seen::text,
    s.heartbeat = 'lost' or (v.boot_id, v.episode) <> (s.boot_id, s.episode) as over
from verdict v left join host_state s on s.name = v.host
where v.settled_at is null order by v.host limit $1
"""
SETTLE = """
update verdict set settled_at = clock_timestamp() where host = any($1) and settled_at is null
"""
TRIM = """
delete from verdict v using (
    select host, boot_id, episode,
        row_number() over (partition by host order by reached_at desc) as place from verdict
) as placed
where (v.host, v.boot_id, v.episode) = (placed.host, placed.boot_id, placed.episode)
    and placed.place > $1
"""
FORGET = "delete from verdict where not exists (select 1 from host_state s where s.name = host)"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVerdict:
    """A verdict that the machine has not taken; `over`: the record has moved on meanwhile."""

    host: HostName
    seen: Observation
    over: bool


async def reach(connection: asyncpg.Connection, found: Sequence[Verdict], *, observer: str) -> int:
    """Write the verdicts that nobody has written; how many were new. May be repeated."""
    said = await connection.execute(
        REACH,
        [one.host for one in found],
        [one.episode for one in found],
        [msgspec.json.encode(one.seen).decode() for one in found],
        observer,
    )
    return int(said.rpartition(" ")[2])


async def unsettled(connection: asyncpg.Connection, limit: int) -> list[OpenVerdict]:
    """The verdicts that the machine has not taken yet."""
    return [
        OpenVerdict(
            host=HostName(row["host"]),
            seen=msgspec.json.decode(row["seen"], type=Observation),
            over=row["over"] is not False,
        )
        for row in await connection.fetch(OPEN, limit)
    ]


async def settle(connection: asyncpg.Connection, hosts: Iterable[HostName]) -> None:
    """Note that the machines of these hosts have taken their verdicts."""
    await connection.execute(SETTLE, list(hosts))


async def trim(connection: asyncpg.Connection) -> None:
    """Forget what is beyond the bound, and hosts that are no more."""
    await connection.execute(TRIM, KEPT_MAX)
    await connection.execute(FORGET)
