"""What a host's own agent says of it: asked of mtce when it is asked for, never kept here."""

from aiohttp import web

from murmuration.gateway.api.context import COMMAND_S, api_of
from murmuration.kernel.errors import NotFound
from murmuration.proto.ids import parse_host_name
from murmuration.proto.node import AskHealth, HostHealth
from murmuration.web.bodies import json_response


async def host_health(request: web.Request) -> web.Response:
    """What is wrong on a host, its monitored processes and what is measured, as its agent says."""
    try:
        name = parse_host_name(request.match_info["name"])
    except ValueError as error:
        raise NotFound(str(error)) from error
    reply = await api_of(request).site.request(
        AskHealth(host=name), HostHealth, timeout_s=COMMAND_S
    )
    return json_response(reply)
