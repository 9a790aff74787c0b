"""The three routes every service has: is it alive, is it ready, what does it count.

They need no token (a probe has none) and are guarded by Host like everything else.
"""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from murmuration.proto.platform import ServiceStatus
from murmuration.web.bodies import json_bytes, json_response

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

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
