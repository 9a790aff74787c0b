"""A host's health as its agent sees it: conditions, processes, readings."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.text import Text

from murmuration.cli.render import age, clean, plain, table, word
from murmuration.proto.node import Condition, HostHealth, ProcessState, ProcessView, Reading

STYLES = {
    ProcessState.RUNNING: "green",
    ProcessState.FAILED: "red",
    ProcessState.RESTARTING: "yellow",
}


def health_view(health: HostHealth, *, now: datetime) -> Iterable[RenderableType]:
    """What is wrong first, then what is watched."""
    told = f"  told {age(health.observed_at, now)} ago"
    yield Text.assemble((clean(health.host), "bold"), (told, "dim"))
    if health.conditions:
        yield _conditions(health.conditions, now)
    else:
        yield Text("Nothing is wrong.", style="green")
    if health.processes:
        yield Text("Processes", style="bold")
        yield _processes(health.processes)
    if health.readings:
        yield Text("Measured", style="bold")
        yield _readings(health.readings)
    if not health.processes and not health.readings:
        yield plain("Its agent monitors no process and measures nothing.", style="dim")


def _conditions(conditions: Sequence[Condition], now: datetime) -> RenderableType:
    rows = table("SEVERITY", "WHAT", "SINCE", "REASON", flexible=("WHAT", "REASON"))
    for each in conditions:
        what = f"{each.kind.value} {each.name}"
        rows.add_row(word(each.severity), plain(what), age(each.since, now), plain(each.reason))
    return rows


def _processes(processes: Sequence[ProcessView]) -> RenderableType:
    rows = table("PROCESS", "STATE", "PID", "RESTARTS", "SEVERITY", right=("PID", "RESTARTS"))
    for each in processes:
        severity = word(each.severity)
        if each.quorum:
            severity.append(", quorum")
        state = word(each.state, style=STYLES.get(each.state, ""))
        rows.add_row(
            plain(each.name), state, plain(each.pid or ""), plain(each.restart_count), severity
        )
    return rows


def _readings(readings: Sequence[Reading]) -> RenderableType:
    rows = table("READING", "VALUE", "STATE", flexible=("READING",), right=("VALUE",))
    for each in readings:
        state = word(each.severity) if each.severity else Text("ok", style="green")
        rows.add_row(plain(each.name), plain(f"{each.value:g} {each.unit}"), state)
    return rows
