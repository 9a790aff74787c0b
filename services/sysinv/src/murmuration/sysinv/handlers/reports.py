"""What agents see on their hosts."""

from murmuration.bus.connection import Bus
from murmuration.bus.follower import Received
from murmuration.kernel.errors import Stale, Unavailable
from murmuration.proto.sysinv import AskReport, HostChanged, HostDelta, HostReport
from murmuration.store.database import Unit
from murmuration.sysinv.core import model
from murmuration.sysinv.core.model import Decision, Numbering, Turn
from murmuration.sysinv.handlers.said import say
from murmuration.sysinv.store import hosts
from murmuration.sysinv.store.hosts import StoredHost


class Reports:
    """Takes in full reports and deltas; asks for a full report where one was missed."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def report(self, unit: Unit, received: Received) -> None:
        """Take in a full report. Raises Stale when it is old or of a host never enrolled."""
        message: HostReport = received.payload
        known = await self._known(unit, message, whole=True)
        if known is not None:
            await self._save(unit, message, model.report(known.host, message))

    async def delta(self, unit: Unit, received: Received) -> None:
        """Take in a delta, or ask for a full report if one before it is missing. Raises Stale."""
        message: HostDelta = received.payload
        known = await self._known(unit, message, whole=False)
        if known is not None:
            await self._save(unit, message, model.delta(known.host, message))

    async def _known(
        self, unit: Unit, message: HostReport | HostDelta, *, whole: bool
    ) -> StoredHost | None:
        known = await hosts.find(unit.connection, message.host)
        if known is None:
            raise Stale(f"{message.host} never enrolled, or was removed")
        due = model.turn(known.numbering, message.incarnation, message.n, whole=whole)
        if due is Turn.NEXT:
            return known
        try:
            await self._bus.publish(AskReport(host=message.host), host=message.host)
        except Unavailable as error:
            raise Stale(f"a delta of {message.host} is missing and NATS is away") from error
        return None

    async def _save(self, unit: Unit, message: HostReport | HostDelta, decision: Decision) -> None:
        numbering = Numbering(message.incarnation, message.n)
        await hosts.save(unit.connection, decision.host, numbering)
        if decision.changed:
            event = HostChanged(
                host=decision.host, changed=decision.changed, reason=decision.reason
            )
            say(unit, event, decision.host)
