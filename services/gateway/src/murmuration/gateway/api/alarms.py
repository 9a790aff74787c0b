"""Active alarms: read from the model, cleared by a command to fm."""

import re

from aiohttp import web

from murmuration.gateway.api.context import (
    COMMAND_S,
    api_of,
    loaded_site,
    new_operation_id,
    one,
)
from murmuration.gateway.api.hosts import action_reply
from murmuration.gateway.api.pages import PageCache
from murmuration.gateway.core.paging import alarm_cursor, parse_alarm_cursor, parse_limit
from murmuration.kernel.errors import NotFound, Rejected
from murmuration.proto.api import ActionRequest, AlarmList
from murmuration.proto.envelope import encode
from murmuration.proto.fm import Severity
from murmuration.proto.fm_operators import ClearAlarmByOperator
from murmuration.proto.sysinv import Accepted
from murmuration.web.bodies import json_bytes, json_response, read_json

_UUID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)
CACHE = web.AppKey("alarm pages", PageCache)


async def list_alarms(request: web.Request) -> web.Response:
    """A page of active alarms, worst first, newest first within a severity."""
    severity = _severity(one(request, "severity"))
    entity = one(request, "entity", length_max=255)
    after = parse_alarm_cursor(one(request, "after"))
    limit = parse_limit(one(request, "limit"))
    live = await loaded_site(request)

    def make() -> bytes:
        alarms, more = live.model.alarms.page(
            after=after, limit=limit, severity=severity, entity=entity
        )
        return encode(AlarmList(items=tuple(alarms), next=alarm_cursor(more)))

    key = (severity, entity, after, limit)
    return json_bytes(request.app[CACHE].get(live.model.revision, key, make))


async def get_alarm(request: web.Request) -> web.Response:
    """One active alarm."""
    live = await loaded_site(request)
    uuid = request.match_info["uuid"]
    alarm = live.model.alarms.get(uuid)
    if alarm is None:
        raise NotFound(f"there is no active alarm {uuid[:80]!r}")
    return json_response(alarm)


async def clear_alarm(request: web.Request) -> web.Response:
    """Clear an active alarm; a producer that still sees the fault raises it anew."""
    uuid = request.match_info["uuid"]
    if not _UUID.fullmatch(uuid):
        raise NotFound(f"{uuid[:80]!r} is not the uuid of an alarm")
    body = await read_json(request, ActionRequest)
    command = ClearAlarmByOperator(operation_id=body.operation_id or new_operation_id(), uuid=uuid)
    accepted = await api_of(request).site.request(command, Accepted, timeout_s=COMMAND_S)
    return json_response(action_reply(accepted))


def _severity(text: str | None) -> Severity | None:
    if text is None:
        return None
    if text not in Severity.__members__.values():
        raise Rejected(f"severity is one of {', '.join(Severity)}, not {text[:40]!r}")
    return Severity(text)
