"""Marks: how far each producer's intake is durable, moved with the effects.

A message is taken in exactly when `previous <= mark < n` in the producer's incarnation: nothing
before it is missing, and it was not there already. A newer incarnation begins at zero.
"""

import asyncpg

from murmuration.proto.envelope import ZERO, Version
from murmuration.proto.platform import GetMark, Mark, MarkPublished

READ = "select incarnation, n from mur.mark where producer = $1"
LOAD = "select producer, incarnation, n from mur.mark"
# After the five arguments of the position, which is moved in the same statement.
SAVE = """
insert into mur.mark (producer, incarnation, n)
select * from unnest($6::text[], $7::bigint[], $8::bigint[])
on conflict (producer) do update
set incarnation = excluded.incarnation, n = excluded.n, heard_at = now()
"""


class Marks:
    """The marks of one intake, in memory as in its table; changes are settled by the commit."""

    def __init__(self) -> None:
        self._durable: dict[str, Version] = {}
        self._moved: dict[str, Version] = {}
        self._heard: set[str] = set()

    async def load(self, connection: asyncpg.Connection) -> None:
        """Read the table; what was not committed is forgotten."""
        rows = await connection.fetch(LOAD)
        self._durable = {r["producer"]: Version(r["incarnation"], r["n"]) for r in rows}
        self.rollback()

    def current(self, producer: str) -> Version:
        """(incarnation, n) of a producer, including what this transaction moved."""
        return self._moved.get(producer) or self._durable.get(producer, ZERO)

    def accept(self, producer: str, version: Version, previous: int) -> bool:
        """Whether this message is the next one; if so the mark moves to it."""
        self._heard.add(producer)
        mark = self.current(producer)
        if version.epoch < mark.epoch:
            return False
        reached = mark.change if version.epoch == mark.epoch else 0
        if not previous <= reached < version.change:
            return False
        self._moved[producer] = version
        return True

    def moved(self) -> tuple[list[str], list[int], list[int]] | None:
        """The arguments of SAVE, to be written in the transaction of the effects; None: nothing."""
        if not self._moved:
            return None
        versions = self._moved.values()
        return list(self._moved), [one.epoch for one in versions], [one.change for one in versions]

    def rollback(self) -> None:
        """Forget what an aborted transaction moved."""
        self._moved.clear()
        self._heard.clear()

    def settle(self) -> list[MarkPublished]:
        """After the commit: what to tell the producers heard in it, news or not."""
        self._durable.update(self._moved)
        said = [
            MarkPublished(producer=producer, incarnation=mark.epoch, n=mark.change)
            for producer, mark in ((p, self.current(p)) for p in self._heard)
        ]
        self.rollback()
        return said


async def read_mark(connection: asyncpg.Connection, ask: GetMark) -> Mark:
    """How far a producer's messages are durable; zero for one never heard."""
    row = await connection.fetchrow(READ, ask.producer)
    incarnation, n = (row["incarnation"], row["n"]) if row else (0, 0)
    return Mark(producer=ask.producer, incarnation=incarnation, n=n)
