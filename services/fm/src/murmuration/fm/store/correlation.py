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
from murmuration.fm.core.model import Key
from murmuration.fm.core.picture import Active, Cleared
from murmuration.fm.store import alarms
from murmuration.fm.store.policies import Policies
from murmuration.fm.store.writing import write
from murmuration.proto.fm import Alarm, AlarmRaised
from murmuration.proto.registry import channel_of
from murmuration.store.database import Unit

PAGE = 1_000
RAISED = channel_of(AlarmRaised).type
FEED = """
select change, type, body from mur.outbox
where stream = 'FM' and bucket = 'fm_alarms' and change > $1 order by change limit $2
"""
STANDING = "select change from mur.life"
ACTIVE = "select record, cause from alarm"
RECENT = """
select kind, alarm_id, entity, at, raised_at from history
where recorded_at > $1 and kind in ('raised', 'cleared') order by id
"""
SAVE_CAUSES = """
update alarm a set cause = n.cause from unnest($1::text[], $2::text[], $3::uuid[])
    as n (alarm_id, entity, cause)
where a.alarm_id = n.alarm_id and a.entity = n.entity
"""
CHAIN = """
with recursive link as (
    select 0 as depth, * from alarm where uuid = $1
    union all
    select l.depth + 1, a.* from link l join alarm a on a.uuid = l.cause where l.depth < $2
)
select record from link order by depth
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
    root_cause: str = ""
    correlated_by: str = ""

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
    """What is to be written of one alarm; None: as it is. `uuid` empty: whichever is active."""

    key: Key
    uuid: AlarmKey = b""
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
        brief = _BRIEF.decode(row["record"])
        yield brief.active(), _verdict(brief, row["cause"])


def _verdict(brief: _Brief, cause: UUID | None) -> Verdict:
    if not brief.root_cause:
        return UNCAUSED
    return Verdict(UUID(brief.root_cause).bytes, cause.bytes if cause else b"", brief.correlated_by)


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


async def save(
    unit: Unit, policies: Policies, now: datetime, changes: Sequence[Correlated]
) -> None:
    """Write causes and flaps, and tell of what changed; what was cleared meanwhile is passed.

    A cause is no history of the alarm, whatever comes and goes around it; flapping is.
    """
    state = await alarms.lock(unit.connection, now)
    policy = await policies.current(unit.connection, state.policy)
    need = alarms.Need(keys={change.key for change in changes})
    ledger = await alarms.load(unit.connection, need, policy=policy, now=now, clock_s=state.clock_s)
    causes: list[tuple[str, str, UUID | None]] = []
    for change in changes:
        active = ledger.alarms.get(change.key)
        if active is None or (change.uuid and UUID(active.alarm.uuid).bytes != change.uuid):
            continue
        if change.verdict is not None:
            root, cause, rule = change.verdict
            fields = {"root_cause": _text(root), "correlated_by": rule}
            ledger.change(change.key, fields, reason=f"cause by {rule}", quiet=True)
            causes.append((*change.key, UUID(bytes=cause) if cause else None))
        if change.flap is not None:
            flap = change.flap
            fields = {"flapping": flap.flapping, "flap_count": flap.count}
            what = f"raised and cleared {flap.count} times" if flap.flapping else "calm again"
            ledger.change(change.key, fields, reason=what)
    await write(unit, ledger)
    if causes:
        columns = (list(column) for column in zip(*causes, strict=True))
        await unit.connection.execute(SAVE_CAUSES, *columns)


def _text(key: AlarmKey) -> str:
    return str(UUID(bytes=key)) if key else ""


class Explained(NamedTuple):
    """What a root explains: how many alarms, and the first entities."""

    alarms: int
    entities: tuple[str, ...]


async def chain(connection: asyncpg.Connection, uuid: UUID, longest: int) -> list[Alarm]:
    """An alarm, its cause, the cause of that, up to the root; empty when it is not active."""
    rows = await connection.fetch(CHAIN, uuid, longest)
    return [_ALARM.decode(row["record"]) for row in rows]


async def explained(connection: asyncpg.Connection, root: UUID, most: int) -> Explained:
    """What this alarm is the root of."""
    size = int(await connection.fetchval(EXPLAINED_COUNT, root) or 0)
    rows = await connection.fetch(EXPLAINED, root, most)
    return Explained(size, tuple(row["entity"] for row in rows))
