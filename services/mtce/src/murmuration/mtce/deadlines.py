"""The task that fires deadlines, run by the replica that is active.

Level-triggered: it looks at the rows whose deadline has come, so a restart loses no timer. When it
begins it grants START_S first, for what is past was past while nobody watched; a restart of a host
wants a proof of its own anyway (`core/turn.py`).
"""

import asyncio
import contextlib
from datetime import timedelta
from typing import Final

import structlog

from murmuration.kernel.backoff import Backoff
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import DeadlineExceeded, Unavailable
from murmuration.mtce.handlers.outcomes import OutcomeHandlers
from murmuration.mtce.store import hosts, why
from murmuration.runtime.dice import dice
from murmuration.store.database import Database

START_S: Final = 3.0  # until every host was heard, or proven silent, in this watch
LOOK_S: Final = 1.0  # the longest until a deadline that woke nobody is seen
REST_S: Final = 0.02  # between two looks, so that many deadlines of one moment are one look
TRIM_EVERY: Final = 300  # looks between two trims of the decisions that are kept

log = structlog.get_logger()


class Deadlines:
    """`run` until cancelled."""

    def __init__(self, database: Database, clock: Clock, outcomes: OutcomeHandlers) -> None:
        self._database = database
        self._clock = clock
        self._outcomes = outcomes
        self._nudge = database.nudge()

    async def run(self) -> None:
        """Fire what is due; survives the database being away."""
        backoff = Backoff(first_s=0.1, most_s=2.0)
        looks, granted = 0, False
        while True:
            wait_s = LOOK_S
            self._nudge.clear()
            try:
                if not granted:
                    await self._grant()
                    granted = True
                wait_s = await self._look()
                if looks % TRIM_EVERY == 0:
                    await self._trim()
                looks += 1
                backoff.reset()
            except (Unavailable, DeadlineExceeded) as error:
                log.info("deadlines.wait", reason=str(error))
                wait_s = backoff.next_s(dice())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._nudge.wait()
            await asyncio.sleep(REST_S)

    async def _grant(self) -> None:
        async with self._database.unit() as unit:
            await hosts.lock(unit.connection)
            await hosts.put_off(unit.connection, self._clock.now() + timedelta(seconds=START_S))

    async def _look(self) -> float:
        """Fire what is due; returns the seconds until the next deadline, LOOK_S at most."""
        async with self._database.connection() as connection:
            now = self._clock.now()
            waiting = await hosts.due(connection, now, 1)
            first = await hosts.next_due(connection, now)
        if waiting:
            async with self._database.unit() as unit:
                await self._outcomes.due(unit)
        if first is None:
            return LOOK_S
        return min(LOOK_S, max(0.0, (first - self._clock.now()).total_seconds()))

    async def _trim(self) -> None:
        async with self._database.unit() as unit:
            await why.trim(unit.connection)
