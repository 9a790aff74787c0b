"""Who is told of alarms: receivers, routes and silences, which fm owns; asked of it each time."""

from typing import Any

import msgspec
from aiohttp import web

from murmuration.gateway.api.alarms import made_reply
from murmuration.gateway.api.context import COMMAND_S, api_of, new_operation_id, one
from murmuration.gateway.api.hosts import action_reply
from murmuration.kernel.errors import NotFound
from murmuration.proto.api import (
    OperatorRequest,
    ReceiverRequest,
    RoutingRequest,
    SilenceRequest,
)
from murmuration.proto.fm_notify import (
    AddSilence,
    ExpireSilence,
    GetReceivers,
    GetRouting,
    GetSilences,
    Receiver,
    Receivers,
    RemoveReceiver,
    RetryDeliveries,
    Routing,
    SetReceiver,
    SetRouting,
    Silences,
    TryReceiver,
)
from murmuration.proto.fm_operators import Raised
from murmuration.proto.sysinv import Accepted
from murmuration.web.bodies import json_response, read_json

NAME_MAX = 48  # of receivers, and more than a silence's id has


async def list_receivers(request: web.Request) -> web.Response:
    """Who is told of alarms, what waits for them, and why it does."""
    site = api_of(request).site
    return json_response(await site.request(GetReceivers(), Receivers, timeout_s=COMMAND_S))


async def set_receiver(request: web.Request) -> web.Response:
    """Add a receiver, or change it; a new one is told what is active by the routes that name it."""
    body = await read_json(request, ReceiverRequest)
    receiver = Receiver(
        name=_name(request),
        kind=body.kind,
        url=body.url,
        secret=body.secret,
        send_resolved=body.send_resolved,
        comment=body.comment,
    )
    return await _accepted(
        request,
        SetReceiver(operation_id=_operation(body), receiver=receiver, author=body.author),
    )


async def remove_receiver(request: web.Request) -> web.Response:
    """Remove a receiver with what waits for it; refused while a route names it."""
    return await _on_receiver(request, RemoveReceiver)


async def try_receiver(request: web.Request) -> web.Response:
    """Send a test notification; how it went is in the list of receivers."""
    return await _on_receiver(request, TryReceiver)


async def retry_receiver(request: web.Request) -> web.Response:
    """Send again what was given up for a receiver."""
    return await _on_receiver(request, RetryDeliveries)


async def get_routing(request: web.Request) -> web.Response:
    """The routes, in the order in which they are tried, and the mute times."""
    site = api_of(request).site
    return json_response(await site.request(GetRouting(), Routing, timeout_s=COMMAND_S))


async def set_routing(request: web.Request) -> web.Response:
    """Replace all routes and mute times."""
    body = await read_json(request, RoutingRequest)
    command = SetRouting(operation_id=_operation(body), routing=body.routing, author=body.author)
    return await _accepted(request, command)


async def list_silences(request: web.Request) -> web.Response:
    """The silences in force and to come, those that end first coming first."""
    ask = GetSilences(expired=one(request, "expired") == "true")
    site = api_of(request).site
    return json_response(await site.request(ask, Silences, timeout_s=COMMAND_S))


async def add_silence(request: web.Request) -> web.Response:
    """Tell nobody of the alarms that fit, for a time; they stay in lists."""
    body = await read_json(request, SilenceRequest)
    command = AddSilence(
        operation_id=_operation(body),
        matchers=body.matchers,
        starts_at=body.starts_at,
        ends_at=body.ends_at,
        author=body.author,
        comment=body.comment,
    )
    made = await api_of(request).site.request(command, Raised, timeout_s=COMMAND_S)
    return json_response(made_reply(made))


async def expire_silence(request: web.Request) -> web.Response:
    """End a silence now."""
    body = await read_json(request, OperatorRequest)
    wanted = request.match_info["id"]
    if len(wanted) > NAME_MAX:
        raise NotFound(f"{wanted[:80]!r} is not the id of a silence")
    command = ExpireSilence(operation_id=_operation(body), id=wanted, author=body.author)
    return await _accepted(request, command)


async def _on_receiver(
    request: web.Request, kind: type[RemoveReceiver | TryReceiver | RetryDeliveries]
) -> web.Response:
    body = await read_json(request, OperatorRequest)
    command = kind(operation_id=_operation(body), name=_name(request), author=body.author)
    return await _accepted(request, command)


async def _accepted(request: web.Request, command: msgspec.Struct) -> web.Response:
    accepted = await api_of(request).site.request(command, Accepted, timeout_s=COMMAND_S)
    return json_response(action_reply(accepted))


def _operation(body: Any) -> str:
    return body.operation_id or new_operation_id()


def _name(request: web.Request) -> str:
    name = request.match_info["name"]
    if len(name) > NAME_MAX:
        raise NotFound(f"{name[:80]!r} is not the name of a receiver")
    return name
