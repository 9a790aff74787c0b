"""`/v1/event_suppression`: suppression of whole alarm ids, on or off, as StarlingX has it.

What is on is a suppression of that id without entity, severities and end; suppressions of narrower
scope are made and seen by our own API alone.
"""

from collections.abc import Sequence

import msgspec
from aiohttp import web

from murmuration.gateway.api.alarm_history import ask
from murmuration.gateway.api.context import COMMAND_S, WAIT_S, api_of, loaded_site, new_operation_id
from murmuration.gateway.api.fm_compat.request import AUTHOR, answer, filters, page, root_url
from murmuration.gateway.core.fm_compat.items import (
    SUPPRESSED,
    UNSUPPRESSED,
    Item,
    is_whole_id,
    suppression_items,
)
from murmuration.gateway.core.model import Position
from murmuration.gateway.handlers.live import LiveSite
from murmuration.kernel.errors import NotFound, Rejected
from murmuration.proto.envelope import Payload, Version
from murmuration.proto.fm_operators import (
    AddSuppression,
    CatalogueEntry,
    CataloguePage,
    GetCatalogue,
    Raised,
    RemoveSuppression,
)
from murmuration.proto.sysinv import Accepted

KNOWN = ("uuid", "alarm_id", "description", "suppression_status")
STATUS_PATH = "/suppression_status"
PATCHES_MAX = 1_000  # the client repeats one for every id it has done before
PAGES_MAX = 20  # of the catalogue: 4,000 ids


class Patch(Payload, frozen=True, kw_only=True):
    """One operation of a JSON patch (RFC 6902)."""

    path: str
    value: str
    op: str = "replace"


async def list_suppressions(request: web.Request) -> web.Response:
    """Every alarm id, and whether it is suppressed."""
    wanted = filters(request, known=KNOWN)
    rows = await _rows(request, await loaded_site(request))
    return page(
        "event_suppression", [row for row in rows if all(each.fits(row) for each in wanted)], None
    )


async def get_suppression(request: web.Request) -> web.Response:
    """One alarm id, and whether it is suppressed."""
    row = await _row(request, await loaded_site(request))
    return answer(row | {"id": _number(row)})


async def patch_suppression(request: web.Request) -> web.Response:
    """Suppress an alarm id or no longer; it is so when this answers."""
    status = _status(await request.read())
    live = await loaded_site(request)
    row = await _row(request, live)
    if row["suppression_status"] != status:
        position = await _change(request, live, str(row["alarm_id"]), status)
        await live.wait_for(position, timeout_s=WAIT_S)
    return answer(row | {"id": _number(row), "suppression_status": status})


def _status(body: bytes) -> str:
    """The status that a patch asks for. Raises Rejected."""
    try:
        patches = msgspec.json.decode(body, type=list[Patch])
    except msgspec.DecodeError as error:
        raise Rejected(f"the body is no JSON patch of text values: {error}") from error
    if not 1 <= len(patches) <= PATCHES_MAX:
        raise Rejected(f"a patch has 1 to {PATCHES_MAX} operations")
    for patch in patches:
        if patch.path != STATUS_PATH or patch.op not in ("replace", "add"):
            raise Rejected(f"only {STATUS_PATH} can be replaced, not {patch.path[:80]!r}")
        if patch.value not in (SUPPRESSED, UNSUPPRESSED):
            raise Rejected(f"suppression_status is {SUPPRESSED} or {UNSUPPRESSED}")
    return patches[-1].value


async def _change(request: web.Request, live: LiveSite, alarm_id: str, status: str) -> Position:
    """Have it done; gives the change that shows it."""
    site, operation = api_of(request).site, new_operation_id()
    if status == SUPPRESSED:
        made = await site.request(
            AddSuppression(operation_id=operation, alarm_id=alarm_id, author=AUTHOR),
            Raised,
            timeout_s=COMMAND_S,
        )
        return Position(made.service, Version(made.epoch, made.change))
    position = Position("fm", Version(0, 0))
    for suppression in live.model.derived.suppressions:
        if is_whole_id(suppression) and suppression.alarm_id == alarm_id:
            done = await site.request(
                RemoveSuppression(
                    operation_id=new_operation_id(), id=suppression.id, author=AUTHOR
                ),
                Accepted,
                timeout_s=COMMAND_S,
            )
            position = Position(done.service, Version(done.epoch, done.change))
    return position


async def _row(request: web.Request, live: LiveSite) -> Item:
    uuid = request.match_info["uuid"]
    for row in await _rows(request, live):
        if row["uuid"] == uuid:
            return row
    raise NotFound(f"Event suppression {uuid[:80]} could not be found.")


async def _rows(request: web.Request, live: LiveSite) -> Sequence[Item]:
    suppressions = live.model.derived.suppressions
    return suppression_items(await _catalogue(request), suppressions, root=root_url(request))


async def _catalogue(request: web.Request) -> list[CatalogueEntry]:
    entries: list[CatalogueEntry] = []
    query = GetCatalogue()
    for _ in range(PAGES_MAX):
        found = await ask(request, query, CataloguePage)
        entries += found.items
        if found.next is None:
            break
        query = msgspec.structs.replace(query, after=found.next)
    return entries


def _number(row: Item) -> int:
    """A number for the row, as StarlingX's rows have one: the digits of the id."""
    return int(str(row["alarm_id"]).replace(".", ""))
