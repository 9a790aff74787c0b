"""`python -m murmuration.site.compact`: all services in one process and one event loop.

For a small device: one interpreter and one copy of the libraries. The one module of this package
that imports services. A service that ends, well or not, ends them all: the supervisor starts anew.
"""

import asyncio
import importlib
import sys
from collections.abc import Awaitable
from typing import Protocol, cast

from murmuration.runtime.config import ServiceConfig, load_config
from murmuration.runtime.service import main
from murmuration.site.sockets import SERVICES


class App(Protocol):
    """What every service's `app` module offers."""

    def run(self, config: ServiceConfig, *, stop: asyncio.Event) -> Awaitable[None]:
        """Live until `stop`."""
        ...


async def run_all(_config: ServiceConfig, *, stop: asyncio.Event) -> None:
    """Run every service, each with its own configuration, until `stop`. Raises what one raised."""
    async with asyncio.TaskGroup() as group:
        for name in SERVICES:
            app = cast(App, importlib.import_module(f"murmuration.{name}.app"))
            group.create_task(_run_one(app, name, stop), name=name)


async def _run_one(app: App, name: str, stop: asyncio.Event) -> None:
    await app.run(load_config(name), stop=stop)
    if not stop.is_set():
        raise RuntimeError(f"{name} ended by itself")


if __name__ == "__main__":
    sys.exit(main("compact", run_all))
