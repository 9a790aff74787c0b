"""Receivers, routing and silences as operators set them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from murmuration.proto.envelope import encode
from murmuration.proto.fm_notify import Receiver, ReceiverStatus, Routing, Silence

RECEIVERS = "select record from receiver order by name"
STATUS = """
select r.record, r.delivered_at, r.failed_at, r.error,
    (select count(*) from delivery d where d.receiver = r.name and not d.dead) as waiting,
    (select count(*) from delivery d where d.receiver = r.name and d.dead) as dead
from receiver r order by r.name
"""
SAVE = """
insert into receiver (name, record) values ($1, $2)
on conflict (name) do update set record = excluded.record
"""
DELETE = "delete from receiver where name = $1 returning name"
ROUTING = "select routing from notifying"
SET_ROUTING = "update notifying set routing = $1, generation = generation + 1"
GROUP_ANEW = "update notifying set generation = generation + 1"
SILENCES = "select record from silence where ends_at > $1 order by ends_at, id"
SAVE_SILENCE = """
insert into silence (id, record, ends_at) values ($1, $2, $3)
on conflict (id) do update set record = excluded.record, ends_at = excluded.ends_at
"""
SILENCE = "select record from silence where id = $1 for update"
COUNT_SILENCES = "select count(*) from silence where ends_at > $1"
FORGET_SILENCES = "delete from silence where ends_at < $1"
_RECEIVER = msgspec.json.Decoder(Receiver)
_ROUTING = msgspec.json.Decoder(Routing)
_SILENCE = msgspec.json.Decoder(Silence)


async def every(connection: asyncpg.Connection) -> list[Receiver]:
    """All receivers, by name."""
    return [_RECEIVER.decode(row["record"]) for row in await connection.fetch(RECEIVERS)]


async def status(connection: asyncpg.Connection) -> Sequence[ReceiverStatus]:
    """All receivers and how it goes with them, by name."""
    return [
        ReceiverStatus(
            receiver=_RECEIVER.decode(row["record"]),
            waiting=row["waiting"],
            dead=row["dead"],
            delivered_at=row["delivered_at"],
            failed_at=row["failed_at"],
            error=row["error"],
        )
        for row in await connection.fetch(STATUS)
    ]


async def save(connection: asyncpg.Connection, receiver: Receiver) -> None:
    """Add or change a receiver; all alarms are grouped anew."""
    await connection.execute(GROUP_ANEW)
    await connection.execute(SAVE, receiver.name, encode(receiver))


async def delete(connection: asyncpg.Connection, name: str) -> bool:
    """Remove a receiver with all that waits for it; False when there is none."""
    await connection.execute(GROUP_ANEW)
    return await connection.fetchval(DELETE, name) is not None


async def routing(connection: asyncpg.Connection) -> Routing:
    """The routes and mute times."""
    return _ROUTING.decode(await connection.fetchval(ROUTING) or b"{}")


async def set_routing(connection: asyncpg.Connection, wanted: Routing) -> None:
    """Replace them; all alarms are grouped anew."""
    await connection.execute(SET_ROUTING, encode(wanted))


async def silences(connection: asyncpg.Connection, since: datetime) -> list[Silence]:
    """The silences that end after `since`, those that end first coming first."""
    return [_SILENCE.decode(row["record"]) for row in await connection.fetch(SILENCES, since)]


async def silence(connection: asyncpg.Connection, silence_id: UUID) -> Silence | None:
    """One silence, its row locked."""
    row = await connection.fetchrow(SILENCE, silence_id)
    return _SILENCE.decode(row["record"]) if row else None


async def save_silence(connection: asyncpg.Connection, wanted: Silence) -> None:
    """Add or change a silence."""
    await connection.execute(SAVE_SILENCE, UUID(wanted.id), encode(wanted), wanted.ends_at)


async def count_silences(connection: asyncpg.Connection, now: datetime) -> int:
    """How many silences are in force or to come."""
    return int(await connection.fetchval(COUNT_SILENCES, now) or 0)


async def forget_silences(connection: asyncpg.Connection, before: datetime) -> None:
    """Delete the silences that ended before."""
    await connection.execute(FORGET_SILENCES, before)
