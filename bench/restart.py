"""mtce is killed with 1,000 hosts: how long until all are watched again, and what it changed.

`watching_ms` is from the start of the new process to its word that it watches (its socket and its
roster stand, and it listens), by its own log; the median of the rounds. `changed` counts hosts
whose state on record differs from before the kill, at the end of each round, three failure
thresholds later.
"""

import asyncio
import json
import signal
import statistics
from collections.abc import Mapping
from datetime import UTC, datetime

from bench.harness import Options, Row
from bench.mtce_site import MtceSite, mtce_site

TITLE = "restart: mtce killed with 1,000 hosts, to watching again"
ROWS = (
    Row(name="watching_ms", unit="ms", target=1_000),
    Row(name="changed", unit="", target=0),
)
HOSTS = 1_000
PERIOD_MS = 100
SETTLED_S = 3.0  # three failure thresholds after the restart: what it would do wrong, it has done


async def states(site: MtceSite) -> list[tuple[object, ...]]:
    """What is on record of every host."""
    rows = await site.connection.fetch(
        "select name, administrative, operational, availability, heartbeat, boot_id, episode,"
        " changed_at from host_state order by name"
    )
    return [tuple(row) for row in rows]


async def once(site: MtceSite) -> tuple[float, int]:
    """One kill and start: milliseconds to watching, and how many states differ."""
    before = await states(site)
    site.stop(signal.SIGKILL)
    since = site.log_file.stat().st_size
    started = datetime.now(UTC)
    site.start()

    async def watching() -> bool:
        return bool(site.said("watch.begun", since))

    await site.until(watching, "watching")
    line = json.loads(site.said("watch.begun", since))
    at = datetime.fromisoformat(line["timestamp"])
    await asyncio.sleep(SETTLED_S)
    after = await states(site)
    differs = sum(one != other for one, other in zip(before, after, strict=True))
    return (at - started).total_seconds() * 1_000, differs


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS."""
    found: list[float] = []
    changed = 0
    async with mtce_site(hosts=HOSTS, period_ms=PERIOD_MS) as site:
        for _ in range(1 if options.quick else 7):
            watching_ms, differs = await once(site)
            found.append(watching_ms)
            changed += differs
            options.sample("watching_ms", watching_ms)
    return {"watching_ms": statistics.median(found), "changed": changed}
