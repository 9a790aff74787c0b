"""What fm does by itself: leases, counts, policy and the days of history, each a loop of its own.

Every round takes no input but the database: a round that is lost, or done twice, changes nothing.
They are the singleton's, as the intake is.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from murmuration.fm.config import FmSection
from murmuration.fm.core.model import Key
from murmuration.fm.core.policy import Policy
from murmuration.fm.store import alarms, partitions, policies
from murmuration.fm.store.policies import Policies
from murmuration.fm.store.reconciling import AT_ONCE, end_leases, rejudge_some, tell_counts
from murmuration.fm.store.writing import say_suppression
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import DeadlineExceeded, Unavailable
from murmuration.proto.fm import Tick
from murmuration.runtime.service import Work
from murmuration.store.database import Database, Unit

POLICY_EVERY_S = 1.0  # how long a suppression that ran out may still hide, and a look is cheap
COUNT_EVERY_S = 5.0  # how old the raise count may be that readers see
LEASE_EVERY_S = 5.0
HISTORY_EVERY_S = 600.0
RETRY_S = 1.0
log = structlog.get_logger()


class Tasks:
    """The loops; `all` names them for the service."""

    def __init__(
        self, database: Database, clock: Clock, policies: Policies, section: FmSection
    ) -> None:
        self._database = database
        self._clock = clock
        self._policies = policies
        self._section = section

    def all(self) -> dict[str, Work]:
        """Each loop by its name."""
        return {
            "tick": lambda: self._loop(self._section.tick_s, self.tick),
            "leases": lambda: self._loop(LEASE_EVERY_S, self.leases),
            "counts": lambda: self._loop(COUNT_EVERY_S, self.counts),
            "policy": lambda: self._loop(POLICY_EVERY_S, self.policy),
            "history": lambda: self._loop(HISTORY_EVERY_S, self.history, at_once=True),
        }

    async def _loop(
        self, every_s: float, work: Callable[[], Awaitable[None]], *, at_once: bool = False
    ) -> None:
        wait_s = 0.0 if at_once else every_s
        while True:
            await asyncio.sleep(wait_s)
            try:
                await work()
                wait_s = every_s
            except (Unavailable, DeadlineExceeded) as error:
                log.info("task.postponed", task=work.__name__, reason=str(error))
                wait_s = RETRY_S

    async def tick(self) -> None:
        """Say through our own intake that time has passed."""
        async with self._database.unit() as unit:
            tick = Tick(period_s=self._section.tick_s, at=self._clock.now())
            unit.emit(tick, entity="fm", producer="fm")

    async def leases(self) -> None:
        """End what ran out, by the clock of the ticks that were read."""
        while await self._some(end_leases) == AT_ONCE:
            pass

    async def counts(self) -> None:
        """Tell how often alarms were raised again."""
        while await self._some(tell_counts) == AT_ONCE:
            pass

    async def _some(self, reconcile: Callable[..., Awaitable[int]]) -> int:
        async with self._database.unit() as unit:
            now, state, policy = await self._begin(unit)
            return await reconcile(unit, policy, now=now, clock_s=state.clock_s)

    async def _begin(self, unit: Unit) -> tuple[datetime, alarms.State, Policy]:
        now = self._clock.now()
        state = await alarms.lock(unit.connection, now)
        return now, state, await self._policies.current(unit.connection, state.policy)

    async def policy(self) -> None:
        """End suppressions whose time is over; judge every alarm again when the policy is new."""
        await self._expire()
        async with self._database.connection() as connection:
            row = await connection.fetchrow(policies.APPLIED)
            assert row is not None
        if row["policy_applied"] == self._policies.applied(row["policy"]):
            return
        generation, after = await self._judge_from(("", ""), None)
        while after is not None:
            generation, after = await self._judge_from(after, generation)
        log.info("policy.applied", generation=generation)

    async def _judge_from(self, after: Key, generation: int | None) -> tuple[int, Key | None]:
        """One stretch of alarms; starts over where the policy changed meanwhile."""
        async with self._database.unit() as unit:
            now, state, policy = await self._begin(unit)
            if generation is not None and state.policy != generation:
                after = ("", "")
            behind = await rejudge_some(
                unit,
                policy,
                now=now,
                clock_s=state.clock_s,
                reason="suppressions, profile or catalogue changed",
                after=after,
            )
            if behind is None:
                applied = self._policies.applied(state.policy)
                await unit.connection.execute(policies.SET_APPLIED, applied)
            return state.policy, behind

    async def _expire(self) -> None:
        now = self._clock.now()
        async with self._database.connection() as connection:
            due = await connection.fetchval(
                "select exists (select from suppression where expires_at <= $1)", now
            )
        if not due:
            return
        async with self._database.unit() as unit:
            await alarms.lock(unit.connection, now)
            for gone in await policies.expire(unit.connection, now):
                say_suppression(unit, gone, active=False, reason="its time is over")

    async def history(self) -> None:
        """Make the days ahead, drop what is too old or too much, cut what one day has too much."""
        now, section = self._clock.now(), self._section
        size_bytes_max = section.history_size_max_mb * 2**20
        async with self._database.connection() as connection:
            await partitions.make_ahead(connection, now)
            kept = await partitions.listed(connection)
            for name in partitions.superfluous(
                kept, now, age_d=section.history_age_max_d, size_bytes_max=size_bytes_max
            ):
                await partitions.drop(connection, name)
                log.info("history.dropped", partition=name)
            rows_max = size_bytes_max // partitions.ROW_BYTES
            while await partitions.trim(connection, now, rows_max=rows_max):
                pass
