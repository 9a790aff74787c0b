"""A real service in the test's own event loop, on real NATS and PostgreSQL."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

from murmuration.bus.connection import Bus
from murmuration.kernel.errors import Unavailable
from murmuration.runtime.config import (
    Credentials,
    DatabaseCredentials,
    ServiceConfig,
    SiteSection,
    TelemetrySection,
)
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import free_port
from murmuration.testkit.postgres import Postgres

R = TypeVar("R", bound=msgspec.Struct)
Run = Callable[..., Coroutine[Any, Any, None]]
STOP_S = 20.0


def service_config(
    identity: str,
    nats: NatsServer,
    postgres: Postgres,
    *,
    database: DatabaseCredentials | None = None,
    **section: object,
) -> ServiceConfig:
    """The configuration of a service on these servers; its database is new unless given."""
    path = nats.credentials_dir / f"{identity}.json"
    known = msgspec.json.decode(path.read_bytes(), type=Credentials)
    if known.database is not None:
        login = database or postgres.database(identity)
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(known, database=login)))
    return ServiceConfig(
        identity=identity,
        site=SiteSection(name="test", credentials_dir=str(nats.credentials_dir)),
        bus=nats.section,
        store=postgres.section,
        telemetry=TelemetrySection(),
        sections={identity: {"listen": f"127.0.0.1:{free_port()}", **section}},
    )


async def asks(
    bus: Bus, request: msgspec.Struct, reply: type[R], *, as_type: str | None = None
) -> R:
    """The answer to a request, which is repeated while the service is only starting."""

    async def answered() -> R | None:
        try:
            return await bus.request(request, reply, as_type=as_type)
        except Unavailable:
            return None

    answer = await reaches(answered, what=f"an answer to {type(request).__name__}")
    assert answer is not None
    return answer


@asynccontextmanager
async def alongside(work: Coroutine[Any, Any, object]) -> AsyncGenerator[None, None]:
    """Run something beside the test until the end of the context, however it ends."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def running(run: Run, config: ServiceConfig) -> AsyncGenerator[asyncio.Task[None], None]:
    """Run a service until the end of the context; what it raises is raised here."""
    stop = asyncio.Event()
    task = asyncio.create_task(run(config, stop=stop), name=config.identity)
    try:
        yield task
    finally:
        stop.set()
        async with asyncio.timeout(STOP_S):
            await task
