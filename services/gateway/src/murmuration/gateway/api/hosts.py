"""Hosts: read from the model, changed by commands to sysinv."""

from aiohttp import web

from murmuration.gateway.api.context import (
    COMMAND_S,
    api_of,
    loaded_site,
    new_operation_id,
    one,
)
from murmuration.gateway.core.paging import host_cursor, parse_host_cursor, parse_limit
from murmuration.kernel.errors import NotFound, Rejected
from murmuration.proto.api import ActionReply, ActionRequest, AdministrativeRequest, HostList
from murmuration.proto.ids import parse_host_name
from murmuration.proto.sysinv import Accepted, AcceptHost, Administrative, SetAdministrative
from murmuration.web.bodies import json_response, read_json


async def list_hosts(request: web.Request) -> web.Response:
    """A page of hosts, by name."""
    after = parse_host_cursor(one(request, "after"))
    limit = parse_limit(one(request, "limit"))
    live = await loaded_site(request)
    hosts, more = live.model.hosts.page(after=after, limit=limit)
    return json_response(HostList(items=tuple(hosts), next=host_cursor(more)))


async def get_host(request: web.Request) -> web.Response:
    """One host."""
    name = request.match_info["name"]
    live = await loaded_site(request)
    view = live.model.hosts.get(name)
    if view is None:
        raise NotFound(f"there is no host {name[:80]!r}")
    return json_response(view)


async def set_administrative(request: web.Request) -> web.Response:
    """Say what administrative state a host is intended to have."""
    name = host_of(request)
    body = await read_json(request, AdministrativeRequest)
    if body.administrative is Administrative.UNKNOWN:
        raise Rejected("administrative is 'locked' or 'unlocked'")
    command = SetAdministrative(
        operation_id=body.operation_id or new_operation_id(),
        host=name,
        administrative=body.administrative,
    )
    accepted = await api_of(request).site.request(command, Accepted, timeout_s=COMMAND_S)
    return json_response(action_reply(accepted))


async def accept_host(request: web.Request) -> web.Response:
    """Accept a discovered host into the site."""
    name = host_of(request)
    body = await read_json(request, ActionRequest)
    command = AcceptHost(operation_id=body.operation_id or new_operation_id(), host=name)
    accepted = await api_of(request).site.request(command, Accepted, timeout_s=COMMAND_S)
    return json_response(action_reply(accepted))


def action_reply(accepted: Accepted) -> ActionReply:
    """What an owner's answer means to the client, with the position that shows it."""
    return ActionReply(
        operation_id=accepted.operation_id,
        reason=accepted.reason,
        after=f"{accepted.service}:{accepted.epoch}:{accepted.change}",
    )


def host_of(request: web.Request) -> str:
    """The host in the path. Whether it is there, its owner says."""
    try:
        return parse_host_name(request.match_info["name"])
    except ValueError as error:
        raise NotFound(str(error)) from error
