"""How many pulses a second one monitor takes in before something saturates, and what does.

Hosts grow step by step at 20 Hz each, from eight publishers through one nats-server. At each step,
over a window in which every host is heard: frames that the monitor took in, against those due, and
the CPU of the monitor and of nats-server. The knee is the last step at which 95 % of what is due
came in. `knee_is_servers` is 1 when nats-server (or the machine, publishers included) was busier
there than the monitor. `--plot` draws the frames of each step.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from bench.harness import Options, Row
from bench.monitoring import measure, monitor, server, swarms
from murmuration.testkit.nats import NatsServer

TITLE = "pulse-scale: hosts x 20 Hz through one nats-server into one monitor, until it saturates"
ROWS = (
    Row(name="knee_frames_s", unit="1/s"),
    Row(name="monitor_cpu_pct", unit="%"),
    Row(name="server_cpu_pct", unit="%"),
    Row(name="knee_is_servers", unit="", target=1, better="higher"),
)
STEPS = (1_000, 2_000, 5_000, 10_000, 15_000, 20_000, 30_000)
PERIOD_MS = 50
CAME_MIN = 0.95


def server_cpu_s(nats: NatsServer) -> float:
    """User and system time of the server so far."""
    assert nats.process is not None
    fields = Path(f"/proc/{nats.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def one(hosts: int, seconds: float) -> tuple[float, float, float]:
    """Frames a second, and percent of a core of monitor and server, with so many hosts."""
    with (
        server() as nats,
        swarms(nats, hosts=hosts, period_ms=PERIOD_MS, processes=8),
        monitor(nats, "full", hosts=hosts, period_ms=PERIOD_MS) as child,
    ):
        before, began = server_cpu_s(nats), time.monotonic()
        found = measure(child, seconds)
        spent = server_cpu_s(nats) - before
        return found["frames_s"], found["cpu_pct"], 100 * spent / (time.monotonic() - began)


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS."""
    knee = (0.0, 0.0, 0.0)
    for hosts in STEPS[:2] if options.quick else STEPS:
        try:
            found = one(hosts, 1.0 if options.quick else 4.0)
        except RuntimeError:
            break  # not even heard once: far beyond the knee
        options.sample("knee_frames_s", found[0])
        if found[0] >= knee[0]:
            knee = found
        if found[0] < CAME_MIN * hosts * 1_000 / PERIOD_MS:
            break
    frames, own, servers = knee
    return {
        "knee_frames_s": frames,
        "monitor_cpu_pct": own,
        "server_cpu_pct": servers,
        "knee_is_servers": float(servers > own),
    }
