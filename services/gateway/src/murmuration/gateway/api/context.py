"""What handlers stand on, given to them by the application."""

import uuid
from dataclasses import dataclass

from aiohttp import web

from murmuration.gateway.core.model import Position
from murmuration.gateway.handlers.live import LiveSite
from murmuration.gateway.ports import SitePort
from murmuration.kernel.errors import Rejected, Unavailable

WAIT_S = 5.0  # how long ?wait= holds a request
COMMAND_S = 5.0  # how long an owner may take to answer a command


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The live site, and the way to those who own its facts."""

    live: LiveSite
    site: SitePort


API = web.AppKey("api", Api)


def api_of(request: web.Request) -> Api:
    """The context of a request."""
    return request.app[API]


async def loaded_site(request: web.Request) -> LiveSite:
    """The live site once it shows what the request waits for.

    Raises Unavailable while it is still loading, DeadlineExceeded when `?wait=` is not reached.
    """
    live = api_of(request).live
    if not live.loaded.is_set():
        raise Unavailable("the gateway is still loading the state of the site")
    wait = request.query.get("wait")
    if wait is not None:
        await live.wait_for(Position.parse(wait), timeout_s=WAIT_S)
    return live


def one(request: web.Request, name: str, *, length_max: int = 300) -> str | None:
    """A query parameter given at most once. Raises Rejected."""
    values = request.query.getall(name, [])
    if len(values) > 1:
        raise Rejected(f"{name} is given more than once")
    if values and len(values[0]) > length_max:
        raise Rejected(f"{name} has more than {length_max} characters")
    return values[0] if values else None


def new_operation_id() -> str:
    """An operation id for a client that sent none: its request cannot be repeated safely."""
    return uuid.uuid4().hex
