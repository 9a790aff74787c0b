"""Notifications out of fm: who is told, of what, when, and what is kept silent.

The words are those of Prometheus' Alertmanager, for most operators know them: receivers, a tree of
routes with group_by, group_wait, group_interval and repeat_interval, silences, mute times.
"""

from typing import Annotated

from msgspec import Meta

from murmuration.proto.envelope import Instant, OpenEnum, Payload
from murmuration.proto.fm import AuthorField, TextField
from murmuration.proto.fm_operators import OperationField, Raised
from murmuration.proto.registry import Kind, declare
from murmuration.proto.sysinv import Accepted

RECEIVERS_MAX = 50  # each has a task and a place in the history of its own
ROUTES_MAX = 200
MATCHERS_MAX = 10
SILENCES_MAX = 1_000  # each is tried on each alarm before it is told
MUTE_TIMES_MAX = 50

NameField = Annotated[
    str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$", examples=["operators"])
]
LabelField = Annotated[
    str, Meta(pattern=r"^[a-z_]{1,32}$", description="see the runbook", examples=["severity"])
]
Wait = (
    Annotated[float, Meta(ge=0, le=7 * 86_400, description="seconds; none: as its parent")] | None
)


class ReceiverKind(OpenEnum):
    """How a receiver is told."""

    WEBHOOK = "webhook"  # HTTP POST of our own JSON, signed
    ALERTMANAGER = "alertmanager"  # the API v2 of Prometheus' Alertmanager
    SNMP = "snmp"  # SNMPv2c traps of MURMURATION-ALARM-MIB
    UNKNOWN = "unknown"


class Receiver(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody who is told of alarms."""

    name: NameField
    kind: ReceiverKind
    url: Annotated[
        str, Meta(max_length=1_024, description="http://, https://, or snmp://host:port")
    ]
    secret: Annotated[
        str,
        Meta(
            max_length=48,
            pattern=r"^([a-z0-9-]+)?$",
            description="file `receiver-<secret>` of fm's credentials: key of the signature, "
            "bearer token, or community",
        ),
    ] = ""
    send_resolved: Annotated[bool, Meta(description="also told when alarms clear")] = True
    comment: TextField = ""


class MatchOperator(OpenEnum):
    """How a label is compared."""

    EQUAL = "="
    DIFFERENT = "!="
    LIKE = "=~"  # one of several patterns, divided by `|`, with `*` for anything
    UNLIKE = "!~"
    UNKNOWN = "unknown"


class Matcher(Payload, frozen=True, kw_only=True):
    """One condition on the labels of an alarm; an absent label is empty."""

    label: LabelField
    operator: MatchOperator
    value: Annotated[str, Meta(max_length=256)]


Matchers = Annotated[
    tuple[Matcher, ...], Meta(max_length=MATCHERS_MAX, description="all must fit; none: all alarms")
]


class Route(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """One node of the tree: alarms that fit are told to its receiver, or by a route below it."""

    name: NameField
    parent: Annotated[str, Meta(max_length=48, description="a route named before; empty: root")] = (
        ""
    )
    receiver: Annotated[str, Meta(max_length=48, description="empty: that of its parent")] = ""
    matchers: Matchers = ()
    group_by: (
        Annotated[tuple[LabelField, ...], Meta(max_length=8, description="none: as its parent")]
        | None
    ) = None
    group_wait_s: Wait = None
    group_interval_s: Wait = None
    repeat_interval_s: Wait = None
    goes_on: Annotated[bool, Meta(description="the routes after it are tried as well")] = False
    symptoms: Annotated[
        bool | None, Meta(description="tell alarms with a known cause too; none: as its parent")
    ] = None
    mute_times: Annotated[
        tuple[str, ...], Meta(max_length=8, description="names; nothing is told in them")
    ] = ()


class Weekday(OpenEnum):
    """A day of the week."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"
    UNKNOWN = "unknown"


Minute = Annotated[int, Meta(ge=0, le=1_440, description="minutes since midnight, UTC")]


class MuteTime(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A stretch of the week in which routes that name it tell nothing."""

    name: NameField
    weekdays: Annotated[tuple[Weekday, ...], Meta(max_length=7, description="none: all")] = ()
    from_minute: Minute = 0
    until_minute: Annotated[int, Meta(ge=0, le=1_440, description="not included")] = 1_440


class Routing(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """All routes, in the order in which they are tried, and the mute times they name."""

    routes: Annotated[tuple[Route, ...], Meta(max_length=ROUTES_MAX)] = ()
    mute_times: Annotated[tuple[MuteTime, ...], Meta(max_length=MUTE_TIMES_MAX)] = ()


class SilenceState(OpenEnum):
    """Where a silence is in its life."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class Silence(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Alarms that fit are not told to anybody from `starts_at` to `ends_at`; they stay in lists."""

    id: str
    matchers: Annotated[tuple[Matcher, ...], Meta(min_length=1, max_length=MATCHERS_MAX)]
    starts_at: Instant
    ends_at: Instant
    author: AuthorField
    comment: TextField = ""
    created_at: Instant
    state: SilenceState = SilenceState.UNKNOWN


@declare(
    Kind.COMMAND,
    type="fm.receiver.set.v1",
    subject="fm.cmd.receiver.set",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Accepted,
)
class SetReceiver(Payload, frozen=True, kw_only=True):
    """Add a receiver, or change it; a new one is told what is active now."""

    operation_id: OperationField
    receiver: Receiver
    author: AuthorField


@declare(
    Kind.COMMAND,
    type="fm.receiver.remove.v1",
    subject="fm.cmd.receiver.remove",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Accepted,
)
class RemoveReceiver(Payload, frozen=True, kw_only=True):
    """Remove a receiver with what is waiting for it; refused while a route names it."""

    operation_id: OperationField
    name: NameField
    author: AuthorField


@declare(
    Kind.COMMAND,
    type="fm.receiver.try.v1",
    subject="fm.cmd.receiver.try",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Accepted,
)
class TryReceiver(Payload, frozen=True, kw_only=True):
    """Send a test notification; how it went is seen in the receiver's status."""

    operation_id: OperationField
    name: NameField
    author: AuthorField


@declare(
    Kind.COMMAND,
    type="fm.receiver.retry.v1",
    subject="fm.cmd.receiver.retry",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Accepted,
)
class RetryDeliveries(Payload, frozen=True, kw_only=True):
    """Send again what was given up for a receiver."""

    operation_id: OperationField
    name: NameField
    author: AuthorField


@declare(
    Kind.COMMAND,
    type="fm.routing.set.v1",
    subject="fm.cmd.routing.set",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Accepted,
)
class SetRouting(Payload, frozen=True, kw_only=True):
    """Replace all routes and mute times."""

    operation_id: OperationField
    routing: Routing
    author: AuthorField


@declare(
    Kind.COMMAND,
    type="fm.silence.add.v1",
    subject="fm.cmd.silence.add",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Raised,
)
class AddSilence(Payload, frozen=True, kw_only=True):
    """Silence alarms for a time."""

    operation_id: OperationField
    matchers: Annotated[tuple[Matcher, ...], Meta(min_length=1, max_length=MATCHERS_MAX)]
    starts_at: Annotated[Instant | None, Meta(description="none: now")] = None
    ends_at: Instant
    author: AuthorField
    comment: TextField = ""


@declare(
    Kind.COMMAND,
    type="fm.silence.expire.v1",
    subject="fm.cmd.silence.expire",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Accepted,
)
class ExpireSilence(Payload, frozen=True, kw_only=True):
    """End a silence now."""

    operation_id: OperationField
    id: str
    author: AuthorField


class ReceiverStatus(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A receiver, and how it is going."""

    receiver: Receiver
    waiting: Annotated[int, Meta(ge=0, description="notifications not yet delivered")] = 0
    dead: Annotated[int, Meta(ge=0, description="notifications given up for their age")] = 0
    delivered_at: Annotated[Instant | None, Meta(description="last success")] = None
    failed_at: Annotated[Instant | None, Meta(description="last failure")] = None
    error: Annotated[str, Meta(max_length=512, description="of the last failure")] = ""


class Receivers(Payload, frozen=True, kw_only=True):
    """All receivers, by name."""

    items: tuple[ReceiverStatus, ...]


@declare(
    Kind.QUERY,
    type="fm.receivers.get.v1",
    subject="fm.query.receivers",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Receivers,
)
class GetReceivers(Payload, frozen=True, kw_only=True):
    """Ask who is told, and how it is going."""


@declare(
    Kind.QUERY,
    type="fm.routing.get.v1",
    subject="fm.query.routing",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Routing,
)
class GetRouting(Payload, frozen=True, kw_only=True):
    """Ask for the routes and mute times."""


class Silences(Payload, frozen=True, kw_only=True):
    """Silences, those that end first coming first."""

    items: tuple[Silence, ...]


@declare(
    Kind.QUERY,
    type="fm.silences.get.v1",
    subject="fm.query.silences",
    publishers=("gateway",),
    subscribers=("fm",),
    reply=Silences,
)
class GetSilences(Payload, frozen=True, kw_only=True):
    """Ask for the silences in force and to come; `expired`: those of the last day too."""

    expired: bool = False


class Notified(Payload, frozen=True, kw_only=True):
    """One alarm in a notification."""

    status: Annotated[str, Meta(description="firing or resolved")]
    labels: dict[str, str]
    uuid: str
    reason_text: str
    proposed_repair_action: str = ""
    explains: Annotated[int, Meta(ge=0, description="alarms it is the root cause of")] = 0
    starts_at: Instant
    ends_at: Instant | None = None


class Notification(Payload, frozen=True, kw_only=True):
    """The body of a webhook."""

    version: Annotated[str, Meta(description="of this form")] = "1"
    receiver: str
    status: Annotated[
        str, Meta(description="firing while one alarm of the group is, else resolved")
    ]
    group_labels: dict[str, str]
    alarms: Annotated[tuple[Notified, ...], Meta(description="the worst first")]
    truncated: Annotated[int, Meta(ge=0, description="alarms of the group that are left out")] = 0
    sent_at: Instant
