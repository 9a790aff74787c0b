"""The gateway's HTTP payloads: what `mur`, the console and other programs read (/api/v1).

Lists answer `{items, next}`; `next` is an opaque cursor for `?after=`, absent at the end.
Errors answer RFC 9457 problem details (`application/problem+json`).
"""

from typing import Annotated, Any

from msgspec import Meta, field

from murmuration.proto.envelope import Instant, Payload
from murmuration.proto.fm import Alarm, AuthorField, RaiseAlarm, TextField
from murmuration.proto.fm_derived import GateState, HostDegrade
from murmuration.proto.fm_notify import MATCHERS_MAX, Matcher, ReceiverKind, Routing
from murmuration.proto.fm_operators import Reach, Suppression
from murmuration.proto.fm_vocabulary import Severity
from murmuration.proto.mtce import (
    Availability,
    HealthCause,
    HeartbeatState,
    HostTask,
    Operational,
    PulseSample,
    RecoveryCause,
)
from murmuration.proto.platform import HeldEffect, ParkedMessage
from murmuration.proto.sysinv import (
    LABELS_MAX,
    Administrative,
    Admission,
    HostAction,
    HostBmc,
    HostFacts,
    Labels,
    Link,
    Origin,
    Personality,
    PulseIndex,
)

OperationIdField = Annotated[str, Meta(min_length=8, max_length=64)]
AlarmCount = Annotated[int, Meta(ge=0, description="active alarms of this severity")]


class AlarmCounts(Payload, frozen=True, kw_only=True):
    """Active alarms by severity."""

    critical: AlarmCount = 0
    major: AlarmCount = 0
    minor: AlarmCount = 0
    warning: AlarmCount = 0
    indeterminate: AlarmCount = 0


class HostView(Payload, frozen=True, kw_only=True):
    """A host as the site knows it: sysinv's facts and mtce's states side by side."""

    name: str
    index: PulseIndex
    personality: Personality
    origin: Origin
    observe_only: bool
    admission: Admission
    intended_administrative: Administrative
    administrative: Administrative
    operational: Operational
    availability: Availability
    subfunction_operational: Operational = Operational.DISABLED
    subfunction_availability: Availability = Availability.NOT_INSTALLED
    task: Annotated[HostTask, Meta(description="code of the work in progress")] = HostTask.NONE
    task_text: Annotated[str, Meta(description="the same for people, empty when none")] = ""
    operation_id: Annotated[str, Meta(description="of the action in progress, empty if none")] = ""
    deadline_at: Annotated[
        Instant | None, Meta(description="when the work in progress goes on, whatever comes")
    ] = None
    health: Annotated[tuple[HealthCause, ...], Meta(description="why it is degraded")] = ()
    gave_up: Annotated[
        RecoveryCause | None, Meta(description="the cause that failed too often")
    ] = None
    heartbeat: HeartbeatState
    reason: str = ""
    address: str = ""
    boot_id: str = ""
    pulse_period_ms: int = 100
    changed_at: Instant | None = None
    last_heard_at: Instant | None = None
    reported_at: Instant | None = None
    alarms: AlarmCounts = field(default_factory=AlarmCounts)
    labels: Labels = field(default_factory=dict)
    facts: HostFacts = field(default_factory=HostFacts)
    links: tuple[Link, ...] = ()


class BmcRequest(Payload, frozen=True, kw_only=True):
    """Where the BMC of a host is. The password, if one is given, goes to the secret store only."""

    operation_id: str | None = None
    bmc: HostBmc
    password: (
        Annotated[str, Meta(min_length=1, max_length=256, description="none: keep the stored")]
        | None
    ) = None

    def __repr__(self) -> str:
        return f"BmcRequest(bmc={self.bmc!r})"


class LabelRequest(Payload, frozen=True, kw_only=True):
    """Labels to set and to remove; the others stay."""

    operation_id: str | None = None
    labels: Labels = field(default_factory=dict)
    removed: Annotated[tuple[str, ...], Meta(max_length=LABELS_MAX)] = ()


class HostList(Payload, frozen=True, kw_only=True):
    """A page of hosts, by name."""

    items: tuple[HostView, ...]
    next: str | None = None


class AlarmSummary(Payload, frozen=True, kw_only=True):
    """Active alarms in figures; masked and suppressed ones are in no figure but their own."""

    counts: AlarmCounts
    root_count: Annotated[int, Meta(ge=0, description="alarms that explain others")] = 0
    impacted_count: Annotated[int, Meta(ge=0, description="alarms that a root explains")] = 0
    acknowledged_count: Annotated[int, Meta(ge=0)] = 0
    masked_count: Annotated[int, Meta(ge=0, description="an inhibiting alarm stands above")] = 0
    suppressed_count: Annotated[int, Meta(ge=0, description="an operator hid them")] = 0


class AlarmView(Alarm, frozen=True, kw_only=True, omit_defaults=True):
    """An active alarm, and how many others it explains."""

    impacted_count: Annotated[
        int, Meta(ge=0, description="active alarms whose root cause this is")
    ] = 0


class AlarmList(Payload, frozen=True, kw_only=True):
    """A page of alarms: what nothing explains first, then what a root explains.

    Within each, worst first, newest first within a severity. With `at`, as they were at that
    instant, in no order of severity.
    """

    items: tuple[AlarmView, ...]
    next: str | None = None
    at: Instant | None = None


class EventView(Payload, frozen=True, kw_only=True):
    """One event of the platform, as the stream, the list and the console show it."""

    id: Annotated[str, Meta(description="ce-id: <service>:<epoch>:<change>")]
    cursor: Annotated[str, Meta(description="resume after this one: ?after= or Last-Event-ID")]
    type: str
    subject: Annotated[str, Meta(description="key of what changed")]
    time: Instant
    summary: Annotated[str, Meta(description="one sentence for people")]
    severity: Severity | None = None
    data: Annotated[Any, Meta(description="the event's payload")] = None


class EventList(Payload, frozen=True, kw_only=True):
    """A page of events, oldest first."""

    items: tuple[EventView, ...]
    next: str | None = None


class HealthItem(Payload, frozen=True, kw_only=True):
    """The health of one part."""

    name: str
    status: Annotated[str, Meta(description="ok, degraded or down")]
    reason: Annotated[str, Meta(description="one sentence, empty when ok")] = ""
    instances: Annotated[int, Meta(ge=0, description="processes of it that answer")] = 0
    relay_lag: Annotated[int, Meta(ge=0, description="outbox rows not yet on the bus")] = 0
    consumer_lag: Annotated[int, Meta(ge=0, description="messages not yet taken in")] = 0
    parked: Annotated[int, Meta(ge=0, description="messages set aside as undecodable")] = 0


class HealthView(Payload, frozen=True, kw_only=True):
    """The platform's own health, seen without fm."""

    status: Annotated[str, Meta(description="ok, degraded or down: the worst of the items")]
    summary: Annotated[str, Meta(description="one sentence")]
    items: tuple[HealthItem, ...]
    at: Instant


class SiteView(Payload, frozen=True, kw_only=True):
    """The site in one answer."""

    name: str
    version: str
    started_at: Instant
    health: HealthView
    host_count: int
    hosts_by_availability: dict[str, int]
    alarms: AlarmCounts
    simulated: Annotated[bool, Meta(description="some hosts are only modelled")] = False


class ParkedView(Payload, frozen=True, kw_only=True):
    """A message that a service set aside."""

    service: str
    message: ParkedMessage


class ParkedList(Payload, frozen=True, kw_only=True):
    """What the services have set aside, each oldest first, as far as they answer."""

    items: tuple[ParkedView, ...]
    away: Annotated[tuple[str, ...], Meta(description="services that did not answer")] = ()


class HeldView(Payload, frozen=True, kw_only=True):
    """An effect that a service holds back."""

    service: str
    effect: HeldEffect


class HeldList(Payload, frozen=True, kw_only=True):
    """What the services hold back, each oldest first, as far as they answer."""

    items: tuple[HeldView, ...]
    away: Annotated[tuple[str, ...], Meta(description="services that did not answer")] = ()


class ActionReply(Payload, frozen=True, kw_only=True):
    """What became of a change request; `after` is what to pass as `?after=` to read your write."""

    operation_id: str
    reason: str
    after: Annotated[str, Meta(description="<service>:<epoch>:<change>")]


class MadeReply(ActionReply, frozen=True, kw_only=True):
    """What became of a request that made something: an alarm, a suppression."""

    uuid: Annotated[str, Meta(description="of what was made")]


class AdministrativeRequest(Payload, frozen=True, kw_only=True):
    """Body of PUT /api/v1/hosts/{name}/administrative."""

    administrative: Administrative
    operation_id: OperationIdField | None = None


class HostActionRequest(Payload, frozen=True, kw_only=True):
    """Body of POST /api/v1/hosts/{name}/actions and of …/plan, which changes nothing."""

    action: HostAction
    operation_id: OperationIdField | None = None


class ActionRequest(Payload, frozen=True, kw_only=True):
    """Body of a POST that needs no more than an operation id (one is made when absent)."""

    operation_id: OperationIdField | None = None


class OperatorRequest(Payload, frozen=True, kw_only=True):
    """Body of what an operator does to an alarm: who it is, and why."""

    operation_id: OperationIdField | None = None
    author: AuthorField = "operator"
    reason: TextField = ""


class CommentRequest(Payload, frozen=True, kw_only=True):
    """Body of POST /api/v1/alarms/{uuid}/comments."""

    operation_id: OperationIdField | None = None
    author: AuthorField = "operator"
    text: Annotated[str, Meta(min_length=1, max_length=1_024)]


class RaiseRequest(Payload, frozen=True, kw_only=True):
    """Body of POST /api/v1/alarms: what a program or a person saw."""

    operation_id: OperationIdField | None = None
    author: AuthorField = "operator"
    alarm: RaiseAlarm


class SuppressionRequest(Payload, frozen=True, kw_only=True):
    """Body of POST /api/v1/suppressions: at least one of alarm id, entity and severities."""

    operation_id: OperationIdField | None = None
    alarm_id: Annotated[str, Meta(pattern=r"^([0-9]{3}\.[0-9]{3})?$")] = ""
    entity: Annotated[
        str, Meta(max_length=255, description="path of components, `*` within one")
    ] = ""
    severities: Annotated[tuple[Severity, ...], Meta(max_length=5)] = ()
    author: AuthorField = "operator"
    comment: TextField = ""
    expires_at: Annotated[Instant | None, Meta(description="none: until it is removed")] = None


class ProfileRequest(Payload, frozen=True, kw_only=True):
    """Body of PUT /api/v1/alarm-catalogue/{id}/profile; what is none is as the catalogue has it."""

    operation_id: OperationIdField | None = None
    severity: Annotated[Severity | None, Meta(description="given to every alarm of the id")] = None
    management_reach: Annotated[
        Reach | None, Meta(description="from which severity on it blocks orchestrated changes")
    ] = None
    degrade_reach: Annotated[
        Reach | None, Meta(description="from which severity on it degrades its host")
    ] = None
    author: AuthorField = "operator"
    comment: TextField = ""


class SuppressionList(Payload, frozen=True, kw_only=True):
    """Suppressions in force, oldest first."""

    items: tuple[Suppression, ...]


class ReceiverRequest(Payload, frozen=True, kw_only=True):
    """Body of PUT /api/v1/receivers/{name}: who is told, and how."""

    operation_id: OperationIdField | None = None
    kind: ReceiverKind
    url: Annotated[
        str, Meta(max_length=1_024, description="http://, https://, or snmp://host:port")
    ]
    secret: Annotated[
        str, Meta(max_length=48, description="name of a file that fm reads; see the runbook")
    ] = ""
    send_resolved: bool = True
    comment: TextField = ""
    author: AuthorField = "operator"


class RoutingRequest(Payload, frozen=True, kw_only=True):
    """Body of PUT /api/v1/routing: all routes and mute times, instead of those there are."""

    operation_id: OperationIdField | None = None
    routing: Routing
    author: AuthorField = "operator"


class SilenceRequest(Payload, frozen=True, kw_only=True):
    """Body of POST /api/v1/silences."""

    operation_id: OperationIdField | None = None
    matchers: Annotated[tuple[Matcher, ...], Meta(min_length=1, max_length=MATCHERS_MAX)]
    starts_at: Annotated[Instant | None, Meta(description="none: now")] = None
    ends_at: Instant
    author: AuthorField = "operator"
    comment: TextField = ""


class DegradeList(Payload, frozen=True, kw_only=True):
    """Hosts that alarms degrade, by name."""

    items: tuple[HostDegrade, ...]


class GateList(Payload, frozen=True, kw_only=True):
    """The gates of orchestrated changes, strictest first, as far as fm has told of them."""

    items: tuple[GateState, ...]


class PulseFrame(Payload, frozen=True, kw_only=True):
    """SSE event `pulse`: the live heartbeat trace, twice a second, not resumable."""

    at: Instant
    window_ms: int
    hosts: tuple[PulseSample, ...]


class Problem(Payload, frozen=True, kw_only=True):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: Annotated[int, Meta(description="HTTP status code")]
    detail: str = ""
