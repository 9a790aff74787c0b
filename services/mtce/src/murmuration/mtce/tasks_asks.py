"""The reconciler of what conditions ask for, run by the replica that is active.

It takes no input: it looks at what agents and BMCs said last, so that what had to wait (a storm,
another restart, a hold) is taken up when it may be.
"""

import asyncio
from typing import Final

import structlog

from murmuration.kernel.errors import DeadlineExceeded, Unavailable
from murmuration.mtce.handlers.asks import AskHandlers
from murmuration.store.database import Database

LOOK_S: Final = 5.0  # sensors are read every two minutes

log = structlog.get_logger()


class AskTasks:
    """`run` until cancelled."""

    def __init__(self, database: Database, handlers: AskHandlers) -> None:
        self._database = database
        self._handlers = handlers

    async def run(self) -> None:
        """Settle until cancelled; survives the database being away."""
        await self._database.verified.wait()
        while True:
            try:
                async with self._database.unit() as unit:
                    steps = await self._handlers.settle(unit)
            except (Unavailable, DeadlineExceeded) as error:
                log.info("asks.wait", reason=str(error))
            else:
                for step in steps:
                    log.info("host.step", reason=step.reason)
            await asyncio.sleep(LOOK_S)
