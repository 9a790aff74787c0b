"""Events, one line each, the same whether listed or followed."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from murmuration.cli.render import STYLES, clean, is_wide, plain, table
from murmuration.cli.session import Session
from murmuration.proto.api import EventView

TODAY_WIDTH = 8  # 14:03:09
WHAT_WIDTH = 18  # host state changed, the longest of the usual
SUBJECT_WIDTH = 16


def event_table(events: Sequence[EventView], *, session: Session) -> Iterable[RenderableType]:
    """The list, or one sentence when there is nothing."""
    if not events:
        return [Text("No events.")]
    return [EventLines(events, session=session).table(events, head=True)]


class EventLines:
    """Events as lines of one table, however many at a time; its columns stay where they are.

    `past` are the oldest events it will show: they say whether a date is needed.
    """

    def __init__(self, past: Sequence[EventView], *, session: Session) -> None:
        self._session = session
        self._wide = is_wide()
        width = max((len(self._moment(event.time)) for event in past), default=TODAY_WIDTH)
        self._widths = (width, WHAT_WIDTH, SUBJECT_WIDTH)

    def table(self, events: Sequence[EventView], *, head: bool = False) -> Table:
        """The lines of `events`, below the names of the columns where `head`."""
        names = ("TIME", "EVENT", "SUBJECT") if self._wide else ("TIME", "EVENT")
        rows = table(*names, "SUMMARY", flexible=("SUMMARY", "SUBJECT"))
        rows.show_header = head
        for column, width in zip(rows.columns, self._widths, strict=False):
            column.min_width = width
        for event in events:
            cells = [Text(self._moment(event.time), style="dim"), Text(_what(event.type))]
            if self._wide:
                cells.append(plain(event.subject))
            rows.add_row(*cells, _summary(event))
        return rows

    def _moment(self, at: datetime) -> str:
        at = self._session.moment(at)
        if self._wide:
            return f"{at:%Y-%m-%d %H:%M:%S}"
        today = self._session.moment(self._session.now()).date()
        return f"{at:%H:%M:%S}" if at.date() == today else f"{at:%m-%d %H:%M:%S}"


def _what(type: str) -> str:
    """`mtce.host.state_changed.v1` as `host state changed`."""
    parts = clean(type).split(".")
    return " ".join(parts[1:-1]).replace("_", " ") if len(parts) > 2 else clean(type)


def _summary(event: EventView) -> Text:
    """The sentence with its severity in colour, put before it where the sentence has none."""
    text = Text(clean(event.summary))
    if event.severity is None:
        return text
    severity = event.severity.value
    style = STYLES.get(severity, "")
    if text.highlight_regex(rf"\b{severity}\b", style) or ".cleared." in event.type:
        return text
    return Text.assemble((severity, style), "  ", text)
