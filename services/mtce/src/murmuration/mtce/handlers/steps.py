"""Carrying out steps: the record, its event and its alarms go into one transaction.

Alarms are intake messages to fm from the same outbox: no state is without its alarm, and no alarm
without its state.
"""

from collections.abc import Iterable

from murmuration.mtce.core.host_fsm import HostStep
from murmuration.mtce.core.model import AlarmOrder, HostEvent, HostRecord
from murmuration.mtce.store import hosts
from murmuration.proto.mtce import HostForgotten
from murmuration.store.database import Unit

BUCKET = "mtce_hosts"
PRODUCER = "mtce"


async def carry_out(unit: Unit, steps: Iterable[HostStep]) -> None:
    """Write what the steps leave behind and say what they say; the last state of a host counts."""
    left: dict[str, HostRecord] = {}
    for step in steps:
        for event in step.events:
            emit_event(unit, event)
        for order in step.effects:
            emit_alarm(unit, order)
        if step.state is not None:
            left[step.state.name] = step.state
    await hosts.save(unit.connection, left.values())


def emit_event(unit: Unit, event: HostEvent) -> None:
    """One event, with the state it leaves behind: a tombstone for a forgotten host."""
    if isinstance(event, HostForgotten):
        unit.emit(event, entity=event.host, bucket=BUCKET, host=event.host)
        return
    name = event.state.host
    unit.emit(event, entity=name, bucket=BUCKET, state=event.state, host=name)


def emit_alarm(unit: Unit, order: AlarmOrder) -> None:
    """One message to fm's intake."""
    unit.emit(order, entity=order.entity, producer=PRODUCER)
