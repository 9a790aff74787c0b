"""Fixtures, for `pytest_plugins = ["murmuration.testkit.plugin"]`."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import structlog

from murmuration.bus.connection import Bus, open_bus
from murmuration.bus.provision import provision
from murmuration.proto import registry
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import short_folder
from murmuration.testkit.postgres import Postgres

Connect = Callable[[str], Awaitable[Bus]]


@pytest.fixture(scope="session", autouse=True)
def contract() -> None:
    """The whole registry, as every program has it."""
    registry.load()


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> None:
    """What structlog prints of an error by default shows every local variable: it takes seconds."""
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this test session; ask it for a database."""
    with short_folder() as folder:
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.abandon()


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this test alone, which it may kill."""
    with short_folder() as folder:
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.abandon()


@pytest.fixture
def nats_server() -> Iterator[NatsServer]:
    """A NATS server of this test alone, not provisioned; it may be killed."""
    with short_folder() as folder:
        server = NatsServer(folder)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@pytest.fixture
async def site_nats(nats_server: NatsServer) -> NatsServer:
    """A NATS server with all streams and buckets."""
    login = nats_server.login("provisioner")
    async with open_bus(nats_server.section, login, identity="provisioner") as bus:
        await provision(bus)
    return nats_server


@pytest.fixture
async def connect(site_nats: NatsServer) -> AsyncIterator[Connect]:
    """Connects as any identity of the contract (`fm`, `node@worker-1`); closed at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def as_identity(identity: str) -> Bus:
            login = site_nats.login(identity)
            return await stack.enter_async_context(
                open_bus(site_nats.section, login, identity=identity)
            )

        yield as_identity


@pytest.fixture
async def admin(connect: Connect) -> Bus:
    """The provisioner's connection: streams can be looked at, made and deleted."""
    return await connect("provisioner")
