"""What all requests of this API have in common: filters, limits, flags, the way to its own URL."""

from collections.abc import Sequence

import msgspec
from aiohttp import web

from murmuration.gateway.core.fm_compat.filters import Filter, parse_filters
from murmuration.gateway.core.fm_compat.items import Item
from murmuration.kernel.errors import Rejected
from murmuration.web.bodies import json_bytes

LIMIT_MAX = 2_000  # StarlingX's own
AUTHOR = "fm"  # what changes through this API are said to be by
PARAMETERS_LENGTH_MAX = 512
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}


def flag(request: web.Request, name: str) -> bool:
    """A flag as StarlingX writes it, `True` or `False`; false when absent. Raises Rejected."""
    text = request.query.get(name, "")
    if text.lower() not in _FLAGS:
        raise Rejected(f"{name} is True or False, not {text[:40]!r}")
    return _FLAGS[text.lower()]


def limit(request: web.Request) -> int:
    """How many items at most; LIMIT_MAX when not said. Raises Rejected."""
    text = request.query.get("limit", "")
    if not text:
        return LIMIT_MAX
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) > 0):
        raise Rejected(f"limit is a positive number, not {text[:40]!r}")
    return min(int(text), LIMIT_MAX)


def filters(request: web.Request, *, known: Sequence[str]) -> tuple[Filter, ...]:
    """The `q.*` filters. Raises Rejected."""
    query = request.query
    columns = [query.getall(f"q.{name}", []) for name in ("field", "op", "type", "value")]
    if any(len(text) > PARAMETERS_LENGTH_MAX for column in columns for text in column):
        raise Rejected(f"a filter has more than {PARAMETERS_LENGTH_MAX} characters")
    return parse_filters(*columns, known=known)


def root_url(request: web.Request) -> str:
    """The URL that the client reached us by."""
    return f"{request.scheme}://{request.host}"


def following_url(request: web.Request, marker: str, size: int) -> str:
    """Where the next page is: the same question, filters and all, behind `marker`."""
    url = request.rel_url.update_query({"marker": marker, "limit": str(size)})
    return f"{root_url(request)}{url}"


def page(name: str, items: Sequence[Item], following: str | None) -> web.Response:
    """A page of a list; `next` is there only when there is one."""
    body: dict[str, object] = {name: items}
    if following is not None:
        body["next"] = following
    return answer(body)


def answer(body: object) -> web.Response:
    """Any JSON value."""
    return json_bytes(msgspec.json.encode(body))
