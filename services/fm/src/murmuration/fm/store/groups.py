"""Which alarms are grouped for whom, and which groups are due.

Two readers of history would see the same; there is one, and it may repeat what it did: a raise puts
an alarm into its groups, a clear marks it there.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from murmuration.fm.core.grouping import Verdict
from murmuration.proto.fm import Alarm

PAGE = 500
STATE = "select generation, grouped, read_to, read_at from notifying for update"
READ_TO = "update notifying set read_to = $1, read_at = $2"
SLACK = timedelta(days=1)  # a clock that was set back between two rows of history
GROUPED = "update notifying set grouped = $1"
LAST = "select coalesce(max(id), 0) from history"
HISTORY = """
select id, kind, uuid, at, record from history
where id > $1 and recorded_at >= $3
    and (kind in ('raised', 'cleared') or 'severity' = any (changed))
order by id limit $2
"""
BEHIND = "select coalesce(max(id), $1) from history where id > $1 and recorded_at >= $2"
ACTIVE = "select uuid, record from alarm where uuid > $1 order by uuid limit $2"
GROUPS = """
insert into notify_group as g (receiver, route, labels, due_at)
select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
on conflict (receiver, route, labels) do update set due_at = excluded.due_at
    where $5 and excluded.due_at < g.due_at
"""
MEMBERS = """
insert into notify_member as m (receiver, route, labels, uuid, generation)
select *, $5 from unnest($1::text[], $2::text[], $3::text[], $4::uuid[])
on conflict (receiver, route, labels, uuid) do update
    set generation = excluded.generation, news = m.news or $6, cleared_at = null
"""
UNGROUP = "delete from notify_member where generation < $1"
END_EMPTY = """
delete from notify_group g where not exists (
    select from notify_member m
    where (m.receiver, m.route, m.labels) = (g.receiver, g.route, g.labels))
"""
LEAVE = """
update notify_member m set cleared_at = $6
where uuid = any ($5::uuid[]) and not exists (
    select from unnest($1::text[], $2::text[], $3::text[], $4::uuid[])
        as n (receiver, route, labels, uuid)
    where (n.receiver, n.route, n.labels, n.uuid) = (m.receiver, m.route, m.labels, m.uuid))
"""
CLEAR = """
update notify_member m set cleared_at = n.at
from unnest($1::uuid[], $2::timestamptz[]) as n (uuid, at) where m.uuid = n.uuid
"""
HASTEN = """
update notify_group g set due_at = $3
where g.receiver = any ($2::text[]) and g.due_at > $3 and exists (
    select from notify_member m where m.uuid = any ($1::uuid[])
        and (m.receiver, m.route, m.labels) = (g.receiver, g.route, g.labels))
"""
DUE = """
select receiver, route, labels, told_at from notify_group where due_at <= $1
order by due_at limit $2
"""
OF = """
select m.uuid::text as uuid, m.cleared_at, m.told, m.news, coalesce(a.record, h.record) as record
from notify_member m
left join alarm a on a.uuid = m.uuid
left join lateral (
    select record from history h where m.cleared_at is not null and h.uuid = m.uuid
    order by h.id desc limit 1) h on true
where m.receiver = $1 and m.route = $2 and m.labels = $3
order by m.cleared_at is null, m.uuid limit $4
"""
COUNT = """
select count(*) from notify_member
where receiver = $1 and route = $2 and labels = $3 and cleared_at is null
"""
EXPLAINS = """
select root_cause::text as root, count(*) as explained from alarm
where root_cause = any ($1::uuid[]) group by root_cause
"""
TOLD = """
update notify_member set told = true, news = false
where receiver = $1 and route = $2 and labels = $3 and uuid = any ($4::uuid[])
"""
FORGET = """
delete from notify_member
where receiver = $1 and route = $2 and labels = $3 and uuid = any ($4::uuid[])
"""
AGAIN = """
update notify_group set due_at = $4, told_at = coalesce($5, told_at)
where receiver = $1 and route = $2 and labels = $3
"""
END = "delete from notify_group where receiver = $1 and route = $2 and labels = $3"
_ALARM = msgspec.json.Decoder(Alarm)


class State(NamedTuple):
    """How far the grouping is; see the table."""

    generation: int
    grouped: int
    read_to: int
    read_at: datetime


class Happened(NamedTuple):
    """One row of history that groups depend on."""

    id: int
    kind: str
    alarm: Alarm
    at: datetime


class Place(NamedTuple):
    """One alarm in one group, which is due then if it is new (or `hasty`)."""

    receiver: str
    route: str
    labels: str
    uuid: UUID
    due_at: datetime
    hasty: bool


class Group(NamedTuple):
    """A group that is due."""

    receiver: str
    route: str
    labels: str
    told_at: datetime | None

    @property
    def key(self) -> tuple[str, str, str]:
        """What its rows are found by."""
        return self.receiver, self.route, self.labels


class Stored(NamedTuple):
    """One member as stored, and its alarm as it is, or was when it was cleared."""

    uuid: str
    cleared_at: datetime | None
    told: bool
    news: bool
    alarm: Alarm | None


async def state(connection: asyncpg.Connection) -> State:
    """How far the grouping is; nobody changes receivers and routes until the unit ends."""
    row = await connection.fetchrow(STATE)
    assert row is not None
    return State(row["generation"], row["grouped"], row["read_to"], row["read_at"])


async def last_of_history(connection: asyncpg.Connection) -> int:
    """The id of the last row of history."""
    return int(await connection.fetchval(LAST) or 0)


async def happened_since(
    connection: asyncpg.Connection, state: State
) -> tuple[list[Happened], int]:
    """A page of what happened, and up to where history is read thereby."""
    since = state.read_at - SLACK
    last = int(await connection.fetchval(BEHIND, state.read_to, since) or state.read_to)
    rows = await connection.fetch(HISTORY, state.read_to, PAGE, since)
    found = [
        Happened(row["id"], row["kind"], _ALARM.decode(row["record"]), row["at"]) for row in rows
    ]
    return found, found[-1].id if len(found) == PAGE else last


async def active_after(connection: asyncpg.Connection, uuid: UUID) -> list[Alarm]:
    """A page of active alarms, by uuid."""
    rows = await connection.fetch(ACTIVE, uuid, PAGE)
    return [_ALARM.decode(row["record"]) for row in rows]


async def join(
    connection: asyncpg.Connection, places: Sequence[Place], *, generation: int, news: bool
) -> None:
    """Put alarms into groups; `news`: they are to be told even if they were before."""
    for hasty in (False, True):
        some = [place for place in places if place.hasty is hasty]
        if some:
            groups = {place[:3]: place.due_at for place in some}
            keys = _columns(groups)
            await connection.execute(GROUPS, *keys, list(groups.values()), hasty)
            members = _columns([(*place[:3], place.uuid) for place in some])
            await connection.execute(MEMBERS, *members, generation, news)


async def leave(
    connection: asyncpg.Connection, uuids: Sequence[UUID], stay: Sequence[Place], now: datetime
) -> None:
    """Take alarms out of all groups but those where they stay: there they count as cleared."""
    columns = _columns([(*place[:3], place.uuid) for place in stay]) or [[], [], [], []]
    await connection.execute(LEAVE, *columns, uuids, now)


async def clear(
    connection: asyncpg.Connection,
    cleared: Sequence[tuple[UUID, datetime]],
    *,
    hasty: Sequence[str],
    due_at: datetime,
) -> None:
    """Mark alarms as cleared in all their groups; of `hasty` receivers these are due soon."""
    await connection.execute(CLEAR, *_columns(cleared))
    if hasty:
        await connection.execute(HASTEN, [uuid for uuid, _ in cleared], hasty, due_at)


async def grouped(
    connection: asyncpg.Connection, generation: int, read_to: int, now: datetime
) -> None:
    """All alarms are grouped by this routing: what an earlier one put elsewhere is gone."""
    await connection.execute(UNGROUP, generation)
    await connection.execute(END_EMPTY)
    await connection.execute(GROUPED, generation)
    await connection.execute(READ_TO, read_to, now)


async def read(connection: asyncpg.Connection, read_to: int, now: datetime) -> None:
    """History is grouped up to here."""
    await connection.execute(READ_TO, read_to, now)


async def due(connection: asyncpg.Connection, now: datetime, most: int) -> list[Group]:
    """Groups that are to be looked at, those that waited longest first."""
    rows = await connection.fetch(DUE, now, most)
    return [Group(row["receiver"], row["route"], row["labels"], row["told_at"]) for row in rows]


async def members(connection: asyncpg.Connection, group: Group, most: int) -> list[Stored]:
    """The members of a group, the cleared ones first."""
    rows = await connection.fetch(OF, *group.key, most)
    return [
        Stored(
            row["uuid"],
            row["cleared_at"],
            row["told"],
            row["news"],
            _ALARM.decode(row["record"]) if row["record"] else None,
        )
        for row in rows
    ]


async def count_beyond(connection: asyncpg.Connection, group: Group, most: int) -> int:
    """How many alarms of a group fire beyond those that are looked at in one go."""
    return max(0, int(await connection.fetchval(COUNT, *group.key) or 0) - most)


async def explains(connection: asyncpg.Connection, uuids: Sequence[str]) -> dict[str, int]:
    """How many active alarms each of these is the root cause of."""
    rows = await connection.fetch(EXPLAINS, uuids)
    return {row["root"]: row["explained"] for row in rows}


async def settle(
    connection: asyncpg.Connection, group: Group, verdict: Verdict, now: datetime
) -> None:
    """Write what became of a group that was looked at."""
    if verdict.firing:
        await connection.execute(TOLD, *group.key, verdict.firing)
    if verdict.forgotten:
        await connection.execute(FORGET, *group.key, verdict.forgotten)
    if verdict.due_at is None:
        await connection.execute(END, *group.key)
    else:
        told_at = now if verdict.tells else None
        await connection.execute(AGAIN, *group.key, verdict.due_at, told_at)


def _columns(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
