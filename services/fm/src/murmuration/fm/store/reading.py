"""What is asked of history: pages of it, the alarms of an instant, and how many there were.

Answers are bounded in records and in bytes. A page names its last record, and the next one begins
behind that, whatever happened meanwhile.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from murmuration.kernel.errors import Rejected
from murmuration.proto.entities import path_of, path_range
from murmuration.proto.fm import Alarm, LogEntry
from murmuration.proto.fm_operators import (
    BUCKETS_MAX,
    AlarmCountsReply,
    AlarmsPage,
    CountsBucket,
    GetAlarmCounts,
    GetAlarmsAt,
    GetHistory,
    HistoryEntry,
    HistoryKind,
    HistoryPage,
)

PAGE_BYTES_MAX = 180 * 1024  # of records: below the limit of a message, with room for the rest
ROW_BYTES = 300  # of an entry without its texts
COLUMNS = "id, at, recorded_at, kind, changed, reason, author, record"
ACTIVE_AT = """
select a.alarm_id, a.entity, coalesce(h.record, a.record) as record
from alarm a left join lateral (
    select record from history h
    where h.uuid = a.uuid and h.at <= $1 and h.kind <> 'cleared' order by h.id desc limit 1
) h on true
where a.first_raised_at <= $1 and (a.alarm_id, a.entity) > ($2, $3)
order by a.alarm_id, a.entity limit $4
"""
CLEARED_SINCE = """
select c.id, coalesce(h.record, c.record) as record
from history c left join lateral (
    select record from history h
    where h.uuid = c.uuid and h.at <= $1 and h.kind <> 'cleared' order by h.id desc limit 1
) h on true
where c.kind = 'cleared' and c.at > $1 and c.raised_at <= $1 and c.recorded_at > $1 and c.id > $2
order by c.id limit $3
"""
ACTIVE_NOW = "select severity, count(*) as count from alarm group by severity"
MOVED = """
select floor(extract(epoch from at - $1) / $2)::bigint as place, kind, severity, severity_before,
    count(*) as count
from history
where at >= $1 and recorded_at >= $1
    and (kind in ('raised', 'cleared') or severity_before is not null)
group by 1, 2, 3, 4
"""
_ALARM, _LOG = msgspec.json.Decoder(Alarm), msgspec.json.Decoder(LogEntry)
_FROM_ACTIVE, _FROM_CLEARED = "a", "c"
_SEPARATOR = "\x1f"


async def read_history(connection: asyncpg.Connection, ask: GetHistory) -> HistoryPage:
    """A page of history. Raises Rejected for a cursor that is none."""
    conditions: list[str] = []
    arguments: list[Any] = []

    def where(condition: str, *values: Any) -> None:
        places = [f"${len(arguments) + place}" for place in range(1, len(values) + 1)]
        arguments.extend(values)
        conditions.append(condition.format(*places))

    if ask.since is not None:
        where("at >= {0} and recorded_at >= {0}", ask.since)
    if ask.until is not None:
        where("at < {0}", ask.until)
    if ask.uuid:
        where("uuid::text = {0}" if len(ask.uuid) != 36 else "uuid = {0}::uuid", ask.uuid)
    if ask.alarm_id:
        where("alarm_id = {0}", ask.alarm_id)
    if ask.entity:
        where("path >= {0} and path < {1}", *path_range(path_of(ask.entity)))
    if ask.kinds:
        where("kind = any({0}::text[])", [kind.value for kind in ask.kinds])
    if ask.severities:
        where("severity = any({0}::text[])", [severity.value for severity in ask.severities])
    if ask.after:
        where("id > {0}" if ask.oldest_first else "id < {0}", _number(ask.after))
    order = "asc" if ask.oldest_first else "desc"
    rows = await connection.fetch(
        f"select {COLUMNS} from history "
        f"{'where ' if conditions else ''}{' and '.join(conditions)} "
        f"order by id {order} limit {ask.limit + 1}",
        *arguments,
    )
    kept = _bounded(rows, ask.limit)
    more = len(kept) < len(rows)
    return HistoryPage(
        items=tuple(_entry(row) for row in kept), next=str(kept[-1]["id"]) if more else None
    )


def _bounded(rows: list[asyncpg.Record], limit: int) -> list[asyncpg.Record]:
    """The first rows, as many as a page may have; at least one."""
    size, kept = 0, list[asyncpg.Record]()
    for row in rows[:limit]:
        size += ROW_BYTES + len(row["record"]) + len(row.get("reason", "").encode())
        if kept and size > PAGE_BYTES_MAX:
            break
        kept.append(row)
    return kept


def _entry(row: asyncpg.Record) -> HistoryEntry:
    kind = HistoryKind(row["kind"])
    is_log = kind is HistoryKind.LOGGED
    return HistoryEntry(
        id=row["id"],
        at=row["at"].astimezone(UTC),
        recorded_at=row["recorded_at"].astimezone(UTC),
        kind=kind,
        alarm=None if is_log else _ALARM.decode(row["record"]),
        log=_LOG.decode(row["record"]) if is_log else None,
        changed=tuple(row["changed"]),
        reason=row["reason"],
        author=row["author"],
    )


def _number(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 18):
        raise Rejected("the cursor is not one of ours: begin with the first page")
    return int(cursor)


async def read_alarms_at(connection: asyncpg.Connection, ask: GetAlarmsAt) -> AlarmsPage:
    """The alarms that were active at an instant, as they were: first those still active now.

    Raises Rejected for a cursor that is none. The caller reads in one snapshot per page.
    """
    source, _, place = ask.after.partition(_SEPARATOR)
    if source not in ("", _FROM_ACTIVE, _FROM_CLEARED):
        raise Rejected("the cursor is not one of ours: begin with the first page")
    if source != _FROM_CLEARED:
        alarm_id, _, entity = place.partition(_SEPARATOR)
        rows = await connection.fetch(ACTIVE_AT, ask.at, alarm_id, entity, ask.limit + 1)
        kept = _bounded(rows, ask.limit)
        following = (
            _SEPARATOR.join((_FROM_ACTIVE, kept[-1]["alarm_id"], kept[-1]["entity"]))
            if len(kept) < len(rows)
            else f"{_FROM_CLEARED}{_SEPARATOR}0"
        )
        return _alarms(ask.at, kept, following)
    rows = await connection.fetch(CLEARED_SINCE, ask.at, _number(place), ask.limit + 1)
    kept = _bounded(rows, ask.limit)
    more = len(kept) < len(rows)
    return _alarms(ask.at, kept, f"{_FROM_CLEARED}{_SEPARATOR}{kept[-1]['id']}" if more else None)


def _alarms(at: datetime, rows: list[asyncpg.Record], following: str | None) -> AlarmsPage:
    items = tuple(_ALARM.decode(row["record"]) for row in rows)
    return AlarmsPage(at=at, items=items, next=following)


async def read_counts(
    connection: asyncpg.Connection, ask: GetAlarmCounts, now: datetime
) -> AlarmCountsReply:
    """Raised, cleared and active alarms over time. Raises Rejected for too many buckets.

    To be read in one snapshot: it goes back from what is active now.
    """
    until = min(ask.until or now, now)
    count = math.ceil((until - ask.since).total_seconds() / ask.bucket_s)
    if count > BUCKETS_MAX:
        raise Rejected(f"{count} buckets are too many: {BUCKETS_MAX} at most, take larger ones")
    active = {row["severity"]: int(row["count"]) for row in await connection.fetch(ACTIVE_NOW)}
    moved: dict[int, list[asyncpg.Record]] = {}
    for row in await connection.fetch(MOVED, ask.since, ask.bucket_s):
        moved.setdefault(min(int(row["place"]), count), []).append(row)
    buckets: list[CountsBucket] = []
    _undo(active, moved.get(count, []))
    for place in range(count - 1, -1, -1):
        rows = moved.get(place, [])
        buckets.append(
            CountsBucket(
                start=ask.since + timedelta(seconds=place * ask.bucket_s),
                raised=_total(rows, "raised"),
                cleared=_total(rows, "cleared"),
                active={severity: n for severity, n in sorted(active.items()) if n > 0},
            )
        )
        _undo(active, rows)
    return AlarmCountsReply(bucket_s=ask.bucket_s, buckets=tuple(reversed(buckets)))


def _total(rows: list[asyncpg.Record], kind: str) -> int:
    return sum(int(row["count"]) for row in rows if row["kind"] == kind)


def _undo(active: dict[str, int], rows: list[asyncpg.Record]) -> None:
    """What was active before these rows."""
    for row in rows:
        count, severity, before = int(row["count"]), row["severity"], row["severity_before"]
        if row["kind"] == "cleared":
            active[severity] = active.get(severity, 0) + count
        else:
            active[severity] = active.get(severity, 0) - count
        if row["kind"] == "changed":
            active[before] = active.get(before, 0) + count
