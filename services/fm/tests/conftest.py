"""fm's rows without a bus: what its handlers do to a real PostgreSQL."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from murmuration.bus.follower import Received
from murmuration.bus.message import Delivery
from murmuration.fm.app import MIGRATIONS
from murmuration.fm.catalogue import shipped
from murmuration.fm.config import FmSection
from murmuration.fm.handlers.intake import Intake
from murmuration.fm.handlers.operators import Operators
from murmuration.fm.handlers.queries import Queries
from murmuration.fm.store import partitions
from murmuration.fm.store.policies import Policies
from murmuration.fm.tasks import Tasks
from murmuration.proto import registry
from murmuration.proto.envelope import ZERO
from murmuration.proto.fm import Alarm
from murmuration.proto.registry import channel_of
from murmuration.runtime.config import DatabaseCredentials
from murmuration.store.database import Database, Unit, open_database
from murmuration.testkit.postgres import Postgres


@dataclass
class Hands:
    """A clock that is set by hand."""

    at: datetime = field(default_factory=lambda: datetime(2026, 11, 25, 12, tzinfo=UTC))

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def forward(self, **time: float) -> None:
        """Let time pass."""
        self.at += timedelta(**time)


class Rows:
    """fm on a database: say things, let its tasks run, look at the rows."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = Hands()
        policies = Policies(shipped())
        self.intake = Intake(self.clock, policies)
        self.operators = Operators(database, self.clock, policies)
        self.queries = Queries(database, self.clock, policies)
        self.tasks = Tasks(database, self.clock, policies, FmSection(tick_s=300))
        self._operations = 0

    async def say(
        self, *requests: msgspec.Struct, producer: str = "mtce", spooled: bool = False
    ) -> None:
        """What a producer says, taken in as one batch."""
        headers = {"Mur-Incarnation": "1"} if spooled else {}
        batch = [_received(request, producer, headers) for request in requests]
        async with self.database.unit() as unit:
            await self.intake.take(unit, batch)

    def operation(self) -> str:
        """An operation id that was not used."""
        self._operations += 1
        return f"operation-{self._operations}"

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit]:
        """For a command."""
        async with self.database.unit() as unit:
            yield unit

    async def fetch(self, sql: str, *arguments: object) -> list[Any]:
        """Rows of a statement."""
        async with self.database.connection() as connection:
            return list(await connection.fetch(sql, *arguments))

    async def alarms(self) -> dict[str, Alarm]:
        """The active alarms by entity."""
        rows = await self.fetch("select record from alarm order by entity")
        alarms = [msgspec.json.decode(row["record"], type=Alarm) for row in rows]
        return {alarm.entity: alarm for alarm in alarms}

    async def kinds(self) -> list[str]:
        """What history says, in order."""
        return [row["kind"] for row in await self.fetch("select kind from history order by id")]

    async def events(self) -> list[str]:
        """The types of what was published, in order."""
        return [
            row["type"] for row in await self.fetch("select type from mur.outbox order by change")
        ]


def _received(request: msgspec.Struct, producer: str, headers: Mapping[str, str]) -> Received:
    channel = channel_of(type(request))
    subject = channel.subject.replace("{producer}", producer)
    delivery = Delivery("FM_INTAKE", 1, subject, headers, msgspec.json.encode(request))
    return Received(request, channel, delivery, ZERO)


_LOGINS: dict[Postgres, DatabaseCredentials] = {}
_TABLES = "alarm, history, suppression, profile, mur.outbox, mur.last_sent, mur.operation"


@pytest.fixture
async def rows(postgres: Postgres) -> AsyncIterator[Rows]:
    """fm on an emptied database: one for all tests, for making one takes long."""
    registry.load()
    if postgres not in _LOGINS:
        _LOGINS[postgres] = postgres.database("fm")
    login = _LOGINS[postgres]
    async with open_database(postgres.section, login, migrations=MIGRATIONS) as database:
        async with database.connection() as connection:
            await connection.execute(f"truncate {_TABLES}")
            await connection.execute("update state set lease_clock_s = 0, policy_applied = ''")
            await connection.execute("alter sequence history_id restart")
            for partition in await partitions.listed(connection):
                await partitions.drop(connection, partition.name)
        database.verified.set()
        yield Rows(database)
