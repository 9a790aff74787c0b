"""The table of routes under /api/v1: what the router serves and what the document describes."""

from dataclasses import dataclass

from aiohttp import web

from murmuration.gateway.api.alarms import clear_alarm, get_alarm, list_alarms
from murmuration.gateway.api.bmc import clear_bmc, get_bmc, label_host, set_bmc
from murmuration.gateway.api.events import list_events, stream
from murmuration.gateway.api.hosts import (
    accept_host,
    act_on_host,
    get_host,
    list_hosts,
    plan_action,
    set_administrative,
    why_host,
)
from murmuration.gateway.api.parked import drop_parked, get_parked, list_parked, retry_parked
from murmuration.gateway.api.site import get_health, get_site
from murmuration.gateway.core.paging import LIMIT_DEFAULT, LIMIT_MAX
from murmuration.proto.api import (
    ActionReply,
    ActionRequest,
    AdministrativeRequest,
    AlarmList,
    BmcRequest,
    EventList,
    HealthView,
    HostActionRequest,
    HostList,
    HostView,
    LabelRequest,
    ParkedList,
    ParkedView,
    SiteView,
)
from murmuration.proto.envelope import Payload
from murmuration.proto.fm import Alarm, Severity
from murmuration.proto.mtce import HostPlan, HostWhy
from murmuration.proto.mtce_bmc import BmcView
from murmuration.web.problems import Handler

PREFIX = "/api/v1"
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One query parameter, described once for people and programs."""

    name: str
    description: str
    schema: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation. `reply` None: a stream of server-sent events."""

    method: str
    path: str
    handler: Handler
    tag: str
    reply: type[Payload] | None
    body: type[Payload] | None = None
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[int, ...] = ()

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (self.handler.__doc__ or "").strip().splitlines()[0]

    @property
    def operation_id(self) -> str:
        """The handler's name."""
        return getattr(self.handler, "__name__", "operation")


LIMIT = Parameter(
    name="limit",
    description="Items on a page.",
    schema={"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
)
AFTER = Parameter(
    name="after",
    description="The `next` of the page before: an opaque cursor.",
    schema={"type": "string", "maxLength": 300},
)
WAIT = Parameter(
    name="wait",
    description="Wait (5 s at most) until this change is visible: the `after` of an ActionReply.",
    schema={"type": "string", "pattern": "^(fm|mtce|sysinv):[0-9]+:[0-9]+$"},
)
SEVERITY = Parameter(
    name="severity",
    description="Only alarms of this severity.",
    schema={"type": "string", "enum": [each.value for each in Severity]},
)
ENTITY = Parameter(
    name="entity",
    description="Only alarms whose entity path has all these components, e.g. `host=worker-1`.",
    schema={"type": "string", "maxLength": 255},
)
CURSOR = Parameter(
    name="after",
    description="Only events behind this `cursor` of an event.",
    schema={"type": "string", "maxLength": 300},
)
TYPE = Parameter(
    name="type",
    description="Only events of this type, e.g. `fm.alarm.raised.v1`.",
    schema={"type": "string", "maxLength": 100},
)
COMMAND_PROBLEMS = (400, 404, 409, 413, 415, 503, 504)
READ_PROBLEMS = (400, 503, 504)

ROUTES: tuple[Route, ...] = (
    Route(method="GET", path="/site", handler=get_site, tag="site", reply=SiteView),
    Route(method="GET", path="/health", handler=get_health, tag="site", reply=HealthView),
    Route(
        method="GET",
        path="/hosts",
        handler=list_hosts,
        tag="hosts",
        reply=HostList,
        parameters=(LIMIT, AFTER, WAIT),
        problems=READ_PROBLEMS,
    ),
    Route(
        method="GET",
        path="/hosts/{name}",
        handler=get_host,
        tag="hosts",
        reply=HostView,
        parameters=(WAIT,),
        problems=(*READ_PROBLEMS, 404),
    ),
    Route(
        method="PUT",
        path="/hosts/{name}/administrative",
        handler=set_administrative,
        tag="hosts",
        reply=ActionReply,
        body=AdministrativeRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="POST",
        path="/hosts/{name}/actions",
        handler=act_on_host,
        tag="hosts",
        reply=ActionReply,
        body=HostActionRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="POST",
        path="/hosts/{name}/plan",
        handler=plan_action,
        tag="hosts",
        reply=HostPlan,
        body=HostActionRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="GET",
        path="/hosts/{name}/why",
        handler=why_host,
        tag="hosts",
        reply=HostWhy,
        parameters=(LIMIT,),
        problems=(*READ_PROBLEMS, 404),
    ),
    Route(
        method="POST",
        path="/hosts/{name}/accept",
        handler=accept_host,
        tag="hosts",
        reply=ActionReply,
        body=ActionRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="GET",
        path="/hosts/{name}/bmc",
        handler=get_bmc,
        tag="hosts",
        reply=BmcView,
        problems=(404, 503, 504),
    ),
    Route(
        method="PUT",
        path="/hosts/{name}/bmc",
        handler=set_bmc,
        tag="hosts",
        reply=ActionReply,
        body=BmcRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="DELETE",
        path="/hosts/{name}/bmc",
        handler=clear_bmc,
        tag="hosts",
        reply=ActionReply,
        body=ActionRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="PATCH",
        path="/hosts/{name}/labels",
        handler=label_host,
        tag="hosts",
        reply=ActionReply,
        body=LabelRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="GET",
        path="/alarms",
        handler=list_alarms,
        tag="alarms",
        reply=AlarmList,
        parameters=(SEVERITY, ENTITY, LIMIT, AFTER, WAIT),
        problems=READ_PROBLEMS,
    ),
    Route(
        method="GET",
        path="/alarms/{uuid}",
        handler=get_alarm,
        tag="alarms",
        reply=Alarm,
        parameters=(WAIT,),
        problems=(*READ_PROBLEMS, 404),
    ),
    Route(
        method="DELETE",
        path="/alarms/{uuid}",
        handler=clear_alarm,
        tag="alarms",
        reply=ActionReply,
        body=ActionRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="GET",
        path="/events",
        handler=list_events,
        tag="events",
        reply=EventList,
        parameters=(TYPE, LIMIT, CURSOR, WAIT),
        problems=(*READ_PROBLEMS, 410),
    ),
    Route(method="GET", path="/parked", handler=list_parked, tag="bus", reply=ParkedList),
    Route(
        method="GET",
        path="/parked/{service}/{number}",
        handler=get_parked,
        tag="bus",
        reply=ParkedView,
        problems=(404, 503),
    ),
    Route(
        method="POST",
        path="/parked/{service}/{number}/retry",
        handler=retry_parked,
        tag="bus",
        reply=ActionReply,
        body=ActionRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="DELETE",
        path="/parked/{service}/{number}",
        handler=drop_parked,
        tag="bus",
        reply=ActionReply,
        body=ActionRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="GET",
        path="/stream",
        handler=stream,
        tag="events",
        reply=None,
        parameters=(CURSOR,),
        problems=(503,),
    ),
)


def add_routes(app: web.Application) -> None:
    """Serve the table."""
    for route in ROUTES:
        app.router.add_route(route.method, PREFIX + route.path, route.handler)
