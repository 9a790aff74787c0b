"""What the active replica does with what the watch finds.

- `settle` settles what its own ticks found, as often as it takes: a verdict stays pending until its
  transaction is committed, and is then decided by what is observed at that moment.
- `take over` settles the verdicts that other replicas reached while this one was late.
- `storms` holds back hosts that fell silent together, and lets them go again.
- `paths` raises and clears the alarms about ways of pulses that are at fault.
- `assertions` raises again, every five minutes, the alarms that still hold, and forgets old
  verdicts.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from murmuration.kernel.backoff import Backoff
from murmuration.kernel.errors import DeadlineExceeded, Unavailable
from murmuration.mtce.core.model import HostStep
from murmuration.mtce.core.paths import PathFault, PathKey
from murmuration.mtce.handlers.paths import PathHandlers
from murmuration.mtce.handlers.storms import StormHandlers
from murmuration.mtce.handlers.verdicts import SETTLE_MAX
from murmuration.mtce.watch import Watch
from murmuration.proto.fm import Severity
from murmuration.proto.ids import HostName
from murmuration.runtime.dice import dice
from murmuration.store.database import Database

STORM_S: Final = 0.5  # long before a host that stays silent is restarted
PATHS_S: Final = 1.0  # a fault of a path endangers nobody
TAKE_OVER_S: Final = 0.25  # a question to an index that is nearly always empty
ASSERT_S: Final = 300.0

log = structlog.get_logger()


class MonitorTasks:
    """What moves hosts by what is heard of them; `run` until cancelled."""

    def __init__(
        self, watch: Watch, database: Database, storms: StormHandlers, paths: PathHandlers
    ) -> None:
        self._monitor = watch.monitor
        self._watch = watch
        self._database = database
        self._verdicts = watch.verdicts
        self._storms = storms
        self._paths = paths
        self._transitions = watch.transitions

    async def run(self) -> None:
        """Settle until cancelled; survives the broker and the database being away."""
        await self._watch.begun.wait()
        self._monitor.recheck()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._settle(), name="verdicts")
            group.create_task(self._take_over(), name="verdicts of others")
            group.create_task(self._weather(), name="storms")
            group.create_task(self._ways(), name="paths")
            group.create_task(self._assert(), name="assertions")

    async def _settle(self) -> None:
        backoff = Backoff(first_s=0.05, most_s=1.0)
        pending = self._monitor.pending
        while True:
            await self._watch.found.wait()
            self._watch.found.clear()
            while pending:
                names = sorted(pending)[:SETTLE_MAX]
                pending.difference_update(names)
                try:
                    await self._settle_these(names)
                except (Unavailable, DeadlineExceeded) as error:
                    pending.update(names)
                    log.warning("verdicts.wait", hosts=len(pending), reason=str(error))
                    await asyncio.sleep(backoff.next_s(dice()))
                else:
                    backoff.reset()

    async def _settle_these(self, names: list[HostName]) -> None:
        async with self._database.unit() as unit:
            steps = await self._verdicts.settle(unit, names)
        self._told(steps)

    async def _take_over(self) -> None:
        backoff = Backoff(first_s=TAKE_OVER_S, most_s=2.0)
        while True:
            await asyncio.sleep(TAKE_OVER_S)
            try:
                async with self._database.unit() as unit:
                    steps = await self._verdicts.take_over(unit)
            except (Unavailable, DeadlineExceeded) as error:
                log.info("verdicts.wait", reason=str(error))
                await asyncio.sleep(backoff.next_s(dice()))
                continue
            backoff.reset()
            self._told(steps)

    async def _weather(self) -> None:
        backoff = Backoff(first_s=STORM_S, most_s=2.0)
        while True:
            await asyncio.sleep(STORM_S)
            try:
                async with self._database.unit() as unit:
                    steps, reasons = await self._storms.settle(unit)
            except (Unavailable, DeadlineExceeded) as error:
                log.info("storms.wait", reason=str(error))
                await asyncio.sleep(backoff.next_s(dice()))
                continue
            backoff.reset()
            for reason in reasons:
                log.warning("storm", reason=reason)
            self._told(steps)

    async def _ways(self) -> None:
        """A fault counts when it was noted twice in a row, and as long as it is noted."""
        settled: dict[PathKey, PathFault] | None = None
        before: set[PathKey] = set()
        while True:
            await asyncio.sleep(PATHS_S)
            noted = self._watch.path_faults()
            found = {
                key: fault
                for key, fault in noted.items()
                if key in before or key in (settled or ())
            }
            before = set(noted)
            if settled is not None and _severities(found) == _severities(settled):
                continue
            try:
                async with self._database.unit() as unit:
                    steps = await self._paths.settle(unit, found)
            except (Unavailable, DeadlineExceeded) as error:
                log.info("paths.wait", reason=str(error))
                continue
            settled = found
            self._told(steps)

    def _told(self, steps: list[HostStep]) -> None:
        for step in steps:
            self._transitions.count(step)
            log.info("host.step", reason=step.reason)

    async def _assert(self) -> None:
        while True:
            await asyncio.sleep(ASSERT_S)
            try:
                async with self._database.unit() as unit:
                    count = await self._verdicts.assert_alarms(unit)
                    await self._paths.assert_alarms(unit)
                    await self._verdicts.trim(unit)
                log.debug("alarms.asserted", count=count)
            except (Unavailable, DeadlineExceeded) as error:
                log.info("alarms.assert_postponed", reason=str(error))


def _severities(found: Mapping[PathKey, PathFault]) -> dict[PathKey, Severity]:
    return {key: fault.severity for key, fault in found.items()}
