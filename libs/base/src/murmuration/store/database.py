"""One service's database: a pool and units of work.

Invariants:
- A unit of work is one transaction: the state change, its events and the position read so far. The
  numbers of its events are taken by its last statement, so order of numbers is order of commit.
- Nothing is written before the database has been compared with the service's own stream
  (`verified`): a database put back to an older copy must start a new epoch first. The comparison
  holds for one life of the server: a connection to a restarted one (only so can a copy have been
  put back) withdraws it before that connection can be used.
- A unit of the single writer's tasks is refused once another replica took over (see singleton).
- Every wait has a bound: for a connection, for an answer, for an idle transaction.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec

from murmuration.kernel.errors import DeadlineExceeded, Unavailable
from murmuration.proto.envelope import Version
from murmuration.runtime.config import DatabaseCredentials, StoreSection
from murmuration.store.away import AWAY, away
from murmuration.store.connecting import CONNECT_TIMEOUT_S, Connector
from murmuration.store.migrations import PLATFORM, migrate
from murmuration.store.outgoing import Outgoing, columns, outgoing
from murmuration.store.singleton import TERM

IDLE_IN_UNIT_S = 10  # the server ends a unit in which nothing happens for so long: a frozen process

_APPEND = """
select epoch, change from mur.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""


_LIFE_OF_SERVER = """
select pg_postmaster_start_time()::text || ' ' || oid from pg_database
where datname = current_database()
"""
_FENCE = "select term from mur.lease for share"


def _heed_cancellation() -> None:
    """End a task that is being cancelled, whatever else became of what it awaited.

    Python 3.11's asyncio.wait_for, which asyncpg stands on, drops a cancellation that comes in the
    same moment as a result or a failure. When PostgreSQL dies, all connections fail at once and
    the singleton's tasks are cancelled for it: a loop that outlives Unavailable would outlive that.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Unit:
    """One transaction with what it says to the world; made by `Database.unit`."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.version: Version | None = None
        self._rows: list[Outgoing] = []

    def savepoint(self) -> int:
        """Remember what was emitted so far; see `restore`."""
        return len(self._rows)

    def restore(self, kept: int) -> None:
        """Take back what was emitted since `savepoint`, when its inner transaction was undone."""
        del self._rows[kept:]

    @property
    def said(self) -> tuple[Outgoing, ...]:
        """What was emitted and has no numbers yet."""
        return tuple(self._rows)

    @property
    def emitted(self) -> bool:
        """Whether something waits to be numbered."""
        return bool(self._rows)

    def emit(
        self,
        payload: msgspec.Struct,
        *,
        entity: str,
        bucket: str | None = None,
        state: msgspec.Struct | None = None,
        as_type: str | None = None,
        **tokens: str,
    ) -> None:
        """Publish `payload` once this transaction is committed; see `outgoing` for bucket, state.

        `tokens` fill the subject's placeholders; what follows in a unit is published in order.
        """
        self._rows.append(
            outgoing(
                payload, entity=entity, tokens=tokens, bucket=bucket, state=state, as_type=as_type
            )
        )

    def say(self, row: Outgoing) -> None:
        """As `emit`, of a row that is made already."""
        self._rows.append(row)

    async def number(self) -> Version:
        """Number and store what was emitted; returns the version the database then stands at.

        To be called last, for it holds a lock to the commit; `Database.unit` does so by itself.
        """
        if self._rows:
            row = await self.connection.fetchrow(_APPEND, *columns(self._rows))
            self._rows.clear()
        elif self.version is not None:
            return self.version
        else:
            row = await self.connection.fetchrow("select epoch, change from mur.life")
        assert row is not None
        self.version = Version(row["epoch"], row["change"])
        return self.version


class Server:
    """Which life of the PostgreSQL server, and which making of the database, the pool talks to."""

    def __init__(self) -> None:
        self.life: str | None = None
        self.verified = asyncio.Event()
        self.unverified = asyncio.Event()
        self.unverified.set()

    async def greet(self, connection: asyncpg.Connection) -> None:
        """Called for each new connection before anybody can use it."""
        life = await connection.fetchval(_LIFE_OF_SERVER)
        if life != self.life:
            self.life = life
            self.verified.clear()
            self.unverified.set()


class Database:
    """The pool of one service. Made by `open_database`."""

    def __init__(
        self, pool: asyncpg.Pool, credentials: DatabaseCredentials, server: Server
    ) -> None:
        self.pool = pool
        self.credentials = credentials
        self._nudges: list[asyncio.Event] = []
        self._server = server
        self.verified = server.verified  # set while this life of the server is compared
        self.unverified = server.unverified  # set while a comparison is wanted

    @property
    def life_of_server(self) -> str | None:
        """What tells the server that answers now from an earlier one; see `confirm`."""
        return self._server.life

    def confirm(self, life_of_server: str | None) -> None:
        """The database was compared with its stream, in this life of the server.

        Raises Unavailable when the server was restarted meanwhile: compare again.
        """
        if life_of_server != self._server.life:
            raise Unavailable("PostgreSQL was restarted while its database was compared")
        self._server.unverified.clear()
        self._server.verified.set()

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit]:
        """A transaction; commits at the end, rolls back on any exception.

        Raises Unavailable when PostgreSQL is away, the database is not verified yet or another
        replica has become the single writer, and DeadlineExceeded when the connection broke during
        the commit: then the outcome is unknown.
        """
        self._require_verified()
        async with self.unverified_unit() as unit:
            self._require_verified()  # the connection may be the first to a restarted server
            term = TERM.get()
            if term is not None and await unit.connection.fetchval(_FENCE) != term:
                raise Unavailable("another replica is the single writer now")
            yield unit

    def _require_verified(self) -> None:
        if not self.verified.is_set():
            raise Unavailable("the database has not been compared with the event stream yet")

    @asynccontextmanager
    async def unverified_unit(self) -> AsyncIterator[Unit]:
        """A unit for the comparison itself; everybody else uses `unit`."""
        async with self.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            unit = Unit(connection)
            try:
                yield unit
                if unit.emitted:
                    await unit.number()
            except BaseException:
                if not connection.is_closed():
                    await transaction.rollback()
                raise
            try:
                await transaction.commit()
            except BaseException as error:
                if away(error):
                    raise DeadlineExceeded("the connection broke while committing") from error
                raise
            if unit.version is not None:
                for nudge in self._nudges:
                    nudge.set()

    def nudge(self) -> asyncio.Event:
        """An event that is set after each commit that said something; who waits clears it.

        It only wakes: what is to be done stands in the outbox.
        """
        event = asyncio.Event()
        self._nudges.append(event)
        return event

    def forget_nudge(self, event: asyncio.Event) -> None:
        """Set it no more."""
        self._nudges.remove(event)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A pooled connection. Raises Unavailable when PostgreSQL is away."""
        try:
            async with self.pool.acquire(timeout=CONNECT_TIMEOUT_S) as connection:
                _heed_cancellation()
                yield connection  # type: ignore[misc]  # a PoolConnectionProxy is one in all but type
        except TimeoutError as error:
            _heed_cancellation()
            raise Unavailable("no database connection became free in time") from error
        except Exception as error:
            _heed_cancellation()
            if away(error):
                raise Unavailable(f"PostgreSQL is away: {type(error).__name__}") from error
            raise

    async def life(self) -> Version:
        """The epoch of this database and its last change."""
        async with self.connection() as connection:
            row = await connection.fetchrow("select epoch, change from mur.life")
            assert row is not None
            return Version(row["epoch"], row["change"])


async def _keep(_connection: object) -> None:
    """Nothing to reset: units leave no session state, and asking would cost each a round trip."""


@asynccontextmanager
async def open_database(
    store: StoreSection, credentials: DatabaseCredentials, *, migrations: Path | None
) -> AsyncIterator[Database]:
    """Connect, apply the platform's and the service's migrations, and close at the end.

    Raises Unavailable when PostgreSQL cannot be reached, cannot be trusted or refuses the login,
    and Rejected when it is elsewhere and no authorities are named that can be used.
    """
    server, connector = Server(), Connector(store, credentials)
    try:
        pool = await asyncpg.create_pool(
            connect=connector,
            min_size=1,
            init=server.greet,
            reset=_keep,
            max_size=store.pool_size_max,
            command_timeout=store.statement_timeout_s,
            server_settings={
                "application_name": credentials.user,
                "jit": "off",
                "idle_in_transaction_session_timeout": f"{IDLE_IN_UNIT_S}s",
            },
        )
    except (*AWAY, TimeoutError, asyncpg.PostgresError) as error:
        raise Unavailable(f"PostgreSQL at {store.host}: {error}") from error
    try:
        async with pool.acquire() as connection:
            await migrate(connection, "platform", PLATFORM)  # type: ignore[arg-type]
            if migrations is not None:
                await migrate(connection, credentials.user, migrations)  # type: ignore[arg-type]
        yield Database(pool, credentials, server)
    finally:
        try:
            async with asyncio.timeout(5):
                await pool.close()
        except TimeoutError:
            pool.terminate()
