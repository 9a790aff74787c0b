"""Reading query parameters strictly: what is not understood is refused, never ignored."""

import re
from datetime import UTC, datetime
from typing import TypeVar

from aiohttp import web

from murmuration.gateway.api.context import one
from murmuration.kernel.errors import NotFound, Rejected
from murmuration.proto.envelope import OpenEnum
from murmuration.proto.ids import ALARM_ID

E = TypeVar("E", bound=OpenEnum)

_UUID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)
WORDS = {"true": True, "false": False}


def flag(request: web.Request, name: str) -> bool | None:
    """A parameter that is `true` or `false`; None when it is not given. Raises Rejected."""
    text = one(request, name)
    if text is not None and text not in WORDS:
        raise Rejected(f"{name} is true or false, not {text[:40]!r}")
    return None if text is None else WORDS[text]


def member(request: web.Request, name: str, kind: type[E]) -> E | None:
    """A parameter that is a word of an enum. Raises Rejected, naming the words."""
    text = one(request, name)
    return None if text is None else word(text, name, kind)


def members(request: web.Request, name: str, kind: type[E]) -> tuple[E, ...]:
    """Words of an enum, joined by commas. Raises Rejected."""
    text = one(request, name)
    return tuple(word(part, name, kind) for part in text.split(",")) if text else ()


def word(text: str, name: str, kind: type[E]) -> E:
    """A word of an enum. Raises Rejected, naming the words there are."""
    known = [each for each in kind if each.value != "unknown"]
    if text not in known:
        raise Rejected(f"{name} is one of {', '.join(known)}, not {text[:40]!r}")
    return kind(text)


def instant(request: web.Request, name: str) -> datetime | None:
    """A moment, RFC 3339 with its zone. Raises Rejected."""
    text = one(request, name)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Rejected(f"{name} is no moment: {error}") from error
    raise Rejected(f"{name} needs its zone, such as 2026-01-31T14:03:00Z")


def alarm_id(request: web.Request) -> str:
    """The alarm id asked for, empty: any. Raises Rejected."""
    text = one(request, "alarm_id") or ""
    if text and not ALARM_ID.fullmatch(text):
        raise Rejected(f"alarm_id is of the form 200.004, not {text[:40]!r}")
    return text


def alarm_uuid(request: web.Request) -> str:
    """The alarm in the path. Raises NotFound for what can be none."""
    uuid = request.match_info["uuid"]
    if not _UUID.fullmatch(uuid):
        raise NotFound(f"{uuid[:80]!r} is not the uuid of an alarm")
    return uuid
