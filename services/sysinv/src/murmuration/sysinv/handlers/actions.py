"""What operators want done with hosts: checked, noted as intent, and ordered from mtce.

sysinv stores what is intended in the transaction that orders it. mtce may refuse, or may not be
able to do it, and says so: then the intent is put back, unless something newer is intended by then.
"""

from datetime import timedelta
from typing import Final

from murmuration.bus.follower import Received
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import Conflict
from murmuration.proto.mtce import (
    HostOrder,
    OperationCompleted,
    OperationFailed,
    OperationRefused,
)
from murmuration.proto.sysinv import (
    ActionCheck,
    ActOnHost,
    Administrative,
    CheckAction,
    HostAction,
    HostChanged,
    HostRemoved,
    RefusalCode,
)
from murmuration.store.database import Database, Unit
from murmuration.sysinv.core import actions, model
from murmuration.sysinv.handlers.said import remove, say
from murmuration.sysinv.store import hosts, intents
from murmuration.sysinv.store.intents import Intent

ORDER_S: Final = 120.0  # a host is not reset minutes after somebody asked for it


class Actions:
    """Takes operators' actions, and what mtce says became of them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def act(self, unit: Unit, request: ActOnHost) -> str:
        """Note the intent and order it. Raises NotFound, and Conflict with a refusal's code."""
        known = await hosts.get(unit.connection, request.host)
        found = actions.check(known.host, request.action)
        if found.refusal is not RefusalCode.NONE:
            raise Conflict(f"{found.reason} ({found.refusal.value})")
        wanted = actions.intent_of(request.action)
        if wanted is not None:
            before = known.host.intended_administrative
            intent = Intent(request.operation_id, request.action, before)
            await intents.save(unit.connection, request.host, intent)
            await self._intend(unit, request.host, wanted)
        order = HostOrder(
            operation_id=request.operation_id,
            host=request.host,
            action=request.action,
            expires_at=self._clock.now() + timedelta(seconds=ORDER_S),
        )
        unit.emit(order, entity=request.host, sender="sysinv", action=request.action.value)
        return f"{request.action.value} of {request.host} is ordered"

    async def check(self, request: CheckAction) -> ActionCheck:
        """What `act` would say; nothing is changed. Raises NotFound."""
        async with self._database.unit() as unit:
            known = await hosts.get(unit.connection, request.host)
        return actions.check(known.host, request.action)

    async def refused(self, unit: Unit, received: Received) -> None:
        """mtce does not do it: what was intended before is intended again."""
        payload: OperationRefused = received.payload
        operation = payload.operation
        await self._put_back(unit, operation.host, operation.operation_id)

    async def failed(self, unit: Unit, received: Received) -> None:
        """mtce could not do it. A host that cannot be locked stays in service; one that cannot be
        brought into service is still wanted there.
        """
        payload: OperationFailed = received.payload
        operation = payload.operation
        if operation.action is HostAction.LOCK:
            await self._put_back(unit, operation.host, operation.operation_id)

    async def completed(self, unit: Unit, received: Received) -> None:
        """mtce has done it: a host that was to be deleted is removed."""
        payload: OperationCompleted = received.payload
        operation = payload.operation
        if operation.action is not HostAction.DELETE:
            return
        known = await hosts.find(unit.connection, operation.host)
        if known is None:
            return
        await hosts.remove(unit.connection, operation.host)
        await intents.remove(unit.connection, operation.host)
        reason = f"an operator deleted {operation.host}"
        remove(unit, HostRemoved(host=operation.host, index=known.host.index, reason=reason))

    async def _put_back(self, unit: Unit, host: str, operation_id: str) -> None:
        intent = await intents.find(unit.connection, host)
        if intent is None or intent.operation_id != operation_id:
            return  # it was no intent, or something newer is intended
        await intents.remove(unit.connection, host)
        if await hosts.find(unit.connection, host) is not None:
            await self._intend(unit, host, intent.before)

    async def _intend(self, unit: Unit, host: str, wanted: Administrative) -> None:
        known = await hosts.get(unit.connection, host)
        decision = model.intend(known.host, wanted)
        if decision.changed:
            await hosts.save(unit.connection, decision.host, known.numbering)
            event = HostChanged(
                host=decision.host, changed=decision.changed, reason=decision.reason
            )
            say(unit, event, decision.host)
