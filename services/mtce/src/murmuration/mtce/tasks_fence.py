"""The reconciler of releases, run by the replica that is active.

It takes no input: it looks at what is lost and heard, and lets the fence machine settle it. A
commit wakes it; while a release waits for time to pass it looks every `LOOK_S`, which is what a
release by watchdog comes after its moment at most.
"""

import asyncio
import contextlib
from typing import Final

import structlog

from murmuration.kernel.backoff import Backoff
from murmuration.kernel.errors import DeadlineExceeded, Unavailable
from murmuration.mtce.handlers.fences import FenceHandlers
from murmuration.mtce.store import fences
from murmuration.runtime.dice import dice
from murmuration.store.database import Database

LOOK_S: Final = 0.25
REST_S: Final = 0.02  # between two looks, so that a burst of commits is one look

log = structlog.get_logger()


class FenceTasks:
    """What moves releases; `run` until cancelled."""

    def __init__(self, *, database: Database, handlers: FenceHandlers) -> None:
        self._database = database
        self._handlers = handlers
        self._nudge = database.nudge()

    async def run(self) -> None:
        """Settle until cancelled; survives the database being away."""
        await self._database.verified.wait()
        backoff = Backoff(first_s=0.05, most_s=1.0)
        while True:
            self._nudge.clear()
            try:
                if await self._anything():
                    async with self._database.unit() as unit:
                        steps = await self._handlers.settle(unit)
                    for reason in dict.fromkeys(step.reason for step in steps):
                        log.info("fence.step", reason=reason)
            except (Unavailable, DeadlineExceeded) as error:
                log.warning("fence.waits", reason=str(error))
                await asyncio.sleep(backoff.next_s(dice()))
                continue
            backoff.reset()
            await asyncio.sleep(REST_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._nudge.wait()

    async def _anything(self) -> bool:
        """Whether there is anything to settle: most looks end here, without a transaction."""
        async with self._database.connection() as connection:
            return bool(await fences.stands(connection, 1) or await fences.forgotten(connection))
