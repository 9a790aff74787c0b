"""How every service lives: one context with what it stands on, one task group with what it does.

A replica always serves its health, its queries and its commands. Who writes from streams and
publishes the outbox is the singleton: the replica that holds the service's advisory lock; when the
lock's connection is lost these tasks end before the lock can be another's, and the replica stands
by again. A child that fails with a Bug ends the process: the supervisor starts a clean one.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any, TypeVar

import structlog
from prometheus_client import CollectorRegistry

from murmuration.bus.commands import RequestServer
from murmuration.bus.connection import Bus, open_bus
from murmuration.bus.follower import Follower, Refuse, StateHandler
from murmuration.bus.relay import Relay, Republish
from murmuration.kernel.backoff import Backoff
from murmuration.kernel.errors import (
    DeadlineExceeded,
    MurmurationError,
    Rejected,
    Unavailable,
)
from murmuration.proto.platform import GetStatus, ServiceStatus
from murmuration.runtime import logs, telemetry
from murmuration.runtime.clock import SystemClock
from murmuration.runtime.config import ServiceConfig, load_config
from murmuration.runtime.dice import dice
from murmuration.runtime.metrics import BusCollector
from murmuration.runtime.platform import serve_platform
from murmuration.store.database import Database, open_database
from murmuration.store.singleton import TERM, Held, SingletonLock
from murmuration.web.guard import GuardPolicy
from murmuration.web.ops import add_ops
from murmuration.web.server import listening_socket, make_app, serve

STATUS_EVERY_S = 1.0
GARBAGE_EVERY = 10_000  # containers: a batch of 500 alarms makes some thousands that stay a while
START_WAIT_S = 600.0  # PostgreSQL and NATS may come after us; health is served meanwhile
_SET_ASIDE = """
select (select count(*) from mur.parked) as parked,
    (select count(*) from mur.effect where status = 'held') as held
"""
log = structlog.get_logger()

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class Context:
    """What a service stands on while it runs."""

    config: ServiceConfig
    database: Database
    bus: Bus
    registry: CollectorRegistry
    clock: SystemClock
    server: RequestServer
    relay: Relay
    followers: list[Follower] = field(default_factory=list[Follower])
    active: bool = False
    ready: bool = False
    reason: str = "starting"
    relay_lag: int = 0
    parked: int = 0
    held: int = 0
    started: float = 0.0

    def follow(
        self,
        stream: str,
        handlers: dict[type[Any], Any],
        *,
        states: dict[str, StateHandler] | None = None,
        refuse: Refuse | None = None,
    ) -> Follower:
        """Take in a stream with these handlers, as part of the singleton; returns what does it.

        `states`: what takes in the sender's buckets where its events are no longer to be had;
        `refuse`: what is told of messages that do not decode, instead of parking them.
        """
        follower = Follower(self.database, self.bus, stream, handlers, states=states, refuse=refuse)
        self.followers.append(follower)
        return follower

    def status(self) -> ServiceStatus:
        """How this replica is, as /readyz and the status query tell it."""
        reason = self.reason
        if not self.bus.connected:
            reason = "NATS is away"
        return ServiceStatus(
            service=self.config.identity,
            instance=f"{socket.gethostname()}-{os.getpid()}",
            ready=self.ready and self.bus.connected and not self.reason,
            reason=reason,
            role="active" if self.active else "standby",
            relay_lag=self.relay_lag,
            consumer_lag=sum(follower.lag for follower in self.followers) if self.active else 0,
            parked=self.parked,
            held=self.held,
            uptime_s=round(self.clock.monotonic() - self.started, 1),
        )


@asynccontextmanager
async def service_context(
    config: ServiceConfig,
    *,
    listen: str,
    migrations: Path,
    republish: Republish,
    foreign: tuple[str, ...] = (),
) -> AsyncGenerator[Context, None]:
    """Open everything a stateful service stands on, health first.

    Raises Rejected for what is wrong in the configuration, Unavailable when PostgreSQL or NATS do
    not come within START_WAIT_S.
    """
    service = config.identity
    structlog.contextvars.bind_contextvars(service=service)
    credentials = config.credentials()
    login = credentials.database
    if login is None:
        raise Rejected(f"the credentials of {service} lack its database")
    registry, clock = CollectorRegistry(), SystemClock()
    holder: list[Context] = []
    app = make_app(GuardPolicy())
    add_ops(app, status=lambda: _status_of(holder, service), registry=registry)
    async with contextlib.AsyncExitStack() as stack:
        listener = listening_socket(f"{service}.http", listen, authenticated=False)
        await stack.enter_async_context(serve(app, listener))
        database = await _patiently(
            lambda: stack.enter_async_context(
                open_database(config.store, login, migrations=migrations)
            )
        )
        bus = await stack.enter_async_context(
            open_bus(config.bus, credentials.bus, identity=service, wait_s=START_WAIT_S)
        )
        context = Context(
            config=config,
            database=database,
            bus=bus,
            registry=registry,
            clock=clock,
            server=RequestServer(bus, version=distribution_version("murmuration-base")),
            relay=Relay(database, bus, service=service, republish=republish, foreign=foreign),
            started=clock.monotonic(),
        )
        registry.register(BusCollector(context.followers, context))
        holder.append(context)
        yield context


def _status_of(holder: list[Context], service: str) -> ServiceStatus:
    if holder:
        return holder[0].status()
    return ServiceStatus(
        service=service, instance="", ready=False, reason="waits for PostgreSQL and NATS"
    )


async def _patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_WAIT_S
    backoff = Backoff(first_s=0.05, most_s=1.0)
    while True:
        try:
            return await attempt()
        except Unavailable:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(backoff.next_s(dice()))


async def run_service(
    context: Context,
    stop: asyncio.Event,
    *,
    always: dict[str, Work] | None = None,
    active: dict[str, Work] | None = None,
) -> None:
    """Run until `stop`: `always` in every replica, `active` only in the singleton.

    Requests, the status and the followers and relay of `context` are included.
    """
    service = context.config.identity

    async def status(_request: GetStatus) -> ServiceStatus:
        return context.status()

    context.server.answer(GetStatus, status, as_type=f"{service}.status.get.v1")
    serve_platform(context.server, context.database, context.followers, service=service)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(context.server.run(), name="requests"),
            group.create_task(_keep_verified(context), name="verify"),
            group.create_task(_watch_status(context), name="status"),
            group.create_task(_singleton(context, active or {}), name="singleton"),
            *(group.create_task(work(), name=name) for name, work in (always or {}).items()),
        ]
        await stop.wait()
        for task in tasks:
            task.cancel()


async def _keep_verified(context: Context) -> None:
    """Compare database and stream at start, and again whenever PostgreSQL was restarted."""
    backoff = Backoff(first_s=0.05, most_s=2.0)
    while True:
        await context.database.unverified.wait()
        try:
            await context.relay.verify()
            backoff.reset()
        except (Unavailable, DeadlineExceeded) as error:
            log.info("database.unverified", reason=str(error))
            await asyncio.sleep(backoff.next_s(dice()))


async def _singleton(context: Context, active: dict[str, Work]) -> None:
    credentials = context.database.credentials
    lock = SingletonLock(context.config.store, credentials)
    backoff = Backoff(first_s=0.1, most_s=2.0)
    while True:
        try:
            async with lock.hold() as held:
                await _verified_or_lost(context, held)
                backoff.reset()
                context.active, context.ready, context.reason = True, True, ""
                log.info("singleton.active", service=context.config.identity, term=held.term)
                await _run_until(held, context, active)
            context.reason = "the singleton lock was lost"
            log.warning("singleton.lost", service=context.config.identity)
        except (Unavailable, DeadlineExceeded) as error:
            log.warning("singleton.waits", reason=str(error))
            context.reason = str(error)
        finally:
            context.active = False
        await asyncio.sleep(backoff.next_s(dice()))


async def _verified_or_lost(context: Context, held: Held) -> None:
    """Wait for the comparison. Raises Unavailable when the lock is lost before."""
    while not context.database.verified.is_set():
        if held.lost.is_set():
            raise Unavailable("the lock was lost before the database was compared")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STATUS_EVERY_S):
                await context.database.verified.wait()


async def _run_until(held: Held, context: Context, active: dict[str, Work]) -> None:
    """The tasks of the single writer, in its term, until the lock is lost."""
    fence = TERM.set(held.term)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(context.relay.run(), name="relay"),
                *(
                    group.create_task(follower.run(), name=f"follow {follower.stream}")
                    for follower in context.followers
                ),
                *(group.create_task(work(), name=name) for name, work in active.items()),
            ]
            await held.lost.wait()
            for task in tasks:
                task.cancel()
    finally:
        TERM.reset(fence)


async def _watch_status(context: Context) -> None:
    """Keep what health tells: lag of the relay, parked messages, readiness of a standby."""
    while True:
        try:
            context.relay_lag = await context.relay.lag()
            async with context.database.connection() as connection:
                row = await connection.fetchrow(_SET_ASIDE)
                assert row is not None
                context.parked, context.held = row["parked"], row["held"]
        except MurmurationError as error:
            context.reason = str(error)
        else:
            verified = context.database.verified.is_set()
            if verified and (context.ready or not context.active):
                context.ready, context.reason = True, ""
            elif not verified:
                context.reason = "the database is being compared with the event stream"
        await asyncio.sleep(STATUS_EVERY_S)


def main(identity: str, run: Callable[..., Coroutine[Any, Any, None]]) -> int:
    """The whole program of a service: configuration, logs, signals, `run(config, stop=…)`.

    Returns the exit code: 0 stopped as asked, 1 failed, 2 wrong configuration.
    """
    try:
        config = load_config(identity)
    except MurmurationError as error:
        structlog.get_logger().error("config.rejected", reason=str(error))
        return 2
    logs.configure(
        level=config.telemetry.log_level, style=config.telemetry.log_format, service=identity
    )
    telemetry.configure(identity)
    code = 0
    try:
        _run(config, run)
    except* MurmurationError as group:
        leaf = _leaf(group)
        log.error("service.failed", reason=str(leaf))
        code = 2 if isinstance(leaf, Rejected) else 1
    finally:
        telemetry.flush()
    return code


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _run(config: ServiceConfig, run: Callable[..., Coroutine[Any, Any, None]]) -> None:
    async def with_signals() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await run(config, stop=stop)

    gc.freeze()  # what was imported stays: it need not be looked through again and again
    gc.set_threshold(GARBAGE_EVERY, 20, 20)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(with_signals())


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop where it is to be had, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
