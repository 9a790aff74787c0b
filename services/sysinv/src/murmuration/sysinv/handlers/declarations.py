"""What operators decide about hosts."""

from murmuration.proto.sysinv import (
    AcceptHost,
    HostAccepted,
    HostChanged,
    LabelHost,
    SetAdministrative,
    SetHostBmc,
)
from murmuration.store.database import Unit
from murmuration.sysinv.core import model
from murmuration.sysinv.core.model import Decision
from murmuration.sysinv.handlers.said import say
from murmuration.sysinv.store import hosts
from murmuration.sysinv.store.hosts import StoredHost


async def accept(unit: Unit, request: AcceptHost) -> str:
    """Accept a discovered host; returns the reason. Raises NotFound."""
    known = await hosts.get(unit.connection, request.host)
    decision = model.accept(known.host)
    if decision.changed:
        await hosts.save(unit.connection, decision.host, known.numbering)
        say(unit, HostAccepted(host=decision.host, reason=decision.reason), decision.host)
    return decision.reason


async def set_administrative(unit: Unit, request: SetAdministrative) -> str:
    """Note what an operator intends; returns the reason. Raises NotFound, Conflict."""
    known = await hosts.get(unit.connection, request.host)
    decision = model.intend(known.host, request.administrative)
    if decision.changed:
        await hosts.save(unit.connection, decision.host, known.numbering)
        event = HostChanged(host=decision.host, changed=decision.changed, reason=decision.reason)
        say(unit, event, decision.host)
        return decision.reason
    return f"{request.host} was meant to be {request.administrative.value} before"


async def set_bmc(unit: Unit, request: SetHostBmc) -> str:
    """Note where a host's BMC is; returns the reason. Raises NotFound, Conflict."""
    known = await hosts.get(unit.connection, request.host)
    return await _declare(unit, known, model.set_bmc(known.host, request.bmc))


async def label(unit: Unit, request: LabelHost) -> str:
    """Set and remove labels; returns the reason. Raises NotFound, Conflict."""
    known = await hosts.get(unit.connection, request.host)
    return await _declare(unit, known, model.label(known.host, request.labels, request.removed))


async def _declare(unit: Unit, known: StoredHost, decision: Decision) -> str:
    if not decision.changed:
        return f"nothing changed: {known.host.name} was declared so before"
    await hosts.save(unit.connection, decision.host, known.numbering)
    event = HostChanged(host=decision.host, changed=decision.changed, reason=decision.reason)
    say(unit, event, decision.host)
    return decision.reason
