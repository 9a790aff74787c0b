"""How effects ended, and deadlines: what moves a host when nothing is heard of it."""

from collections.abc import Mapping

import msgspec

from murmuration.bus.follower import Received
from murmuration.bus.gaps import StateReceived
from murmuration.kernel.clock import Clock
from murmuration.mtce.core.health import judge
from murmuration.mtce.core.logs import log_of_services
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.model import HostEffect, HostStep
from murmuration.mtce.handlers.steps import carry_out, emit_log
from murmuration.mtce.metrics import Transitions
from murmuration.mtce.ports import Observer
from murmuration.mtce.store import hosts
from murmuration.proto.fm_derived import DegradeAsserted, DegradeCleared, HostDegrade
from murmuration.proto.ids import HostName, untoken
from murmuration.proto.mtce import HealthCause, RecoveryCause
from murmuration.proto.node import HostHealth, HostTested, ServicesSwitched
from murmuration.store import effects
from murmuration.store.database import Unit
from murmuration.store.effects import Effect

_OF_AGENTS = (HealthCause.PROCESS, HealthCause.RESOURCE, HealthCause.SENSOR)
DUE_MAX = 200  # hosts whose deadlines are dealt with in one transaction
_DECODER = msgspec.json.Decoder(HostEffect)
OUTCOME = "select outcome from mur.effect where id = $1"
WANTED = """
select id, operation_id, kind, entity, once, body, status from mur.effect where operation_id = $1
"""


class OutcomeHandlers:
    """Turns settled effects and deadlines into inputs of the machines."""

    def __init__(
        self, clock: Clock, observer: Observer, transitions: Transitions, machines: Machines
    ) -> None:
        self._clock = clock
        self._observer = observer
        self._transitions = transitions
        self._machines = machines

    async def follow(self, unit: Unit, effect: Effect, done: bool) -> None:  # noqa: FBT001 - as Executor calls it
        """What follows from a settled effect, in the transaction that settles it."""
        name = HostName(_DECODER.decode(effect.body).host)
        outcome = str(await unit.connection.fetchval(OUTCOME, effect.id) or "")
        now = self._clock.now()
        entry = log_of_services(effect.kind, name, done=done, outcome=outcome, at=now)
        if entry is not None:
            emit_log(unit, entry)
        await hosts.lock(unit.connection)
        found = (await hosts.load(unit.connection, [name])).get(name)
        if found is None or found.record is None:
            return
        steps = self._machines.settled_effect(
            found.record,
            found.declared,
            self._observer.observe(name),
            now,
            operation_id=effect.operation_id,
            done=done,
            outcome=outcome,
        )
        await self._carry_out(unit, steps)

    async def reported(self, unit: Unit, operation_id: str, *, done: bool, outcome: str) -> None:
        """Somebody reports how an effect ended before it was asked for again. May be repeated."""
        row = await unit.connection.fetchrow(WANTED, operation_id)
        if row is None:
            return
        effect = Effect(*row)
        if await effects.settle(unit, effect, done=done, outcome=outcome):
            await self.follow(unit, effect, done)

    async def result(self, unit: Unit, received: Received) -> None:
        """An agent reports how its tests, or the switching of its services, ended."""
        payload: HostTested | ServicesSwitched = received.payload
        first = payload.failures[0] if payload.failures else None
        outcome = f"{first.script}: {first.reason}" if first else "all scripts passed"
        await self.reported(unit, payload.operation_id, done=payload.passed, outcome=outcome)

    async def health(self, unit: Unit, received: Received) -> None:
        """An agent reports what is wrong on its host: degraded, or unable to serve."""
        payload: HostHealth = received.payload
        name, judged = HostName(payload.host), judge(payload.conditions)
        await hosts.lock(unit.connection)
        found = (await hosts.load(unit.connection, [name])).get(name)
        if found is None or found.record is None:
            return
        seen, now = self._observer.observe(name), self._clock.now()
        steps = self._machines.ailing(
            found.record,
            found.declared,
            seen,
            now,
            about=_OF_AGENTS,
            ill=judged.causes,
            reason=f"its agent says: {', '.join(judged.causes) or 'all is well'}",
        )
        record = steps[-1].state if steps else found.record
        # Read late, it may be of an earlier boot: that one's end has mended it, or it is told anew.
        if judged.failed and record is not None and payload.boot_id == record.boot_id:
            steps += self._machines.unfit(
                record,
                found.declared,
                seen,
                now,
                cause=RecoveryCause.HOST_SERVICES,
                reason=judged.failed,
            )
        await self._carry_out(unit, steps)

    async def power_seen(self, unit: Unit, found: Mapping[HostName, bool]) -> None:
        """BMCs say whether their hosts' power is on."""
        await hosts.lock(unit.connection)
        for name, host in (await hosts.load(unit.connection, list(found))).items():
            if host.accepted and host.record is not None:
                seen, now = self._observer.observe(name), self._clock.now()
                steps = self._machines.power_seen(
                    host.record, host.declared, seen, now, on=found[name]
                )
                await self._carry_out(unit, steps)

    async def degraded(self, unit: Unit, received: Received) -> None:
        """fm says that alarms degrade a host."""
        payload: DegradeAsserted = received.payload
        await self._alarmed(unit, payload.host, payload.degrade.cause_count)

    async def relieved(self, unit: Unit, received: Received) -> None:
        """fm says that no alarm degrades a host any more."""
        payload: DegradeCleared = received.payload
        await self._alarmed(unit, payload.host, 0)

    async def degrade_bridged(self, unit: Unit, state: StateReceived) -> None:
        """Likewise as fm's bucket tells it, where its events are no longer to be had."""
        told = state.value if isinstance(state.value, HostDegrade) else None
        await self._alarmed(unit, untoken(state.key), told.cause_count if told else 0)

    async def _alarmed(self, unit: Unit, host: str, count: int) -> None:
        name = HostName(host)
        await hosts.lock(unit.connection)
        found = (await hosts.load(unit.connection, [name])).get(name)
        if found is None or found.record is None:
            return  # it is told again when other alarms degrade it
        steps = self._machines.ailing(
            found.record,
            found.declared,
            self._observer.observe(name),
            self._clock.now(),
            about=(HealthCause.ALARM,),
            ill=(HealthCause.ALARM,) if count else (),
            reason=f"alarms that degrade it: {count}" if count else "no alarm degrades it",
        )
        await self._carry_out(unit, steps)

    async def released(self, unit: Unit, name: HostName) -> None:
        """A host's workload may run elsewhere: the boot it was on must not serve again."""
        await hosts.lock(unit.connection)
        found = (await hosts.load(unit.connection, [name])).get(name)
        if found is None or found.record is None:
            return
        seen, now = self._observer.observe(name), self._clock.now()
        steps = self._machines.released(found.record, found.declared, seen, now)
        await self._carry_out(unit, steps)

    async def due(self, unit: Unit) -> int:
        """Deal with the deadlines that have come; returns how many hosts moved."""
        await hosts.lock(unit.connection)
        now = self._clock.now()
        names = await hosts.due(unit.connection, now, DUE_MAX)
        steps: list[HostStep] = []
        for name, found in (await hosts.load(unit.connection, names)).items():
            if found.record is not None:
                seen = self._observer.observe(name)
                steps += self._machines.due(found.record, found.declared, seen, now)
        await self._carry_out(unit, steps)
        return len(steps)

    async def _carry_out(self, unit: Unit, steps: tuple[HostStep, ...] | list[HostStep]) -> None:
        await carry_out(unit, steps)
        for step in steps:
            self._transitions.count(step)
