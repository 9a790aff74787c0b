"""The hosts that the supervisor runs, and what is broken about them."""

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.text import Text

from murmuration.cli.commands.lab import LabHost
from murmuration.cli.render import plain, table


def lab_table(hosts: Sequence[LabHost]) -> Iterable[RenderableType]:
    """The list, or one sentence when there is nothing."""
    if not hosts:
        return [Text("This site runs no hosts of its own.")]
    rows = table("HOST", "ORIGIN", "BROKEN", flexible=("BROKEN",))
    for host in hosts:
        broken = Text(", ".join(host.faults), style="yellow") if host.faults else plain("no")
        origin = f"{host.origin}, observe-only" if host.observe_only else host.origin
        rows.add_row(plain(host.name), plain(origin), broken)
    return [rows]
