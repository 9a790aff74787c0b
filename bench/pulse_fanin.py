"""What it costs to hear 500 hosts that each have a connection of their own, as hosts do.

Two publisher processes hold 250 connections each and write every frame by itself: 5,000 writes a
second reach nats-server, which sends them on as it sees fit. `cpu_pct` is user and system time of
the monitor's process in percent of one core, every host heard; the median of the windows.
"""

import statistics
from collections.abc import Mapping

from bench.harness import Options, Row
from bench.monitoring import measure, monitor, server, swarms

TITLE = "pulse-fanin: 500 real connections, 10 Hz each, into one monitor"
ROWS = (Row(name="cpu_pct", unit="%", target=12), Row(name="frames_s", unit="1/s"))
HOSTS = 500
PERIOD_MS = 100


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS."""
    windows, seconds = (1, 2.0) if options.quick else (5, 6.0)
    cpu: list[float] = []
    frames: list[float] = []
    with (
        server() as nats,
        swarms(nats, hosts=HOSTS, period_ms=PERIOD_MS, processes=2, connections=HOSTS // 2),
        monitor(nats, "full", hosts=HOSTS, period_ms=PERIOD_MS) as child,
    ):
        for _ in range(windows):
            found = measure(child, seconds)
            cpu.append(found["cpu_pct"])
            frames.append(found["frames_s"])
            options.sample("cpu_pct", found["cpu_pct"])
    return {"cpu_pct": statistics.median(cpu), "frames_s": statistics.median(frames)}
