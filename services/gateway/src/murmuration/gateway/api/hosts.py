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
from murmuration.proto.api import (
    ActionReply,
    ActionRequest,
    AdministrativeRequest,
    HostActionRequest,
    HostList,
)
from murmuration.proto.ids import parse_host_name
from murmuration.proto.mtce import WHY_STEPS_MAX, AskPlan, AskWhy, HostPlan, HostWhy
from murmuration.proto.sysinv import (
    Accepted,
    AcceptHost,
    ActionCheck,
    ActOnHost,
    Administrative,
    CheckAction,
    HostAction,
    RefusalCode,
)
from murmuration.web.bodies import json_response, read_json

_ACTIONS = [action.value for action in HostAction if action is not HostAction.UNKNOWN]


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
    locked = body.administrative is Administrative.LOCKED
    command = ActOnHost(
        operation_id=body.operation_id or new_operation_id(),
        host=name,
        action=HostAction.LOCK if locked else HostAction.UNLOCK,
    )
    accepted = await api_of(request).site.request(command, Accepted, timeout_s=COMMAND_S)
    return json_response(action_reply(accepted))


async def act_on_host(request: web.Request) -> web.Response:
    """Have something done with a host: lock, unlock, reboot, …; its operation tells how it goes."""
    name = host_of(request)
    body = await read_json(request, HostActionRequest)
    if body.action is HostAction.UNKNOWN:
        raise Rejected(f"action is one of {', '.join(_ACTIONS)}")
    command = ActOnHost(
        operation_id=body.operation_id or new_operation_id(), host=name, action=body.action
    )
    accepted = await api_of(request).site.request(command, Accepted, timeout_s=COMMAND_S)
    return json_response(action_reply(accepted))


async def plan_action(request: web.Request) -> web.Response:
    """What an action on a host would do; nothing is changed."""
    name = host_of(request)
    body = await read_json(request, HostActionRequest)
    site = api_of(request).site
    check = await site.request(
        CheckAction(host=name, action=body.action), ActionCheck, timeout_s=COMMAND_S
    )
    if check.refusal is not RefusalCode.NONE:
        refused = HostPlan(
            host=name, action=body.action, refusal=check.refusal, reason=check.reason
        )
        return json_response(refused)
    plan = await site.request(AskPlan(host=name, action=body.action), HostPlan, timeout_s=COMMAND_S)
    return json_response(plan)


async def why_host(request: web.Request) -> web.Response:
    """Why a host is as it is: the last decisions about it, with their evidence, oldest first."""
    limit = min(WHY_STEPS_MAX, parse_limit(one(request, "limit")))
    question = AskWhy(host=host_of(request), limit=limit)
    return json_response(await api_of(request).site.request(question, HostWhy, timeout_s=COMMAND_S))


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
