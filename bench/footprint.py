"""What a site's own processes hold in memory (PSS: shared pages counted in shares)."""

import asyncio
import os
import re
from collections.abc import Mapping
from pathlib import Path

from bench.harness import Options, Row
from murmuration.testkit.site import Site, site

TITLE = "footprint: memory and processor of services and agents, without NATS and PostgreSQL"
ROWS = (
    Row(name="services_pss_mb", unit="MB", target=300),
    Row(name="compact_pss_mb", unit="MB", target=120),
    Row(name="node_pss_mb", unit="MB", target=60),
    Row(name="pulse_pss_mb", unit="MB", target=10),
    Row(name="pulse_cpu_pct", unit="%", target=0.5),
    Row(name="supervisor_pss_mb", unit="MB"),
)
SERVICES = ("sysinv", "mtce", "fm", "gateway", "services")


def pss_mb(pid: int) -> float:
    """Proportional set size of one process, in units of 10^6 bytes."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def cpu_s(pid: int) -> float:
    """Processor seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def services_mb(pids: Mapping[str, int]) -> float:
    """All services of a site together."""
    found = [pss_mb(pid) for name, pid in pids.items() if name in SERVICES]
    assert found, f"no service among {sorted(pids)}"
    return sum(found)


async def agents(running: Site, seconds: float) -> dict[str, float]:
    """The largest node and pulse, and the busiest pulse over `seconds`."""
    pids = running.processes()
    pulses = [pid for name, pid in pids.items() if name.endswith(".pulse")]
    nodes = [pid for name, pid in pids.items() if name.endswith(".node")]
    before = {pid: cpu_s(pid) for pid in pulses}
    await asyncio.sleep(seconds)
    busiest = max((cpu_s(pid) - before[pid]) / seconds * 100 for pid in pulses)
    return {
        "node_pss_mb": max(pss_mb(pid) for pid in nodes),
        "pulse_pss_mb": max(pss_mb(pid) for pid in pulses),
        "pulse_cpu_pct": busiest,
    }


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS."""
    seconds = 5.0 if options.quick else 60.0
    with site() as running:
        found = await agents(running, seconds)
        found["services_pss_mb"] = services_mb(running.processes())
        supervisor = running.ask(op="status")["pid"]
        found["supervisor_pss_mb"] = pss_mb(int(supervisor))
    with site("--compact", "--hosts", "0") as running:
        await asyncio.sleep(2)
        found["compact_pss_mb"] = services_mb(running.processes())
    return found
