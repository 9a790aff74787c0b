"""Active alarms in the database: what a batch is about is loaded at once and written at once.

Invariant: whoever writes holds the writers' lock (`lock`), taken first in the transaction. So a
loaded alarm is as it is until the commit, and history grows in order of commit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import asyncpg
import msgspec

from murmuration.fm.core.model import Active, Key, Ledger
from murmuration.fm.core.policy import Policy
from murmuration.fm.store import history
from murmuration.proto.entities import above, path_of, path_range
from murmuration.proto.fm import Alarm

LOCK = "select from take_lock('history')"
LOCK_AND_STATE = "select lease_clock_s, policy, has_today from take_lock($1)"
LOAD = "select * from load_alarms($1, $2, $3, $4, $5)"
SET_CLOCK = "update state set lease_clock_s = $1"
KEY_OF = "select alarm_id, entity from alarm where uuid::text = $1"
PAGE_OF = """
select alarm_id, entity, record from alarm where (alarm_id, entity) > ($1, $2)
order by alarm_id, entity limit $3
"""
UPSERT = """
insert into alarm (alarm_id, entity, uuid, path, severity, producer, inhibits, lease_ends_s,
    raise_count, told_count, first_raised_at, root_cause, record)
select * from unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[],
    $7::boolean[], $8::bigint[], $9::bigint[], $10::bigint[], $11::timestamptz[], $12::uuid[],
    $13::bytea[])
on conflict on constraint alarm_key do update set
    uuid = excluded.uuid, severity = excluded.severity, producer = excluded.producer,
    inhibits = excluded.inhibits, lease_ends_s = excluded.lease_ends_s,
    raise_count = excluded.raise_count, told_count = excluded.told_count,
    first_raised_at = excluded.first_raised_at, root_cause = excluded.root_cause,
    record = excluded.record, path = excluded.path
"""
DELETE = """
delete from alarm a using unnest($1::text[], $2::text[]) as gone (alarm_id, entity)
where a.alarm_id = gone.alarm_id and a.entity = gone.entity
"""
PAGE = 1_000
_DECODER = msgspec.json.Decoder(Alarm)


class State(NamedTuple):
    """The small facts of the whole: clock of the leases in seconds, generation of the policy."""

    clock_s: int
    policy: int


@dataclass(slots=True)
class Need:
    """What a batch must know: alarms by key, alarms on and below paths, inhibitors above paths."""

    keys: set[Key] = field(default_factory=set[Key])
    below: set[str] = field(default_factory=set[str])
    above: set[str] = field(default_factory=set[str])

    def alarm(self, alarm_id: str, entity: str, *, inhibits: bool = False) -> None:
        """Need one alarm and what stands above it; of one that inhibits also what is below."""
        path = path_of(entity)
        self.keys.add((alarm_id, entity))
        self.above.update(above(path))
        if inhibits:
            self.below.add(path)

    def under(self, path: str) -> None:
        """Need everything on and below a path, and what stands above it."""
        self.below.add(path)
        self.above.update(above(path))


async def lock(connection: asyncpg.Connection, now: datetime) -> State:
    """Wait for the other writers, to the end of this transaction; the facts as they then are.

    Sees to it that today's history has a place, so that a clock that was set stops nobody.
    """
    row = await connection.fetchrow(LOCK_AND_STATE, history.partition_of(now))
    assert row is not None
    if not row["has_today"]:
        await history.make_day(connection, now)
    return State(row["lease_clock_s"], row["policy"])


async def load(
    connection: asyncpg.Connection, need: Need, *, policy: Policy, now: datetime, clock_s: int
) -> Ledger:
    """A ledger with all that is needed; under the lock."""
    ranges = [path_range(path) for path in need.below]
    rows = await connection.fetch(
        LOAD,
        [key[0] for key in need.keys],
        [key[1] for key in need.keys],
        [low for low, _ in ranges],
        [high for _, high in ranges],
        list(need.above),
    )
    ledger = Ledger(policy=policy, now=now, clock_s=clock_s)
    found: dict[Key, Active] = {}
    inhibitors: list[tuple[Key, str]] = []
    for row in rows:
        key = (row["alarm_id"], row["entity"])
        if row["what"] == "above":
            inhibitors.append((key, row["path"]))
        elif key not in found:
            found[key] = Active(
                _DECODER.decode(row["record"]), row["path"], row["lease_ends_s"], row["told_count"]
            )
    ledger.load(found.values(), inhibitors)
    return ledger


async def save(
    connection: asyncpg.Connection, actives: Sequence[tuple[Active, bytes]], gone: Sequence[Key]
) -> None:
    """Write alarms with their encoded records, delete those that are gone."""
    if actives:
        rows = [
            (
                active.alarm.alarm_id,
                active.alarm.entity,
                active.alarm.uuid,
                active.path,
                active.alarm.severity.value,
                active.alarm.producer,
                active.alarm.inhibits,
                active.lease_ends_s,
                active.alarm.raise_count,
                active.told_count,
                active.alarm.first_raised_at,
                active.alarm.root_cause or None,
                record,
            )
            for active, record in actives
        ]
        await connection.execute(UPSERT, *(list(column) for column in zip(*rows, strict=True)))
    if gone:
        await connection.execute(DELETE, [key[0] for key in gone], [key[1] for key in gone])


async def key_of(connection: asyncpg.Connection, uuid: str) -> Key | None:
    """The key of the active alarm of this uuid."""
    row = await connection.fetchrow(KEY_OF, uuid)
    return (row["alarm_id"], row["entity"]) if row else None


async def page(
    connection: asyncpg.Connection, after: Key = ("", ""), limit: int = PAGE
) -> list[tuple[Key, bytes]]:
    """Keys and encoded records of active alarms, by key, behind one of them."""
    rows = await connection.fetch(PAGE_OF, *after, limit)
    return [((row["alarm_id"], row["entity"]), row["record"]) for row in rows]


async def keys(connection: asyncpg.Connection, sql: str, *arguments: object) -> list[Key]:
    """The keys that a statement selects as alarm_id, entity."""
    rows: Iterable[asyncpg.Record] = await connection.fetch(sql, *arguments)
    return [(row["alarm_id"], row["entity"]) for row in rows]
