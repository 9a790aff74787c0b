"""How fm tells the site what became of an alarm."""

import msgspec

from murmuration.proto.fm import Alarm
from murmuration.store.database import Unit

BUCKET = "fm_alarms"


def say(unit: Unit, event: msgspec.Struct, alarm: Alarm, *, active: bool = True) -> None:
    """Publish an event about `alarm`, and leave its record (or a tombstone) as state."""
    unit.emit(
        event,
        entity=f"{alarm.alarm_id}/{alarm.entity}",
        bucket=BUCKET,
        state=alarm if active else None,
        alarm_id=alarm.alarm_id,
        resource=alarm.entity,
    )
