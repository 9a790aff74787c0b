"""2,000 of 2,500 hosts fall silent in one period: what becomes of it.

The hosts beat every 100 ms through a real nats-server; mtce runs whole, on a real PostgreSQL. At
one moment 2,000 of them are muted. `verdicts` counts the rows of verdicts, of which each stands for
one host and is committed; `lost` the muted hosts that have none; `ms` is the time from the mute to
the last of them, by the clock of the database, which is that of this machine. `wrong` counts
verdicts on hosts that still beat.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from bench.harness import Options, Row
from bench.mtce_site import mtce_site

TITLE = "burst: 2,000 of 2,500 hosts silent in one period, to the last committed verdict"
ROWS = (
    Row(name="verdicts", unit="", target=2_000, better="higher"),
    Row(name="lost", unit="", target=0),
    Row(name="wrong", unit="", target=0),
    Row(name="ms", unit="ms", target=2_000),
)
HOSTS, SILENT = 2_500, 2_000
PERIOD_MS = 100


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS. `--quick`: a tenth of the hosts."""
    scale = 10 if options.quick else 1
    hosts, silent = HOSTS // scale, SILENT // scale
    async with mtce_site(hosts=hosts, period_ms=PERIOD_MS) as site:
        for child in site.swarm:
            child.ask(f"mute 0 {silent}")
        muted_at, began = datetime.now(UTC), time.monotonic()

        async def all_there() -> bool:
            return await count("<") >= silent or time.monotonic() - began > 60

        async def count(which: str) -> int:
            return int(
                await site.connection.fetchval(
                    "select count(*) from verdict where substr(host, 6)::int"
                    f" {which} $1 and reached_at > $2",
                    silent,
                    muted_at,
                )
                or 0
            )

        await site.until(all_there, "all verdicts")
        last_at = await site.connection.fetchval("select max(reached_at) from verdict")
        assert last_at is not None, "not one verdict"
        found = await count("<")
        return {
            "verdicts": found * (SILENT / silent),
            "lost": silent - found,
            "wrong": await count(">="),
            "ms": (last_at - muted_at).total_seconds() * 1_000,
        }
