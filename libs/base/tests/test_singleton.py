"""The single writer: who holds the lock writes, and who held it does not, however long it slept."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection

import asyncpg
import pytest

from murmuration.kernel.errors import MurmurationError, Unavailable
from murmuration.runtime.config import DatabaseCredentials, StoreSection
from murmuration.store.database import Database, open_database
from murmuration.store.singleton import TERM, SingletonLock
from murmuration.testkit.levels import reaches
from murmuration.testkit.postgres import Postgres


@asynccontextmanager
async def made(server: Postgres, login: DatabaseCredentials) -> AsyncIterator[Database]:
    async with open_database(server.section, login, migrations=None) as database:
        async with database.connection() as connection:
            await connection.execute("create table wrote (who text)")
        database.verified.set()
        yield database


@pytest.fixture
def login(postgres: Postgres) -> DatabaseCredentials:
    return postgres.database("thing")


@pytest.fixture
async def database(postgres: Postgres, login: DatabaseCredentials) -> AsyncIterator[Database]:
    async with open_database(postgres.section, login, migrations=None) as database:
        async with database.connection() as connection:
            await connection.execute("create table wrote (who text)")
        database.verified.set()
        yield database


async def write(database: Database, term: int | None, who: str) -> None:
    TERM.set(term)
    async with database.unit() as unit:
        await unit.connection.execute("insert into wrote values ($1)", who)


async def wrote(database: Database) -> list[str]:
    async with database.connection() as connection:
        return [row["who"] for row in await connection.fetch("select who from wrote")]


async def test_earlier_holder_is_refused_when_another_took_over(
    postgres: Postgres, login: DatabaseCredentials, database: Database
) -> None:
    async with SingletonLock(postgres.section, login).hold() as first:
        await asyncio.create_task(write(database, first.term, "first"))
    assert first.lost.is_set()
    async with SingletonLock(postgres.section, login).hold() as second:
        await asyncio.create_task(write(database, second.term, "second"))
        with pytest.raises(Unavailable, match="another replica"):
            await asyncio.create_task(write(database, first.term, "first again"))
        await asyncio.create_task(write(database, None, "a command"))
    assert await wrote(database) == ["first", "second", "a command"]


async def test_next_holder_waits_for_the_transaction_of_the_one_before(
    postgres: Postgres, login: DatabaseCredentials, database: Database
) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(term: int) -> None:
        TERM.set(term)
        async with database.unit() as unit:
            await unit.connection.execute("insert into wrote values ('slow')")
            entered.set()
            await leave.wait()

    async def next_holder() -> list[str]:
        async with SingletonLock(postgres.section, login).hold():
            return await wrote(database)

    async with asyncio.TaskGroup() as group:
        async with SingletonLock(postgres.section, login).hold() as first:
            group.create_task(slow(first.term))
            await entered.wait()
        following = group.create_task(next_holder())

        async def waits() -> bool:
            async with database.connection() as connection:
                return bool(
                    await connection.fetchval(
                        "select count(*) from pg_stat_activity"
                        " where application_name like '%-singleton'"
                        " and datname = current_database() and wait_event_type = 'Lock'"
                    )
                )

        await reaches(waits)
        leave.set()
    assert following.result() == ["slow"]


async def test_holder_is_told_when_its_session_or_the_server_ends(
    own_postgres: Postgres,
) -> None:
    login = own_postgres.database("thing")
    lock = SingletonLock(own_postgres.section, login)
    async with made(own_postgres, login):
        pass
    async with lock.hold() as held:
        own_postgres.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name like '%-singleton'"
        )
        await asyncio.wait_for(held.lost.wait(), 10)
    with contextlib.suppress(Unavailable):
        async with lock.hold() as held:
            own_postgres.kill()
            await asyncio.wait_for(held.lost.wait(), 10)
    with pytest.raises(Unavailable):
        async with lock.hold():
            pass


async def test_holder_is_told_when_the_server_is_frozen(
    postgres: Postgres, login: DatabaseCredentials, database: Database
) -> None:
    async with SingletonLock(postgres.section, login).hold() as held:
        async with database.connection() as connection:
            (pid,) = [
                int(row["pid"])
                for row in await connection.fetch(
                    "select pid from pg_stat_activity where application_name like '%-singleton'"
                    " and datname = current_database()"
                )
            ]
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.wait_for(held.lost.wait(), 20)
        finally:
            os.kill(pid, signal.SIGCONT)


def sleeper(store: StoreSection, login: DatabaseCredentials, pipe: Connection) -> None:
    """A holder in a process of its own; writes when told, and tells how that went."""

    async def hold() -> None:
        async with (
            open_database(store, login, migrations=None) as database,
            SingletonLock(store, login).hold() as held,
        ):
            database.verified.set()
            TERM.set(held.term)
            async with database.unit() as unit:
                await unit.connection.execute("insert into wrote values ('sleeper')")
            pipe.send("holds")
            pipe.recv()
            try:
                async with database.unit() as unit:
                    await unit.connection.execute("insert into wrote values ('awake')")
                pipe.send("wrote")
            except MurmurationError as error:
                pipe.send(str(error))

    with contextlib.suppress(BaseException):
        asyncio.run(hold())


@pytest.fixture
def frozen_holder(
    postgres: Postgres, login: DatabaseCredentials, database: Database
) -> Iterator[tuple[int, Connection]]:
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=sleeper, args=(postgres.section, login, there))
    process.start()
    assert process.pid is not None
    try:
        assert here.poll(60) and here.recv() == "holds"
        os.kill(process.pid, signal.SIGSTOP)
        yield process.pid, here
    finally:
        process.kill()
        process.join()


async def test_frozen_holder_is_succeeded_and_writes_nothing_when_it_wakes(
    postgres: Postgres,
    login: DatabaseCredentials,
    database: Database,
    frozen_holder: tuple[int, Connection],
) -> None:
    pid, pipe = frozen_holder
    async with SingletonLock(postgres.section, login).hold() as held:
        await asyncio.create_task(write(database, held.term, "successor"))
        pipe.send("write")
        os.kill(pid, signal.SIGCONT)
        assert await asyncio.to_thread(pipe.poll, 30)
        assert "another replica" in pipe.recv()
    assert await wrote(database) == ["sleeper", "successor"]


async def test_unit_is_refused_when_the_server_was_restarted_until_compared_again(
    own_postgres: Postgres,
) -> None:
    async with made(own_postgres, own_postgres.database("thing")) as database:
        own_postgres.kill()
        own_postgres.start()

        async def refused() -> bool:
            try:
                async with database.unit():
                    return False
            except Unavailable as error:
                return "compared" in str(error)

        await reaches(refused)
        assert database.unverified.is_set()
        database.confirm(database.life_of_server)
        async with database.unit() as unit:
            await unit.connection.execute("insert into wrote values ('after')")
        with pytest.raises(Unavailable):
            database.confirm("an earlier life")


async def test_unit_left_open_by_a_frozen_process_is_ended_by_the_server(
    postgres: Postgres, login: DatabaseCredentials, database: Database
) -> None:
    async with database.connection() as connection:
        shown = await connection.fetchval("show idle_in_transaction_session_timeout")
        assert shown == "10s"
        await connection.execute("set idle_in_transaction_session_timeout = '200ms'")
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            async with connection.transaction():
                await connection.execute("insert into wrote values ('open')")
                await reaches(connection.is_closed)
                await connection.execute("select 1")
    assert await wrote(database) == []


async def test_what_ends_the_holder_is_raised_as_it_is(
    postgres: Postgres, login: DatabaseCredentials, database: Database
) -> None:
    with pytest.raises(Unavailable, match="not compared"):
        async with SingletonLock(postgres.section, login).hold():
            raise Unavailable("not compared")
    async with SingletonLock(postgres.section, login).hold() as held:
        await asyncio.create_task(write(database, held.term, "the next"))
    assert await wrote(database) == ["the next"]
