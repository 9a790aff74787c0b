"""Hosts in mtce's database: what sysinv declared of them, and their states.

Whoever writes states calls `lock` first: followers and verdicts take turns, so that neither can
wait for the other's rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec

from murmuration.mtce.core.admission import Peers
from murmuration.mtce.core.model import Axes, Condition, Declared, HostRecord, Work
from murmuration.proto.envelope import ZERO, Version, encode
from murmuration.proto.ids import BootId, HostName
from murmuration.proto.mtce import Availability, HeartbeatState, HostTask, Operational
from murmuration.proto.sysinv import Administrative, Personality

_WORK = msgspec.json.Decoder(Work)
STATES_LOCK = 0x6D746365  # 'mtce'
LOCK = "select pg_advisory_xact_lock($1)"
_COLUMNS = """
m.name, m.index, m.period_ms, m.administrative as intended, m.accepted, m.personality,
m.observe_only, m.takes_orders, m.has_bmc, m.all_in_one, m.ordered_epoch, m.ordered_change,
s.administrative, s.operational, s.availability, s.heartbeat, s.boot_id, s.episode,
s.last_heard_at, s.changed_at, s.reason, s.task, s.due_at, s.work::text as work
"""
LOAD = f"""
select {_COLUMNS} from mirror_host m left join host_state s using (name)
where m.name = any($1) order by m.name
"""
ROSTER = f"""
select {_COLUMNS} from mirror_host m join host_state s using (name)
where m.accepted order by m.name
"""
MARKS = """
select m.name, hash_record_extended(m, 0) as declared, hash_record_extended(s, 0) as state
from mirror_host m join host_state s using (name)
where m.accepted order by m.name
"""
SAVE_MIRROR = """
insert into mirror_host (name, index, period_ms, accepted, administrative, personality,
                         observe_only, takes_orders, has_bmc, all_in_one, epoch, change)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
on conflict (name) do update set
    index = excluded.index, period_ms = excluded.period_ms, accepted = excluded.accepted,
    administrative = excluded.administrative, personality = excluded.personality,
    observe_only = excluded.observe_only, takes_orders = excluded.takes_orders,
    has_bmc = excluded.has_bmc, all_in_one = excluded.all_in_one,
    epoch = excluded.epoch, change = excluded.change
"""
INTEND = """
update mirror_host set administrative = $2, ordered_epoch = $3, ordered_change = $4
where name = $1
"""
SAVE = """
insert into host_state (name, administrative, operational, availability, heartbeat,
                        boot_id, episode, last_heard_at, changed_at, reason, task, due_at, work)
select name, administrative, operational, availability, heartbeat, boot_id, episode,
       last_heard_at, changed_at, reason, task, due_at, work::jsonb
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
            $7::bigint[], $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[],
            $12::timestamptz[], $13::text[])
     as given (name, administrative, operational, availability, heartbeat, boot_id, episode,
               last_heard_at, changed_at, reason, task, due_at, work)
on conflict (name) do update set
    administrative = excluded.administrative, operational = excluded.operational,
    availability = excluded.availability, heartbeat = excluded.heartbeat,
    boot_id = excluded.boot_id, episode = excluded.episode,
    last_heard_at = excluded.last_heard_at, changed_at = excluded.changed_at,
    reason = excluded.reason, task = excluded.task, due_at = excluded.due_at,
    work = excluded.work
"""
DUE = "select name from host_state where due_at <= $1 order by due_at limit $2"
NEXT_DUE = "select min(due_at) from host_state where due_at > $1"
GRACE = "update host_state set due_at = $1 where due_at < $1"
PEERS = """
select count(*) as controllers,
       count(*) filter (where s.operational = 'enabled') as serving
from mirror_host m join host_state s using (name)
where m.accepted and m.personality = 'controller' and m.name <> $1
"""
OLDER = "select name from mirror_host where (epoch, change) <= ($1, $2) order by name"
REMOVE_MIRROR = "delete from mirror_host where name = $1"
REMOVE = "delete from host_state where name = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHost:
    """One host: as declared, and its record once it was accepted."""

    declared: Declared
    accepted: bool
    record: HostRecord | None
    ordered: Version = ZERO


async def lock(connection: asyncpg.Connection) -> None:
    """Have the states to oneself until the transaction ends."""
    await connection.execute(LOCK, STATES_LOCK)


async def load(
    connection: asyncpg.Connection, names: Sequence[HostName]
) -> dict[HostName, StoredHost]:
    """The hosts of these names that are known."""
    rows = await connection.fetch(LOAD, names)
    return {HostName(row["name"]): _host(row) for row in rows}


async def not_told_since(connection: asyncpg.Connection, version: Version) -> list[HostName]:
    """The hosts that sysinv last spoke of at `version` or before."""
    return [HostName(row["name"]) for row in await connection.fetch(OLDER, *version)]


async def roster(connection: asyncpg.Connection) -> list[tuple[Declared, HostRecord]]:
    """Every accepted host, by name."""
    found = [_host(row) for row in await connection.fetch(ROSTER)]
    return [(host.declared, host.record) for host in found if host.record is not None]


class Roster:
    """Every accepted host, read again and again: only the rows that changed are decoded.

    In a storm each of many commits changes a few of thousands of hosts, and decoding all of them
    would make the tick late. A row is known by a hash of its content, 64 bits: a counter or a
    transaction's number may come again after the database was put back.
    """

    def __init__(self) -> None:
        self._marks: dict[HostName, tuple[int, int]] = {}
        self._found: dict[HostName, tuple[Declared, HostRecord]] = {}

    async def read(self, connection: asyncpg.Connection) -> list[tuple[Declared, HostRecord]]:
        """The roster as of now, by name."""
        marks = {
            HostName(row["name"]): (row["declared"], row["state"])
            for row in await connection.fetch(MARKS)
        }
        changed = [name for name, mark in marks.items() if self._marks.get(name) != mark]
        for name, host in (await load(connection, changed)).items() if changed else ():
            if host.record is not None:
                self._found[name] = (host.declared, host.record)
        self._found = {name: self._found[name] for name in marks if name in self._found}
        self._marks = {name: marks[name] for name in self._found}
        return list(self._found.values())


async def save_mirror(
    connection: asyncpg.Connection, declared: Declared, *, accepted: bool, version: Version
) -> None:
    """Keep what sysinv declared."""
    await connection.execute(
        SAVE_MIRROR,
        declared.name,
        declared.index,
        declared.period_ms,
        accepted,
        declared.administrative.value,
        declared.personality.value,
        declared.observe_only,
        declared.takes_orders,
        declared.has_bmc,
        declared.all_in_one,
        *version,
    )


async def intend(
    connection: asyncpg.Connection, name: HostName, administrative: Administrative, at: Version
) -> None:
    """Keep the intent that an order told; what was said of it before `at` is older."""
    await connection.execute(INTEND, name, administrative.value, *at)


async def due(connection: asyncpg.Connection, now: datetime, limit: int) -> list[HostName]:
    """The hosts whose deadline has come, the longest due first."""
    return [HostName(row["name"]) for row in await connection.fetch(DUE, now, limit)]


async def next_due(connection: asyncpg.Connection, now: datetime) -> datetime | None:
    """The first deadline after `now`."""
    return await connection.fetchval(NEXT_DUE, now)


async def put_off(connection: asyncpg.Connection, until: datetime) -> None:
    """No deadline before `until`: nobody watched, so nothing is known of that time."""
    await connection.execute(GRACE, until)


async def peers(connection: asyncpg.Connection, name: HostName) -> Peers:
    """The controllers besides this host."""
    row = await connection.fetchrow(PEERS, name)
    assert row is not None
    return Peers(controllers=row["controllers"], serving=row["serving"])


async def save(connection: asyncpg.Connection, records: Iterable[HostRecord]) -> None:
    """Write records, all in one statement."""
    rows = [_columns(record) for record in records]
    if rows:
        await connection.execute(SAVE, *(list(column) for column in zip(*rows, strict=True)))


async def remove(connection: asyncpg.Connection, name: HostName) -> None:
    """Drop a host and its state; nothing happens where there is none."""
    await connection.execute(REMOVE, name)
    await connection.execute(REMOVE_MIRROR, name)


def _columns(record: HostRecord) -> tuple[object, ...]:
    axes = record.condition.value
    return (
        record.name,
        *(axes.administrative.value, axes.operational.value, axes.availability.value),
        *(record.heartbeat.value, record.boot_id, record.episode),
        *(record.last_heard_at, record.changed_at, record.reason),
        *(record.task.value, record.due_at, encode(record.work).decode()),
    )


def _host(row: asyncpg.Record) -> StoredHost:
    declared = Declared(
        name=HostName(row["name"]),
        index=row["index"],
        period_ms=row["period_ms"],
        administrative=Administrative(row["intended"]),
        personality=Personality(row["personality"]),
        observe_only=row["observe_only"],
        takes_orders=row["takes_orders"],
        has_bmc=row["has_bmc"],
        all_in_one=row["all_in_one"],
    )
    record = None if row["administrative"] is None else _record(row)
    ordered = Version(row["ordered_epoch"], row["ordered_change"])
    return StoredHost(declared=declared, accepted=row["accepted"], record=record, ordered=ordered)


def _record(row: asyncpg.Record) -> HostRecord:
    axes = Axes(
        Administrative(row["administrative"]),
        Operational(row["operational"]),
        Availability(row["availability"]),
    )
    return HostRecord(
        name=HostName(row["name"]),
        index=row["index"],
        condition=Condition(axes),
        heartbeat=HeartbeatState(row["heartbeat"]),
        boot_id=BootId(row["boot_id"]),
        episode=row["episode"],
        last_heard_at=row["last_heard_at"],
        changed_at=row["changed_at"],
        reason=row["reason"],
        task=HostTask(row["task"]),
        due_at=row["due_at"],
        work=_WORK.decode(row["work"]),
    )
