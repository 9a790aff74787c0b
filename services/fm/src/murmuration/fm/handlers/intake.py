"""What producers raise and clear."""

from uuid import uuid4

from murmuration.bus.follower import Received
from murmuration.fm.core import model
from murmuration.fm.core.model import Outcome
from murmuration.fm.handlers.said import say
from murmuration.fm.store import alarms
from murmuration.proto.fm import AlarmChanged, AlarmCleared, AlarmRaised, ClearAlarm, RaiseAlarm
from murmuration.store.database import Unit


def producer_of(received: Received) -> str:
    """Who said it: the producer's token of the intake subject."""
    return received.delivery.subject.split(".")[2]


async def on_raise(unit: Unit, received: Received) -> None:
    """Raise, change or count an alarm."""
    request: RaiseAlarm = received.payload
    known = await alarms.find(unit.connection, request.alarm_id, request.entity)
    decision = model.raise_alarm(known, request, producer=producer_of(received), uuid=str(uuid4()))
    alarm = decision.alarm
    await alarms.save(unit.connection, alarm)
    if decision.outcome is Outcome.COUNTED:
        return
    if decision.outcome is Outcome.RAISED:
        say(unit, AlarmRaised(alarm=alarm), alarm)
    else:
        say(unit, AlarmChanged(alarm=alarm, changed=decision.changed), alarm)
    await alarms.remember(
        unit.connection,
        alarm,
        decision.outcome.value,
        at=request.raised_at,
        reason=alarm.reason_text,
    )


async def on_clear(unit: Unit, received: Received) -> None:
    """Clear exactly the alarm of this key; nothing happens where none is."""
    request: ClearAlarm = received.payload
    known = await alarms.find(unit.connection, request.alarm_id, request.entity)
    if known is None:
        return
    reason = request.reason or f"cleared by {producer_of(received)}"
    await alarms.delete(unit.connection, known)
    await alarms.remember(unit.connection, known, "cleared", at=request.cleared_at, reason=reason)
    event = AlarmCleared(alarm=known, cleared_at=request.cleared_at, reason=reason)
    say(unit, event, known, active=False)
