"""`mur event`: what happened, and with --follow what happens."""

import gc
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from murmuration.cli.decoding import decode
from murmuration.cli.errors import Usage
from murmuration.cli.follow import Follower
from murmuration.cli.progress import say
from murmuration.cli.session import Session
from murmuration.proto.api import EventList, EventView

if TYPE_CHECKING:
    from murmuration.cli.views.event import EventLines

EVENTS = "/api/v1/events"
LIMIT = 30  # a screen
LIMIT_MAX = 1_000  # the most the site gives at once
SEEN_MAX = 2_000  # ids kept to show nothing twice: far more than a snapshot's 50 events


_WHOLE_TYPE = re.compile(r"\.v[0-9]+$")


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    """A list or a snapshot, of which only the events matter; each is passed on as it came."""

    items: list[msgspec.Raw] = []
    events: list[msgspec.Raw] = []


class _Reset(msgspec.Struct, frozen=True, kw_only=True):
    """Why the stream could not be resumed."""

    reason: str = ""


def list_events(
    *, follow: bool = False, type: str | None = None, limit: int = LIMIT, session: Session
) -> None:
    """List the last events, oldest first; with --follow go on as they happen, until Ctrl-C.

    Args:
        follow: Go on with what happens; connects again by itself, and misses nothing.
        type: Only this type (fm.alarm.raised.v1), or among the last 1000 what begins so (fm.alarm).
        limit: How many past events, if not 30.
    """
    if not (0 if follow else 1) <= limit <= LIMIT_MAX:
        raise Usage(
            f"--limit must be from 1 to {LIMIT_MAX}.", "With --follow, 0 shows only what is new."
        )
    if follow:
        _follow(type, limit, session)
        return
    body = _past(type, limit, session)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.event import event_table

    session.print(*event_table(decode(body, EventList).items, session=session))


def _past(type: str | None, limit: int, session: Session) -> bytes:
    """The last events. The site picks by whole types only; mur does by how they begin."""
    if type is None or _WHOLE_TYPE.search(type):
        return session.client.get(EVENTS, {"limit": limit, "type": type})
    items = decode(session.client.get(EVENTS, {"limit": LIMIT_MAX}), _Page).items
    wanted = [raw for raw in items if _matches(decode(bytes(raw), EventView).type, type)]
    return msgspec.json.encode({"items": wanted[-limit:], "next": None})


def _follow(type: str | None, limit: int, session: Session) -> None:
    """Past events, then the stream from where they end."""
    gc.enable()
    head = decode(session.client.get(EVENTS, {"limit": 1}), EventList).items
    cursor = head[-1].cursor if head else ""
    past = decode(_past(type, limit, session), _Page).items if limit else []
    writer = _Writer(session, type)
    writer.start(past)
    for raw in _events(Follower(session.client, after=cursor)):
        writer.write(raw)


def _events(follower: Follower) -> Iterator[msgspec.Raw]:
    """The events in the stream's messages, as they came."""
    for message in follower.messages():
        if message.event == "log":
            yield msgspec.Raw(message.data.encode())
        elif message.event == "snapshot":
            yield from decode(message.data.encode(), _Page).events
        elif message.event == "reset":
            reason = decode(message.data.encode(), _Reset).reason or "no reason given"
            say(f"mur: the stream begins anew ({reason}); events may be missing here.")


class _Writer:
    """Writes each wanted event once: a JSON line, or a line of the table."""

    def __init__(self, session: Session, type: str | None) -> None:
        self._session = session
        self._type = type
        self._seen: set[str] = set()
        self._order: deque[str] = deque()
        self._lines: EventLines | None = None

    def start(self, past: Iterable[msgspec.Raw]) -> None:
        """The past, with the table's head."""
        fresh = [(raw, event) for raw in past if (event := self._fresh(raw))]
        if self._session.as_json:
            for raw, _ in fresh:
                self._session.print_json(bytes(raw))
            return
        from murmuration.cli.views.event import EventLines

        events = tuple(event for _, event in fresh)
        self._lines = EventLines(events, session=self._session)
        self._session.print(self._lines.table(events, head=True))

    def write(self, raw: msgspec.Raw) -> None:
        """One event, unless it was written before or is not wanted."""
        event = self._fresh(raw)
        if event is None:
            return
        if self._lines is None:
            self._session.print_json(bytes(raw))
        else:
            self._session.print(self._lines.table((event,)))

    def _fresh(self, raw: msgspec.Raw) -> EventView | None:
        event = decode(bytes(raw), EventView)
        if event.id in self._seen or not _matches(event.type, self._type):
            return None
        self._seen.add(event.id)
        self._order.append(event.id)
        if len(self._order) > SEEN_MAX:
            self._seen.discard(self._order.popleft())
        return event


def _matches(type: str, wanted: str | None) -> bool:
    """Whether a type is the wanted one, or begins with its whole words."""
    return wanted is None or type == wanted or type.startswith(f"{wanted.rstrip('.')}.")
