"""From a killed heartbeat to its alarm at an SSE client, and from its return to the clear.

The kill is the moment before SIGKILL is asked for; the return is the host's first pulse on the bus.
"""

import asyncio
import statistics
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from nats.aio.msg import Msg

from bench.harness import Options, Row
from murmuration.bus.connection import open_bus
from murmuration.runtime.config import load_config
from murmuration.testkit.site import Site, SseEvent, site, sse

TITLE = "detect-alarm: kill -9 of a host's pulse until its alarm arrives over SSE, 100 ms x 10"
ROWS = (
    Row(name="p50_ms", unit="ms"),
    Row(name="p99_ms", unit="ms", target=1_300),
    Row(name="cleared_p50_ms", unit="ms"),
    Row(name="cleared_p99_ms", unit="ms", target=1_300),
)
ALARM = "200.005"
HOST = "worker-1"
WAIT_S = 30.0


async def raised(events: AsyncIterator[SseEvent]) -> tuple[float, str]:
    """The time at which the host's alarm became critical, and its uuid."""
    async for event in events:
        if event.name == "alarm" and (
            event.data["alarm_id"] == ALARM
            and event.data["entity"] == f"host={HOST}"
            and event.data["severity"] == "critical"
        ):
            return event.at, event.data["uuid"]
    raise RuntimeError("the stream ended")


async def cleared(events: AsyncIterator[SseEvent], uuid: str) -> float:
    """The time at which this alarm was cleared."""
    async for event in events:
        if event.name == "alarm_cleared" and event.data["uuid"] == uuid:
            return event.at
    raise RuntimeError("the stream ended")


class Return:
    """The first pulse of the host after `arm`, as seen on the bus."""

    def __init__(self) -> None:
        self.at: float | None = None

    def arm(self) -> None:
        """Forget the last return."""
        self.at = None

    async def on_pulse(self, _message: Msg) -> None:
        """Note the first one."""
        if self.at is None:
            self.at = asyncio.get_running_loop().time()


async def once(running: Site, session: aiohttp.ClientSession, back: Return) -> tuple[float, float]:
    """One kill and one return: milliseconds to the critical alarm, and to its clear."""
    loop = asyncio.get_running_loop()
    events = sse(session, f"{running.url}/api/v1/stream")
    first = await anext(events)
    assert first.name == "snapshot", first.name
    killed = loop.time()
    await asyncio.to_thread(running.lab, "kill", HOST)
    up, uuid = await asyncio.wait_for(raised(events), WAIT_S)
    back.arm()
    await asyncio.to_thread(running.lab, "heal", HOST)
    down = await asyncio.wait_for(cleared(events, uuid), WAIT_S)
    assert back.at is not None, "cleared without a pulse"
    await asyncio.wait_for(until_available(events), WAIT_S)
    return (up - killed) * 1_000, (down - back.at) * 1_000


@asynccontextmanager
async def watching(running: Site) -> AsyncGenerator[Return, None]:
    """A second subscriber to the host's pulses, with the monitor's identity."""
    config = load_config("mtce", running.state_dir / "site.toml")
    back = Return()
    async with (
        aiohttp.ClientSession(headers=running.headers) as session,
        session.get(f"{running.url}/api/v1/hosts/{HOST}") as response,
    ):
        index = (await response.json())["index"]
    async with open_bus(config.bus, config.credentials().bus, identity="mtce") as bus:
        await bus.nc.subscribe(f"mtce.pulse.*.{index:05d}", cb=back.on_pulse)
        yield back


async def until_available(events: AsyncIterator[SseEvent]) -> None:
    """Wait until the host is in service again."""
    async for event in events:
        is_host = event.name == "host" and event.data["name"] == HOST
        if is_host and event.data["availability"] == "available":
            return


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS."""
    ups: list[float] = []
    downs: list[float] = []
    with site() as running:
        async with (
            aiohttp.ClientSession(headers=running.headers) as session,
            watching(running) as back,
        ):
            for _ in range(5 if options.quick else 50):
                up, down = await once(running, session, back)
                ups.append(up)
                downs.append(down)
                options.sample("p99_ms", up)
                options.sample("cleared_p99_ms", down)
    return {
        "p50_ms": statistics.median(ups),
        "p99_ms": percentile(ups, 99),
        "cleared_p50_ms": statistics.median(downs),
        "cleared_p99_ms": percentile(downs, 99),
    }


def percentile(values: list[float], percent: int) -> float:
    """The value below which `percent` of all lie, inclusive method."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
