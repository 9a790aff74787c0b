"""What operators and programs ask of fm, through the gateway: commands and queries.

Lists answer in pages bounded in number and in bytes; a page names where the next one begins.
"""

from typing import Annotated

from msgspec import Meta

from murmuration.proto.envelope import Change, Epoch, Instant, OpenEnum, Payload
from murmuration.proto.fm import (
    Alarm,
    AlarmIdField,
    AnyIdField,
    AuthorField,
    EntityField,
    LogEntry,
    RaiseAlarm,
    RecordLog,
    TextField,
)
from murmuration.proto.fm_vocabulary import AlarmType, Severity
from murmuration.proto.registry import BucketSpec, Kind, add_bucket, declare
from murmuration.proto.sysinv import Accepted

PAGE_MAX = 200  # records of a page at most; fewer where they are long
BUCKETS_MAX = 1_000  # of a plot
SUPPRESSIONS_MAX = 1_000  # each is tried on each alarm that is raised

OperationField = Annotated[str, Meta(min_length=8, max_length=64)]
UuidField = Annotated[str, Meta(min_length=36, max_length=36)]
LimitField = Annotated[int, Meta(ge=1, le=PAGE_MAX, description="records at most")]
CursorField = Annotated[str, Meta(max_length=512, description="`next` of the page before")]


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

    operation_id: OperationField
    uuid: str
    author: AuthorField = ""
    reason: TextField = ""


@declare(
    Kind.COMMAND,
    type="fm.alarm.acknowledge.v1",
    subject="fm.cmd.alarm.acknowledge",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Accepted,
)
class AcknowledgeAlarm(Payload, frozen=True, kw_only=True):
    """An operator takes note of an alarm, or (`acknowledged` false) takes that back."""

    operation_id: OperationField
    uuid: UuidField
    author: AuthorField
    acknowledged: bool = True


@declare(
    Kind.COMMAND,
    type="fm.alarm.comment.v1",
    subject="fm.cmd.alarm.comment",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Accepted,
)
class CommentAlarm(Payload, frozen=True, kw_only=True):
    """An operator notes something on an alarm."""

    operation_id: OperationField
    uuid: UuidField
    author: AuthorField
    text: Annotated[str, Meta(min_length=1, max_length=1_024)]


class Raised(Payload, frozen=True, kw_only=True):
    """Reply: the alarm stands, or the log entry is kept, under this uuid."""

    operation_id: str
    service: str
    epoch: Epoch
    change: Change
    reason: Annotated[str, Meta(description="one sentence: what was done")]
    uuid: str


@declare(
    Kind.COMMAND,
    type="fm.alarm.raise_by_operator.v1",
    subject="fm.cmd.alarm.raise",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Raised,
)
class RaiseAlarmByOperator(Payload, frozen=True, kw_only=True):
    """A program or person raises an alarm through the gateway; a repeat counts, as a producer's."""

    operation_id: OperationField
    author: AuthorField
    alarm: RaiseAlarm


@declare(
    Kind.COMMAND,
    type="fm.log.record_by_operator.v1",
    subject="fm.cmd.log.record",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Raised,
)
class RecordLogByOperator(Payload, frozen=True, kw_only=True):
    """A program or person records a log entry through the gateway."""

    operation_id: OperationField
    author: AuthorField
    log: RecordLog


class Suppression(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """What operators do not want to see: all that is named must fit, what is empty fits all."""

    id: str
    alarm_id: AnyIdField = ""
    entity: Annotated[
        str,
        Meta(
            max_length=255, description="path of components, `*` within one; covers what is below"
        ),
    ] = ""
    severities: Annotated[tuple[Severity, ...], Meta(max_length=5, description="none: all")] = ()
    author: AuthorField
    comment: TextField = ""
    created_at: Instant
    expires_at: Annotated[Instant | None, Meta(description="none: until it is removed")] = None


@declare(
    Kind.COMMAND,
    type="fm.suppression.add.v1",
    subject="fm.cmd.suppression.add",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Raised,
)
class AddSuppression(Payload, frozen=True, kw_only=True):
    """Hide alarms from lists, summaries and notifications; they are kept and recorded as ever.

    At least one of alarm id, entity and severities. The same scope again takes the new comment and
    expiry, under the same id.
    """

    operation_id: OperationField
    alarm_id: AnyIdField = ""
    entity: Annotated[str, Meta(max_length=255)] = ""
    severities: Annotated[tuple[Severity, ...], Meta(max_length=5)] = ()
    author: AuthorField
    comment: TextField = ""
    expires_at: Instant | None = None


@declare(
    Kind.COMMAND,
    type="fm.suppression.remove.v1",
    subject="fm.cmd.suppression.remove",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Accepted,
)
class RemoveSuppression(Payload, frozen=True, kw_only=True):
    """Show again what a suppression hides."""

    operation_id: OperationField
    id: str
    author: AuthorField = ""


@declare(
    Kind.EVENT,
    type="fm.suppression.changed.v1",
    subject="fm.event.suppression.changed.{id}",
    stream="FM",
    publishers=("fm",),
    subscribers=("gateway",),
)
class SuppressionChanged(Payload, frozen=True, kw_only=True):
    """A suppression is there (`active`), or was removed or ran out."""

    suppression: Suppression
    active: bool
    reason: Annotated[str, Meta(description="one sentence")]


add_bucket(
    BucketSpec(
        name="fm_suppressions",
        owner="fm",
        payload=Suppression,
        readers=("gateway",),
        summary="Suppressions in force, by id.",
    )
)


class Reach(OpenEnum):
    """From which severity on an alarm affects something; `none`: never."""

    NONE = "none"
    WARNING = "warning"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


@declare(
    Kind.COMMAND,
    type="fm.profile.set.v1",
    subject="fm.cmd.profile.set",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Accepted,
)
class SetProfile(Payload, frozen=True, kw_only=True):
    """Say otherwise than the catalogue about one id; what is none is as the catalogue has it."""

    operation_id: OperationField
    alarm_id: AlarmIdField
    severity: Annotated[Severity | None, Meta(description="given to every alarm of the id")] = None
    management_reach: Reach | None = None
    degrade_reach: Reach | None = None
    author: AuthorField
    comment: TextField = ""


class HistoryKind(OpenEnum):
    """What happened."""

    RAISED = "raised"
    CHANGED = "changed"  # `changed` names the fields
    CLEARED = "cleared"
    LOGGED = "logged"
    UNKNOWN = "unknown"


class HistoryEntry(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened to an alarm, or one log entry."""

    id: Annotated[int, Meta(ge=1, description="grows in the order in which fm recorded it")]
    at: Annotated[Instant, Meta(description="when it happened, as its producer says")]
    recorded_at: Annotated[Instant, Meta(description="when fm recorded it")]
    kind: HistoryKind
    alarm: Annotated[Alarm | None, Meta(description="as it was afterwards; none for a log")] = None
    log: LogEntry | None = None
    changed: Annotated[tuple[str, ...], Meta(description="the fields that changed")] = ()
    reason: str = ""
    author: Annotated[str, Meta(description="the operator, empty for a producer or fm")] = ""


class HistoryPage(Payload, frozen=True, kw_only=True):
    """A page of history."""

    items: tuple[HistoryEntry, ...]
    next: str | None = None


@declare(
    Kind.QUERY,
    type="fm.history.get.v1",
    subject="fm.query.history",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=HistoryPage,
)
class GetHistory(Payload, frozen=True, kw_only=True):
    """Ask for history, newest first; what is named must fit. A `uuid` is an alarm's timeline."""

    since: Instant | None = None
    until: Instant | None = None
    uuid: str = ""
    alarm_id: AnyIdField = ""
    entity: Annotated[str, Meta(max_length=255, description="this one and what is below it")] = ""
    kinds: Annotated[tuple[HistoryKind, ...], Meta(max_length=4)] = ()
    severities: Annotated[tuple[Severity, ...], Meta(max_length=5)] = ()
    oldest_first: bool = False
    after: CursorField = ""
    limit: LimitField = PAGE_MAX


class AlarmsPage(Payload, frozen=True, kw_only=True):
    """A page of alarms as they were."""

    at: Instant
    items: tuple[Alarm, ...]
    next: str | None = None


@declare(
    Kind.QUERY,
    type="fm.alarms.at.v1",
    subject="fm.query.alarms_at",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=AlarmsPage,
)
class GetAlarmsAt(Payload, frozen=True, kw_only=True):
    """Ask which alarms were active at an instant, as they were then; in no order of severity.

    As far back as history is kept.
    """

    at: Instant
    after: CursorField = ""
    limit: LimitField = PAGE_MAX


SeverityCounts = Annotated[
    dict[str, int], Meta(description="by severity; a severity with none is left out")
]


class CountsBucket(Payload, frozen=True, kw_only=True):
    """What happened in one stretch of time."""

    start: Instant
    raised: Annotated[int, Meta(ge=0, description="alarms raised in it")]
    cleared: Annotated[int, Meta(ge=0, description="alarms cleared in it")]
    active: Annotated[SeverityCounts, Meta(description="at its end")]


class AlarmCountsReply(Payload, frozen=True, kw_only=True):
    """Alarms over time, oldest first."""

    bucket_s: Annotated[int, Meta(ge=1)]
    buckets: tuple[CountsBucket, ...]


@declare(
    Kind.QUERY,
    type="fm.alarms.counts.v1",
    subject="fm.query.alarm_counts",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=AlarmCountsReply,
)
class GetAlarmCounts(Payload, frozen=True, kw_only=True):
    """Ask for the number of alarms over time, masked and suppressed ones included."""

    since: Instant
    until: Instant | None = None
    bucket_s: Annotated[int, Meta(ge=1, le=86_400, description="1,000 buckets at most")]


class CatalogueEntry(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """What the catalogue, and the operators' profile, say of one id."""

    id: AlarmIdField
    kind: Annotated[str, Meta(description="alarm or log")]
    summary: str
    entities: Annotated[tuple[str, ...], Meta(description="what it is raised on")] = ()
    severities: tuple[Severity, ...]
    alarm_types: tuple[AlarmType, ...]
    probable_cause: str
    service_affecting: Annotated[tuple[Severity, ...], Meta(description="at these severities")] = ()
    suppressible: bool = False
    inhibits: bool = False
    management_reach: Reach = Reach.NONE
    degrade_reach: Reach = Reach.NONE
    repair: Annotated[str, Meta(description="what to do about it")] = ""
    context: Annotated[str, Meta(description="which product raises it")] = ""
    severity: Annotated[Severity | None, Meta(description="given to all by the profile")] = None
    profile: Annotated[str, Meta(description="who set the profile, and why; empty: none")] = ""


class CataloguePage(Payload, frozen=True, kw_only=True):
    """A page of the catalogue, by id."""

    items: tuple[CatalogueEntry, ...]
    next: str | None = None


@declare(
    Kind.QUERY,
    type="fm.catalogue.get.v1",
    subject="fm.query.catalogue",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=CataloguePage,
)
class GetCatalogue(Payload, frozen=True, kw_only=True):
    """Ask for the catalogue, or for one id of it."""

    id: AnyIdField = ""
    after: CursorField = ""
    limit: LimitField = PAGE_MAX


class Cause(Payload, frozen=True, kw_only=True):
    """One step from an alarm towards its root."""

    alarm: Alarm
    rule: str
    reason: Annotated[str, Meta(description="one sentence with the evidence")]


class Why(Payload, frozen=True, kw_only=True):
    """Why an alarm is there: the chain to its root, and what the root explains."""

    alarm: Alarm
    causes: Annotated[tuple[Cause, ...], Meta(max_length=16, description="nearest first")] = ()
    sibling_count: Annotated[int, Meta(ge=0, description="others of the same root")] = 0
    impacted: Annotated[
        tuple[EntityField, ...], Meta(max_length=PAGE_MAX, description="entities, the first 200")
    ] = ()
    impacted_count: Annotated[int, Meta(ge=0, description="alarms it explains")] = 0


@declare(
    Kind.QUERY,
    type="fm.alarm.why.v1",
    subject="fm.query.why",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Why,
)
class GetWhy(Payload, frozen=True, kw_only=True):
    """Ask why an active alarm is there."""

    uuid: UuidField
