"""What it costs to hear 10,000 hosts ten times a second, through a real nats-server.

Eight publisher processes send 100,000 frames a second in all. `cpu_pct` is user and system time of
the monitor's process, in percent of one core: its own connection, decoding, attendance, judgement
every 20 ms, with every host heard. `drain_ratio` is that CPU over the CPU of a process that reads
the same subscription at the same ticks and throws the bytes away, measured in turns in the same run
against the same publishers; each figure is the median of the turns. `frames_s` is what the monitor
took in, to see that nothing was lost on the way.
"""

import statistics
from collections.abc import Mapping

from bench.harness import Options, Row
from bench.monitoring import measure, monitor, server, swarms

TITLE = "pulse: 10,000 hosts x 10 Hz from 8 publishers through nats-server, into one monitor"
ROWS = (
    Row(name="cpu_pct", unit="%", target=10),
    Row(name="drain_ratio", unit="x", target=2.5),
    Row(name="frames_s", unit="1/s"),
)
HOSTS = 10_000
PERIOD_MS = 100


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS."""
    turns, seconds = (1, 2.0) if options.quick else (4, 6.0)
    full: list[float] = []
    bare: list[float] = []
    frames: list[float] = []
    with server() as nats, swarms(nats, hosts=HOSTS, period_ms=PERIOD_MS, processes=8):
        for _ in range(turns):
            with monitor(nats, "drain", hosts=HOSTS, period_ms=PERIOD_MS) as child:
                bare.append(measure(child, seconds)["cpu_pct"])
            with monitor(nats, "full", hosts=HOSTS, period_ms=PERIOD_MS) as child:
                found = measure(child, seconds)
                full.append(found["cpu_pct"])
                frames.append(found["frames_s"])
                options.sample("cpu_pct", found["cpu_pct"])
    cpu = statistics.median(full)
    return {
        "cpu_pct": cpu,
        "drain_ratio": cpu / statistics.median(bare),
        "frames_s": statistics.median(frames),
    }
