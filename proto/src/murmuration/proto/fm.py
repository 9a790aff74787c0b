"""fm's contract: alarms, their intake and their events (ITU-T X.733, 3GPP TS 28.111).

What operators and programs ask of fm is in fm_operators, what fm derives for others in fm_derived.
"""

from typing import Annotated

from msgspec import Meta, field

from murmuration.proto.envelope import Instant, OpenEnum, Payload
from murmuration.proto.fm_vocabulary import AlarmType, Severity, Trend
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
OWN = ("fm",)  # its ticks, by which leases are counted; and what it concludes from other alarms
COMMENTS_MAX = 20  # the newest are kept on the alarm; all stand in its history
LEASE_S_MAX = 7 * 86_400

AlarmIdField = Annotated[
    str, Meta(pattern=r"^[0-9]{3}\.[0-9]{3}$", description="GGG.EEE", examples=["200.005"])
]
AnyIdField = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]{3}\.[0-9]{3})?$", description="GGG.EEE; empty: any", examples=["100.101"]
    ),
]
EntityField = Annotated[
    str, Meta(min_length=1, max_length=255, description="path of key=value, outermost first")
]
TextField = Annotated[str, Meta(max_length=1_024)]
WordField = Annotated[str, Meta(max_length=64)]
AuthorField = Annotated[str, Meta(max_length=64, description="who did it, as the gateway knows")]
CauseField = Annotated[str, Meta(max_length=64, description="X.733 probable cause")]
AdditionalField = Annotated[dict[str, str], Meta(max_length=32, description="as the producer says")]
LeaseField = Annotated[
    int, Meta(ge=0, le=LEASE_S_MAX, description="cleared when not raised for so long; 0: never")
]


class Threshold(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """X.733 threshold information: what was measured, and what it crossed."""

    attribute: Annotated[str, Meta(max_length=128, description="what is measured")]
    observed: Annotated[float, Meta(description="the value that crossed, in `unit`")]
    level: Annotated[float, Meta(description="what was crossed, in `unit`")]
    rearm: Annotated[float | None, Meta(description="back beyond this: clear, in `unit`")] = None
    unit: Annotated[str, Meta(max_length=32)] = ""
    armed_at: Annotated[Instant | None, Meta(description="last (re-)armed")] = None


class Comment(Payload, frozen=True, kw_only=True):
    """What a person noted on an alarm."""

    at: Instant
    author: AuthorField
    text: TextField


class Alarm(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """One active alarm; its uuid stays the same from first raise to clear.

    Fields that have their default are left out where it travels.
    """

    uuid: str
    alarm_id: AlarmIdField
    entity: EntityField
    severity: Severity
    reported_severity: Annotated[
        Severity | None,
        Meta(description="what the producer said, where the profile says otherwise"),
    ] = None
    alarm_type: AlarmType
    probable_cause: str
    specific_problem: WordField = ""
    reason_text: TextField
    proposed_repair_action: TextField = ""
    service_affecting: bool = False
    management_affecting: Annotated[
        bool, Meta(description="severity reaches the catalogue's threshold for orchestration")
    ] = False
    degrade_affecting: Annotated[
        bool, Meta(description="severity reaches the catalogue's threshold for degrade")
    ] = False
    suppressible: Annotated[bool, Meta(description="an inhibiting alarm may mask it")] = False
    inhibits: Annotated[bool, Meta(description="masks suppressible alarms on and below")] = False
    masked: Annotated[bool, Meta(description="an inhibiting alarm stands above it")] = False
    suppressed: Annotated[bool, Meta(description="an operator's suppression covers it")] = False
    quarantined: Annotated[bool, Meta(description="the catalogue does not know its id")] = False
    stale: Annotated[bool, Meta(description="its producer no longer asserts it")] = False
    acknowledged_by: AuthorField = ""
    acknowledged_at: Instant | None = None
    comments: Annotated[tuple[Comment, ...], Meta(max_length=COMMENTS_MAX)] = ()
    trend: Trend = Trend.NO_CHANGE
    threshold: Threshold | None = None
    root_cause: Annotated[str, Meta(description="uuid of the alarm that causes it")] = ""
    correlated_by: Annotated[str, Meta(description="the rule that found the cause")] = ""
    flapping: Annotated[bool, Meta(description="raised and cleared again and again")] = False
    flap_count: Annotated[int, Meta(ge=0, description="transitions in the flap window")] = 0
    producer: str
    raise_count: Annotated[int, Meta(ge=1, description="raises since the first, that included")]
    first_raised_at: Instant
    last_raised_at: Instant
    changed_at: Annotated[Instant | None, Meta(description="last change of what it says")] = None
    lease_s: LeaseField = 0
    additional: AdditionalField = field(default_factory=dict)


class LogEntry(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A noteworthy moment that leaves no alarm behind (a customer log)."""

    uuid: str
    log_id: AlarmIdField
    entity: EntityField
    severity: Severity
    event_type: AlarmType
    probable_cause: str
    reason_text: TextField
    proposed_repair_action: TextField = ""
    service_affecting: bool = False
    quarantined: Annotated[bool, Meta(description="the catalogue does not know its id")] = False
    producer: str
    logged_at: Instant
    additional: AdditionalField = field(default_factory=dict)


@declare(
    Kind.INTAKE,
    type="fm.alarm.raise.v1",
    subject="fm.intake.{producer}.raise",
    stream="FM_INTAKE",
    publishers=(*PRODUCERS, *OWN),
    subscribers=("fm",),
)
class RaiseAlarm(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A producer says that a fault is there. Repeating it counts, and is not history.

    An agent of a host (`node-<host>`) speaks for entities of its own host alone.
    """

    alarm_id: AlarmIdField
    entity: EntityField
    severity: Severity
    reason_text: TextField
    alarm_type: AlarmType
    probable_cause: CauseField
    specific_problem: WordField = ""
    proposed_repair_action: TextField = ""
    service_affecting: bool = False
    raised_at: Instant
    threshold: Threshold | None = None
    keep_existing: Annotated[
        bool, Meta(description="an alarm already active stays as it is, and is only counted")
    ] = False
    lease_s: LeaseField = 0
    additional: AdditionalField = field(default_factory=dict)


@declare(
    Kind.INTAKE,
    type="fm.alarm.clear.v1",
    subject="fm.intake.{producer}.clear",
    stream="FM_INTAKE",
    publishers=(*PRODUCERS, *OWN),
    subscribers=("fm",),
)
class ClearAlarm(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A producer says that a fault is gone; nothing happens where none was."""

    alarm_id: AlarmIdField
    entity: EntityField
    cleared_at: Instant
    reason: TextField = ""


@declare(
    Kind.INTAKE,
    type="fm.alarm.clear_below.v1",
    subject="fm.intake.{producer}.clear_below",
    stream="FM_INTAKE",
    publishers=PRODUCERS,
    subscribers=("fm",),
)
class ClearBelow(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Everything wrong with an entity and with what lies below it is gone: one clear per alarm.

    `host=c-1` covers `host=c-1.port=eth0` and never `host=c-10`.
    """

    entity: EntityField
    alarm_id: AnyIdField = ""
    cleared_at: Instant
    reason: TextField = ""


@declare(
    Kind.INTAKE,
    type="fm.log.record.v1",
    subject="fm.intake.{producer}.log",
    stream="FM_INTAKE",
    publishers=PRODUCERS,
    subscribers=("fm",),
)
class RecordLog(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A producer notes a moment worth keeping, without an alarm."""

    log_id: AlarmIdField
    entity: EntityField
    severity: Severity
    reason_text: TextField
    event_type: AlarmType
    probable_cause: CauseField
    proposed_repair_action: TextField = ""
    service_affecting: bool = False
    logged_at: Instant
    additional: AdditionalField = field(default_factory=dict)


@declare(
    Kind.INTAKE,
    type="fm.lease.tick.v1",
    subject="fm.intake.{producer}.tick",
    stream="FM_INTAKE",
    publishers=OWN,
    subscribers=("fm",),
)
class Tick(Payload, frozen=True, kw_only=True):
    """fm's own clock, read where it reads its producers: while it reads none, no lease runs out."""

    period_s: Annotated[int, Meta(ge=1, le=3_600, description="what passed since the last one")]
    at: Instant


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
    """An active alarm is not as it was: `changed` names the fields, none when told afresh.

    `raise_count` alone is told at most every few seconds.
    """

    alarm: Alarm
    changed: tuple[str, ...]
    author: AuthorField = ""


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
    author: AuthorField = ""


@declare(
    Kind.EVENT,
    type="fm.log.recorded.v1",
    subject="fm.event.log.recorded.{log_id}.{resource}",
    stream="FM",
    publishers=("fm",),
    subscribers=("gateway",),
)
class LogRecorded(Payload, frozen=True, kw_only=True):
    """A noteworthy moment was recorded."""

    log: LogEntry


class Refusal(OpenEnum):
    """Why fm did not take in what a producer said."""

    MALFORMED = "malformed"  # it does not decode, or a field breaks its limits
    WORD = "unknown-word"  # a severity, event type or cause that is none
    ENTITY = "entity"  # the entity is not a path
    FOREIGN = "foreign-host"  # an agent spoke for another host than its own
    UNKNOWN = "unknown"


@declare(
    Kind.EVENT,
    type="fm.intake.rejected.v1",
    subject="fm.event.intake.rejected.{producer}",
    stream="FM",
    publishers=("fm",),
    subscribers=("gateway",),
)
class IntakeRejected(Payload, frozen=True, kw_only=True):
    """Something a producer said was refused, by itself; what stood beside it was taken in."""

    producer: str
    type: Annotated[str, Meta(description="of the refused message, as it named itself")]
    refusal: Refusal
    reason: Annotated[str, Meta(description="one sentence: what is wrong with it")]
    alarm_id: str = ""
    entity: str = ""
    body: Annotated[str, Meta(description="what it said, cut to 1,024 characters")] = ""


add_marks("fm", (*PRODUCERS, *OWN))
add_bucket(
    BucketSpec(
        name="fm_alarms",
        owner="fm",
        payload=Alarm,
        readers=("gateway",),
        summary="Active alarms, by encoded `<alarm id>/<entity>`.",
    )
)
