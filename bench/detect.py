"""How long from a host's death until mtce's verdict, by kills, freezes and cut links.

A whole site with namespace hosts, whose agents are real: faults are put into one host after
another, by turns SIGKILL of its agents, SIGSTOP of them, and its link down, at a random moment of
its period; in two lanes of two hosts each, while the others beat. Measured from the moment before
the fault is asked for to the host's failed state at an SSE client of the gateway, which is the
verdict and all that follows it: 100 ms x 10. `at50ms` is from the mute of one of 20 simulated hosts
that beat every 50 ms through a real nats-server to its committed verdict (`reached_at`, by the
database's clock, which is this machine's), mtce in a process of its own: the lab's hosts beat every
100 ms. `--quick` has four faults.
"""

import asyncio
import random
import statistics
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

import aiohttp

from bench.detect_alarm import percentile
from bench.harness import Options, Row
from bench.mtce_site import MtceSite, mtce_site
from murmuration.testkit.site import Site, SseEvent, site, sse

TITLE = "detect: from a host's death to its verdict, 100 ms x 10 (and 50 ms x 10)"
ROWS = (
    Row(name="verdict_p50_ms", unit="ms", target=1_100),
    Row(name="verdict_p99_ms", unit="ms", target=1_200),
    Row(name="at50ms_p99_ms", unit="ms", target=600),
)
FAULTS = ("kill", "freeze", "link-down")
LANES = (("worker-1", "worker-2"), ("worker-3", "controller-1"))
COUNT = 200
WAIT_S = 60.0


async def until(events: AsyncIterator[SseEvent], host: str, availability: str) -> float:
    """The time at which a host is said to be so."""
    async for event in events:
        found = event.data if event.name == "host" else {}
        if found.get("name") == host and found.get("availability") == availability:
            return event.at
    raise RuntimeError("the stream ended")


async def once(running: Site, session: aiohttp.ClientSession, host: str, fault: str) -> float:
    """One fault and its healing: milliseconds to the host's failed state at an SSE client."""
    events = sse(session, f"{running.url}/api/v1/stream")
    await anext(events)
    await asyncio.sleep(random.random() / 10)
    began = asyncio.get_running_loop().time()
    await asyncio.to_thread(running.lab, fault, host)
    failed = await asyncio.wait_for(until(events, host, "failed"), WAIT_S)
    await asyncio.to_thread(running.lab, "heal", host)
    await asyncio.wait_for(until(events, host, "available"), WAIT_S)
    return (failed - began) * 1_000


async def lane(running: Site, hosts: tuple[str, ...], count: int) -> list[float]:
    """So many faults, one after another."""
    async with aiohttp.ClientSession(headers=running.headers) as session:
        return [
            await once(running, session, hosts[turn % len(hosts)], FAULTS[turn % len(FAULTS)])
            for turn in range(count)
        ]


async def at_50_ms(count: int) -> list[float]:
    """Milliseconds from the mute of a host that beats every 50 ms to its verdict."""
    found: list[float] = []
    async with mtce_site(hosts=20, period_ms=50, processes=1) as mtce:
        for turn in range(count):
            host = turn % 20
            await asyncio.sleep(random.random() / 20)
            began = datetime.now(UTC)
            mtce.swarm[0].ask(f"mute {host} 1")
            found.append(await _verdict_ms(mtce, host, began))
            mtce.swarm[0].ask(f"unmute {host} 1")
            await mtce.until(lambda: _serves(mtce), "the host in service again")
    return found


async def _verdict_ms(mtce: MtceSite, host: int, began: datetime) -> float:
    reached = "select reached_at from verdict where host = $1 and reached_at > $2"

    async def there() -> bool:
        return await mtce.connection.fetchval(reached, f"host-{host}", began) is not None

    await mtce.until(there, f"a verdict on host-{host}")
    at = await mtce.connection.fetchval(reached, f"host-{host}", began)
    assert at is not None
    return (at - began).total_seconds() * 1_000


async def _serves(mtce: MtceSite) -> bool:
    return await mtce.serving() == 20


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS."""
    count = 4 if options.quick else COUNT
    with site() as running:
        lanes = (lane(running, hosts, count // len(LANES)) for hosts in LANES)
        found = [value for each in await asyncio.gather(*lanes) for value in each]
    for value in found:
        options.sample("verdict_p99_ms", value)
    fast = await at_50_ms(3 if options.quick else 60)
    return {
        "verdict_p50_ms": statistics.median(found),
        "verdict_p99_ms": percentile(found, 99),
        "at50ms_p99_ms": percentile(fast, 99),
    }
