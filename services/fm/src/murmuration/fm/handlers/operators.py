"""What operators do with alarms."""

from murmuration.fm.handlers.said import say
from murmuration.fm.store import alarms
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import NotFound
from murmuration.proto.fm import AlarmCleared
from murmuration.proto.fm_operators import ClearAlarmByOperator
from murmuration.store.database import Unit


class Operators:
    """Answers the commands about alarms."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def clear(self, unit: Unit, request: ClearAlarmByOperator) -> str:
        """Clear an active alarm; returns the reason. Raises NotFound."""
        known = await alarms.find_uuid(unit.connection, request.uuid)
        if known is None:
            raise NotFound(f"there is no active alarm {request.uuid[:64]}")
        now, reason = self._clock.now(), "cleared by an operator"
        await alarms.delete(unit.connection, known)
        await alarms.remember(unit.connection, known, "cleared", at=now, reason=reason)
        say(unit, AlarmCleared(alarm=known, cleared_at=now, reason=reason), known, active=False)
        return f"alarm {known.alarm_id} of {known.entity} was cleared by an operator"
