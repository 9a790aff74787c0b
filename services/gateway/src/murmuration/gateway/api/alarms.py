"""Active alarms: read from the model, changed by commands to fm."""

import re

import msgspec
from aiohttp import web

from murmuration.gateway.api.context import COMMAND_S, api_of, loaded_site, new_operation_id, one
from murmuration.gateway.api.hosts import action_reply
from murmuration.gateway.api.pages import PageCache
from murmuration.gateway.api.parameters import alarm_id, alarm_uuid, flag, member
from murmuration.gateway.core.alarms import AlarmQuery, encode_view
from murmuration.gateway.core.paging import alarm_cursor, parse_alarm_cursor, parse_limit
from murmuration.kernel.errors import NotFound, Rejected
from murmuration.proto.api import (
    CommentRequest,
    MadeReply,
    OperatorRequest,
    RaiseRequest,
)
from murmuration.proto.fm_operators import (
    AcknowledgeAlarm,
    ClearAlarmByOperator,
    CommentAlarm,
    RaiseAlarmByOperator,
    Raised,
)
from murmuration.proto.fm_vocabulary import Severity
from murmuration.proto.sysinv import Accepted
from murmuration.web.bodies import json_bytes, json_response, read_json

UUID_START = re.compile(r"[0-9a-f-]{4,36}", re.ASCII)  # fewer digits find too many to be of use
CACHE = web.AppKey("alarm pages", PageCache)


def parse_query(request: web.Request) -> AlarmQuery:
    """Which alarms a list is to hold. Raises Rejected."""
    uuid = one(request, "uuid")
    if uuid is not None and not UUID_START.fullmatch(uuid):
        raise Rejected(f"uuid is the beginning of one, 4 to 36 of its hex digits: {uuid[:40]!r}")
    return AlarmQuery(
        severity=member(request, "severity", Severity),
        alarm_id=alarm_id(request) or None,
        entity=one(request, "entity", length_max=255),
        root=one(request, "root", length_max=64),
        acknowledged=flag(request, "acknowledged"),
        uuid=uuid,
        roots_only=flag(request, "roots") or False,
        masked=flag(request, "masked") or False,
        suppressed=flag(request, "suppressed") or False,
    )


async def list_alarms(request: web.Request) -> web.Response:
    """A page of active alarms: what nothing explains first, worst first, newest first."""
    query = parse_query(request)
    after = parse_alarm_cursor(one(request, "after"))
    limit = parse_limit(one(request, "limit"))
    live = await loaded_site(request)
    index = live.model.alarms

    def make() -> bytes:
        alarms, more = index.page(query, after=after, limit=limit)
        views = (encode_view(each, index.impacted_count(each.uuid)) for each in alarms)
        following = msgspec.json.encode(alarm_cursor(more))
        return b'{"items":[%b],"next":%b,"at":null}' % (b",".join(views), following)

    key = (query, after, limit)
    return json_bytes(request.app[CACHE].get(live.model.revision, key, make))


async def get_alarm_summary(request: web.Request) -> web.Response:
    """Active alarms in figures."""
    live = await loaded_site(request)
    return json_response(live.model.alarms.summary)


async def get_alarm(request: web.Request) -> web.Response:
    """One active alarm, masked and suppressed ones included."""
    live = await loaded_site(request)
    index = live.model.alarms
    alarm = index.get(request.match_info["uuid"])
    if alarm is None:
        raise NotFound(f"there is no active alarm {request.match_info['uuid'][:80]!r}")
    return json_bytes(encode_view(alarm, index.impacted_count(alarm.uuid)))


async def raise_alarm(request: web.Request) -> web.Response:
    """Raise an alarm as a program or person that is no producer; a repeat counts."""
    body = await read_json(request, RaiseRequest)
    command = RaiseAlarmByOperator(
        operation_id=body.operation_id or new_operation_id(), author=body.author, alarm=body.alarm
    )
    raised = await api_of(request).site.request(command, Raised, timeout_s=COMMAND_S)
    return json_response(made_reply(raised))


async def clear_alarm(request: web.Request) -> web.Response:
    """Clear an active alarm; a producer that still sees the fault raises it anew."""
    uuid = alarm_uuid(request)
    body = await read_json(request, OperatorRequest)
    return await _command(
        request,
        ClearAlarmByOperator(
            operation_id=body.operation_id or new_operation_id(),
            uuid=uuid,
            author=body.author,
            reason=body.reason,
        ),
    )


async def acknowledge_alarm(request: web.Request) -> web.Response:
    """Take note of an alarm: somebody looks after it."""
    return await _acknowledge(request, acknowledged=True)


async def unacknowledge_alarm(request: web.Request) -> web.Response:
    """Take an acknowledgement back."""
    return await _acknowledge(request, acknowledged=False)


async def _acknowledge(request: web.Request, *, acknowledged: bool) -> web.Response:
    uuid = alarm_uuid(request)
    body = await read_json(request, OperatorRequest)
    return await _command(
        request,
        AcknowledgeAlarm(
            operation_id=body.operation_id or new_operation_id(),
            uuid=uuid,
            author=body.author,
            acknowledged=acknowledged,
        ),
    )


async def comment_alarm(request: web.Request) -> web.Response:
    """Note something on an alarm, for whoever looks at it next."""
    uuid = alarm_uuid(request)
    body = await read_json(request, CommentRequest)
    return await _command(
        request,
        CommentAlarm(
            operation_id=body.operation_id or new_operation_id(),
            uuid=uuid,
            author=body.author,
            text=body.text,
        ),
    )


async def _command(request: web.Request, command: msgspec.Struct) -> web.Response:
    accepted = await api_of(request).site.request(command, Accepted, timeout_s=COMMAND_S)
    return json_response(action_reply(accepted))


def made_reply(raised: Raised) -> MadeReply:
    """What fm's answer means to the client, with the uuid of what was made."""
    return MadeReply(
        operation_id=raised.operation_id,
        reason=raised.reason,
        after=f"{raised.service}:{raised.epoch}:{raised.change}",
        uuid=raised.uuid,
    )
