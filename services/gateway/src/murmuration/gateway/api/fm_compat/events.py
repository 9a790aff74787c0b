"""`/v1/event_log`: history for the `fm` client, asked of fm page by page."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import msgspec
from aiohttp import web

from murmuration.gateway.api.alarm_history import CURSOR_LENGTH_MAX, ask
from murmuration.gateway.api.fm_compat.request import (
    answer,
    filters,
    flag,
    following_url,
    limit,
    page,
)
from murmuration.gateway.core.fm_compat.filters import Filter, one_value, parse_time
from murmuration.gateway.core.fm_compat.items import (
    EVENT_KEYS,
    SHORT_EVENT,
    SUPPRESSED,
    Item,
    event_item,
    event_number,
    short,
)
from murmuration.kernel.errors import NotFound, Rejected
from murmuration.proto.fm_operators import (
    PAGE_MAX,
    GetHistory,
    HistoryEntry,
    HistoryKind,
    HistoryPage,
)
from murmuration.proto.fm_vocabulary import Severity
from murmuration.proto.ids import ALARM_ID

PAGES_MAX = 50  # of fm asked for one answer: 10,000 entries; a rarer filter goes on by `next`
MOMENTS = ("start", "end")  # fields of StarlingX's filters that are no keys of an item
ALARM_KINDS = (HistoryKind.RAISED, HistoryKind.CHANGED, HistoryKind.CLEARED)


async def list_events(request: web.Request) -> web.Response:
    """The event log, newest first; with `expand` in full."""
    return await _list(request, in_full=flag(request, "expand"))


async def list_events_in_full(request: web.Request) -> web.Response:
    """The event log in full, newest first."""
    return await _list(request, in_full=True)


async def get_event(request: web.Request) -> web.Response:
    """One entry of the event log in full."""
    text = request.match_info["uuid"]
    entry = await _find(request, text)
    item = event_item(entry) if entry is not None else None
    if item is None:
        raise NotFound(f"Event log {text[:80]} could not be found.")
    return answer(item)


async def _find(request: web.Request, text: str) -> HistoryEntry | None:
    number = event_number(text)
    if number is None:
        return None
    found = await ask(request, GetHistory(after=str(number + 1), limit=1), HistoryPage)
    return next((entry for entry in found.items if entry.id == number), None)


async def _list(request: web.Request, *, in_full: bool) -> web.Response:
    wanted = filters(request, known=(*EVENT_KEYS, *MOMENTS))
    size = limit(request)
    include_suppress = flag(request, "include_suppress")
    query = _query(request, wanted)
    conditions = [each for each in wanted if each.field not in MOMENTS]
    items: list[Item] = []
    following: str | None = None
    async for entry, after in _entries(request, query):
        item = event_item(entry)
        if item is None or not all(each.fits(item) for each in conditions):
            continue
        if item["suppression_status"] == SUPPRESSED and not include_suppress:
            continue
        items.append(item if in_full else short(item, SHORT_EVENT))
        if len(items) == size:
            following = after
            break
    url = following_url(request, following, size) if following else None
    return page("event_log", items, url)


async def _entries(
    request: web.Request, query: GetHistory
) -> AsyncIterator[tuple[HistoryEntry, str]]:
    """Entries, each with the cursor behind it."""
    for _ in range(PAGES_MAX):
        found = await ask(request, query, HistoryPage)
        for entry in found.items:
            yield entry, str(entry.id)
        if found.next is None:
            return
        query = msgspec.structs.replace(query, after=found.next)


def _query(request: web.Request, wanted: Sequence[Filter]) -> GetHistory:
    """What fm can answer of it; the rest is looked at here."""
    severity, event_id = one_value(wanted, "severity"), one_value(wanted, "event_log_id")
    marker = request.query.get("marker", "")
    if len(marker) > CURSOR_LENGTH_MAX:
        raise Rejected("the marker is none of this list")
    return GetHistory(
        since=_moment(wanted, "start"),
        until=_moment(wanted, "end"),
        alarm_id=event_id if event_id and ALARM_ID.fullmatch(event_id) else "",
        entity=one_value(wanted, "entity_instance_id") or "",
        kinds=_kinds(request),
        severities=(Severity(severity),) if severity else (),
        after=marker,
        limit=PAGE_MAX,
    )


def _kinds(request: web.Request) -> tuple[HistoryKind, ...]:
    """Alarms, logs, or (both or neither asked for) all."""
    alarms, logs = flag(request, "alarms"), flag(request, "logs")
    if alarms == logs:
        return ()
    return ALARM_KINDS if alarms else (HistoryKind.LOGGED,)


def _moment(wanted: Sequence[Filter], field: str) -> datetime | None:
    text = one_value(wanted, field)
    return parse_time(text) if text else None
