"""The site and its health."""

from aiohttp import web

from murmuration.gateway.api.context import api_of
from murmuration.web.bodies import json_response


async def get_site(request: web.Request) -> web.Response:
    """The site in one answer."""
    return json_response(api_of(request).live.site())


async def get_health(request: web.Request) -> web.Response:
    """The platform's own health; answered with 200 whatever it says."""
    return json_response(api_of(request).live.health)
