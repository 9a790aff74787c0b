"""The task that keeps causes, flaps, gates and degraded hosts right, run by the active replica.

It holds no fact of its own. It reads all active alarms once, then what fm says of them; whatever it
finds is written in transactions of its own, never in those of the intake. When anything fails it
forgets everything and reads again: what was found is found again.

The intake is never kept waiting: alarms are looked at in slices, and the loop is given up between;
while much waits to be taken in, one slice of causes is written each LOOK_S, for what is written
takes the same lock, and a cause that is named later is better than an alarm that is.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from murmuration.fm.core.faults import UNCAUSED, Verdict
from murmuration.fm.core.flapping import CALM_S, STEADY, WINDOW_S
from murmuration.fm.core.gates import Causes, Subject
from murmuration.fm.core.outages import SWITCH_LOST, Outage
from murmuration.fm.core.picture import PRODUCER, Input, Picture
from murmuration.fm.core.rules import Rules
from murmuration.fm.core.trace import Anew, encode
from murmuration.fm.handlers import derived as saying
from murmuration.fm.store import alarms, correlation, derived, places
from murmuration.fm.store.correlation import Correlated
from murmuration.fm.store.policies import Policies
from murmuration.kernel.backoff import Backoff
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import DeadlineExceeded, Unavailable
from murmuration.proto.fm import ClearAlarm, RaiseAlarm
from murmuration.proto.fm_vocabulary import AlarmType, Severity
from murmuration.runtime.dice import dice
from murmuration.store.database import Database, Unit

GATHER_S = 0.2  # a cause and its symptoms come within it: one look instead of many
LOOK_S = 1.0  # the longest time until a host that moved, or a calm alarm, is seen
PAGES = 20  # of what was said, before what is due is looked at
SLICE = 1_000  # alarms looked at before others have their turn: about 10 ms
BEHIND = 2_000  # messages that wait to be taken in: half a second of work
DERIVE_S = 1.0  # gates and degrades are told at most so often

log = structlog.get_logger()


@dataclass(slots=True)
class Counts:
    """What this replica did since its start; `alarms`: active ones that it holds now."""

    alarms: int = 0
    causes: int = 0
    flaps: int = 0
    loads: int = 0


class Correlating:
    """Keeps what is derived from alarms; `run` until cancelled."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        policies: Policies,
        rules: Rules,
        *,
        waiting: Callable[[], int],
        tell: Callable[[bytes], None] | None = None,
    ) -> None:
        """`waiting` is how many messages wait to be taken in; `tell` is given a trace's lines."""
        self.counts = Counts()
        self._waiting = waiting
        self._tell = tell
        self._database = database
        self._clock = clock
        self._policies = policies
        self._rules = rules
        self._nudge = database.nudge()
        self._picture = Picture(rules, {})
        self._since: dict[Subject, datetime] = {}
        self._change = self._place = 0
        self._derive_at = 0.0

    async def run(self) -> None:
        """Work until cancelled; survives the database being away."""
        backoff = Backoff(first_s=0.1, most_s=2.0)
        while True:
            try:
                await self._database.verified.wait()
                await self._load()
                while True:
                    await self._look()
                    backoff.reset()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_S):
                            await self._nudge.wait()
                    self._nudge.clear()
                    await asyncio.sleep(LOOK_S if self._behind else GATHER_S)
            except (Unavailable, DeadlineExceeded) as error:
                log.warning("correlation.waits", reason=str(error))
                await asyncio.sleep(backoff.next_s(dice()))

    @property
    def _behind(self) -> bool:
        return self._waiting() > BEHIND

    async def _load(self) -> None:
        """Read everything anew, as of one moment."""
        async with self._database.unit() as unit:
            await places.prune(unit.connection)
        since = self._clock.now() - timedelta(seconds=WINDOW_S + CALM_S)
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            records = await derived.every(connection)
            said = dict(saying.subject_of(record) for record in records)
            self._since = {saying.subject_of(record)[0]: record.since for record in records}
            self._picture = Picture(self._rules, said)
            if self._tell is not None:
                self._tell(encode(Anew()))
            self._change = await correlation.standing(connection)
            self._place = 0
            for moved in await places.moved_since(connection, self._place):
                self._place = moved.number
                self._take_in(moved.said)
            async for past in correlation.transitions(connection, since):
                self._picture.remember(
                    past.key, raised_at=past.raised_at, at=past.at, cleared=past.cleared
                )
            async for active, verdict in correlation.active(connection):
                self._take_in(active, verdict)
        self._derive_at = 0.0
        self.counts.loads += 1
        log.info("correlation.loaded", alarms=len(self._picture))

    async def _look(self) -> None:
        """Take in what was said, and bring what is derived up to it."""
        whole = False
        while not whole:
            whole = await self._take()
            self.counts.alarms = len(self._picture)
            await self._write_causes()
            await self._write_flaps()
            await self._write_switches()
            await self._write_derived()

    async def _take(self) -> bool:
        """Read what was said since; returns whether that was all."""
        async with self._database.connection() as connection:
            for moved in await places.moved_since(connection, self._place):
                self._place = moved.number
                self._take_in(moved.said)
            for _ in range(PAGES):
                page = await correlation.said_since(connection, self._change)
                for change, said in page:
                    self._change = change
                    self._take_in(said)
                if len(page) < correlation.PAGE:
                    return True
                await asyncio.sleep(0)
        return False

    def _take_in(self, said: Input, verdict: Verdict = UNCAUSED) -> None:
        self._picture.take(said, verdict)
        if self._tell is not None:
            self._tell(encode(said))

    async def _write_causes(self) -> None:
        while not self._picture.idle:
            found = self._picture.settle(SLICE)
            self.counts.causes += len(found)
            await self._save(
                [
                    Correlated((fault.alarm_id, fault.entity), fault.uuid, verdict=verdict)
                    for fault, verdict in found
                ]
            )
            if self._behind:
                return  # the rest at the next look
            await asyncio.sleep(0)

    async def _write_flaps(self) -> None:
        flaps = [Correlated(key, flap=flap) for key, flap in self._picture.flapped()]
        calm = self._picture.calm(self._clock.now().timestamp())
        flaps += [Correlated(key, flap=STEADY) for key in calm]
        self.counts.flaps += len(flaps)
        for first in range(0, len(flaps), SLICE):
            await self._save(flaps[first : first + SLICE])

    async def _save(self, changes: Sequence[Correlated]) -> None:
        if changes:
            async with self._database.unit() as unit:
                await correlation.save(unit, self._policies, self._clock.now(), changes)

    async def _write_switches(self) -> None:
        concluded = self._picture.switches()
        if concluded:
            async with self._database.unit() as unit:
                for switch, outage, lost in concluded:
                    self._conclude(unit, switch, outage, lost=lost)

    def _conclude(self, unit: Unit, switch: str, outage: Outage, *, lost: bool) -> None:
        """Raise or clear the alarm of a switch, through the intake like every producer."""
        entity = f"switch={switch}"
        if not lost:
            reason = f"{outage.cut} of {outage.hosts} hosts behind it are cut off now"
            clear = ClearAlarm(
                alarm_id=SWITCH_LOST, entity=entity, cleared_at=self._clock.now(), reason=reason
            )
            unit.emit(clear, entity=f"{SWITCH_LOST}/{entity}", producer=PRODUCER)
            return
        alarm = RaiseAlarm(
            alarm_id=SWITCH_LOST,
            entity=entity,
            severity=Severity.CRITICAL,
            reason_text=outage.sentence(switch),
            alarm_type=AlarmType.EQUIPMENT,
            probable_cause="underlying-resource-unavailable",
            proposed_repair_action="Check the switch: power, uplinks, its own log.",
            service_affecting=True,
            raised_at=datetime.fromtimestamp(outage.first_at, UTC),
            additional={"concluded_from": f"{outage.cut} of {outage.hosts} hosts"},
        )
        unit.emit(alarm, entity=f"{SWITCH_LOST}/{entity}", producer=PRODUCER)
        log.warning("switch.lost", switch=switch, reason=outage.sentence(switch))

    async def _write_derived(self) -> None:
        moment = asyncio.get_running_loop().time()
        if moment < self._derive_at:
            return
        changes = self._picture.derived()
        if not changes:
            return
        self._derive_at = moment + DERIVE_S
        async with self._database.unit() as unit:
            await alarms.lock(unit.connection, self._clock.now())
            for subject, before, now in changes:
                await self._say(unit, subject, before, now)

    async def _say(self, unit: Unit, subject: Subject, before: Causes, now: Causes) -> None:
        at = self._clock.now()
        if subject not in self._since or (before.count > 0) != (now.count > 0):
            self._since[subject] = at
        await saying.say(unit, subject, now, since=self._since[subject], at=at)
        if subject.gate is None and not now.count:
            del self._since[subject]
