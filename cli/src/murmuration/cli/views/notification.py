"""Receivers, routes and silences as tables."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from rich.console import RenderableType
from rich.text import Text

from murmuration.cli.render import age, plain, table, word
from murmuration.proto.fm_notify import (
    Matcher,
    ReceiverStatus,
    Route,
    Routing,
    Silence,
    SilenceState,
)

ID_LENGTH = 8


def silence_table(silences: Sequence[Silence], *, now: datetime) -> Iterable[RenderableType]:
    """Silences, or one sentence when there are none."""
    if not silences:
        return [Text("Nothing is silenced.")]
    rows = table("ALARMS", "STATE", "ENDS", "BY", "COMMENT", "ID", flexible=("ALARMS", "COMMENT"))
    for each in silences:
        rows.add_row(
            plain(conditions(each.matchers)),
            word(each.state.value),
            plain(_end(each, now)),
            plain(each.author),
            plain(each.comment),
            plain(each.id[-ID_LENGTH:], style="dim"),
        )
    return [rows]


def receiver_table(
    receivers: Sequence[ReceiverStatus], *, now: datetime
) -> Iterable[RenderableType]:
    """Receivers and how it goes with them, or one sentence when there are none."""
    if not receivers:
        return [Text("Nobody is told of alarms: `mur receiver set` adds who is.")]
    rows = table(
        *("NAME", "KIND", "URL", "WAITING", "GIVEN UP", "DELIVERED", "LAST ERROR"),
        flexible=("URL", "LAST ERROR"),
        right=("WAITING", "GIVEN UP"),
    )
    for each in receivers:
        rows.add_row(
            plain(each.receiver.name),
            plain(each.receiver.kind.value),
            plain(each.receiver.url),
            plain(each.waiting),
            plain(each.dead),
            plain(f"{age(each.delivered_at, now)} ago" if each.delivered_at else ""),
            plain(each.error),
        )
    return [rows]


def routing_table(routing: Routing) -> Iterable[RenderableType]:
    """The routes as the tree that they are, or one sentence when there are none."""
    if not routing.routes:
        return [Text("There are no routes: `mur receiver routes --file` sets them.")]
    rows = table("ROUTE", "RECEIVER", "ALARMS", flexible=("ALARMS",))
    for depth, route in _in_tree("", 0, routing.routes):
        rows.add_row(
            plain(f"{'  ' * depth}{route.name}"),
            plain(route.receiver),
            plain(conditions(route.matchers) or "all"),
        )
    return [rows]


def conditions(matchers: Iterable[Matcher]) -> str:
    """Conditions as they are typed."""
    return ",".join(f"{each.label}{each.operator.value}{each.value}" for each in matchers)


def _in_tree(parent: str, depth: int, routes: Sequence[Route]) -> Iterable[tuple[int, Route]]:
    for route in routes:
        if route.parent == parent:
            yield depth, route
            yield from _in_tree(route.name, depth + 1, routes)


def _end(silence: Silence, now: datetime) -> str:
    left = silence.ends_at - now
    if silence.state is SilenceState.EXPIRED or left <= timedelta(0):
        return f"{age(silence.ends_at, now)} ago"
    return f"in {age(now - left, now)}"
