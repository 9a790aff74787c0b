"""Alarms and history as files, streamed page by page: no export is held in memory whole.

An export that breaks off ends without the closing chunk of HTTP/1.1, so that a client can tell it
from a whole one.
"""

from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from murmuration.gateway.api.alarm_history import ask, history_query
from murmuration.gateway.api.alarms import parse_query
from murmuration.gateway.api.context import loaded_site, one
from murmuration.gateway.core.alarms import AlarmQuery, SortKey
from murmuration.gateway.core.export import (
    ALARM_COLUMNS,
    HISTORY_COLUMNS,
    alarm_line,
    csv_line,
    history_line,
    json_lines,
)
from murmuration.gateway.handlers.live import LiveSite
from murmuration.kernel.errors import Rejected
from murmuration.proto.fm_operators import PAGE_MAX, GetHistory, HistoryPage

AT_ONCE = 500  # alarms written before others may run: a few ms
FORMATS = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8; header=present"}


async def export_alarms(request: web.Request) -> web.StreamResponse:
    """All active alarms of a list as a file, in its order."""
    kind, query = _format(request), parse_query(request)
    live = await loaded_site(request)
    return await _stream(request, kind, "alarms", _alarms(live, query, kind))


async def export_alarm_history(request: web.Request) -> web.StreamResponse:
    """All history that a query finds as a file."""
    kind = _format(request)
    query = msgspec.structs.replace(history_query(request), limit=PAGE_MAX)
    first = await ask(request, query, HistoryPage)  # a refusal is still an answer of its own
    return await _stream(request, kind, "alarm-history", _history(request, query, first, kind))


async def _alarms(live: LiveSite, query: AlarmQuery, kind: str) -> AsyncIterator[bytes]:
    after: SortKey | None = None
    yield csv_line(ALARM_COLUMNS) if kind == "csv" else b""
    while True:
        alarms, after = live.model.alarms.page(query, after=after, limit=AT_ONCE)
        yield b"".join(map(alarm_line, alarms)) if kind == "csv" else json_lines(alarms)
        if after is None:
            return


async def _history(
    request: web.Request, query: GetHistory, page: HistoryPage, kind: str
) -> AsyncIterator[bytes]:
    yield csv_line(HISTORY_COLUMNS) if kind == "csv" else b""
    while True:
        if kind == "csv":
            yield b"".join(map(history_line, page.items))
        else:
            yield json_lines(page.items)
        if page.next is None:
            return
        page = await ask(request, msgspec.structs.replace(query, after=page.next), HistoryPage)


async def _stream(
    request: web.Request, kind: str, name: str, parts: AsyncIterator[bytes]
) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={
            "Content-Type": FORMATS[kind],
            "Content-Disposition": f'attachment; filename="{name}.{kind}"',
        }
    )
    await response.prepare(request)
    try:
        async for part in parts:
            if part:
                await response.write(part)
    except BaseException:
        if request.transport is not None:
            request.transport.abort()
        raise
    await response.write_eof()
    return response


def _format(request: web.Request) -> str:
    kind = one(request, "format") or "jsonl"
    if kind not in FORMATS:
        raise Rejected(f"format is one of {', '.join(FORMATS)}, not {kind[:40]!r}")
    return kind
