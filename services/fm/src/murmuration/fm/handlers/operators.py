"""What operators do with alarms, and what producers ask."""

from murmuration.fm.handlers.said import say
from murmuration.fm.store import alarms
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import NotFound
from murmuration.proto.fm import AlarmCleared, ClearAlarmByOperator, GetMark, Mark
from murmuration.store.database import Database, Unit


class Operators:
    """Answers the commands and queries about alarms."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
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

    async def mark(self, request: GetMark) -> Mark:
        """How far a producer's messages are durable; zero for one never heard."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "select incarnation, n from mur.mark where producer = $1", request.producer
            )
        incarnation, n = (row["incarnation"], row["n"]) if row else (0, 0)
        return Mark(producer=request.producer, incarnation=incarnation, n=n)
