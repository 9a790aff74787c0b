"""What fm answers: history, the alarms of an instant, counts over time, the catalogue."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from murmuration.fm.core.policy import with_profile
from murmuration.fm.store import policies, reading
from murmuration.fm.store.policies import Policies
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import NotFound
from murmuration.proto.fm_operators import (
    AlarmCountsReply,
    AlarmsPage,
    CataloguePage,
    GetAlarmCounts,
    GetAlarmsAt,
    GetCatalogue,
    GetHistory,
    HistoryPage,
)
from murmuration.store.database import Database


class Queries:
    """Answers, each from one snapshot of the database."""

    def __init__(self, database: Database, clock: Clock, policies: Policies) -> None:
        self._database = database
        self._clock = clock
        self._policies = policies

    async def history(self, ask: GetHistory) -> HistoryPage:
        """A page of history. Raises Rejected for a cursor that is none."""
        async with self._snapshot() as connection:
            return await reading.read_history(connection, ask)

    async def alarms_at(self, ask: GetAlarmsAt) -> AlarmsPage:
        """A page of the alarms of an instant. Raises Rejected for a cursor that is none."""
        async with self._snapshot() as connection:
            return await reading.read_alarms_at(connection, ask)

    async def counts(self, ask: GetAlarmCounts) -> AlarmCountsReply:
        """Alarms over time. Raises Rejected for too many buckets."""
        async with self._snapshot() as connection:
            return await reading.read_counts(connection, ask, self._clock.now())

    async def catalogue(self, ask: GetCatalogue) -> CataloguePage:
        """A page of the catalogue with the profiles applied, or one id. Raises NotFound."""
        async with self._database.connection() as connection:
            known = {each.alarm_id: each for each in await policies.profiles(connection)}
        entries = self._policies.catalogue
        if ask.id and ask.id not in entries:
            raise NotFound(f"the catalogue has no {ask.id}")
        wanted = [ask.id] if ask.id else sorted(each for each in entries if each > ask.after)
        chosen = wanted[: ask.limit]
        return CataloguePage(
            items=tuple(with_profile(entries[each], known.get(each)) for each in chosen),
            next=chosen[-1] if len(wanted) > len(chosen) else None,
        )

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[asyncpg.Connection]:
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection
