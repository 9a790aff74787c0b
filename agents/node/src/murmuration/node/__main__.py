"""Start: `python -m murmuration.node --config node.toml`. Exit 2: it cannot start as told."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from murmuration.kernel.errors import MurmurationError, Rejected
from murmuration.node import app, config
from murmuration.runtime import logs


async def _until_told(settings: config.NodeConfig) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await app.run(settings, stop=stop)


def main() -> int:
    """Run one host's agent; the process' exit status."""
    parser = argparse.ArgumentParser(prog="murmuration.node", description="the agent of one host")
    parser.add_argument("--config", type=Path, required=True, help="the host's node.toml")
    try:
        settings = config.load(parser.parse_args().config)
    except Rejected as error:
        print(f"node: {error}", file=sys.stderr)  # noqa: T201  before there is a log
        return 2
    telemetry = settings.telemetry
    logs.configure(level=telemetry.log_level, style=telemetry.log_format, service="node")
    fault = ""
    try:
        asyncio.run(_until_told(settings))
    except* (MurmurationError, OSError) as group:
        fault = "; ".join(str(error) for error in group.exceptions)
    if fault:
        print(f"node: {fault}", file=sys.stderr)  # noqa: T201  the last word
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
