"""One service's database: a pool, units of work, and the lock of its single writer.

Invariants:
- A unit of work is one transaction: the state change, its events and the position read so far. The
  numbers of its events are taken by its last statement, so order of numbers is order of commit.
- Nothing is written before the database has been compared with the service's own stream
  (`verified`): a database put back to an older copy must start a new epoch first.
- The singleton lock lives on a connection of its own; when that connection is lost, the holder is
  told before anybody else can have the lock for longer than the server needs to notice.
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
from murmuration.store.migrations import PLATFORM, migrate
from murmuration.store.outgoing import Outgoing, outgoing

AWAY = (asyncpg.InterfaceError, asyncpg.InternalClientError, ConnectionError, OSError)
AWAY_SQLSTATE = ("08", "57", "53")  # connection, operator intervention, resources
CONNECT_TIMEOUT_S = 10
SINGLETON = 0x6D757202  # 'mur' 2

_APPEND = """
select epoch, change from mur.append($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""


def away(error: BaseException) -> bool:
    """Whether an exception says that PostgreSQL is away, full or shutting down: try later."""
    if isinstance(error, asyncpg.PostgresError):
        return str(getattr(error, "sqlstate", ""))[:2] in AWAY_SQLSTATE
    return isinstance(error, AWAY)


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

    async def number(self) -> Version:
        """Number and store what was emitted; returns the version the database then stands at.

        To be called last, for it holds a lock to the commit; `Database.unit` does so by itself.
        """
        if self._rows:
            columns = [list(column) for column in zip(*self._rows, strict=True)]
            row = await self.connection.fetchrow(_APPEND, *columns)
            self._rows.clear()
        elif self.version is not None:
            return self.version
        else:
            row = await self.connection.fetchrow("select epoch, change from mur.life")
        assert row is not None
        self.version = Version(row["epoch"], row["change"])
        return self.version


class Database:
    """The pool of one service. Made by `open_database`."""

    def __init__(self, pool: asyncpg.Pool, credentials: DatabaseCredentials) -> None:
        self.pool = pool
        self.credentials = credentials
        self._nudges: list[asyncio.Event] = []
        self.verified = asyncio.Event()  # set once compared with the stream

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit]:
        """A transaction; commits at the end, rolls back on any exception.

        Raises Unavailable when PostgreSQL is away or the database is not verified yet, and
        DeadlineExceeded when the connection broke during the commit: then the outcome is unknown.
        """
        if not self.verified.is_set():
            raise Unavailable("the database has not been compared with the event stream yet")
        async with self.unverified_unit() as unit:
            yield unit

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


@asynccontextmanager
async def open_database(
    store: StoreSection, credentials: DatabaseCredentials, *, migrations: Path | None
) -> AsyncIterator[Database]:
    """Connect, apply the platform's and the service's migrations, and close at the end.

    Raises Unavailable when PostgreSQL cannot be reached or refuses the login.
    """
    try:
        pool = await asyncpg.create_pool(
            host=store.host,
            port=store.port,
            user=credentials.user,
            password=credentials.password,
            database=credentials.name,
            min_size=1,
            max_size=store.pool_size_max,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=store.statement_timeout_s,
            server_settings={"application_name": credentials.user, "jit": "off"},
        )
    except (*AWAY, TimeoutError, asyncpg.PostgresError) as error:
        raise Unavailable(f"PostgreSQL at {store.host}: {error}") from error
    try:
        async with pool.acquire() as connection:
            await migrate(connection, "platform", PLATFORM)  # type: ignore[arg-type]
            if migrations is not None:
                await migrate(connection, credentials.user, migrations)  # type: ignore[arg-type]
        yield Database(pool, credentials)
    finally:
        try:
            async with asyncio.timeout(5):
                await pool.close()
        except TimeoutError:
            pool.terminate()


class SingletonLock:
    """The advisory lock of a service's single writer, on a connection of its own."""

    def __init__(self, store: StoreSection, credentials: DatabaseCredentials) -> None:
        self._store = store
        self._credentials = credentials

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[asyncio.Event]:
        """Wait for the lock and hold it; the event is set when the lock may be lost.

        Raises Unavailable when PostgreSQL is away.
        """
        lost = asyncio.Event()

        def gone(_connection: object) -> None:
            lost.set()

        try:
            connection = await asyncpg.connect(
                host=self._store.host,
                port=self._store.port,
                user=self._credentials.user,
                password=self._credentials.password,
                database=self._credentials.name,
                timeout=CONNECT_TIMEOUT_S,
                server_settings={"application_name": f"{self._credentials.user}-singleton"},
            )
        except (*AWAY, TimeoutError, asyncpg.PostgresError) as error:
            raise Unavailable(f"PostgreSQL at {self._store.host}: {error}") from error
        connection.add_termination_listener(gone)
        try:
            await connection.execute("select pg_advisory_lock($1)", SINGLETON)
            yield lost
        except Exception as error:
            if away(error):
                raise Unavailable("PostgreSQL went away while the lock was held") from error
            raise
        finally:
            lost.set()
            try:
                await connection.close(timeout=2)
            except Exception:
                connection.terminate()
