"""What agents said of their hosts: health, boots and results of orders."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec

from murmuration.mtce.core.health import Judgement
from murmuration.proto.envelope import encode
from murmuration.proto.node import AskedAction, HostBooted, HostEnding, HostHealth

BOOTS_MAX = 20  # kept of a host
RESULTS_S_MAX = 7 * 86_400  # how long results are kept: orders expire long before
KNOWN = "select true from mirror_host where name = $1"
LOAD = "select incarnation, n, told_at, body from host_health where name = $1 for update"
READ = "select body from host_health where name = $1"
EVERY = "select body from host_health order by name"
SAVE = """
insert into host_health (name, incarnation, n, boot_id, observed_at, told_at, causes, failed,
                         asked, body)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb)
on conflict (name) do update set
    incarnation = excluded.incarnation, n = excluded.n, boot_id = excluded.boot_id,
    observed_at = excluded.observed_at, told_at = excluded.told_at, causes = excluded.causes,
    failed = excluded.failed, asked = excluded.asked, body = excluded.body
"""
BOOTED = """
insert into host_boot (name, boot_id, heard_at, previous_boot_id, previous_end, record)
values ($1, $2, $3, $4, $5, $6)
on conflict (name, boot_id) do update set
    previous_boot_id = excluded.previous_boot_id, previous_end = excluded.previous_end,
    record = excluded.record
where host_boot.previous_end = ''
returning true
"""
ENDING = """
insert into host_boot (name, boot_id, heard_at, ending, ending_reason, ended_at)
values ($1, $2, $3, $4, $5, $3)
on conflict (name, boot_id) do update set
    ending = excluded.ending, ending_reason = excluded.ending_reason, ended_at = excluded.ended_at
"""
PRUNE_BOOTS = """
delete from host_boot where name = $1 and boot_id not in (
    select boot_id from host_boot where name = $1 order by heard_at desc limit $2)
"""
RESULT = """
insert into agent_result (operation_id, name, kind, passed, reason, cached, at)
values ($1, $2, $3, $4, $5, $6, $7) on conflict (operation_id) do nothing
returning true
"""
PRUNE_RESULTS = "delete from agent_result where at < $1::timestamptz - make_interval(secs => $2)"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredHealth:
    """The health of a host as last taken in."""

    health: HostHealth
    told_at: datetime

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands among the agent's messages."""
        return self.health.incarnation, self.health.n


async def is_known(connection: asyncpg.Connection, name: str) -> bool:
    """Whether sysinv has told of such a host."""
    return bool(await connection.fetchval(KNOWN, name))


async def load(connection: asyncpg.Connection, name: str) -> StoredHealth | None:
    """What was last taken in of a host's health."""
    row = await connection.fetchrow(LOAD, name)
    if row is None:
        return None
    return StoredHealth(health=_decode(row["body"]), told_at=row["told_at"])


async def read(connection: asyncpg.Connection, name: str) -> HostHealth | None:
    """What was last taken in of a host's health, without a lock."""
    body = await connection.fetchval(READ, name)
    return _decode(body) if body else None


async def every(connection: asyncpg.Connection) -> list[HostHealth]:
    """The health of all hosts that told of it."""
    return [_decode(row["body"]) for row in await connection.fetch(EVERY)]


async def save(
    connection: asyncpg.Connection, health: HostHealth, judged: Judgement, told_at: datetime
) -> None:
    """Keep the newest health of a host."""
    await connection.execute(
        SAVE,
        health.host,
        health.incarnation,
        health.n,
        health.boot_id,
        health.observed_at,
        told_at,
        [cause.value for cause in judged.causes],
        judged.failed,
        (judged.asked.action if judged.asked else AskedAction.NONE).value,
        encode(health).decode(),
    )


async def booted(connection: asyncpg.Connection, message: HostBooted, now: datetime) -> bool:
    """Keep how a boot began; whether that is news."""
    fresh = await connection.fetchval(
        BOOTED,
        message.host,
        message.boot_id,
        now,
        message.previous_boot_id,
        message.previous_end.value,
        message.record,
    )
    await connection.execute(PRUNE_BOOTS, message.host, BOOTS_MAX)
    return bool(fresh)


async def ending(connection: asyncpg.Connection, message: HostEnding, now: datetime) -> None:
    """Keep how a boot said that it ends."""
    await connection.execute(
        ENDING, message.host, message.boot_id, now, message.kind.value, message.reason
    )


async def result(
    connection: asyncpg.Connection,
    *,
    operation_id: str,
    host: str,
    kind: str,
    passed: bool,
    reason: str,
    cached: bool,
    now: datetime,
) -> bool:
    """Keep what an order came to; whether that is news."""
    fresh = await connection.fetchval(RESULT, operation_id, host, kind, passed, reason, cached, now)
    await connection.execute(PRUNE_RESULTS, now, RESULTS_S_MAX)
    return bool(fresh)


def _decode(body: str) -> HostHealth:
    return msgspec.json.decode(body, type=HostHealth)
