"""Numbered plain SQL, forward only: `0001_name.sql`, each applied once, in its own transaction.

Replicas that start together apply them one after the other, by an advisory lock. A migration works
with the previous version of the code too.
"""

import re
from pathlib import Path

import asyncpg

from murmuration.kernel.errors import Bug

LOCK = 0x6D757201  # 'mur' 1: one migrator at a time
PLATFORM = Path(__file__).parent / "platform"
_NAME = re.compile(r"([0-9]{4})_([a-z0-9_]+)\.sql")

_PREPARE = """
create schema if not exists mur;
create table if not exists mur.migration (
    part text not null, number int not null, name text not null,
    applied_at timestamptz not null default now(), primary key (part, number))
"""


def read_migrations(folder: Path) -> list[tuple[int, str, str]]:
    """(number, name, SQL) of a folder's files, in order. Raises Bug on strange or double ones."""
    found: list[tuple[int, str, str]] = []
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if not match:
            raise Bug(f"{path.name} is not named NNNN_name.sql")
        found.append((int(match[1]), match[2], path.read_text()))
    numbers = [number for number, _, _ in found]
    if len(set(numbers)) != len(numbers):
        raise Bug(f"migrations in {folder.name} bear a number twice: {numbers}")
    return found


async def migrate(connection: asyncpg.Connection, part: str, folder: Path) -> int:
    """Apply what is missing of one part; returns how many were applied."""
    applied = 0
    await connection.execute("select pg_advisory_lock($1)", LOCK)
    try:
        await connection.execute(_PREPARE)
        rows = await connection.fetch("select number from mur.migration where part = $1", part)
        done = {row["number"] for row in rows}
        for number, name, sql in read_migrations(folder):
            if number in done:
                continue
            async with connection.transaction():
                await connection.execute(sql)
                await connection.execute(
                    "insert into mur.migration (part, number, name) values ($1, $2, $3)",
                    part,
                    number,
                    name,
                )
            applied += 1
    finally:
        await connection.execute("select pg_advisory_unlock($1)", LOCK)
    return applied
