"""The monitor's tasks, run by the replica that is active.

- `tick` takes attendance every 20 ms and never waits for anything else.
- `verdicts` settles what the ticks found, as often as it takes: a verdict stays pending until its
  transaction is committed, and is then decided by what is observed at that moment.
- `roster` makes the watch match the hosts on record; woken by commits, it takes no other input.
- `digest` tells the live trace what was heard, and says once when a path or the own reach is lost
  or returns.
- `assertions` raises again, every five minutes, the alarms that still hold.
"""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Final

import structlog

from murmuration.bus.connection import Bus
from murmuration.kernel.backoff import Backoff
from murmuration.kernel.errors import DeadlineExceeded, Unavailable
from murmuration.mtce.core.levels import PathNote
from murmuration.mtce.core.verdict_table import Outcome
from murmuration.mtce.handlers.verdicts import VerdictHandlers
from murmuration.mtce.metrics import Transitions
from murmuration.mtce.monitor import TICK_MS, Monitor
from murmuration.mtce.ports import PulseSource
from murmuration.mtce.store import hosts
from murmuration.proto.ids import HostName
from murmuration.proto.mtce import PulseDigest
from murmuration.runtime.dice import dice
from murmuration.store.database import Database

SETTLE_MAX: Final = 500  # hosts per transaction: about what PostgreSQL takes in one statement
ROSTER_S: Final = 1.0  # the longest time until a change that woke nobody is seen
ROSTER_REST_S: Final = 0.05  # between two looks, so that a burst of commits is one look
DIGEST_MS: Final = 500
DIGEST_HOSTS_MAX: Final = 2_000  # about 120 kB of JSON, half of what a message may have
ASSERT_S: Final = 300.0
NOTED_MAX: Final = 5  # hosts named in one log line about paths

log = structlog.get_logger()


class MonitorTasks:
    """What moves the monitor; `run` until cancelled."""

    def __init__(
        self,
        *,
        monitor: Monitor,
        source: PulseSource,
        database: Database,
        bus: Bus,
        verdicts: VerdictHandlers,
        transitions: Transitions,
    ) -> None:
        self._monitor = monitor
        self._source = source
        self._database = database
        self._bus = bus
        self._verdicts = verdicts
        self._transitions = transitions
        self._nudge = database.nudge()
        self._found = asyncio.Event()
        self._noted: set[PathNote] = set()
        self._doubted = False

    async def run(self) -> None:
        """Watch until cancelled; survives the broker and the database being away."""
        await self._database.verified.wait()
        await self._look(Backoff(first_s=0.1, most_s=2.0))
        self._monitor.recheck()
        feed = self._source.feed(self._monitor.attendance, self._monitor)
        async with feed, asyncio.TaskGroup() as group:
            group.create_task(self._tick(), name="tick")
            group.create_task(self._settle(), name="verdicts")
            group.create_task(self._roster(), name="roster")
            group.create_task(self._digest(), name="digest")
            group.create_task(self._assert(), name="assertions")

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + TICK_MS / 1_000, loop.time())
            await asyncio.sleep(due - loop.time())
            source = self._source
            source.drain()
            now_ns = source.now_ns()
            if self._monitor.judge(now_ns, bus_up=source.bus_up, link_up=source.link_up):
                self._found.set()

    async def _settle(self) -> None:
        backoff = Backoff(first_s=0.05, most_s=1.0)
        pending = self._monitor.pending
        while True:
            await self._found.wait()
            self._found.clear()
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
        for step in steps:
            self._transitions.count(step)
            log.info("host.step", reason=step.reason)

    async def _roster(self) -> None:
        backoff = Backoff(first_s=0.1, most_s=2.0)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ROSTER_S):
                    await self._nudge.wait()
            self._nudge.clear()
            await self._look(backoff)
            await asyncio.sleep(ROSTER_REST_S)

    async def _look(self, backoff: Backoff) -> None:
        """Read the roster until it is read."""
        while True:
            try:
                async with self._database.connection() as connection:
                    found = await hosts.roster(connection)
            except Unavailable as error:
                log.warning("roster.waits", reason=str(error))
                await asyncio.sleep(backoff.next_s(dice()))
                continue
            backoff.reset()
            self._monitor.watch(found, self._source.now_ns())
            self._transitions.conditions(record.condition for _, record in found)
            return

    async def _digest(self) -> None:
        begun_ns = self._source.now_ns()
        while True:
            await asyncio.sleep(DIGEST_MS / 1_000)
            now_ns = self._source.now_ns()
            self._say_notes(now_ns)
            samples = self._monitor.attendance.samples(now_ns)
            window_ms = max(1, (now_ns - begun_ns) // 1_000_000)
            begun_ns = now_ns
            if not self._bus.connected:
                continue  # a trace of the past is of no use
            for first in range(0, len(samples), DIGEST_HOSTS_MAX):
                digest = PulseDigest(
                    at=datetime.now(UTC),
                    window_ms=window_ms,
                    hosts=tuple(samples[first : first + DIGEST_HOSTS_MAX]),
                )
                try:
                    await self._bus.publish(digest)
                except Unavailable as error:
                    log.debug("digest.dropped", reason=str(error))

    def _say_notes(self, now_ns: int) -> None:
        """Say once what fell silent and what is heard again; never a verdict."""
        notes = self._monitor.attendance.notes(now_ns)
        for fault in (Outcome.BUS_ALARM, Outcome.PATH_ALARM, Outcome.DISPUTED):
            for event, changed in (
                ("path.at_fault", notes - self._noted),
                ("path.whole", self._noted - notes),
            ):
                names = sorted(note.host for note in changed if note.fault is fault)
                if names:
                    log.warning(
                        event, fault=fault.name.lower(), count=len(names), hosts=names[:NOTED_MAX]
                    )
        self._noted = notes
        doubt = self._monitor.attendance.doubt
        if doubt and not self._doubted:
            log.warning("reach.doubted", reason=doubt)
        elif self._doubted and not doubt:
            log.info("reach.regained", reason="hosts are heard again")
        self._doubted = bool(doubt)

    async def _assert(self) -> None:
        while True:
            await asyncio.sleep(ASSERT_S)
            try:
                async with self._database.unit() as unit:
                    count = await self._verdicts.assert_alarms(unit)
                log.debug("alarms.asserted", count=count)
            except (Unavailable, DeadlineExceeded) as error:
                log.info("alarms.assert_postponed", reason=str(error))
