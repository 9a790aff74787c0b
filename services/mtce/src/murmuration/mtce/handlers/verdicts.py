"""The monitor's verdicts: hosts whose record does not fit what is heard of them."""

from collections.abc import Sequence

from murmuration.kernel.clock import Clock
from murmuration.mtce.core.alarms import alarms_now
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.model import HostStep
from murmuration.mtce.handlers.steps import carry_out, emit_alarm, emit_event
from murmuration.mtce.ports import Observer
from murmuration.mtce.store import hosts
from murmuration.proto.fm import RaiseAlarm
from murmuration.proto.ids import HostName
from murmuration.proto.mtce import HostStateChanged
from murmuration.store.database import Unit


class VerdictHandlers:
    """Brings records to what is observed, and says again what holds."""

    def __init__(self, clock: Clock, observer: Observer, machines: Machines) -> None:
        self._clock = clock
        self._observer = observer
        self._machines = machines

    async def settle(self, unit: Unit, names: Sequence[HostName]) -> list[HostStep]:
        """Settle these hosts as they are observed now; repeating it changes nothing more."""
        await hosts.lock(unit.connection)
        found = await hosts.load(unit.connection, names)
        now = self._clock.now()
        steps: list[HostStep] = []
        for name, host in found.items():
            if host.accepted and host.record is not None:
                seen = self._observer.observe(name)
                steps += self._machines.settle(host.record, host.declared, seen, now)
        await carry_out(unit, steps)
        return steps

    async def republish(self, unit: Unit) -> None:
        """Say the whole state anew, after a new epoch or a refilled stream.

        Alarms that a condition has not are cleared as well: fm may know of later ones.
        """
        now = self._clock.now()
        for _, record in await hosts.roster(unit.connection):
            event = HostStateChanged(
                state=record.published(), previous=str(record.condition), evidence={}
            )
            emit_event(unit, event)
            for order in alarms_now(record, now):
                emit_alarm(unit, order)

    async def assert_alarms(self, unit: Unit) -> int:
        """Raise again what still holds; returns how many. A count at fm, not history."""
        now = self._clock.now()
        orders = [
            order
            for _, record in await hosts.roster(unit.connection)
            for order in alarms_now(record, now)
            if isinstance(order, RaiseAlarm)
        ]
        for order in orders:
            emit_alarm(unit, order)
        return len(orders)
