"""What correlation reads of alarms, and what it writes back.

It reads what fm itself has said of its alarms: the outbox holds every change in the order of
commit, each with the whole alarm, for a day.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from murmuration.fm.core.faults import UNCAUSED, AlarmKey, Verdict
from murmuration.fm.core.flapping import Flap
from murmuration.fm.core.picture import Active, Cleared
from murmuration.proto.envelope import encode
from murmuration.proto.fm import Alarm, AlarmRaised
from murmuration.proto.registry import channel_of

PAGE = 1_000
RAISED = channel_of(AlarmRaised).type
FEED = """
select change, type, body from mur.outbox
where stream = 'FM' and bucket = 'fm_alarms' and change > $1 order by change limit $2
"""
STANDING = "select change from mur.life"
ACTIVE = "select record, root_cause, cause, correlated_by from alarm"
RECENT = """
select kind, alarm_id, entity, at, raised_at from history
where recorded_at > $1 and kind in ('raised', 'cleared') order by id
"""
READ = """
select uuid, record, raise_count, last_raised_at, root_cause, cause, correlated_by
from alarm where uuid = any($1::uuid[])
"""
READ_KEYS = """
select a.uuid from alarm a
join unnest($1::text[], $2::text[]) as k (alarm_id, entity) using (alarm_id, entity)
"""
SAVE = """
update alarm a set root_cause = n.root, cause = n.cause, correlated_by = n.rule, record = n.record,
    told_count = a.raise_count
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[])
    as n (uuid, root, cause, rule, record)
where a.uuid = n.uuid
"""
CHAIN = """
with recursive link as (
    select 0 as depth, * from alarm where uuid = $1
    union all
    select l.depth + 1, a.* from link l join alarm a on a.uuid = l.cause where l.depth < $2
)
select record, correlated_by from link order by depth
"""
EXPLAINED_COUNT = "select count(*) from alarm where root_cause = $1"
EXPLAINED = """
select distinct entity from alarm where root_cause = $1 order by entity limit $2
"""


class _Brief(msgspec.Struct, frozen=True, gc=False):
    """What correlation needs of an alarm."""

    uuid: str
    alarm_id: str
    entity: str
    severity: str
    producer: str
    first_raised_at: datetime
    masked: bool = False
    management_affecting: bool = False
    degrade_affecting: bool = False
    flapping: bool = False

    def active(self, *, raised: bool = False) -> Active:
        """The alarm as an input of the core."""
        return Active(
            uuid=UUID(self.uuid).bytes,
            alarm_id=self.alarm_id,
            entity=self.entity,
            severity=self.severity,
            producer=self.producer,
            raised_at=self.first_raised_at.timestamp(),
            raised=raised,
            masked=self.masked,
            management=self.management_affecting,
            degrade=self.degrade_affecting,
            flapping=self.flapping,
        )

    def cleared(self, at: datetime) -> Cleared:
        """The alarm's end as an input of the core."""
        return Cleared(
            uuid=UUID(self.uuid).bytes,
            alarm_id=self.alarm_id,
            entity=self.entity,
            raised_at=self.first_raised_at.timestamp(),
            at=at.timestamp(),
        )


class _Said(msgspec.Struct, frozen=True, gc=False):
    """An event about an alarm."""

    alarm: _Brief
    cleared_at: datetime | None = None


class Transition(NamedTuple):
    """A raise or a clear of the recent past; times in seconds since 1970."""

    cleared: bool
    key: tuple[str, str]
    at: float
    raised_at: float


class Correlated(NamedTuple):
    """What is to be written of one alarm; None: as it is."""

    uuid: AlarmKey
    verdict: Verdict | None = None
    flap: Flap | None = None


_BRIEF = msgspec.json.Decoder(_Brief)
_SAID = msgspec.json.Decoder(_Said)
_ALARM = msgspec.json.Decoder(Alarm)


async def standing(connection: asyncpg.Connection) -> int:
    """The last change of the database, as this transaction sees it."""
    return int(await connection.fetchval(STANDING) or 0)


async def active(connection: asyncpg.Connection) -> AsyncIterator[tuple[Active, Verdict]]:
    """All active alarms with what is stored of their causes; within a transaction."""
    async for row in connection.cursor(ACTIVE, prefetch=PAGE):
        yield _BRIEF.decode(row["record"]).active(), _verdict(row)


def _verdict(row: asyncpg.Record) -> Verdict:
    if row["root_cause"] is None:
        return UNCAUSED
    root, cause = row["root_cause"], row["cause"] or row["root_cause"]
    return Verdict(root.bytes, cause.bytes, row["correlated_by"])


async def said_since(
    connection: asyncpg.Connection, change: int
) -> list[tuple[int, Active | Cleared]]:
    """What was said of alarms after `change`, with the change of each: a page, in order."""
    found: list[tuple[int, Active | Cleared]] = []
    for row in await connection.fetch(FEED, change, PAGE):
        said = _SAID.decode(row["body"])
        if said.cleared_at is not None:
            found.append((row["change"], said.alarm.cleared(said.cleared_at)))
        else:
            found.append((row["change"], said.alarm.active(raised=row["type"] == RAISED)))
    return found


async def transitions(connection: asyncpg.Connection, since: datetime) -> AsyncIterator[Transition]:
    """Raises and clears recorded since, in order; within a transaction."""
    async for row in connection.cursor(RECENT, since, prefetch=PAGE):
        yield Transition(
            row["kind"] == "cleared",
            (row["alarm_id"], row["entity"]),
            row["at"].timestamp(),
            row["raised_at"].timestamp(),
        )


async def uuids_of(
    connection: asyncpg.Connection, keys: Sequence[tuple[str, str]]
) -> list[AlarmKey]:
    """The uuids of those of these (alarm id, entity) that are active."""
    rows = await connection.fetch(READ_KEYS, [key[0] for key in keys], [key[1] for key in keys])
    return [row["uuid"].bytes for row in rows]


async def save(
    connection: asyncpg.Connection, changes: Sequence[Correlated]
) -> list[tuple[Alarm, tuple[str, ...]]]:
    """Write causes and flaps; returns the alarms as they are now, and which fields changed.

    What was cleared meanwhile is passed. The caller holds the lock of all writers.
    """
    wanted = {UUID(bytes=change.uuid): change for change in changes}
    told: list[tuple[Alarm, tuple[str, ...]]] = []
    rows: list[tuple[UUID, UUID | None, UUID | None, str, bytes]] = []
    for row in await connection.fetch(READ, list(wanted)):
        change = wanted[row["uuid"]]
        verdict = _verdict(row) if change.verdict is None else change.verdict
        alarm, changed = _applied(row, change)
        if changed:
            told.append((alarm, changed))
        root, cause = (UUID(bytes=key) if key else None for key in verdict[:2])
        rows.append((row["uuid"], root, cause, verdict.rule, encode(alarm)))
    if rows:
        await connection.execute(SAVE, *(list(column) for column in zip(*rows, strict=True)))
    return told


def _applied(row: asyncpg.Record, change: Correlated) -> tuple[Alarm, tuple[str, ...]]:
    """The alarm as it is with this change, and the names of what readers see changed."""
    known = _ALARM.decode(row["record"])
    fields: dict[str, str | bool | int] = {}
    if change.verdict is not None:
        root = change.verdict.root
        fields["root_cause"] = str(UUID(bytes=root)) if root else ""
        fields["correlated_by"] = change.verdict.rule
    if change.flap is not None:
        fields["flapping"] = change.flap.flapping
        fields["flap_count"] = change.flap.count
    changed = tuple(name for name, now in fields.items() if getattr(known, name) != now)
    alarm = msgspec.structs.replace(
        known,
        raise_count=row["raise_count"],
        last_raised_at=row["last_raised_at"],
        **fields,
    )
    return alarm, changed


class Link(NamedTuple):
    """One alarm of a chain, and the rule that names the next as its cause."""

    alarm: Alarm
    rule: str


class Explained(NamedTuple):
    """What a root explains: how many alarms, and the first entities."""

    alarms: int
    entities: tuple[str, ...]


async def chain(connection: asyncpg.Connection, uuid: UUID, longest: int) -> list[Link]:
    """An alarm, its cause, the cause of that, up to the root; empty when it is not active."""
    rows = await connection.fetch(CHAIN, uuid, longest)
    return [Link(_ALARM.decode(row["record"]), row["correlated_by"]) for row in rows]


async def explained(connection: asyncpg.Connection, root: UUID, most: int) -> Explained:
    """What this alarm is the root of."""
    size = int(await connection.fetchval(EXPLAINED_COUNT, root) or 0)
    rows = await connection.fetch(EXPLAINED, root, most)
    return Explained(size, tuple(row["entity"] for row in rows))
