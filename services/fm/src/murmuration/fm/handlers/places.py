"""Where hosts stand, from the events of sysinv and mtce.

An event holds the whole host, so the newest is all there is to know.
"""

from murmuration.bus.follower import Received
from murmuration.bus.gaps import StateReceived
from murmuration.fm.core.topology import Uplink
from murmuration.fm.store import alarms, places
from murmuration.proto.envelope import Version
from murmuration.proto.ids import untoken
from murmuration.proto.mtce import HostForgotten, HostState, HostStateChanged
from murmuration.proto.platform import StatePublished
from murmuration.proto.sysinv import (
    Administrative,
    Host,
    HostAccepted,
    HostChanged,
    HostDiscovered,
    HostRemoved,
)
from murmuration.store.database import Unit


async def on_declared(unit: Unit, received: Received) -> None:
    """sysinv knows a host, or knows it otherwise."""
    payload: HostDiscovered | HostAccepted | HostChanged = received.payload
    await _declare(unit, payload.host, received.version)


async def on_removed(unit: Unit, received: Received) -> None:
    """sysinv has deleted a host."""
    payload: HostRemoved = received.payload
    await unit.connection.execute(alarms.LOCK)
    await places.undeclare(unit.connection, [payload.host])


async def on_declared_afresh(unit: Unit, received: Received) -> None:
    """sysinv has told all its hosts: which were not among them are no more."""
    await unit.connection.execute(alarms.LOCK)
    hosts = await places.untold_by_sysinv(unit.connection, _since(received.payload))
    await places.undeclare(unit.connection, hosts)


async def declared_bridged(unit: Unit, state: StateReceived) -> None:
    """A host as sysinv's bucket tells it, where its events are no longer to be had."""
    if isinstance(state.value, Host):
        await _declare(unit, state.value, state.version)
    else:
        await unit.connection.execute(alarms.LOCK)
        await places.undeclare(unit.connection, [untoken(state.key)])


async def on_state(unit: Unit, received: Received) -> None:
    """mtce says how a host is."""
    payload: HostStateChanged = received.payload
    await _maintain(unit, payload.state, received.version)


async def on_forgotten(unit: Unit, received: Received) -> None:
    """mtce no longer watches a host."""
    payload: HostForgotten = received.payload
    await unit.connection.execute(alarms.LOCK)
    await places.unmaintain(unit.connection, [payload.host])


async def on_states_afresh(unit: Unit, received: Received) -> None:
    """mtce has told the states of all its hosts."""
    await unit.connection.execute(alarms.LOCK)
    hosts = await places.untold_by_mtce(unit.connection, _since(received.payload))
    await places.unmaintain(unit.connection, hosts)


async def state_bridged(unit: Unit, state: StateReceived) -> None:
    """A host's states as mtce's bucket tells them."""
    if isinstance(state.value, HostState):
        await _maintain(unit, state.value, state.version)
    else:
        await unit.connection.execute(alarms.LOCK)
        await places.unmaintain(unit.connection, [untoken(state.key)])


async def _declare(unit: Unit, host: Host, version: Version) -> None:
    uplinks = {
        link.name: Uplink(link.neighbour.system, link.neighbour.port)
        for link in host.links
        if link.neighbour is not None
    }
    await unit.connection.execute(alarms.LOCK)
    await places.declare(
        unit.connection,
        host.name,
        personality=host.personality.value,
        uplinks=uplinks,
        version=version,
    )


async def _maintain(unit: Unit, state: HostState, version: Version) -> None:
    axes = (state.administrative, state.operational, state.availability)
    await unit.connection.execute(alarms.LOCK)
    await places.maintain(
        unit.connection,
        state.host,
        locked=state.administrative is Administrative.LOCKED,
        condition="-".join(axis.value for axis in axes),
        storm=state.storm,
        version=version,
    )


def _since(published: StatePublished) -> Version:
    return Version(published.since_epoch, published.since_change)
