"""sysinv's orders: what operators want done with a host. Checked again here, then begun.

An order tells the intent as well (lock, unlock), at its version: the event that says so too may
come before or after it, and one from before it says nothing new.
"""

from dataclasses import replace

import asyncpg
import structlog

from murmuration.bus.follower import Received
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import NotFound
from murmuration.mtce.core.machines import Machines, intent_of
from murmuration.mtce.core.plan import plan
from murmuration.mtce.handlers.steps import carry_out, emit_event
from murmuration.mtce.metrics import Transitions
from murmuration.mtce.ports import Observer
from murmuration.mtce.store import hosts, why
from murmuration.proto.ids import HostName
from murmuration.proto.mtce import (
    AskPlan,
    AskWhy,
    HostOrder,
    HostPlan,
    HostWhy,
    Operation,
    OperationRefused,
)
from murmuration.proto.sysinv import RefusalCode
from murmuration.store.database import Database, Unit

log = structlog.get_logger()


class OrderHandlers:
    """Takes orders, and answers what they would do and why hosts are as they are."""

    def __init__(
        self,
        clock: Clock,
        observer: Observer,
        transitions: Transitions,
        machines: Machines,
    ) -> None:
        self._clock = clock
        self._observer = observer
        self._transitions = transitions
        self._machines = machines

    async def act(self, unit: Unit, received: Received) -> None:
        """Do what is ordered, or say why not: one event either way."""
        order: HostOrder = received.payload
        name = HostName(order.host)
        await hosts.lock(unit.connection)
        found = (await hosts.load(unit.connection, [name])).get(name)
        if found is None or not found.accepted or found.record is None:
            self._refuse_unknown(unit, order)
            return
        peers = await hosts.peers(unit.connection, name)
        step = self._machines.order(
            found.record,
            found.declared,
            self._observer.observe(name),
            self._clock.now(),
            order=order,
            peers=peers,
        )
        intended = intent_of(order.action)
        refused = any(isinstance(event, OperationRefused) for event in step.events)
        if intended is not None and not refused:
            await hosts.intend(unit.connection, name, intended, received.version)
        await carry_out(unit, [step])
        self._transitions.count(step)
        log.info("host.order", action=order.action.value, reason=step.reason)

    def _refuse_unknown(self, unit: Unit, order: HostOrder) -> None:
        reason = f"mtce watches no host {order.host}: it is not accepted, or was removed."
        operation = Operation(
            operation_id=order.operation_id,
            host=order.host,
            action=order.action,
            refusal=RefusalCode.UNKNOWN_HOST,
            reason=reason,
            at=self._clock.now(),
        )
        emit_event(unit, OperationRefused(operation=operation))


class Questions:
    """Answers of every replica: read only."""

    def __init__(
        self, database: Database, clock: Clock, observer: Observer, machines: Machines
    ) -> None:
        self._database = database
        self._clock = clock
        self._observer = observer
        self._machines = Machines(machines.policy, machines.dead_office)  # rehearsals: not traced

    async def why(self, request: AskWhy) -> HostWhy:
        """The last decisions about a host. Raises NotFound for one that is not watched."""
        async with self._database.connection() as connection:
            await self._known(connection, request.host)
            steps = await why.last(connection, request.host, request.limit)
        return HostWhy(host=request.host, steps=steps)

    async def plan(self, request: AskPlan) -> HostPlan:
        """What an action would do now. Raises NotFound for a host that is not watched."""
        name = HostName(request.host)
        async with self._database.connection() as connection:
            found = await self._known(connection, request.host)
            peers = await hosts.peers(connection, name)
        assert found.record is not None
        intended = intent_of(request.action) or found.declared.administrative
        return plan(
            self._machines,
            found.record,
            replace(found.declared, administrative=intended),
            self._observer.observe(name),
            self._clock.now(),
            action=request.action,
            peers=peers,
        )

    async def _known(self, connection: asyncpg.Connection, host: str) -> hosts.StoredHost:
        name = HostName(host)
        found = (await hosts.load(connection, [name])).get(name)
        if found is None or found.record is None:
            raise NotFound(f"mtce watches no host {host[:80]}: `mur host list` names every host")
        return found
