"""Start: `python -m murmuration.sim hosts --config sim.toml`, or `… bmcs --count 500`.

Exit 2: it cannot start as told.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from murmuration.kernel.errors import MurmurationError, Rejected
from murmuration.runtime import logs
from murmuration.sim import app, bmc, config


async def _until_told(settings: config.SimConfig) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await app.run(settings, stop=stop)


async def _bmcs_until_told(count: int, port: int, mute: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    machines = [
        bmc.SimBmc(f"worker-{place}", address=address)
        for place, address in enumerate(bmc.addresses(count))
    ]
    for machine in machines[count - mute :]:
        machine.faults.add(bmc.Fault.MUTE)
    async with bmc.serving(machines, port=port):
        first, last = machines[0].address, machines[-1].address
        print(f"sim: {count} BMCs on {first} to {last}, port {port}", flush=True)  # noqa: T201
        await stop.wait()


def main() -> int:
    """Run simulated hosts or BMCs; the process' exit status."""
    parser = argparse.ArgumentParser(prog="murmuration.sim", description="the simulated world")
    commands = parser.add_subparsers(required=True)
    hosts = commands.add_parser("hosts", help="simulated hosts on the bus of a site")
    hosts.add_argument("--config", type=Path, required=True, help="sim.toml")
    bmcs = commands.add_parser("bmcs", help="simulated BMCs that speak Redfish without TLS")
    bmcs.add_argument("--count", type=int, default=1)
    bmcs.add_argument("--port", type=int, default=8_443)
    bmcs.add_argument("--mute", type=int, default=0, help="so many never answer")
    chosen = parser.parse_args()
    if "count" in chosen:
        asyncio.run(_bmcs_until_told(chosen.count, chosen.port, chosen.mute))
        return 0
    try:
        settings = config.load(chosen.config)
    except Rejected as error:
        print(f"sim: {error}", file=sys.stderr)  # noqa: T201  before there is a log
        return 2
    telemetry = settings.telemetry
    logs.configure(level=telemetry.log_level, style=telemetry.log_format, service="sim")
    fault = ""
    try:
        asyncio.run(_until_told(settings))
    except* (MurmurationError, OSError) as group:
        fault = "; ".join(str(error) for error in group.exceptions)
    if fault:
        print(f"sim: {fault}", file=sys.stderr)  # noqa: T201  the last word
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
