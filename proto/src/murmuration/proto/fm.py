"""fm's contract: alarms, their intake and their events (ITU-T X.733)."""

from typing import Annotated

from msgspec import Meta, field

from murmuration.proto.envelope import Instant, OpenEnum, Payload
from murmuration.proto.platform import add_marks
from murmuration.proto.registry import (
    BucketSpec,
    Kind,
    Permanence,
    StreamSpec,
    add_bucket,
    add_stream,
    declare,
)
from murmuration.proto.sysinv import Accepted

add_stream(
    StreamSpec(
        name="FM",
        owner="fm",
        subjects=("fm.event.>",),
        permanence=Permanence.EVENTS,
        size_bytes_max=512 * 2**20,
        age_s_max=7 * 86_400,
        summary="What changed about alarms.",
    )
)
add_stream(
    StreamSpec(
        name="FM_INTAKE",
        owner="fm",
        subjects=("fm.intake.>",),
        permanence=Permanence.INTAKE,
        size_bytes_max=512 * 2**20,
        age_s_max=7 * 86_400,
        summary="Alarms as producers raise and clear them; full refuses, the producer keeps them.",
    )
)

PRODUCERS = ("mtce", "sysinv", "gateway", "node", "sim")


class Severity(OpenEnum):
    """X.733 perceived severity."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    WARNING = "warning"
    INDETERMINATE = "indeterminate"
    UNKNOWN = "unknown"


class AlarmType(OpenEnum):
    """X.733 event type, and the further ones of the alarm catalogue."""

    COMMUNICATION = "communication"
    QUALITY_OF_SERVICE = "quality-of-service"
    PROCESSING_ERROR = "processing-error"
    EQUIPMENT = "equipment"
    ENVIRONMENTAL = "environmental"
    OPERATIONAL_VIOLATION = "operational-violation"
    OTHER = "other"
    UNKNOWN = "unknown"


AlarmIdField = Annotated[str, Meta(pattern=r"^[0-9]{3}\.[0-9]{3}$", description="GGG.EEE")]
EntityField = Annotated[
    str, Meta(min_length=1, max_length=255, description="path of key=value, outermost first")
]
TextField = Annotated[str, Meta(max_length=1_024)]


class Alarm(Payload, frozen=True, kw_only=True):
    """One active alarm; its uuid stays the same from first raise to clear."""

    uuid: str
    alarm_id: AlarmIdField
    entity: EntityField
    severity: Severity
    alarm_type: AlarmType
    probable_cause: str
    reason_text: TextField
    proposed_repair_action: TextField = ""
    service_affecting: bool = False
    producer: str
    raise_count: Annotated[int, Meta(ge=1, description="raises since the first, that included")]
    first_raised_at: Instant
    last_raised_at: Instant
    additional: dict[str, str] = field(default_factory=dict)


@declare(
    Kind.INTAKE,
    type="fm.alarm.raise.v1",
    subject="fm.intake.{producer}.raise",
    stream="FM_INTAKE",
    publishers=PRODUCERS,
    subscribers=("fm",),
)
class RaiseAlarm(Payload, frozen=True, kw_only=True):
    """A producer says that a fault is there. Repeating it counts, and is not history."""

    alarm_id: AlarmIdField
    entity: EntityField
    severity: Severity
    reason_text: TextField
    alarm_type: AlarmType
    probable_cause: Annotated[str, Meta(max_length=64)]
    proposed_repair_action: TextField = ""
    service_affecting: bool = False
    raised_at: Instant
    additional: Annotated[dict[str, str], Meta(max_length=32)] = field(default_factory=dict)


@declare(
    Kind.INTAKE,
    type="fm.alarm.clear.v1",
    subject="fm.intake.{producer}.clear",
    stream="FM_INTAKE",
    publishers=PRODUCERS,
    subscribers=("fm",),
)
class ClearAlarm(Payload, frozen=True, kw_only=True):
    """A producer says that a fault is gone; nothing happens where none was."""

    alarm_id: AlarmIdField
    entity: EntityField
    cleared_at: Instant
    reason: TextField = ""


@declare(
    Kind.EVENT,
    type="fm.alarm.raised.v1",
    subject="fm.event.alarm.raised.{alarm_id}.{resource}",
    stream="FM",
    publishers=("fm",),
    subscribers=("gateway",),
)
class AlarmRaised(Payload, frozen=True, kw_only=True):
    """A fault that was not there before."""

    alarm: Alarm


@declare(
    Kind.EVENT,
    type="fm.alarm.changed.v1",
    subject="fm.event.alarm.changed.{alarm_id}.{resource}",
    stream="FM",
    publishers=("fm",),
    subscribers=("gateway",),
)
class AlarmChanged(Payload, frozen=True, kw_only=True):
    """An active alarm has another severity or text."""

    alarm: Alarm
    changed: tuple[str, ...]


@declare(
    Kind.EVENT,
    type="fm.alarm.cleared.v1",
    subject="fm.event.alarm.cleared.{alarm_id}.{resource}",
    stream="FM",
    publishers=("fm",),
    subscribers=("gateway",),
)
class AlarmCleared(Payload, frozen=True, kw_only=True):
    """A fault is gone, or an operator cleared its alarm."""

    alarm: Alarm
    cleared_at: Instant
    reason: str


add_marks("fm", PRODUCERS)


@declare(
    Kind.COMMAND,
    type="fm.alarm.clear_by_operator.v1",
    subject="fm.cmd.alarm.clear",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Accepted,
)
class ClearAlarmByOperator(Payload, frozen=True, kw_only=True):
    """An operator clears an active alarm; a producer that still sees the fault raises it anew."""

    operation_id: Annotated[str, Meta(min_length=8, max_length=64)]
    uuid: str


add_bucket(
    BucketSpec(
        name="fm_alarms",
        owner="fm",
        payload=Alarm,
        readers=("gateway",),
        summary="Active alarms, by encoded `<alarm id>/<entity>`.",
    )
)
