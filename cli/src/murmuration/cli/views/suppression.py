"""Suppressions as a table."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from rich.console import RenderableType
from rich.text import Text

from murmuration.cli.render import age, plain, table
from murmuration.proto.fm_operators import Suppression

ID_LENGTH = 8


def suppression_table(
    suppressions: Sequence[Suppression], *, now: datetime
) -> Iterable[RenderableType]:
    """What is suppressed, or one sentence when nothing is."""
    if not suppressions:
        return [Text("Nothing is suppressed.")]
    rows = table("WHAT", "ENDS", "BY", "COMMENT", "ID", flexible=("WHAT", "COMMENT", "BY"))
    for each in suppressions:
        rows.add_row(
            plain(_scope(each)),
            plain(_end(each, now)),
            plain(each.author),
            plain(each.comment),
            plain(each.id[:ID_LENGTH], style="dim"),
        )
    return [rows]


def _scope(suppression: Suppression) -> str:
    parts = (
        suppression.alarm_id,
        f"on {suppression.entity}" if suppression.entity else "",
        f"if {', '.join(suppression.severities)}" if suppression.severities else "",
    )
    return " ".join(part for part in parts if part)


def _end(suppression: Suppression, now: datetime) -> str:
    if suppression.expires_at is None:
        return "never"
    left = suppression.expires_at - now
    return f"in {age(now - left, now)}" if left > timedelta(0) else "now"
