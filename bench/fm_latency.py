"""From the publish of a raise to its event at a subscriber.

fm runs as a process of its own on its own NATS and embedded PostgreSQL with fsync on. Alone: one
raise at a time, the next one when its event was heard. Half load: raises in a steady trickle, every
10 ms, at half the rate that a burst just before reached on this machine (transitions of fm_ingest).
The subscriber reads the stream FM by the platform's ordered reader, as the gateway does.
"""

import asyncio
import time
from collections.abc import Mapping

from bench.detect_alarm import percentile
from bench.fm_ingest import Site, fault, ready, round_of, site
from bench.harness import Options, Row
from murmuration.bus.connection import Bus
from murmuration.bus.publisher import Publication, WindowPublisher
from murmuration.bus.reader import StreamReader
from murmuration.proto.ids import token

TITLE = "fm: publish of a raise to its event at a subscriber"
ROWS = (
    Row(name="alone_p50_ms", unit="ms", target=5.0),
    Row(name="alone_p99_ms", unit="ms", target=20.0),
    Row(name="half_load_p99_ms", unit="ms", target=100.0),
    Row(name="half_load_per_s", unit="1/s"),
)
EVERY_S = 0.01
RAISED = "fm.alarm.raised.v1"
WAIT_S = 60.0


class Ear:
    """Hears raised alarms; when each entity's event came."""

    def __init__(self) -> None:
        self.heard: dict[str, float] = {}
        self.waited: asyncio.Event = asyncio.Event()

    async def listen(self, bus: Bus) -> None:
        """Read fm's stream as every subscriber does, until cancelled."""
        async for batch in StreamReader(bus, "FM", start=1).batches():
            now = time.perf_counter()
            for delivery in batch:
                if delivery.type == RAISED:
                    self.heard[delivery.subject.rpartition(".")[2]] = now
            self.waited.set()

    async def until(self, entities: set[str]) -> None:
        """Wait until the events of all these were heard."""
        async with asyncio.timeout(WAIT_S):
            while not entities <= self.heard.keys():
                self.waited.clear()
                await self.waited.wait()


async def alone(parts: Site, ear: Ear, first: int, count: int) -> list[float]:
    """Milliseconds of `count` raises, one after the other, numbered from `first`."""
    found: list[float] = []
    for number in range(first, first + count):
        request = fault(number)
        message = parts.producer.message(request)
        started = time.perf_counter()
        await parts.producer.send([message])
        key = token(request.entity)
        await ear.until({key})
        found.append((ear.heard[key] - started) * 1_000)
    return found


async def half_load(parts: Site, ear: Ear, rate_per_s: float, seconds: float) -> list[float]:
    """Milliseconds of raises that come at a steady rate for so long."""
    publisher = WindowPublisher(parts.producer.bus)
    each = max(1, round(rate_per_s * EVERY_S))
    sent: dict[str, float] = {}
    began = time.perf_counter()
    for step in range(int(seconds / EVERY_S)):
        await asyncio.sleep(max(0.0, began + step * EVERY_S - time.perf_counter()))
        window: list[Publication] = []
        keys: list[str] = []
        for number in range(each):
            request = fault(2_000_000 + step * each + number)
            keys.append(token(request.entity))
            window.append(parts.producer.message(request))
        sent |= dict.fromkeys(keys, time.perf_counter())
        await publisher.publish(window)
    await ear.until(set(sent))
    return [(ear.heard[key] - at) * 1_000 for key, at in sent.items()]


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS."""
    singles, burst, seconds = (30, 500, 1.0) if options.quick else (500, 10_000, 15.0)
    async with site() as parts:
        await ready(parts)
        ear = Ear()
        listening = asyncio.create_task(ear.listen(parts.listener), name="ear")
        try:
            await alone(parts, ear, 1_000_000, 20)
            lone = await alone(parts, ear, 1_100_000, singles)
            rate_per_s = await round_of(parts, burst) / 2
            loaded = await half_load(parts, ear, rate_per_s, seconds)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    for value in lone:
        options.sample("alone_ms", value)
    for value in loaded:
        options.sample("half_load_ms", value)
    return {
        "alone_p50_ms": percentile(lone, 50),
        "alone_p99_ms": percentile(lone, 99),
        "half_load_p99_ms": percentile(loaded, 99),
        "half_load_per_s": rate_per_s,
    }
