"""The three routes every service has: is it alive, is it ready, what does it count.

They need no token (a probe has none) and are guarded by Host like everything else. Requests are
measured by route, never by path, so that no client can grow the number of series.
"""

import time
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from murmuration.proto.platform import ServiceStatus
from murmuration.web.bodies import json_bytes, json_response
from murmuration.web.problems import Handler

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
EVENT_STREAM = "text/event-stream"  # open for hours: its duration says nothing
StatusOf = Callable[[], ServiceStatus]


def add_ops(app: web.Application, *, status: StatusOf, registry: CollectorRegistry) -> None:
    """Add /healthz (the loop turns), /readyz (ServiceStatus, 503 when not) and /metrics."""

    async def healthz(_request: web.Request) -> web.Response:
        return json_bytes(b'{"status":"ok"}')

    async def readyz(_request: web.Request) -> web.Response:
        found = status()
        return json_response(found, status=200 if found.ready else 503)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app.middlewares.insert(0, _measuring(registry))
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)


def _measuring(registry: CollectorRegistry) -> Middleware:
    seconds = Histogram(
        "mur_http_request_seconds",
        "time to answer a request, event streams apart",
        ["method", "route", "status"],
        buckets=BUCKETS_S,
        registry=registry,
    )

    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        response = await handler(request)
        if response.content_type != EVENT_STREAM:
            resource = request.match_info.route.resource
            route = resource.canonical if resource is not None else "none"
            method = request.method if request.method in METHODS else "other"
            took_s = time.perf_counter() - began
            seconds.labels(method, route, str(response.status)).observe(took_s)
        return response

    return measure
