"""The executor of effects: a dumb loop that does what rows say, one task of the single writer.

It decides nothing. The effects of one entity are done one after the other, those of different
entities side by side: one that is slow, or that must be tried again, delays no other. See
murmuration.store.effects for what each status means; interrupted anywhere, the next round goes on
from what is stored.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import structlog

from murmuration.kernel.backoff import Backoff
from murmuration.kernel.errors import DeadlineExceeded, MurmurationError, Unavailable
from murmuration.runtime.dice import dice
from murmuration.store import effects
from murmuration.store.database import Database, Unit
from murmuration.store.effects import Effect

BATCH_MAX = 100  # effects looked at together
PERFORM_S = 30.0  # the longest an effect may take; longer work reports its progress otherwise
ENTITIES_MAX = 64  # at work side by side: connections and threads have their price
LOOK_S = 1.0  # the longest until an effect that woke nobody is seen
log = structlog.get_logger()


class Performer(Protocol):
    """How effects of one kind are done, and how one can see whether they were."""

    async def perform(self, effect: Effect) -> str:
        """Do it; returns the outcome in one sentence.

        Raises Unavailable when it surely was not done, DeadlineExceeded when that is unknown, and
        any other MurmurationError when it failed for good.
        """
        ...

    async def observe(self, effect: Effect) -> bool | None:
        """Whether it has happened; None while that cannot be told. Raises Unavailable."""
        ...


Follow = Callable[[Unit, Effect, bool], Awaitable[None]]


class Executor:
    """Does the effects of some kinds; `run` under the singleton lock.

    `follow(unit, effect, done)` is called in the transaction that settles an effect.
    """

    def __init__(
        self, database: Database, performers: Mapping[str, Performer], *, follow: Follow
    ) -> None:
        self._database = database
        self._performers = dict(performers)
        self._follow = follow
        self._busy: set[str] = set()
        self._backoffs: dict[str, Backoff] = {}
        self._not_before: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        nudge = self._database.nudge()
        backoff = Backoff(first_s=0.1, most_s=5.0)
        await self._database.verified.wait()
        async with asyncio.TaskGroup() as group:
            while True:
                nudge.clear()
                wait_s = LOOK_S
                try:
                    await self._begin(group, nudge)
                    backoff.reset()
                except (Unavailable, DeadlineExceeded) as error:
                    log.info("effects.wait", reason=str(error))
                    wait_s = backoff.next_s(dice())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await nudge.wait()

    async def _begin(self, group: asyncio.TaskGroup, nudge: asyncio.Event) -> None:
        """Begin the effects of every entity that has none at work and need not wait."""
        now = asyncio.get_running_loop().time()
        for entity, some in (await self._unsettled()).items():
            if len(self._busy) >= ENTITIES_MAX:
                return
            if entity not in self._busy and self._not_before.get(entity, 0.0) <= now:
                self._busy.add(entity)
                group.create_task(self._entity(entity, some, nudge), name=f"effects of {entity}")

    async def _entity(self, entity: str, some: list[Effect], nudge: asyncio.Event) -> None:
        try:
            well = await self._in_order(some)
        except (Unavailable, DeadlineExceeded) as error:
            log.info("effects.wait", entity=entity, reason=str(error))
            well = False
        finally:
            self._busy.discard(entity)
        if well:
            self._not_before.pop(entity, None)
            self._backoffs.pop(entity, None)
            nudge.set()  # the next ones of this entity
            return
        backoff = self._backoffs.setdefault(entity, Backoff(first_s=0.1, most_s=5.0))
        self._not_before[entity] = asyncio.get_running_loop().time() + backoff.next_s(dice())

    async def round(self) -> bool:
        """Look at every unsettled effect once; False when one of them must be tried again."""
        groups = await self._unsettled()
        return all(await asyncio.gather(*(self._in_order(some) for some in groups.values())))

    async def _unsettled(self) -> dict[str, list[Effect]]:
        """All that is not settled, by entity, each in the order it was decided."""
        found: dict[str, list[Effect]] = {}
        after = 0
        while True:
            async with self._database.connection() as connection:
                batch = await effects.unsettled(
                    connection, list(self._performers), after=after, limit=BATCH_MAX
                )
            for effect in batch:
                found.setdefault(effect.entity, []).append(effect)
            if len(batch) < BATCH_MAX:
                return found
            after = batch[-1].id

    async def _in_order(self, some: list[Effect]) -> bool:
        """The effects of one entity; the first that must be tried again stops the others."""
        for effect in some:
            if not await self._advance(effect):
                return False
        return True

    async def _advance(self, effect: Effect) -> bool:
        """One effect, as far as it goes; False when it is not settled."""
        if effect.status == "open":
            return await self._perform(effect)
        if effect.status == "dropped":
            return await self._settle(effect, done=False, outcome="dropped by an operator")
        return await self._observe(effect)

    async def _perform(self, effect: Effect) -> bool:
        if effect.once:
            async with self._database.unit() as unit:
                if not await effects.mark_sent(unit, effect):
                    return False
        try:
            async with asyncio.timeout(PERFORM_S):
                outcome = await self._performers[effect.kind].perform(effect)
        except (Unavailable, DeadlineExceeded, TimeoutError) as error:
            log.warning("effect.unsettled", operation_id=effect.operation_id, reason=str(error))
            return False
        except MurmurationError as error:
            return await self._settle(effect, done=False, outcome=str(error))
        return await self._settle(effect, done=True, outcome=outcome)

    async def _observe(self, effect: Effect) -> bool:
        """A `once` effect that may have happened: look, never send."""
        try:
            async with asyncio.timeout(PERFORM_S):
                happened = await self._performers[effect.kind].observe(effect)
        except (Unavailable, DeadlineExceeded, TimeoutError) as error:
            log.info("effect.unobserved", operation_id=effect.operation_id, reason=str(error))
            return False
        if happened:
            return await self._settle(effect, done=True, outcome="observed to have happened")
        if happened is False and effect.status == "sent":
            return await self._settle(effect, done=False, outcome="observed not to have happened")
        return False  # held: it waits for an operator

    async def _settle(self, effect: Effect, *, done: bool, outcome: str) -> bool:
        async with self._database.unit() as unit:
            if await effects.settle(unit, effect, done=done, outcome=outcome):
                await self._follow(unit, effect, done)
        log.info("effect.settled", operation_id=effect.operation_id, done=done, reason=outcome)
        return True
