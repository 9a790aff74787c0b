"""What operators hid, and what fm concluded: suppressions, degraded hosts, gates."""

from aiohttp import web

from murmuration.gateway.api.alarms import made_reply
from murmuration.gateway.api.context import COMMAND_S, api_of, loaded_site, new_operation_id
from murmuration.gateway.api.hosts import action_reply
from murmuration.kernel.errors import NotFound
from murmuration.proto.api import (
    DegradeList,
    GateList,
    OperatorRequest,
    SuppressionList,
    SuppressionRequest,
)
from murmuration.proto.fm_operators import AddSuppression, Raised, RemoveSuppression
from murmuration.proto.sysinv import Accepted
from murmuration.web.bodies import json_response, read_json

ID_LENGTH_MAX = 64


async def list_suppressions(request: web.Request) -> web.Response:
    """The suppressions in force, oldest first."""
    live = await loaded_site(request)
    return json_response(SuppressionList(items=live.model.derived.suppressions))


async def add_suppression(request: web.Request) -> web.Response:
    """Hide alarms from lists, summaries and notifications; they are recorded as ever."""
    body = await read_json(request, SuppressionRequest)
    command = AddSuppression(
        operation_id=body.operation_id or new_operation_id(),
        alarm_id=body.alarm_id,
        entity=body.entity,
        severities=body.severities,
        author=body.author,
        comment=body.comment,
        expires_at=body.expires_at,
    )
    made = await api_of(request).site.request(command, Raised, timeout_s=COMMAND_S)
    return json_response(made_reply(made))


async def remove_suppression(request: web.Request) -> web.Response:
    """Show again what a suppression hides."""
    wanted = request.match_info["id"]
    if len(wanted) > ID_LENGTH_MAX:
        raise NotFound(f"{wanted[:80]!r} is not the id of a suppression")
    body = await read_json(request, OperatorRequest)
    command = RemoveSuppression(
        operation_id=body.operation_id or new_operation_id(), id=wanted, author=body.author
    )
    accepted = await api_of(request).site.request(command, Accepted, timeout_s=COMMAND_S)
    return json_response(action_reply(accepted))


async def list_degrades(request: web.Request) -> web.Response:
    """Hosts that active alarms degrade, by name, with those alarms."""
    live = await loaded_site(request)
    return json_response(DegradeList(items=live.model.derived.degrades))


async def list_gates(request: web.Request) -> web.Response:
    """Whether alarms block orchestrated changes: strict, relaxed and permissive."""
    live = await loaded_site(request)
    return json_response(GateList(items=live.model.derived.gates))
