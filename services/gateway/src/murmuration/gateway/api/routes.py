"""The table of routes under /api/v1: what the router serves and what the document describes."""

from aiohttp import web

from murmuration.gateway.api.bmc import clear_bmc, get_bmc, label_host, set_bmc
from murmuration.gateway.api.events import list_events, stream
from murmuration.gateway.api.held import confirm_held, drop_held, list_held
from murmuration.gateway.api.host_health import host_health
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
from murmuration.gateway.api.route import (
    AFTER,
    COMMAND_PROBLEMS,
    CURSOR,
    LIMIT,
    PREFIX,
    READ_PROBLEMS,
    TYPE,
    WAIT,
    Route,
)
from murmuration.gateway.api.routes_alarms import ALARM_ROUTES
from murmuration.gateway.api.routes_notifications import NOTIFICATION_ROUTES
from murmuration.gateway.api.site import get_health, get_site
from murmuration.proto.api import (
    ActionReply,
    ActionRequest,
    AdministrativeRequest,
    BmcRequest,
    EventList,
    HealthView,
    HeldList,
    HostActionRequest,
    HostList,
    HostView,
    LabelRequest,
    ParkedList,
    ParkedView,
    SiteView,
)
from murmuration.proto.mtce import HostPlan, HostWhy
from murmuration.proto.mtce_bmc import BmcView
from murmuration.proto.node import HostHealth

EVENT_STREAM = "text/event-stream"

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
    *ALARM_ROUTES,
    *NOTIFICATION_ROUTES,
    Route(
        method="GET",
        path="/events",
        handler=list_events,
        tag="events",
        reply=EventList,
        parameters=(TYPE, LIMIT, CURSOR, WAIT),
        problems=(*READ_PROBLEMS, 410),
    ),
    Route(
        method="GET",
        path="/hosts/{name}/health",
        handler=host_health,
        tag="hosts",
        reply=HostHealth,
        problems=(404, 503, 504),
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
    Route(method="GET", path="/held", handler=list_held, tag="bus", reply=HeldList),
    Route(
        method="POST",
        path="/held/{service}/{number}/confirm",
        handler=confirm_held,
        tag="bus",
        reply=ActionReply,
        body=ActionRequest,
        problems=COMMAND_PROBLEMS,
    ),
    Route(
        method="DELETE",
        path="/held/{service}/{number}",
        handler=drop_held,
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
        media=(EVENT_STREAM,),
        parameters=(CURSOR,),
        problems=(503,),
    ),
)


def add_routes(app: web.Application) -> None:
    """Serve the table."""
    for route in ROUTES:
        app.router.add_route(route.method, PREFIX + route.path, route.handler)
