"""sysinv's events: which hosts there are, and whether they are wanted in service.

An event holds the whole host, so the newest is all there is to know. Intents are carried out at
once, in the transaction of the event; what the monitor knows of the host goes into the same step.
"""

from typing import Final

import structlog

from murmuration.bus.follower import Received
from murmuration.bus.gaps import StateReceived
from murmuration.kernel.clock import Clock
from murmuration.mtce.core.logs import CONFIG, EVENT, log
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.model import Declared, HostStep
from murmuration.mtce.handlers.steps import carry_out, emit_log
from murmuration.mtce.handlers.storms import shares_of
from murmuration.mtce.metrics import Transitions
from murmuration.mtce.ports import Observer
from murmuration.mtce.store import hosts, storms, why
from murmuration.mtce.store.hosts import StoredHost
from murmuration.proto.envelope import Version
from murmuration.proto.ids import HostName, untoken
from murmuration.proto.platform import StatePublished
from murmuration.proto.sysinv import (
    Administrative,
    Admission,
    Host,
    HostAccepted,
    HostChanged,
    HostDiscovered,
    HostRemoved,
    Origin,
    Personality,
)
from murmuration.store.database import Unit

NOTED: Final = ("period_ms", "personality", "observe_only", "has_bmc", "all_in_one")
logger = structlog.get_logger()


class HostHandlers:
    """Takes in what sysinv says of hosts."""

    def __init__(
        self,
        clock: Clock,
        observer: Observer,
        transitions: Transitions,
        machines: Machines,
        *,
        agents: bool = True,
    ) -> None:
        self._clock = clock
        self._observer = observer
        self._transitions = transitions
        self._machines = machines
        self._agents = agents

    async def declared(self, unit: Unit, received: Received) -> None:
        """A host was discovered, accepted or changed."""
        payload: HostDiscovered | HostAccepted | HostChanged = received.payload
        await self._take_in(unit, payload.host, received.version)

    async def removed(self, unit: Unit, received: Received) -> None:
        """A host was deleted from the inventory: its alarms are cleared, its state forgotten."""
        payload: HostRemoved = received.payload
        await self._remove(unit, HostName(payload.host))

    async def told_afresh(self, unit: Unit, received: Received) -> None:
        """sysinv has just told all its hosts: which were not among them are no more."""
        payload: StatePublished = received.payload
        since = Version(payload.since_epoch, payload.since_change)
        for name in await hosts.not_told_since(unit.connection, since):
            await self._remove(unit, name)

    async def bridged(self, unit: Unit, state: StateReceived) -> None:
        """A host as sysinv's bucket tells it, where its events are no longer to be had."""
        if isinstance(state.value, Host):
            await self._take_in(unit, state.value, state.version)
        else:
            await self._remove(unit, HostName(untoken(state.key)))

    async def _remove(self, unit: Unit, name: HostName) -> None:
        await hosts.lock(unit.connection)
        found = (await hosts.load(unit.connection, [name])).get(name)
        if found is not None and found.record is not None:
            seen = self._observer.observe(name)
            now = self._clock.now()
            ended = self._machines.forget(found.record, found.declared, seen, now)
            await self._carry_out(unit, [ended])
        await hosts.remove(unit.connection, name)
        await why.forget(unit.connection, name)

    async def _take_in(self, unit: Unit, host: Host, version: Version) -> None:
        name = HostName(host.name)
        await hosts.lock(unit.connection)
        found = (await hosts.load(unit.connection, [name])).get(name)
        declared = self._declared(host, found, version)
        accepted = host.admission is Admission.ACCEPTED
        await hosts.save_mirror(unit.connection, declared, accepted=accepted, version=version)
        self._note(unit, host, declared, found)
        await storms.save_shares(unit.connection, name, shares_of(host))
        if accepted:
            await self._carry_out(unit, self._steps(declared, found))

    def _note(self, unit: Unit, host: Host, declared: Declared, found: StoredHost | None) -> None:
        """What operators read in the log of a host that came, or is declared otherwise."""
        now = self._clock.now()
        if found is None:
            if host.admission is Admission.DISCOVERED:
                reason = f"{host.name} enrolled, and waits to be accepted"
                emit_log(unit, log(EVENT, host.name, "event=discovered", reason=reason, at=now))
            return
        for field in NOTED:
            old, new = getattr(found.declared, field), getattr(declared, field)
            if old != new:
                reason = f"{field} of {host.name} is {new} after {old}"
                emit_log(unit, log(CONFIG, host.name, f"config={field}", reason=reason, at=now))

    def _steps(self, declared: Declared, found: StoredHost | None) -> list[HostStep]:
        now = self._clock.now()
        seen = self._observer.observe(declared.name)
        record = found.record if found is not None else None
        if record is not None:
            return list(self._machines.settle(record, declared, seen, now))
        first = self._machines.admit(declared, seen, now)
        if first.state is None:
            return [first]
        return [first, *self._machines.settle(first.state, declared, seen, now)]

    async def _carry_out(self, unit: Unit, steps: list[HostStep]) -> None:
        await carry_out(unit, steps)
        for one in steps:
            self._transitions.count(one)
            logger.info("host.step", reason=one.reason)

    def _declared(self, host: Host, found: StoredHost | None, version: Version) -> Declared:
        intended = host.intended_administrative
        known = found.declared.administrative if found else Administrative.LOCKED
        newer_word = intended is Administrative.UNKNOWN
        if newer_word or (found is not None and version < found.ordered):
            intended = known  # an order told more than this event knows
        real = host.origin in (Origin.MACHINE, Origin.NAMESPACE)
        return Declared(
            name=HostName(host.name),
            index=host.index,
            period_ms=host.pulse_period_ms,
            administrative=intended,
            personality=host.personality,
            observe_only=host.observe_only,
            takes_orders=self._agents and real and not host.observe_only,
            has_bmc=host.bmc is not None and not host.observe_only,
            all_in_one=_all_in_one(host),
        )


def _all_in_one(host: Host) -> bool:
    controller = host.personality is Personality.CONTROLLER
    return controller and Personality.WORKER in host.subfunctions
