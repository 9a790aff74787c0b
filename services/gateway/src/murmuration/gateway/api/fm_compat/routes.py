"""The routes under /v1, and how this API says that something went wrong.

Not in the OpenAPI document: the contract is StarlingX's, and its users have its own description.
"""

import uuid
from http import HTTPStatus

import msgspec
from aiohttp import web

from murmuration.gateway.api.fm_compat.alarms import (
    delete_alarm,
    get_alarm,
    get_summary,
    list_alarms,
    list_alarms_in_full,
    post_alarm,
)
from murmuration.gateway.api.fm_compat.events import get_event, list_events, list_events_in_full
from murmuration.gateway.api.fm_compat.suppressions import (
    get_suppression,
    list_suppressions,
    patch_suppression,
)
from murmuration.proto.api import Problem
from murmuration.web.problems import PROBLEM_JSON, Handler

PREFIX = "/v1"
REQUEST_ID = "X-Openstack-Request-Id"

ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/alarms", list_alarms),
    ("POST", "/alarms", post_alarm),
    ("GET", "/alarms/summary", get_summary),
    ("GET", "/alarms/detail", list_alarms_in_full),
    ("GET", "/alarms/{uuid}", get_alarm),
    ("DELETE", "/alarms/{uuid}", delete_alarm),
    ("GET", "/event_log", list_events),
    ("GET", "/event_log/detail", list_events_in_full),
    ("GET", "/event_log/{uuid}", get_event),
    ("GET", "/event_suppression", list_suppressions),
    ("GET", "/event_suppression/{uuid}", get_suppression),
    ("PATCH", "/event_suppression/{uuid}", patch_suppression),
)


def add_fm_compat(app: web.Application) -> None:
    """Serve the routes, and put their manner of errors around everything under /v1."""
    for method, path, handler in ROUTES:
        app.router.add_route(method, PREFIX + path, handler)
    app.middlewares.insert(0, _manner)


@web.middleware
async def _manner(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware: problems as `{"error_message": "<JSON in a string>"}`, and a request id."""
    response = await handler(request)
    if not request.path.startswith(f"{PREFIX}/"):
        return response
    if response.content_type == PROBLEM_JSON and isinstance(response, web.Response):
        response = _error(msgspec.json.decode(response.text or "{}", type=Problem))
    response.headers[REQUEST_ID] = f"req-{uuid.uuid4()}"
    return response


def _error(problem: Problem) -> web.Response:
    is_client = problem.status < HTTPStatus.INTERNAL_SERVER_ERROR
    fault = {
        "debuginfo": None,
        "faultcode": "Client" if is_client else "Server",
        "faultstring": problem.detail or problem.title,
    }
    body = {"error_message": msgspec.json.encode(fault).decode()}
    return web.Response(
        body=msgspec.json.encode(body), status=problem.status, content_type="application/json"
    )
