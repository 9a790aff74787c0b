"""`python -m murmuration.site.compact`: all services in one process and one event loop.

For a small device: one interpreter and one copy of the libraries. The one module of this package
that imports services. A service that ends, well or not, ends them all: the supervisor starts anew.
"""

import asyncio
import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Awaitable
from typing import Protocol, cast

from murmuration.kernel.errors import MurmurationError
from murmuration.runtime.config import ServiceConfig, load_config
from murmuration.runtime.logs import configure
from murmuration.site.sockets import SERVICES


class App(Protocol):
    """What every service's `app` module offers."""

    def run(self, config: ServiceConfig, *, stop: asyncio.Event) -> Awaitable[None]:
        """Live until `stop`."""
        ...


async def run_all(stop: asyncio.Event) -> None:
    """Run every service until `stop`. Raises what the first failing one raised."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as group:
        for name in SERVICES:
            app = cast(App, importlib.import_module(f"murmuration.{name}.app"))
            group.create_task(_run_one(app, name, stop), name=name)


async def _run_one(app: App, name: str, stop: asyncio.Event) -> None:
    await app.run(load_config(name), stop=stop)
    if not stop.is_set():
        raise RuntimeError(f"{name} ended by itself")


def main() -> int:
    """The process' exit code."""
    try:
        telemetry = load_config("gateway").telemetry
        configure(level=telemetry.log_level, style=telemetry.log_format, service="compact")
        with contextlib.suppress(ModuleNotFoundError):
            import uvloop

            asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        asyncio.run(run_all(asyncio.Event()))
    except MurmurationError as error:
        sys.stderr.write(f"compact: {error}\n")
        return os.EX_CONFIG
    return 0


if __name__ == "__main__":
    sys.exit(main())
