"""The single writer of a service: an advisory lock, and a term that fences whoever held it before.

Invariants:
- The lock lives on a connection of its own. When that is lost, or the server does not answer it in
  time, the holder is told; when the holder is silent for SILENT_S (frozen, dead host), PostgreSQL
  ends the session and another may hold the lock.
- Holding the lock is not what protects the data, for a holder may sleep through losing it. Each
  holder takes a new term; the transactions of its tasks (`TERM` in their context) share-lock the
  lease row and are refused unless the term is still theirs. Taking a term waits for them, so a
  transaction of an earlier term ends before the next holder's first one begins.
- A transaction that is left open by a frozen process is ended by the server (IDLE_IN_UNIT_S), so it
  blocks its successor no longer than that.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import NamedTuple

import asyncpg

from murmuration.kernel.errors import Unavailable
from murmuration.runtime.config import DatabaseCredentials, StoreSection
from murmuration.store.away import AWAY, away
from murmuration.store.connecting import Connector

SINGLETON = 0x6D757202  # 'mur' 2
SILENT_S = 10  # so long a holder may say nothing; far above any pause of a loaded machine
BEAT_S = 1.0
ANSWER_S = 5.0  # a beat unanswered for so long: the lock may be lost
LOCK_WAIT_S = 5  # one wait for the lock; then again, so that a dead server is noticed

# By the clock, so that a database put back gives no term a second time.
TAKE_TERM = """
update mur.lease
set term = greatest(term + 1, (extract(epoch from clock_timestamp()) * 1e6)::bigint),
    taken_at = now()
returning term
"""

# The term in whose name a task writes; None: it is no task of the single writer.
TERM: ContextVar[int | None] = ContextVar("term", default=None)


class Held(NamedTuple):
    """The lock as it is held: `lost` is set when it may be another's, `term` fences."""

    lost: asyncio.Event
    term: int


class SingletonLock:
    """The advisory lock of a service's single writer."""

    def __init__(self, store: StoreSection, credentials: DatabaseCredentials) -> None:
        self._store = store
        self._credentials = credentials
        self._connector = Connector(store, credentials)

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[Held]:
        """Wait for the lock and hold it. Raises Unavailable when PostgreSQL is or goes away."""
        lost = asyncio.Event()
        connection = await self._connect()

        def gone(_connection: object) -> None:
            lost.set()

        connection.add_termination_listener(gone)
        try:
            term = await _take(connection)
            # Not in a task group: what ends the body is to be raised as it is.
            beat = asyncio.create_task(_beat(connection, lost), name="singleton beat")
            try:
                yield Held(lost, term)
            finally:
                beat.cancel()
                await asyncio.gather(beat, return_exceptions=True)
        except (*AWAY, TimeoutError, asyncpg.PostgresError) as error:
            if away(error) or isinstance(error, TimeoutError):
                raise Unavailable("PostgreSQL went away while the lock was held") from error
            raise
        finally:
            lost.set()
            with contextlib.suppress(Exception):
                await connection.close(timeout=2)
            connection.terminate()

    async def _connect(self) -> asyncpg.Connection:
        settings = {
            "application_name": f"{self._credentials.user}-singleton",
            "idle_session_timeout": f"{SILENT_S}s",
            "lock_timeout": f"{LOCK_WAIT_S}s",
            "tcp_keepalives_idle": "2",
            "tcp_keepalives_interval": "2",
            "tcp_keepalives_count": "3",
        }
        try:
            return await self._connector(server_settings=settings)
        except (*AWAY, TimeoutError, asyncpg.PostgresError) as error:
            raise Unavailable(f"PostgreSQL at {self._store.host}: {error}") from error


async def _take(connection: asyncpg.Connection) -> int:
    """The lock, then a term of one's own; waits for as long as the server answers."""
    locked = False
    while True:
        try:
            if not locked:
                await connection.execute(
                    "select pg_advisory_lock($1)", SINGLETON, timeout=LOCK_WAIT_S + ANSWER_S
                )
                locked = True
            term = await connection.fetchval(TAKE_TERM, timeout=LOCK_WAIT_S + ANSWER_S)
            assert isinstance(term, int)
            return term
        except asyncpg.LockNotAvailableError:
            continue


async def _beat(connection: asyncpg.Connection, lost: asyncio.Event) -> None:
    """Show the server that we live, and notice when it does not answer."""
    try:
        while not lost.is_set():
            await connection.execute("select 1", timeout=ANSWER_S)
            await asyncio.sleep(BEAT_S)
    finally:
        lost.set()  # whatever ended it
