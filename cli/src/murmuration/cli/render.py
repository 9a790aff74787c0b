"""Tables, words and colours for people. Everything a command shows is put together from these.

Invariants: colour only repeats what a word already says; text from the site cannot carry terminal
escapes; a pipe gets neither colour nor wrapped lines, so that grep and awk see whole records.
"""

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from murmuration.proto.api import AlarmCounts
from murmuration.proto.fm import Severity
from murmuration.proto.mtce import Availability

WIDTH_UNLIMITED = 4_096  # a pipe: no record is longer than this but a long reason text
WIDE_COLUMNS = 120  # from here on tables show what is only nice to have
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

STYLES: dict[str, str] = {
    "critical": "bold red",
    "major": "red",
    "minor": "yellow",
    "warning": "cyan",
    "indeterminate": "magenta",
    "available": "green",
    "enabled": "green",
    "online": "cyan",
    "offline": "red",
    "intest": "cyan",
    "power-off": "yellow",
    "degraded": "yellow",
    "failed": "bold red",
    "disabled": "red",
    "locked": "yellow",
    "well": "green",
    "lost": "bold red",
    "awaited": "cyan",
    "discovered": "cyan",
    "ok": "green",
    "down": "bold red",
    "unknown": "dim",
}
SEVERITIES = tuple(severity for severity in Severity if severity is not Severity.UNKNOWN)
AVAILABILITIES = (  # as people want to read their sum
    Availability.AVAILABLE,
    Availability.DEGRADED,
    Availability.FAILED,
    Availability.OFFLINE,
    Availability.ONLINE,
    Availability.INTEST,
    Availability.POWER_OFF,
    Availability.OFFDUTY,
    Availability.NOT_INSTALLED,
    Availability.UNKNOWN,
)


def is_wide() -> bool:
    """Whether there is room for the columns that are only nice to have."""
    return _console().width >= WIDE_COLUMNS


def is_one_line() -> bool:
    """Whether each record stays on one line, because a program may read it."""
    return _console().width >= WIDTH_UNLIMITED


def to_text(*renderables: RenderableType) -> str:
    """The renderables as the terminal or the pipe is to get them, without trailing blanks."""
    console = _console()
    with console.capture() as captured:
        for renderable in renderables:
            console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def clean(text: object) -> str:
    """Text from the site without control and direction characters, on one line."""
    return _CONTROL.sub(" ", str(text))


def word(text: object, *, style: str = "") -> Text:
    """A word in the colour of its meaning; unknown words have none."""
    shown = clean(text)
    return Text(shown, style=style or STYLES.get(shown, ""))


def plain(text: object, *, style: str = "") -> Text:
    """Text from the site as it is; `-` when there is none."""
    shown = clean(text)
    return Text(shown, style=style) if shown else Text("-", style="dim")


def table(*columns: str, flexible: Iterable[str] = (), right: Iterable[str] = ()) -> Table:
    """An empty table; only `flexible` columns may be wrapped when the terminal is narrow."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        made.add_column(
            name,
            no_wrap=name not in flexible,
            overflow="fold",
            justify="right" if name in right else "left",
        )
    return made


def group(title: str, rows: Sequence[tuple[str, RenderableType]]) -> list[RenderableType]:
    """A titled block of aligned `label  value` lines, for `show` views; empty without rows."""
    if not rows:
        return []
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=16, no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in rows:
        grid.add_row(Text(f"  {label}", style="dim"), value)
    return [Text(title, style="bold"), grid]


def age(since: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that says enough: 0.4 s, 12 s, 5 min, 3 h, 2 d."""
    seconds = max(0.0, (now - since).total_seconds())
    if seconds < 1:
        return f"{seconds:.1f} s"
    for limit, size, unit in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // 86_400)} d"


def instant(at: datetime) -> str:
    """A moment in full, with its zone."""
    return f"{at:%Y-%m-%d %H:%M:%S} {at:%Z}".rstrip()


def counted(count: int, noun: str) -> str:
    """`1 host`, `2 hosts`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def availability_sum(count: int, of: Mapping[str, int]) -> Text:
    """`4 hosts: 3 available, 1 failed`."""
    parts = [
        Text.assemble(f"{of[availability.value]} ", word(availability.value))
        for availability in AVAILABILITIES
        if of.get(availability.value)
    ]
    hosts = Text(counted(count, "host"))
    return Text.assemble(hosts, ": ", Text(", ").join(parts)) if parts else hosts


def count_texts(counts: AlarmCounts) -> list[Text]:
    """Each severity that has alarms, worst first, as `2 major`."""
    found = ((getattr(counts, severity.value), severity.value) for severity in SEVERITIES)
    return [Text(f"{count} {name}", style=STYLES[name]) for count, name in found if count]


def size_text(size_bytes: int) -> str:
    """A size in binary units."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1_024 or unit == "TiB":
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1_024
    raise AssertionError("the last unit returns")


def _console() -> Console:
    """A console like stdout: its width (or $COLUMNS), and colour only where it is understood."""
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else WIDTH_UNLIMITED
    return Console(
        file=sys.stdout, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False
    )
