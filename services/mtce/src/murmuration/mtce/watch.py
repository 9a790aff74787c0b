"""The watch over all hosts, run by every replica: there is nothing to take over when one dies.

- `tick` drains both paths and takes attendance every 20 ms, and never waits for anything else.
- `roster` makes the watch match the hosts on record; woken by commits, it takes no other input.
- `reach` writes verdicts as soon as they are found, before anything is done about them.
- `tell` says to the other observers what is heard here, and hears what they say.
- `digest` tells the live trace what was heard (from the active replica alone), and says once when a
  path or the own reach is lost or returns.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog
from nats.aio.msg import Msg

from murmuration.bus.connection import Bus
from murmuration.kernel.backoff import Backoff
from murmuration.kernel.errors import DeadlineExceeded, Unavailable
from murmuration.mtce.core import paths
from murmuration.mtce.core.levels import PathNote
from murmuration.mtce.core.observers import TELL_MS, Word, pack, unpack
from murmuration.mtce.core.paths import PathFault, PathKey
from murmuration.mtce.core.verdict_table import Outcome
from murmuration.mtce.handlers.verdicts import VerdictHandlers
from murmuration.mtce.metrics import Transitions
from murmuration.mtce.monitor import TICK_MS, Monitor
from murmuration.mtce.ports import PulseSource
from murmuration.mtce.store import hosts
from murmuration.proto.ids import token
from murmuration.proto.mtce import ObserverTold, PulseDigest
from murmuration.proto.registry import channel_of
from murmuration.runtime.dice import dice
from murmuration.store.database import Database

REACH_MAX: Final = 10_000  # verdicts in one statement: the largest site, all at once
ROSTER_S: Final = 1.0  # the longest time until a change that woke nobody is seen
ROSTER_REST_S: Final = 0.05  # between two looks, so that a burst of commits is one look
DIGEST_MS: Final = 500
DIGEST_HOSTS_MAX: Final = 2_000  # about 120 kB of JSON, half of what a message may have
NOTED_MAX: Final = 5  # hosts named in one log line about paths

log = structlog.get_logger()


class Watch:
    """What every replica does; `run` until cancelled. `active`: whether this is the active one."""

    def __init__(
        self,
        *,
        monitor: Monitor,
        source: PulseSource,
        database: Database,
        bus: Bus,
        verdicts: VerdictHandlers,
        transitions: Transitions,
        active: Callable[[], bool],
    ) -> None:
        self.found = asyncio.Event()  # something is to be settled; who waits clears it
        self.begun = asyncio.Event()  # the roster was read: hosts are watched
        self.monitor = monitor
        self._source = source
        self._database = database
        self._bus = bus
        self.verdicts = verdicts
        self.transitions = transitions
        self._active = active
        self._hosts = hosts.Roster()
        self._nudge = database.nudge()
        self._lost = asyncio.Event()
        self._noted: set[PathNote] = set()
        self._doubted = False

    async def run(self) -> None:
        """Watch until cancelled; survives the broker and the database being away."""
        await self._look(Backoff(first_s=0.1, most_s=2.0))
        async with self._source.feed(self.monitor.attendance, self.monitor):
            self.begun.set()
            log.info("watch.begun", hosts=len(self.monitor.attendance))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tick(), name="tick")
                group.create_task(self._reach(), name="verdicts")
                group.create_task(self._roster(), name="roster")
                group.create_task(self._tell(), name="observers")
                group.create_task(self._digest(), name="digest")

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        source = self._source
        while True:
            due = max(due + TICK_MS / 1_000, loop.time())
            await asyncio.sleep(due - loop.time())
            source.drain()
            now_ns = source.now_ns()
            if self.monitor.judge(now_ns, bus_up=source.bus_up, link_up=source.link_up):
                self.found.set()
            if self.monitor.lost:
                self._lost.set()

    async def _reach(self) -> None:
        backoff = Backoff(first_s=0.05, most_s=1.0)
        while True:
            await self._lost.wait()
            self._lost.clear()
            found = self.monitor.verdicts(REACH_MAX)
            if not found:
                continue
            try:
                async with self._database.unit() as unit:
                    new = await self.verdicts.reach(unit, found)
            except (Unavailable, DeadlineExceeded) as error:
                log.warning("verdicts.wait", hosts=len(found), reason=str(error))
                self.monitor.lost.update(one.host for one in found)
                await asyncio.sleep(backoff.next_s(dice()))
                continue
            backoff.reset()
            log.info("verdicts.reached", hosts=len(found), new=new)

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
                    found = await self._hosts.read(connection)
            except Unavailable as error:
                log.warning("roster.waits", reason=str(error))
                await asyncio.sleep(backoff.next_s(dice()))
                continue
            backoff.reset()
            self.monitor.watch(found, self._source.now_ns())
            self.transitions.conditions(record.condition for _, record in found)
            return

    async def _tell(self) -> None:
        observers = self.monitor.attendance.observers
        subscription = await self._bus.nc.subscribe(channel_of(ObserverTold).filter, cb=self._hear)
        try:
            while True:
                await asyncio.sleep(TELL_MS / 1_000)
                if not self._bus.connected:
                    continue
                heard, silent = self.monitor.attendance.bits(self._source.now_ns())
                told = ObserverTold(
                    instance=observers.instance,
                    machine=observers.machine,
                    doubt=self.monitor.attendance.doubt,
                    heard=pack(heard),
                    silent=pack(silent),
                )
                with contextlib.suppress(Unavailable):
                    await self._bus.publish(told, instance=token(observers.instance))
        finally:
            await subscription.unsubscribe()

    async def _hear(self, message: Msg) -> None:
        """What another replica tells; what does not decode is passed over."""
        try:
            told = msgspec.json.decode(message.data, type=ObserverTold)
            heard, silent = unpack(told.heard), unpack(told.silent)
        except (msgspec.DecodeError, ValueError) as error:
            log.warning("observer.undecodable", reason=str(error)[:200])
            return
        self.monitor.attendance.observers.hear(
            Word(told.instance, told.machine, told.doubt, heard, silent, self._source.now_ns())
        )

    async def _digest(self) -> None:
        begun_ns = self._source.now_ns()
        while True:
            await asyncio.sleep(DIGEST_MS / 1_000)
            now_ns = self._source.now_ns()
            self._say_notes(now_ns)
            samples = self.monitor.attendance.samples(now_ns)
            window_ms = max(1, (now_ns - begun_ns) // 1_000_000)
            begun_ns = now_ns
            if not self._bus.connected or not self._active():
                continue  # a trace of the past is of no use, and one trace is enough
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

    def path_faults(self) -> dict[PathKey, PathFault]:
        """The faults of ways as noted now, and of the own reach."""
        attendance = self.monitor.attendance
        return paths.faults(
            attendance.notes(self._source.now_ns()),
            watched=len(attendance),
            doubt=attendance.doubt,
            own_host=attendance.observers.machine,
        )

    def _say_notes(self, now_ns: int) -> None:
        """Say once what fell silent and what is heard again; never a verdict."""
        notes = self.monitor.attendance.notes(now_ns)
        for fault in (Outcome.BUS_ALARM, Outcome.PATH_ALARM, Outcome.DISPUTED):
            for event, changed in (
                ("path.at_fault", notes - self._noted),
                ("path.whole", self._noted - notes),
            ):
                names = sorted(note.host for note in changed if note.fault is fault)
                if names:
                    word = fault.name.lower()
                    log.warning(event, fault=word, count=len(names), hosts=names[:NOTED_MAX])
        self._noted = notes
        doubt = self.monitor.attendance.doubt
        if doubt and not self._doubted:
            log.warning("reach.doubted", reason=doubt)
        elif self._doubted and not doubt:
            log.info("reach.regained", reason="hosts are heard again")
        self._doubted = bool(doubt)
