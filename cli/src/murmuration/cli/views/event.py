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
DATED_WIDTH = 14  # 11-22 14:03:09
FULL_WIDTH = 19  # 2025-11-22 14:03:09
WHAT_WIDTH = 18  # host state changed, the longest of the usual
SUBJECT_WIDTH = 16


def event_table(events: Sequence[EventView], *, session: Session) -> Iterable[RenderableType]:
    """The list, or one sentence when there is nothing."""
    if not events:
        return [Text("No events.")]
    return [event_lines(events, session=session, head=True)]


def event_lines(events: Sequence[EventView], *, session: Session, head: bool = False) -> Table:
    """Lines of a table whose columns stay where they are from call to call."""
    wide = is_wide()
    columns = ("TIME", "EVENT", "SUBJECT", "SUMMARY") if wide else ("TIME", "EVENT", "SUMMARY")
    rows = table(*columns, flexible=("SUMMARY", "SUBJECT"))
    rows.show_header = head
    moments = [_moment(session.moment(event.time), session, wide=wide) for event in events]
    rows.columns[0].min_width = FULL_WIDTH if wide else TODAY_WIDTH
    rows.columns[1].min_width = WHAT_WIDTH
    if wide:
        rows.columns[2].min_width = SUBJECT_WIDTH
    for moment, event in zip(moments, events, strict=True):
        cells = [Text(moment, style="dim"), Text(_what(event.type))]
        if wide:
            cells.append(plain(event.subject))
        rows.add_row(*cells, _summary(event))
    return rows


def _moment(at: datetime, session: Session, *, wide: bool) -> str:
    if wide:
        return f"{at:%Y-%m-%d %H:%M:%S}"
    today = session.moment(session.now()).date()
    return f"{at:%H:%M:%S}" if at.date() == today else f"{at:%m-%d %H:%M:%S}"


def _what(type: str) -> str:
    """`mtce.host.state_changed.v1` as `host state changed`."""
    parts = clean(type).split(".")
    return " ".join(parts[1:-1]).replace("_", " ") if len(parts) > 2 else clean(type)


def _summary(event: EventView) -> Text:
    summary = clean(event.summary)
    if event.severity is None:
        return Text(summary)
    severity = event.severity.value
    return Text.assemble((severity, STYLES.get(severity, "")), "  ", summary)
