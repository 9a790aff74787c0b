"""The routes of alarms: what is wrong now, what was, and what operators do about it."""

from murmuration.gateway.api.alarm_export import export_alarm_history, export_alarms
from murmuration.gateway.api.alarm_history import (
    get_alarm_catalogue_entry,
    get_alarm_counts,
    get_alarm_timeline,
    get_alarm_why,
    list_alarm_catalogue,
    list_alarm_history,
    list_alarms_at,
    set_alarm_profile,
)
from murmuration.gateway.api.alarms import (
    acknowledge_alarm,
    clear_alarm,
    comment_alarm,
    get_alarm,
    get_alarm_summary,
    list_alarms,
    raise_alarm,
    unacknowledge_alarm,
)
from murmuration.gateway.api.route import (
    AFTER,
    COMMAND_PROBLEMS,
    ENTITY,
    LIMIT,
    READ_PROBLEMS,
    SEVERITY,
    WAIT,
    Parameter,
    Route,
)
from murmuration.gateway.api.suppressions import (
    add_suppression,
    list_degrades,
    list_gates,
    list_suppressions,
    remove_suppression,
)
from murmuration.proto.api import (
    ActionReply,
    AlarmList,
    AlarmSummary,
    AlarmView,
    CommentRequest,
    DegradeList,
    GateList,
    MadeReply,
    OperatorRequest,
    ProfileRequest,
    RaiseRequest,
    SuppressionList,
    SuppressionRequest,
)
from murmuration.proto.envelope import Payload
from murmuration.proto.fm_operators import (
    AlarmCountsReply,
    CatalogueEntry,
    CataloguePage,
    HistoryKind,
    HistoryPage,
    Why,
)
from murmuration.proto.fm_vocabulary import Severity
from murmuration.web.problems import Handler

FILES = ("application/jsonl", "text/csv")


def _flag(name: str, description: str) -> Parameter:
    return Parameter(name=name, description=description, schema={"type": "boolean"})


def _moment(name: str, description: str) -> Parameter:
    schema: dict[str, object] = {"type": "string", "format": "date-time"}
    return Parameter(name=name, description=description, schema=schema)


def _words(name: str, description: str, words: list[str]) -> Parameter:
    schema: dict[str, object] = {"type": "array", "items": {"type": "string", "enum": words}}
    return Parameter(name=name, description=f"{description}, joined by commas.", schema=schema)


ALARM_ID = Parameter(
    name="alarm_id",
    description="Only of this id, e.g. `200.004`.",
    schema={"type": "string", "pattern": "^[0-9]{3}\\.[0-9]{3}$"},
)
BELOW = Parameter(
    name="entity",
    description="Only of this entity and of what is below it.",
    schema={"type": "string", "maxLength": 255},
)
UUID = Parameter(
    name="uuid",
    description="Only of the alarm with this uuid.",
    schema={"type": "string", "maxLength": 64},
)
FORMAT = Parameter(
    name="format",
    description="JSON Lines, or CSV with a head line.",
    schema={"type": "string", "enum": ["jsonl", "csv"], "default": "jsonl"},
)
BUCKET = Parameter(
    name="bucket_s",
    description="Length of a stretch in seconds; by default the span is cut into 120.",
    schema={"type": "integer", "minimum": 1, "maximum": 86_400},
)
SINCE = _moment("since", "From this moment on.")
UNTIL = _moment("until", "Up to this moment.")
OF_ALARMS = (
    SEVERITY,
    ALARM_ID,
    ENTITY,
    Parameter(
        name="root",
        description="Only alarms that the alarm with this uuid explains.",
        schema={"type": "string", "maxLength": 64},
    ),
    _flag("roots", "Only alarms that no other explains."),
    _flag("acknowledged", "Only acknowledged ones, or only others."),
    _flag("masked", "Masked ones too: an inhibiting alarm stands above them."),
    _flag("suppressed", "Suppressed ones too: an operator hid them."),
    Parameter(
        name="uuid",
        description="Only alarms whose uuid begins so: 4 to 36 digits.",
        schema={"type": "string", "pattern": "^[0-9a-f-]{4,36}$"},
    ),
)
OF_HISTORY = (
    SINCE,
    UNTIL,
    UUID,
    ALARM_ID,
    BELOW,
    _words("kind", "Only these kinds", [each.value for each in HistoryKind]),
    _words("severity", "Only these severities", [each.value for each in Severity]),
    _flag("oldest_first", "Oldest first instead of newest first."),
)
ASKED = (*READ_PROBLEMS, 404)


def _read(
    path: str,
    handler: Handler,
    reply: type[Payload] | None,
    *parameters: Parameter,
    media: tuple[str, ...] = (),
) -> Route:
    return Route(
        method="GET",
        path=path,
        handler=handler,
        tag="alarms",
        reply=reply,
        media=media,
        parameters=parameters,
        problems=ASKED,
    )


def _change(
    method: str,
    path: str,
    handler: Handler,
    body: type[Payload],
    reply: type[Payload] = ActionReply,
) -> Route:
    return Route(
        method=method,
        path=path,
        handler=handler,
        tag="alarms",
        reply=reply,
        body=body,
        problems=COMMAND_PROBLEMS,
    )


ALARM_ROUTES: tuple[Route, ...] = (
    _read("/alarms", list_alarms, AlarmList, *OF_ALARMS, LIMIT, AFTER, WAIT),
    _change("POST", "/alarms", raise_alarm, RaiseRequest, MadeReply),
    _read("/alarms/summary", get_alarm_summary, AlarmSummary, WAIT),
    _read("/alarms/counts", get_alarm_counts, AlarmCountsReply, SINCE, UNTIL, BUCKET),
    _read(
        "/alarms/at",
        list_alarms_at,
        AlarmList,
        _moment("at", "The moment to look at."),
        *OF_ALARMS,
        LIMIT,
        AFTER,
    ),
    _read("/alarms/export", export_alarms, None, *OF_ALARMS, FORMAT, media=FILES),
    _read("/alarms/{uuid}", get_alarm, AlarmView, WAIT),
    _change("DELETE", "/alarms/{uuid}", clear_alarm, OperatorRequest),
    _read("/alarms/{uuid}/timeline", get_alarm_timeline, HistoryPage, SINCE, UNTIL, LIMIT, AFTER),
    _read("/alarms/{uuid}/why", get_alarm_why, Why),
    _change("PUT", "/alarms/{uuid}/acknowledgement", acknowledge_alarm, OperatorRequest),
    _change("DELETE", "/alarms/{uuid}/acknowledgement", unacknowledge_alarm, OperatorRequest),
    _change("POST", "/alarms/{uuid}/comments", comment_alarm, CommentRequest),
    _read("/alarm-history", list_alarm_history, HistoryPage, *OF_HISTORY, LIMIT, AFTER),
    _read("/alarm-history/export", export_alarm_history, None, *OF_HISTORY, FORMAT, media=FILES),
    _read("/alarm-catalogue", list_alarm_catalogue, CataloguePage, LIMIT, AFTER),
    _read("/alarm-catalogue/{id}", get_alarm_catalogue_entry, CatalogueEntry),
    _change("PUT", "/alarm-catalogue/{id}/profile", set_alarm_profile, ProfileRequest),
    _read("/suppressions", list_suppressions, SuppressionList, WAIT),
    _change("POST", "/suppressions", add_suppression, SuppressionRequest, MadeReply),
    _change("DELETE", "/suppressions/{id}", remove_suppression, OperatorRequest),
    _read("/degrades", list_degrades, DegradeList, WAIT),
    _read("/gates", list_gates, GateList, WAIT),
)
