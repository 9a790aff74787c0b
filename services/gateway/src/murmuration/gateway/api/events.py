"""The last events, and the stream of what happens."""

import msgspec
from aiohttp import web

from murmuration.gateway.api.context import api_of, loaded_site, one
from murmuration.gateway.core.model import VECTOR_LENGTH_MAX, Vector
from murmuration.gateway.core.paging import parse_limit
from murmuration.kernel.errors import DeadlineExceeded, Rejected
from murmuration.web.bodies import json_bytes
from murmuration.web.problems import Gone

CATCH_UP_S = 2.0  # another replica may have been ahead of this one by a moment
LOAD_WAIT_S = 10.0  # a page that comes while we load is held, for browsers do not retry a 503


async def list_events(request: web.Request) -> web.Response:
    """The last events, oldest first; with `after` those behind a cursor."""
    limit = parse_limit(one(request, "limit"))
    kind = one(request, "type", length_max=100)
    after = one(request, "after", length_max=VECTOR_LENGTH_MAX)
    live = await loaded_site(request)
    ring = live.model.ring
    if after is None:
        entries, more = ring.last(limit, kind), None
    else:
        vector = Vector.parse(after)
        if not ring.covers(vector):
            raise Gone("what happened behind this cursor is no longer kept: ask without `after`")
        entries = [each for each in ring.after(vector) if kind is None or each.type == kind]
        more = str(entries[limit - 1].cursor) if len(entries) > limit else None
        entries = entries[:limit]
    items = b",".join(entry.body for entry in entries)
    return json_bytes(b'{"items":[%b],"next":%b}' % (items, msgspec.json.encode(more)))


async def stream(request: web.Request) -> web.StreamResponse:
    """Server-sent events: a snapshot, then every change; resumes behind Last-Event-ID."""
    live = api_of(request).live
    await live.wait_loaded(timeout_s=LOAD_WAIT_S)
    vector: Vector | None = None
    reason = ""
    text = request.headers.get("Last-Event-ID") or one(request, "after") or ""
    if text:
        try:
            vector = Vector.parse(text)
            await live.wait_until(vector, timeout_s=CATCH_UP_S)
        except Rejected:
            reason = "the position to resume from is not one of this stream"
        except DeadlineExceeded:
            vector, reason = None, "the position to resume from was never reached here"
    return await live.hub.serve(request, lambda: live.opening(vector, reason))
