"""What services set aside: the list, and one in full."""

from collections.abc import Iterable
from datetime import datetime

from rich.console import RenderableType
from rich.text import Text

from murmuration.cli.render import age, clean, counted, group, instant, is_one_line, plain, table
from murmuration.cli.session import Session
from murmuration.proto.api import ParkedList, ParkedView


def parked_table(parked: ParkedList, *, now: datetime) -> Iterable[RenderableType]:
    """The list, its sum, or one sentence when there is nothing; then who did not answer."""
    away = [plain(f"Away: {', '.join(parked.away)}.", style="yellow")] if parked.away else []
    if not parked.items:
        return [Text("Nothing is set aside."), *away]
    rows = table("MESSAGE", "TYPE", "ENTITY", "REASON", "AGE", flexible=("ENTITY", "REASON"))
    for item in parked.items:
        message = item.message
        rows.add_row(
            plain(f"{item.service}:{message.id}"),
            plain(message.type or message.subject),
            plain(message.entity),
            plain(_why(item)),
            plain(age(message.parked_at, now)),
        )
    if is_one_line():
        return [rows, *away]
    return [rows, Text(), Text(f"{counted(len(parked.items), 'parked message')}."), *away]


def _why(item: ParkedView) -> str:
    superseded = " (superseded: it can only be dropped)" if item.message.superseded else ""
    return f"{item.message.reason}{superseded}"


def parked_view(item: ParkedView, *, session: Session) -> Iterable[RenderableType]:
    """One message in full."""
    message, now = item.message, session.now()
    title = Text.assemble(
        (f"{item.service}:{message.id}", "bold"), "  ", clean(message.type or message.subject)
    )
    at = message.parked_at
    what: list[tuple[str, RenderableType]] = [
        ("Entity", plain(message.entity)),
        ("Reason", plain(_why(item))),
        ("Parked", plain(f"{age(at, now)} ago, {instant(session.moment(at))}")),
        ("From", plain(f"{message.stream} {message.sequence}, {message.subject}")),
        ("Change", plain(f"{message.epoch}:{message.change}")),
    ]
    headers = [(clean(key), plain(value)) for key, value in message.headers.items()]
    return [
        title,
        *group("What", what),
        *group("Headers", headers),
        *group("Body", [("", plain(message.body))]),
    ]
