"""The table of routes under /api/v1: what the router serves and what the document describes."""

from aiohttp import web

from murmuration.gateway.api.events import list_events, stream
from murmuration.gateway.api.hosts import accept_host, get_host, list_hosts, set_administrative
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
    EventList,
    HealthView,
    HostList,
    HostView,
    ParkedList,
    ParkedView,
    SiteView,
)

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
        path="/hosts/{name}/accept",
        handler=accept_host,
        tag="hosts",
        reply=ActionReply,
        body=ActionRequest,
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
        media=(EVENT_STREAM,),
        parameters=(CURSOR,),
        problems=(503,),
    ),
)


def add_routes(app: web.Application) -> None:
    """Serve the table."""
    for route in ROUTES:
        app.router.add_route(route.method, PREFIX + route.path, route.handler)
