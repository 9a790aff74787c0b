"""Effects that services hold back."""

from collections.abc import Iterable
from datetime import datetime

from rich.console import RenderableType
from rich.text import Text

from murmuration.cli.render import age, counted, is_one_line, plain, table
from murmuration.proto.api import HeldList


def held_table(held: HeldList, *, now: datetime) -> Iterable[RenderableType]:
    """The list, its sum, or one sentence when there is nothing; then who did not answer."""
    away = [plain(f"Away: {', '.join(held.away)}.", style="yellow")] if held.away else []
    if not held.items:
        return [Text("Nothing is held."), *away]
    rows = table("EFFECT", "KIND", "ENTITY", "DECIDED", "HELD", flexible=("ENTITY",))
    for item in held.items:
        effect = item.effect
        rows.add_row(
            plain(f"{item.service}:{effect.id}"),
            plain(effect.kind),
            plain(effect.entity),
            plain(f"{age(effect.decided_at, now)} ago"),
            plain(age(effect.held_at, now)),
        )
    if is_one_line():
        return [rows, *away]
    return [rows, Text(), Text(f"{counted(len(held.items), 'held effect')}."), *away]
