"""What is still to be delivered: a queue for each receiver, in order, until it went or is old."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

PUT = """
insert into delivery (receiver, labels, body, created_at, next_at)
select $1, $2, body, $4, $4 from unnest($3::bytea[]) as body
"""
REPLACE = "delete from delivery where receiver = $1 and labels = $2 and not dead"
NEXT = """
select id, body, created_at, attempts, next_at from delivery
where receiver = $1 and not dead order by id limit $2
"""
DONE = "delete from delivery where id = $1"
SUCCEEDED = "update receiver set delivered_at = $2, error = '' where name = $1"
RETRY = "update delivery set attempts = attempts + 1, next_at = $2, error = $3 where id = $1"
FAILED = "update receiver set failed_at = $2, error = $3 where name = $1"
GIVE_UP = """
update delivery set dead = true
where receiver = $1 and not dead and (created_at < $2 or id in (
    select id from delivery where receiver = $1 and not dead order by id desc offset $3))
"""
BURY = """
delete from delivery where receiver = $1 and dead and id in (
    select id from delivery where receiver = $1 and dead order by id desc offset $2)
"""
REVIVE = """
update delivery set dead = false, next_at = $2, created_at = $2, attempts = 0
where receiver = $1 and dead
"""
ERROR_MAX = 512


class Delivery(NamedTuple):
    """One thing to be sent."""

    id: int
    body: bytes
    created_at: datetime
    attempts: int


async def put(
    connection: asyncpg.Connection,
    receiver: str,
    labels: str,
    bodies: Sequence[bytes],
    *,
    now: datetime,
    replace: bool = False,
) -> None:
    """Queue deliveries; `replace`: instead of those of the same group that still wait."""
    if replace:
        await connection.execute(REPLACE, receiver, labels)
    if bodies:
        await connection.execute(PUT, receiver, labels, bodies, now)


async def following(
    connection: asyncpg.Connection, receiver: str, now: datetime, most: int
) -> list[Delivery]:
    """The next deliveries of a receiver, in order; none while the first of them waits."""
    rows = await connection.fetch(NEXT, receiver, most)
    if not rows or rows[0]["next_at"] > now:
        return []
    return [Delivery(row["id"], row["body"], row["created_at"], row["attempts"]) for row in rows]


async def done(
    connection: asyncpg.Connection, receiver: str, delivery: Delivery, now: datetime
) -> None:
    """It was delivered."""
    await connection.execute(DONE, delivery.id)
    await connection.execute(SUCCEEDED, receiver, now)


async def retry(
    connection: asyncpg.Connection,
    receiver: str,
    delivery: Delivery,
    *,
    now: datetime,
    next_at: datetime,
    error: str,
) -> None:
    """It was not; try again then."""
    await connection.execute(RETRY, delivery.id, next_at, error[:ERROR_MAX])
    await connection.execute(FAILED, receiver, now, error[:ERROR_MAX])


async def give_up(
    connection: asyncpg.Connection, receiver: str, *, before: datetime, most: int, dead_most: int
) -> int:
    """Give up what is older, or the oldest over `most`; keep `dead_most` of what was given up."""
    status = await connection.execute(GIVE_UP, receiver, before, most)
    await connection.execute(BURY, receiver, dead_most)
    return int(status.split()[-1])


async def revive(connection: asyncpg.Connection, receiver: str, now: datetime) -> int:
    """Try again what was given up; returns how many."""
    return int((await connection.execute(REVIVE, receiver, now)).split()[-1])
