"""The operation behind the present intent of a host."""

from dataclasses import dataclass

import asyncpg

from murmuration.proto.sysinv import Administrative, HostAction

SAVE = """
insert into intent (host, operation_id, action, before) values ($1, $2, $3, $4)
on conflict (host) do update
set operation_id = excluded.operation_id, action = excluded.action, before = excluded.before
"""
READ = "select operation_id, action, before from intent where host = $1"
REMOVE = "delete from intent where host = $1"


@dataclass(frozen=True, slots=True)
class Intent:
    """Who told it, and what was intended before."""

    operation_id: str
    action: HostAction
    before: Administrative


async def save(connection: asyncpg.Connection, host: str, intent: Intent) -> None:
    """Keep the newest one."""
    await connection.execute(
        SAVE, host, intent.operation_id, intent.action.value, intent.before.value
    )


async def find(connection: asyncpg.Connection, host: str) -> Intent | None:
    """The newest one, None when none was told by an operation."""
    row = await connection.fetchrow(READ, host)
    if row is None:
        return None
    return Intent(row["operation_id"], HostAction(row["action"]), Administrative(row["before"]))


async def remove(connection: asyncpg.Connection, host: str) -> None:
    """Forget it."""
    await connection.execute(REMOVE, host)
