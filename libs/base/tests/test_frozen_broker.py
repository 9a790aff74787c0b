"""A broker that is frozen while its connections stay up: every call ends within its bound."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from murmuration.bus.connection import Bus, open_bus
from murmuration.bus.publisher import Publication, WindowPublisher
from murmuration.bus.reader import StreamReader
from murmuration.bus.state import load_bucket
from murmuration.bus.stream import read_tail
from murmuration.bus.wire import header_block
from murmuration.kernel.errors import MurmurationError
from murmuration.proto.platform import GetMark, Mark
from murmuration.runtime.config import read_credentials
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect

BOUND_S = 12.0  # each call's own bound is 2 to 5 s; the rest is for the machine

Call = Callable[[Bus], Awaitable[object]]


async def flood(bus: Bus) -> None:
    """More than the client may keep: refused, not kept waiting."""
    for _ in range(64):
        await bus.publish_raw("mtce.pulse.digest", b"x" * 2**18)


async def window(bus: Bus) -> None:
    message = Publication("mtce.event.host.forgotten.x", header_block([("a", "b")]), b"{}")
    await WindowPublisher(bus).publish([message] * 500)


async def ask(bus: Bus) -> None:
    await bus.request(GetMark(producer="mtce"), Mark, timeout_s=2, as_type="fm.mark.get.v1")


async def tail(bus: Bus) -> None:
    await read_tail(bus, "SYSINV")


async def bucket(bus: Bus) -> None:
    await load_bucket(bus, "mtce_hosts")


@pytest.mark.parametrize("call", [flood, window, ask, tail, bucket])
async def test_call_fails_within_its_bound_when_the_broker_is_frozen(
    call: Call, connect: Connect, site_nats: NatsServer
) -> None:
    bus = await connect("mtce")
    site_nats.signal(signal.SIGSTOP)
    try:
        with pytest.raises(MurmurationError):
            async with asyncio.timeout(BOUND_S):
                await call(bus)
    finally:
        site_nats.signal(signal.SIGCONT)
    await reaches(lambda: bus.connected, what="the connection")
    await read_tail(bus, "SYSINV")


async def test_connection_is_given_up_within_its_bound_when_the_broker_is_frozen(
    site_nats: NatsServer,
) -> None:
    login = read_credentials(site_nats.credentials_dir, "mtce").bus
    try:
        async with asyncio.timeout(BOUND_S):
            async with open_bus(site_nats.section, login, identity="mtce"):
                site_nats.signal(signal.SIGSTOP)
    finally:
        site_nats.signal(signal.SIGCONT)


async def test_reader_goes_on_when_the_broker_thaws(
    connect: Connect, site_nats: NatsServer
) -> None:
    writer, reader = await connect("sysinv"), await connect("mtce")
    seen: list[int] = []

    async def read() -> None:
        async for batch in StreamReader(reader, "SYSINV", start=1).batches():
            seen.extend(delivery.sequence for delivery in batch)

    task = asyncio.create_task(read())
    try:
        for frozen in range(2):
            body = Publication("sysinv.event.host.removed.x", header_block([("a", "b")]), b"{}")
            await WindowPublisher(writer).publish([body] * 10)
            await reaches(lambda count=10 * (frozen + 1): len(seen) == count)
            site_nats.signal(signal.SIGSTOP)
            await reaches(lambda: not reader.connected or not writer.connected)
            site_nats.signal(signal.SIGCONT)
            await reaches(lambda: reader.connected and writer.connected)
    finally:
        site_nats.signal(signal.SIGCONT)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert seen == list(range(1, 21))
