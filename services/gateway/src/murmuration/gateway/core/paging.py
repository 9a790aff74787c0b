"""Pages: limits, and cursors that stay right while the list changes under them.

A cursor is the sort key of the last item (keyset paging), opaque to the client: base64url of JSON.
"""

import base64
import binascii
from typing import TypeVar

import msgspec

from murmuration.gateway.core.alarms import SortKey
from murmuration.kernel.errors import Rejected

K = TypeVar("K")

LIMIT_DEFAULT = 100
LIMIT_MAX = 1_000  # a page of hosts with facts and links then has 1 to 2 MB
CURSOR_LENGTH_MAX = 300


def parse_limit(text: str | None, *, default: int = LIMIT_DEFAULT) -> int:
    """The page size asked for, 1 to LIMIT_MAX. Raises Rejected."""
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= LIMIT_MAX):
        raise Rejected(f"limit is a number from 1 to {LIMIT_MAX}, not {text[:40]!r}")
    return int(text)


def alarm_cursor(key: SortKey | None) -> str | None:
    """The cursor behind an alarm."""
    return _encode(key) if key is not None else None


def parse_alarm_cursor(text: str | None) -> SortKey | None:
    """The sort key a cursor names. Raises Rejected."""
    return _decode(text, SortKey) if text is not None else None


def host_cursor(name: str | None) -> str | None:
    """The cursor behind a host."""
    return _encode((name,)) if name is not None else None


def parse_host_cursor(text: str | None) -> str | None:
    """The host name a cursor names. Raises Rejected."""
    return _decode(text, tuple[str])[0] if text is not None else None


def _encode(key: tuple[object, ...]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def _decode(text: str, kind: type[K]) -> K:
    if len(text) > CURSOR_LENGTH_MAX:
        raise Rejected(f"a cursor of this list has at most {CURSOR_LENGTH_MAX} characters")
    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        return msgspec.json.decode(raw, type=kind)
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise Rejected(f"{text[:80]!r} is not a cursor of this list") from error
