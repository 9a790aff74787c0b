"""`/v1/alarms`: active alarms for the `fm` client, from the read model.

Unlike StarlingX's own: filters hold on every page, `next` is there exactly when there is more, and
a page goes on where the last one ended whatever was cleared or masked meanwhile.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from murmuration.gateway.api.context import COMMAND_S, WAIT_S, api_of, loaded_site, new_operation_id
from murmuration.gateway.api.fm_compat.request import (
    AUTHOR,
    answer,
    filters,
    flag,
    following_url,
    limit,
    page,
)
from murmuration.gateway.core.alarms import AlarmQuery, SortKey, sort_key
from murmuration.gateway.core.fm_compat.filters import Filter, one_value, parse_time
from murmuration.gateway.core.fm_compat.items import (
    ALARM_KEYS,
    SHORT_ALARM,
    Item,
    alarm_item,
    alarm_type,
    short,
)
from murmuration.gateway.core.model import Position
from murmuration.gateway.core.paging import alarm_cursor, parse_alarm_cursor
from murmuration.gateway.handlers.live import LiveSite
from murmuration.kernel.errors import NotFound, Rejected
from murmuration.proto.envelope import Payload, Version
from murmuration.proto.fm import Alarm, AlarmIdField, RaiseAlarm, RecordLog
from murmuration.proto.fm_operators import (
    ClearAlarmByOperator,
    RaiseAlarmByOperator,
    Raised,
    RecordLogByOperator,
)
from murmuration.proto.fm_vocabulary import AlarmType, Severity
from murmuration.proto.sysinv import Accepted
from murmuration.web.bodies import read_json

AT_ONCE = 500  # alarms looked at before others may run: a few ms


class AlarmBody(Payload, frozen=True, kw_only=True):
    """Body of POST /v1/alarms, as StarlingX's callers send it."""

    alarm_id: AlarmIdField
    alarm_state: str
    entity_instance_id: str
    severity: str
    alarm_type: str
    probable_cause: str
    entity_type_id: str = ""
    uuid: str | None = None
    timestamp: str | None = None
    reason_text: str | None = None
    proposed_repair_action: str | None = None
    service_affecting: bool | str = False
    suppression: bool | str = False


async def list_alarms(request: web.Request) -> web.Response:
    """Active alarms; with `expand` in full."""
    return await _list(request, in_full=flag(request, "expand"))


async def list_alarms_in_full(request: web.Request) -> web.Response:
    """Active alarms in full."""
    return await _list(request, in_full=True)


async def get_alarm(request: web.Request) -> web.Response:
    """One active alarm in full."""
    live = await loaded_site(request)
    return answer(alarm_item(_find(live, request.match_info["uuid"])))


async def get_summary(request: web.Request) -> web.Response:
    """How many alarms there are of each severity, and what that comes to in a word."""
    include_suppress = flag(request, "include_suppress")
    index = (await loaded_site(request)).model.alarms
    counts = index.counts_with_suppressed() if include_suppress else index.counts
    status = "degraded" if counts.major or counts.minor else "OK"
    return answer(
        {
            "critical": counts.critical,
            "major": counts.major,
            "minor": counts.minor,
            "warnings": counts.warning,
            "status": "critical" if counts.critical else status,
        }
    )


async def delete_alarm(request: web.Request) -> web.Response:
    """Clear an alarm; it is gone from the list when this answers."""
    live = await loaded_site(request)
    await _clear(request, live, _find(live, request.match_info["uuid"]))
    return web.Response(status=204)


async def post_alarm(request: web.Request) -> web.Response:
    """Raise (`set`), record (`log`, `msg`) or `clear`; answers a string that holds the uuid."""
    body = await read_json(request, AlarmBody)
    live = await loaded_site(request)
    match body.alarm_state:
        case "set":
            uuid = await _send(request, live, _raise(body))
        case "log" | "msg":
            uuid = await _send(request, live, _record(body))
        case "clear":
            alarm = _find_to_clear(live, body)
            await _clear(request, live, alarm)
            uuid = alarm.uuid
        case _:
            raise Rejected(f"alarm_state is set, clear, log or msg, not {body.alarm_state[:40]!r}")
    return answer(msgspec.json.encode({"uuid": uuid}).decode())


# ------------------------------------------------------------------------------ reading


async def _list(request: web.Request, *, in_full: bool) -> web.Response:
    wanted = filters(request, known=ALARM_KEYS)
    size = limit(request)
    query = AlarmQuery(
        severity=_severity(wanted),
        alarm_id=one_value(wanted, "alarm_id"),
        entity=one_value(wanted, "entity_instance_id"),
        suppressed=flag(request, "include_suppress"),
    )
    live = await loaded_site(request)
    marker = request.query.get("marker") or None
    if request.query.get("sort_key"):
        items, following = await _sorted_page(request, live, query, wanted, marker)
    else:
        items, more = await _page(live, query, wanted, after=_after(live, marker), size=size)
        following = alarm_cursor(more)
    if not in_full:
        items = [short(item, SHORT_ALARM) for item in items]
    url = following_url(request, following, size) if following else None
    return page("alarms", items, url)


async def _page(
    live: LiveSite,
    query: AlarmQuery,
    wanted: Sequence[Filter],
    *,
    after: SortKey | None,
    size: int | None,
) -> tuple[list[Item], SortKey | None]:
    """Up to `size` items behind `after`, and where the last one stands if there are more."""
    found: list[Item] = []
    last: SortKey | None = None
    while True:
        alarms, after = live.model.alarms.page(query, after=after, limit=AT_ONCE)
        for alarm in alarms:
            item = alarm_item(alarm)
            if not all(each.fits(item) for each in wanted):
                continue
            if len(found) == size:
                return found, last
            found.append(item)
            last = sort_key(alarm)
        if after is None:
            return found, None
        await asyncio.sleep(0)


async def _sorted_page(
    request: web.Request,
    live: LiveSite,
    query: AlarmQuery,
    wanted: Sequence[Filter],
    marker: str | None,
) -> tuple[list[Item], str | None]:
    """A page in an order of the client's own; its marker is the uuid of the page's last item."""
    key, direction = request.query["sort_key"], request.query.get("sort_dir", "asc")
    if key not in ALARM_KEYS or direction not in ("asc", "desc"):
        raise Rejected("sort_key is a field of an alarm, sort_dir is asc or desc")
    items, _ = await _page(live, query, wanted, after=None, size=None)
    items.sort(key=lambda item: (str(item[key]), str(item["uuid"])), reverse=direction == "desc")
    start = 0
    if marker is not None:
        places = [place for place, item in enumerate(items) if item["uuid"] == marker]
        if not places:
            raise NotFound(f"the marker {marker[:80]!r} is no alarm of this list any more")
        start = places[0] + 1
    shown = items[start : start + limit(request)]
    has_more = start + len(shown) < len(items)
    return shown, str(shown[-1]["uuid"]) if shown and has_more else None


def _after(live: LiveSite, marker: str | None) -> SortKey | None:
    """Where a marker stands: the uuid of an active alarm, or what a `next` held."""
    if marker is None:
        return None
    alarm = live.model.alarms.get(marker)
    return sort_key(alarm) if alarm is not None else parse_alarm_cursor(marker)


def _severity(wanted: Sequence[Filter]) -> Severity | None:
    text = one_value(wanted, "severity")
    return None if text is None else Severity(text)


def _find(live: LiveSite, uuid: str) -> Alarm:
    """An active alarm that is not masked. Raises NotFound."""
    alarm = live.model.alarms.get(uuid)
    if alarm is None or alarm.masked:
        raise NotFound(f"Alarm {uuid[:80]} could not be found.")
    return alarm


# ----------------------------------------------------------------------------- changing


def _find_to_clear(live: LiveSite, body: AlarmBody) -> Alarm:
    """The active alarm that a body names, by its uuid, else by its key. Raises NotFound."""
    if body.uuid:
        return _find(live, body.uuid)
    query = AlarmQuery(
        alarm_id=body.alarm_id, entity=body.entity_instance_id, masked=True, suppressed=True
    )
    after: SortKey | None = None
    while True:
        alarms, after = live.model.alarms.page(query, after=after, limit=AT_ONCE)
        for alarm in alarms:
            if alarm.entity == body.entity_instance_id:
                return alarm
        if after is None:
            named = f"{body.alarm_id} of {body.entity_instance_id[:80]}"
            raise NotFound(f"Alarm {named} could not be found.")


async def _clear(request: web.Request, live: LiveSite, alarm: Alarm) -> None:
    command = ClearAlarmByOperator(operation_id=new_operation_id(), uuid=alarm.uuid, author=AUTHOR)
    done = await api_of(request).site.request(command, Accepted, timeout_s=COMMAND_S)
    await live.wait_for(Position(done.service, Version(done.epoch, done.change)), timeout_s=WAIT_S)


async def _send(
    request: web.Request, live: LiveSite, command: RaiseAlarmByOperator | RecordLogByOperator
) -> str:
    """The uuid of what was made, once the read model has it."""
    done = await api_of(request).site.request(command, Raised, timeout_s=COMMAND_S)
    await live.wait_for(Position(done.service, Version(done.epoch, done.change)), timeout_s=WAIT_S)
    return done.uuid


def _raise(body: AlarmBody) -> RaiseAlarmByOperator:
    alarm = RaiseAlarm(
        alarm_id=body.alarm_id,
        entity=body.entity_instance_id,
        severity=_word(body.severity),
        reason_text=body.reason_text or "",
        alarm_type=_type(body.alarm_type),
        probable_cause=body.probable_cause,
        proposed_repair_action=body.proposed_repair_action or "",
        service_affecting=_is_true(body.service_affecting),
        raised_at=_moment(body),
    )
    return RaiseAlarmByOperator(operation_id=new_operation_id(), author=AUTHOR, alarm=alarm)


def _record(body: AlarmBody) -> RecordLogByOperator:
    log = RecordLog(
        log_id=body.alarm_id,
        entity=body.entity_instance_id,
        severity=_word(body.severity),
        reason_text=body.reason_text or "",
        event_type=_type(body.alarm_type),
        probable_cause=body.probable_cause,
        proposed_repair_action=body.proposed_repair_action or "",
        service_affecting=_is_true(body.service_affecting),
        logged_at=_moment(body),
    )
    return RecordLogByOperator(operation_id=new_operation_id(), author=AUTHOR, log=log)


def _word(text: str) -> Severity:
    found = Severity(text)
    if found is Severity.UNKNOWN:
        raise Rejected(f"severity {text[:40]!r} is none that an alarm can have")
    return found


def _type(text: str) -> AlarmType:
    found = alarm_type(text)
    if found is AlarmType.UNKNOWN:
        raise Rejected(f"alarm_type {text[:40]!r} is none that an alarm can have")
    return found


def _moment(body: AlarmBody) -> datetime:
    return parse_time(body.timestamp) if body.timestamp else datetime.now(UTC)


def _is_true(value: bool | str) -> bool:  # noqa: FBT001 - a body's field
    return value if isinstance(value, bool) else value.lower() == "true"
