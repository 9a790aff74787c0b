"""The monitor's verdicts: hosts whose record does not fit what is heard of them.

That a host is lost is a row first, unique by host, boot and episode, whichever replica finds it;
the active one feeds it to the host's machine in the transaction that marks it settled. So there is
nothing to take over when a replica dies, and no loss is judged twice.
"""

from collections.abc import Sequence
from typing import Final

from murmuration.kernel.clock import Clock
from murmuration.mtce.core.alarms import alarms_now
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.model import HostStep
from murmuration.mtce.core.verdict import Verdict
from murmuration.mtce.handlers.steps import carry_out, emit_alarm, emit_event
from murmuration.mtce.ports import Observer
from murmuration.mtce.store import hosts, verdicts
from murmuration.proto.fm import RaiseAlarm
from murmuration.proto.ids import HostName
from murmuration.proto.mtce import HeartbeatState, HostStateChanged
from murmuration.store.database import Unit

SETTLE_MAX: Final = 200  # hosts per transaction: longer ones would make the tick late


class VerdictHandlers:
    """Brings records to what is observed, and says again what holds."""

    def __init__(
        self, clock: Clock, observer: Observer, machines: Machines, *, instance: str = ""
    ) -> None:
        """`instance` names this replica in the verdicts that it reaches."""
        self._clock = clock
        self._instance = instance
        self._observer = observer
        self._machines = machines

    async def settle(self, unit: Unit, names: Sequence[HostName]) -> list[HostStep]:
        """Settle these hosts as they are observed now; repeating it changes nothing more."""
        await hosts.lock(unit.connection)
        found = await hosts.load(unit.connection, names)
        now = self._clock.now()
        steps: list[HostStep] = []
        lost: list[Verdict] = []
        for name, host in found.items():
            if host.accepted and host.record is not None:
                seen = self._observer.observe(name)
                if seen.heartbeat is HeartbeatState.LOST:
                    lost.append(Verdict(host=name, episode=host.record.episode, seen=seen))
                steps += self._machines.settle(host.record, host.declared, seen, now)
        await self._judge(unit, lost)
        await carry_out(unit, steps)
        return steps

    async def reach(self, unit: Unit, found: Sequence[Verdict]) -> int:
        """Write verdicts for the active replica to settle; how many nobody had written."""
        return await verdicts.reach(unit.connection, found, observer=self._instance)

    async def take_over(self, unit: Unit) -> list[HostStep]:
        """Settle the verdicts that other replicas reached, by what they saw.

        One about a host that is heard here, or about another boot than the one on record, means
        nothing: whoever wrote it had not heard that we hear it.
        """
        waiting = await verdicts.unsettled(unit.connection, SETTLE_MAX)
        if not waiting:
            return []
        await hosts.lock(unit.connection)
        waiting = await verdicts.unsettled(unit.connection, SETTLE_MAX)
        found = await hosts.load(unit.connection, [one.host for one in waiting])
        now = self._clock.now()
        steps: list[HostStep] = []
        for one in waiting:
            host = found.get(one.host)
            if host is None or not host.accepted or host.record is None or one.over:
                continue
            same_boot = one.seen.boot_id in ("", host.record.boot_id)
            if same_boot and not self._observer.observe(one.host).returned:
                steps += self._machines.settle(host.record, host.declared, one.seen, now)
        await verdicts.settle(unit.connection, [one.host for one in waiting])
        await carry_out(unit, steps)
        return steps

    async def trim(self, unit: Unit) -> None:
        """Forget old verdicts."""
        await verdicts.trim(unit.connection)

    async def _judge(self, unit: Unit, lost: Sequence[Verdict]) -> None:
        if lost:
            await self.reach(unit, lost)
            await verdicts.settle(unit.connection, [one.host for one in lost])

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
