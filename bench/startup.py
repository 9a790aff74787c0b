"""How long `up --detach` takes until every host of a fresh site is heard well."""

import statistics
import time
from collections.abc import Mapping

from bench.harness import Options, Row
from murmuration.testkit.site import site

TITLE = "startup: `up --detach` of a fresh site with six hosts, to ready with hosts reporting"
ROWS = (Row(name="ready_ms", unit="ms", target=10_000),)


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS."""
    found: list[float] = []
    for _ in range(1 if options.quick else 5):
        started = time.perf_counter()
        with site():
            found.append((time.perf_counter() - started) * 1_000)
            options.sample("ready_ms", found[-1])
    return {"ready_ms": statistics.median(found)}
