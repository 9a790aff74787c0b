"""A task cancelled while PostgreSQL fails ends as cancelled, not as one that tries again."""

import asyncio

import pytest

from murmuration.kernel.errors import Unavailable
from murmuration.store.database import open_database
from murmuration.testkit.postgres import Postgres


async def test_cancellation_wins_when_the_connection_fails_in_the_same_moment(
    postgres: Postgres,
) -> None:
    login = postgres.database("mtce")
    async with open_database(postgres.section, login, migrations=None) as database:

        async def use(*, cancelled: bool) -> None:
            async with database.connection():
                task = asyncio.current_task()
                if cancelled and task is not None:
                    task.cancel()
                raise ConnectionResetError("the server is gone")

        with pytest.raises(Unavailable):
            await asyncio.create_task(use(cancelled=False))
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(use(cancelled=True))
