"""Carrying out steps: record, events, alarms, effects and why, all in one transaction.

Alarms are intake messages to fm from the same outbox: no state is without its alarm, and no alarm
without its state. Effects are rows, done by the executor once this is committed.
"""

from collections.abc import Iterable

from murmuration.mtce.core.logs import log_of
from murmuration.mtce.core.model import (
    AlarmOrder,
    EffectRequest,
    HostEvent,
    HostRecord,
    HostStep,
    Withdrawal,
)
from murmuration.mtce.store import hosts, why
from murmuration.proto.fm import RecordLog
from murmuration.proto.mtce import HostForgotten, HostStateChanged
from murmuration.store import effects
from murmuration.store.database import Unit

BUCKET = "mtce_hosts"
PRODUCER = "mtce"


async def carry_out(unit: Unit, steps: Iterable[HostStep]) -> None:
    """Write what the steps leave behind and say what they say; the last state of a host counts."""
    left: dict[str, HostRecord] = {}
    told: list[HostEvent] = []
    for step in steps:
        for event in step.events:
            emit_event(unit, event)
            entry = log_of(event)
            if entry is not None:
                emit_log(unit, entry)
        told += step.events
        for outcome in step.effects:
            match outcome:
                case EffectRequest():
                    await _request(unit, outcome)
                case Withdrawal(operation_id=operation_id, reason=reason):
                    await effects.withdraw(unit, operation_id, reason)
                case _:
                    emit_alarm(unit, outcome)
        if step.state is not None:
            left[step.state.name] = step.state
    await hosts.save(unit.connection, left.values())
    await why.keep(unit.connection, told, left)


async def _request(unit: Unit, wanted: EffectRequest) -> None:
    """An agent that is away must not hold up the host's BMC: each is an entity of its own."""
    await effects.request(
        unit,
        operation_id=wanted.operation_id,
        kind=wanted.kind.value,
        entity=f"{wanted.kind.value.partition('.')[0]}/{wanted.body.host}",
        once=wanted.kind.once,
        body=wanted.body,
    )


def emit_event(unit: Unit, event: HostEvent) -> None:
    """One event, with the state it leaves behind: a tombstone for a forgotten host."""
    match event:
        case HostForgotten(host=name):
            unit.emit(event, entity=name, bucket=BUCKET, host=name)
        case HostStateChanged(state=state):
            unit.emit(event, entity=state.host, bucket=BUCKET, state=state, host=state.host)
        case _:
            name = event.operation.host
            unit.emit(event, entity=name, host=name)


def emit_alarm(unit: Unit, order: AlarmOrder) -> None:
    """One message to fm's intake."""
    unit.emit(order, entity=order.entity, producer=PRODUCER)


def emit_log(unit: Unit, entry: RecordLog) -> None:
    """Likewise."""
    unit.emit(entry, entity=entry.entity, producer=PRODUCER)
