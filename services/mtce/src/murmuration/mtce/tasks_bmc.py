"""The poller of BMCs, run by the replica that is active.

- One task a BMC: it audits at its own pace with jitter, so that a slow BMC delays no other and
  hundreds never come at once. A BMC that failed is asked less and less often.
- `settle` writes what changed, many hosts in one transaction; while nothing changes, nothing is
  written. Power that a host's states do not have is said with every audit, until they have it.
- `roster` makes the BMCs that are polled match those declared.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

import structlog

from murmuration.kernel.backoff import Backoff
from murmuration.kernel.errors import DeadlineExceeded, MurmurationError, Unavailable
from murmuration.mtce.core.bmc_fsm import Audit, BmcRecord
from murmuration.mtce.core.sensors import Sensed
from murmuration.mtce.handlers.bmcs import BmcHandlers
from murmuration.mtce.ports import BmcSource
from murmuration.mtce.store import bmcs
from murmuration.proto.ids import HostName
from murmuration.proto.mtce_bmc import BmcPower, BmcSensor, BmcSensorState
from murmuration.proto.sysinv import HostBmc
from murmuration.runtime.dice import dice
from murmuration.store.database import Database

JITTER: Final = 0.2  # of an interval: audits drift apart within some rounds
FAILED_AUDIT_S: Final = 30.0  # as operators know it: a silent BMC is asked again after this
FAILED_AUDIT_MOST_S: Final = 120.0  # the breaker at its widest: one question every two minutes
AUDITS_MAX: Final = 100  # at once in a process: sockets and threads have their price
SETTLE_MAX: Final = 200  # hosts in one transaction
UNREAD_MIN: Final = 2  # readings in a row that failed: then it is an alarm
ROSTER_S: Final = 1.0
ASSERT_S: Final = 300.0
AT_REST: Final = Audit()

V = TypeVar("V")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often is looked, in seconds."""

    audit_s: float = 60.0
    sensors_s: float = 120.0


@dataclass(slots=True)
class _Readings:
    """The last reading of a BMC's sensors, and how many in a row failed since.

    A new one counts as if one had failed: what an earlier process said is then taken back.
    """

    last: Mapping[str, BmcSensor] = field(default_factory=dict[str, BmcSensor])
    failed_count: int = 1


class BmcTasks:
    """What moves the poller; `run` until cancelled."""

    def __init__(
        self, *, source: BmcSource, database: Database, handlers: BmcHandlers, pace: Pace
    ) -> None:
        self._source = source
        self._database = database
        self._handlers = handlers
        self._pace = pace
        self._nudge = database.nudge()
        self._slots = asyncio.Semaphore(AUDITS_MAX)
        self._tasks: dict[HostName, tuple[HostBmc, asyncio.Task[None]]] = {}
        self._found: dict[HostName, Audit] = {}
        self._sensed: dict[HostName, Sensed] = {}
        self._unread: dict[HostName, str] = {}  # why sensors cannot be read, empty: they can
        self._told: dict[HostName, dict[str, BmcSensorState | None]] = {}
        self._off: set[HostName] = set()  # hosts that are off by their states
        self._wake = asyncio.Event()
        self._settled: dict[HostName, Audit] = {}
        self.audit_count = 0
        self.failure_count = 0

    async def run(self) -> None:
        """Poll until cancelled; survives the database and every BMC being away."""
        await self._database.verified.wait()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._settle(), name="settle")
                group.create_task(self._assert(), name="assertions")
                await self._roster(group)
        finally:
            self._tasks.clear()
            await self._source.close()

    async def _roster(self, group: asyncio.TaskGroup) -> None:
        backoff = Backoff(first_s=0.1, most_s=5.0)
        while True:
            self._nudge.clear()
            try:
                async with self._database.connection() as connection:
                    roster = await bmcs.roster(connection)
                    records = await bmcs.every(connection)
                    self._off = await bmcs.off_on_record(connection)
            except Unavailable as error:
                log.warning("bmc.roster_waits", reason=str(error))
                await asyncio.sleep(backoff.next_s(dice()))
                continue
            backoff.reset()
            await self._match(group, roster, records)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ROSTER_S):
                    await self._nudge.wait()
            await asyncio.sleep(ROSTER_S / 4)  # a burst of commits is one look

    async def _match(
        self,
        group: asyncio.TaskGroup,
        roster: Mapping[HostName, HostBmc],
        records: list[BmcRecord],
    ) -> None:
        await self._source.declare(dict(roster))
        for name, (declared, task) in list(self._tasks.items()):
            if roster.get(name) != declared:
                task.cancel()
                del self._tasks[name]
                self._settled.pop(name, None)
                self._told.pop(name, None)
        known = {record.name for record in records}
        for name, declared in roster.items():
            if name not in self._tasks:
                task = group.create_task(
                    self._watch(name, soon=name not in known), name=f"bmc {name}"
                )
                self._tasks[name] = (declared, task)

    async def _watch(self, name: HostName, *, soon: bool) -> None:
        """One BMC for good. A new one is audited at once, the others spread over an interval."""
        loop = asyncio.get_running_loop()
        sensors_due = loop.time()
        backoff = Backoff(first_s=FAILED_AUDIT_S, most_s=FAILED_AUDIT_MOST_S)
        readings = _Readings()
        await asyncio.sleep(0 if soon else dice() * min(self._pace.audit_s, 10.0))
        while True:
            async with self._slots:
                audit = await self._audit(name)
                if not audit.failure and loop.time() >= sensors_due:
                    sensors_due = loop.time() + self._pace.sensors_s
                    await self._sense(name, readings)
            if audit.failure:
                pause_s = min(backoff.next_s(dice()), self._pace.audit_s)
            else:
                backoff.reset()
                pause_s = self._pace.audit_s * (1 + JITTER * (dice() - 0.5))
            if (
                audit != self._settled.get(name, AT_REST)
                or audit.failure
                or self._news(name, audit)
            ):
                self._found[name] = audit
                self._wake.set()
            await asyncio.sleep(pause_s)

    def _news(self, name: HostName, audit: Audit) -> bool:
        """Whether the host's states do not have its power as the BMC has it."""
        other = BmcPower.ON if name in self._off else BmcPower.OFF
        return audit.power is other

    async def _audit(self, name: HostName) -> Audit:
        self.audit_count += 1
        try:
            return await self._source.audit(name)
        except MurmurationError as error:
            self.failure_count += 1
            return Audit(failure=str(error)[:300])

    async def _sense(self, name: HostName, readings: "_Readings") -> None:
        """Read the sensors; a state that was read in the reading before, too, is settled."""
        try:
            read = {sensor.name: sensor for sensor in await self._source.sensors(name)}
        except MurmurationError as error:
            readings.failed_count += 1
            if readings.failed_count == UNREAD_MIN:
                self._unread[name] = str(error)[:300]
                self._wake.set()
            return
        if readings.failed_count:
            readings.failed_count = 0
            self._unread[name] = ""
            self._wake.set()
        previous, readings.last = readings.last, read
        twice = {
            key: sensor
            for key, sensor in read.items()
            if key in previous and previous[key].state is sensor.state
        }
        states = {key: twice[key].state if key in twice else None for key in read}
        if previous and states != self._told.get(name):
            self._told[name] = states
            self._sensed[name] = Sensed(twice, frozenset(read))
            self._wake.set()

    async def _settle(self) -> None:
        backoff = Backoff(first_s=0.1, most_s=2.0)
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._found or self._sensed or self._unread:
                audits = dict(sorted(self._found.items())[:SETTLE_MAX])
                sensed = dict(sorted(self._sensed.items())[:SETTLE_MAX])
                unread = dict(sorted(self._unread.items())[:SETTLE_MAX])
                try:
                    await self._settle_these(audits, sensed, unread)
                except (Unavailable, DeadlineExceeded) as error:
                    log.warning("bmc.settling_waits", reason=str(error))
                    await asyncio.sleep(backoff.next_s(dice()))
                    continue
                backoff.reset()
                _drop(self._found, audits)
                _drop(self._sensed, sensed)
                _drop(self._unread, unread)
                self._settled.update(audits)

    async def _settle_these(
        self,
        audits: Mapping[HostName, Audit],
        sensed: Mapping[HostName, Sensed],
        unread: Mapping[HostName, str],
    ) -> None:
        async with self._database.unit() as unit:
            steps = await self._handlers.audited(unit, audits)
            for name, read in sensed.items():
                await self._handlers.sensed(unit, name, read)
            for name, reason in unread.items():
                await self._handlers.unread(unit, name, reason)
        for step in steps:
            log.info("bmc.step", reason=step.reason)

    async def _assert(self) -> None:
        while True:
            await asyncio.sleep(ASSERT_S)
            try:
                async with self._database.unit() as unit:
                    await self._handlers.assert_alarms(unit)
            except (Unavailable, DeadlineExceeded) as error:
                log.info("alarms.assert_postponed", reason=str(error))


def _drop(waiting: dict[HostName, V], done: Mapping[HostName, V]) -> None:
    """Let go of what was written, unless something newer has come meanwhile."""
    for name, value in done.items():
        if waiting.get(name) is value:
            del waiting[name]
