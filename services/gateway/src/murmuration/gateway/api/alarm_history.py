"""What was: history, the list as of an instant, counts over time, why; the catalogue, its profile.

All of it is asked of fm when it is asked for, one bounded page at a time.
"""

from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec
from aiohttp import web

from murmuration.gateway.api.alarms import parse_query
from murmuration.gateway.api.context import COMMAND_S, api_of, new_operation_id, one
from murmuration.gateway.api.hosts import action_reply
from murmuration.gateway.api.parameters import alarm_id, alarm_uuid, flag, instant, members
from murmuration.gateway.core.alarms import alarm_view, is_like
from murmuration.gateway.core.paging import parse_limit
from murmuration.kernel.errors import NotFound, Rejected
from murmuration.proto.api import AlarmList, ProfileRequest
from murmuration.proto.fm_operators import (
    BUCKETS_MAX,
    PAGE_MAX,
    AlarmCountsReply,
    AlarmsPage,
    CataloguePage,
    GetAlarmCounts,
    GetAlarmsAt,
    GetCatalogue,
    GetHistory,
    GetWhy,
    HistoryKind,
    HistoryPage,
    SetProfile,
    Why,
)
from murmuration.proto.fm_vocabulary import Severity
from murmuration.proto.ids import ALARM_ID
from murmuration.proto.sysinv import Accepted
from murmuration.web.bodies import json_response, read_json

ASK_S = 5.0  # a page of history reads a few MB at worst; no answer is let through later
SPAN_S = 86_400.0  # of a plot without `since`
BUCKETS = 120  # of a plot without `bucket_s`: as many as a narrow chart can show
CURSOR_LENGTH_MAX = 512

R = TypeVar("R", bound=msgspec.Struct)


async def ask(request: web.Request, query: msgspec.Struct, reply: type[R]) -> R:
    """fm's answer. Raises what it answers, Unavailable, or DeadlineExceeded."""
    return await api_of(request).site.request(query, reply, timeout_s=ASK_S)


def page_limit(request: web.Request) -> int:
    """Records of a page: as many as asked for, fm's own maximum at most."""
    return min(parse_limit(one(request, "limit")), PAGE_MAX)


def cursor(request: web.Request) -> str:
    """The `next` of the page before, which is fm's own."""
    return one(request, "after", length_max=CURSOR_LENGTH_MAX) or ""


def history_query(request: web.Request, *, uuid: str = "") -> GetHistory:
    """Which history is asked for. Raises Rejected."""
    return GetHistory(
        since=instant(request, "since"),
        until=instant(request, "until"),
        uuid=uuid or one(request, "uuid", length_max=64) or "",
        alarm_id=alarm_id(request),
        entity=one(request, "entity", length_max=255) or "",
        kinds=members(request, "kind", HistoryKind),
        severities=members(request, "severity", Severity),
        oldest_first=flag(request, "oldest_first") or False,
        after=cursor(request),
        limit=page_limit(request),
    )


async def list_alarm_history(request: web.Request) -> web.Response:
    """A page of what happened to alarms, and of log entries, newest first."""
    return json_response(await ask(request, history_query(request), HistoryPage))


async def get_alarm_timeline(request: web.Request) -> web.Response:
    """A page of what happened to one alarm, oldest first, long after it was cleared too."""
    query = history_query(request, uuid=alarm_uuid(request))
    if flag(request, "oldest_first") is None:
        query = msgspec.structs.replace(query, oldest_first=True)
    page = await ask(request, query, HistoryPage)
    if not page.items and not query.after:
        raise NotFound(f"no history is kept of an alarm {query.uuid!r}")
    return json_response(page)


async def list_alarms_at(request: web.Request) -> web.Response:
    """A page of the alarms that were active at an instant, as they were then."""
    at = instant(request, "at")
    if at is None:
        raise Rejected("`at` is missing: the moment to look at")
    query = parse_query(request)
    page = await ask(
        request, GetAlarmsAt(at=at, after=cursor(request), limit=page_limit(request)), AlarmsPage
    )
    items = tuple(alarm_view(each, 0) for each in page.items if is_like(each, query))
    return json_response(AlarmList(items=items, next=page.next, at=page.at))


async def get_alarm_counts(request: web.Request) -> web.Response:
    """Alarms over time: how many were raised, cleared and active in each stretch of it."""
    until = instant(request, "until") or datetime.now(UTC)
    since = instant(request, "since") or until - timedelta(seconds=SPAN_S)
    span_s = (until - since).total_seconds()
    if span_s <= 0:
        raise Rejected("`since` is not before `until`")
    text = one(request, "bucket_s")
    bucket_s = max(1, round(span_s / BUCKETS)) if text is None else _bucket(text)
    if span_s / bucket_s > BUCKETS_MAX:
        raise Rejected(f"that is more than {BUCKETS_MAX} stretches of time: ask for longer ones")
    query = GetAlarmCounts(since=since, until=until, bucket_s=min(bucket_s, 86_400))
    return json_response(await ask(request, query, AlarmCountsReply))


def _bucket(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 86_400):
        raise Rejected(f"bucket_s is a number from 1 to 86400, not {text[:40]!r}")
    return int(text)


async def get_alarm_why(request: web.Request) -> web.Response:
    """Why an alarm is there: the chain to its root cause, with the evidence."""
    return json_response(await ask(request, GetWhy(uuid=alarm_uuid(request)), Why))


async def list_alarm_catalogue(request: web.Request) -> web.Response:
    """A page of the catalogue, by id: what each alarm and log means, and what to do."""
    query = GetCatalogue(after=cursor(request), limit=page_limit(request))
    return json_response(await ask(request, query, CataloguePage))


async def set_alarm_profile(request: web.Request) -> web.Response:
    """Say otherwise than the catalogue about one id; active alarms are judged anew."""
    body = await read_json(request, ProfileRequest)
    command = SetProfile(
        operation_id=body.operation_id or new_operation_id(),
        alarm_id=_alarm_id(request),
        severity=body.severity,
        management_reach=body.management_reach,
        degrade_reach=body.degrade_reach,
        author=body.author,
        comment=body.comment,
    )
    accepted = await api_of(request).site.request(command, Accepted, timeout_s=COMMAND_S)
    return json_response(action_reply(accepted))


def _alarm_id(request: web.Request) -> str:
    wanted = request.match_info["id"]
    if not ALARM_ID.fullmatch(wanted):
        raise NotFound(f"{wanted[:80]!r} is not an alarm id such as 200.004")
    return wanted


async def get_alarm_catalogue_entry(request: web.Request) -> web.Response:
    """What the catalogue says of one id."""
    wanted = _alarm_id(request)
    page = await ask(request, GetCatalogue(id=wanted), CataloguePage)
    if not page.items:
        raise NotFound(f"the catalogue has no {wanted}")
    return json_response(page.items[0])
