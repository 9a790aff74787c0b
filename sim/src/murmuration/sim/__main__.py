"""Start: `python -m murmuration.sim hosts --config sim.toml`. Exit 2: it cannot start as told."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from murmuration.kernel.errors import MurmurationError, Rejected
from murmuration.runtime import logs
from murmuration.sim import app, config


async def _until_told(settings: config.SimConfig) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await app.run(settings, stop=stop)


def main() -> int:
    """Run simulated hosts; the process' exit status."""
    parser = argparse.ArgumentParser(prog="murmuration.sim", description="the simulated world")
    commands = parser.add_subparsers(required=True)
    hosts = commands.add_parser("hosts", help="simulated hosts on the bus of a site")
    hosts.add_argument("--config", type=Path, required=True, help="sim.toml")
    try:
        settings = config.load(parser.parse_args().config)
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
