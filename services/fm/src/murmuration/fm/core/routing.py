"""Who is told of an alarm: labels, matchers, and the tree of routes, as Alertmanager users know it.

An alarm walks the tree from the root: at each node the first child that fits takes it further, and
the ones after it too where it says `goes_on`; where no child fits, the node itself takes it. What a
node does not say for itself is as its parent has it.

Invariants: a tree is whole (parents come first, receivers and mute times exist); every alarm ends
at the root at least; an alarm is in one group per receiver and set of labels.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from murmuration.fm.core.entities import HOST, value
from murmuration.kernel.errors import Rejected
from murmuration.proto.entities import components
from murmuration.proto.fm import Alarm
from murmuration.proto.fm_notify import (
    Matcher,
    MatchOperator,
    MuteTime,
    Receiver,
    ReceiverKind,
    Route,
    Routing,
)

GROUP_WAIT_S = 30.0
GROUP_INTERVAL_S = 300.0
REPEAT_INTERVAL_S = 4 * 3_600.0
GROUP_BY = ("alarm_id", "host")
LABELS = frozenset(
    {
        "alarm_id",
        "entity",
        "host",
        "severity",
        "alarm_type",
        "probable_cause",
        "producer",
        "service_affecting",
    }
)
PATTERNS_KEPT = 1_000

Labels = Mapping[str, str]


def labels_of(alarm: Alarm) -> dict[str, str]:
    """The labels of an alarm; those that would be empty are left out."""
    labels = {
        "alarm_id": alarm.alarm_id,
        "entity": alarm.entity,
        "host": value(components(alarm.entity), HOST),
        "severity": alarm.severity.value,
        "alarm_type": alarm.alarm_type.value,
        "probable_cause": alarm.probable_cause,
        "producer": alarm.producer,
        "service_affecting": "yes" if alarm.service_affecting else "no",
    }
    return {label: text for label, text in labels.items() if text}


def fits(matchers: Iterable[Matcher], labels: Labels) -> bool:
    """Whether all of these conditions hold; an absent label is empty."""
    return all(_fits(matcher, labels.get(matcher.label, "")) for matcher in matchers)


def _fits(matcher: Matcher, text: str) -> bool:
    match matcher.operator:
        case MatchOperator.EQUAL:
            return text == matcher.value
        case MatchOperator.DIFFERENT:
            return text != matcher.value
        case MatchOperator.LIKE:
            return _pattern(matcher.value).fullmatch(text) is not None
        case MatchOperator.UNLIKE:
            return _pattern(matcher.value).fullmatch(text) is None
        case _:
            return False


@lru_cache(maxsize=PATTERNS_KEPT)
def _pattern(text: str) -> re.Pattern[str]:
    """Alternatives with `*`: no free regular expression, which could take for ever to match."""
    alternatives = (
        ".*".join(re.escape(piece) for piece in re.split(r"\*+", alternative))
        for alternative in text.split("|")
    )
    return re.compile("|".join(alternatives), re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A route with all that it has from its parents."""

    name: str
    receiver: str
    matchers: tuple[Matcher, ...]
    group_by: tuple[str, ...]
    group_wait_s: float
    group_interval_s: float
    repeat_interval_s: float
    goes_on: bool
    symptoms: bool
    mute_times: tuple[str, ...]
    children: tuple["Node", ...]

    def group_of(self, labels: Labels) -> dict[str, str]:
        """The labels of the group an alarm belongs to here."""
        return {label: labels[label] for label in self.group_by if label in labels}


ROOT = Node(
    name="",
    receiver="",
    matchers=(),
    group_by=GROUP_BY,
    group_wait_s=GROUP_WAIT_S,
    group_interval_s=GROUP_INTERVAL_S,
    repeat_interval_s=REPEAT_INTERVAL_S,
    goes_on=False,
    symptoms=False,
    mute_times=(),
    children=(),
)


class Tree:
    """A valid routing."""

    def __init__(self, routing: Routing) -> None:
        """Raises Rejected, naming the route that is wrong."""
        self.mute_times: Mapping[str, MuteTime] = {one.name: one for one in routing.mute_times}
        _check(routing)
        self._tops = _children("", ROOT, routing.routes)
        self.nodes = {node.name: node for node in _every(self._tops)}

    def nodes_of(self, labels: Labels) -> list[Node]:
        """The routes by which an alarm with these labels is told."""
        return _walk(self._tops, labels)

    def receivers(self) -> frozenset[str]:
        """The receivers that routes name."""
        return frozenset(node.receiver for node in self.nodes.values())


def _walk(nodes: Sequence[Node], labels: Labels) -> list[Node]:
    found: list[Node] = []
    for node in nodes:
        if fits(node.matchers, labels):
            found.extend(_walk(node.children, labels) or [node])
            if not node.goes_on:
                break
    return found


def _every(nodes: Iterable[Node]) -> Iterable[Node]:
    for node in nodes:
        yield node
        yield from _every(node.children)


def _children(parent: str, above: Node, routes: Sequence[Route]) -> tuple[Node, ...]:
    found: list[Node] = []
    for route in routes:
        if route.parent == parent:
            node = _node(route, above)
            children = _children(route.name, node, routes)
            found.append(_with_children(node, children))
    return tuple(found)


def _node(route: Route, above: Node) -> Node:
    return Node(
        name=route.name,
        receiver=route.receiver or above.receiver,
        matchers=route.matchers,
        group_by=above.group_by if route.group_by is None else route.group_by,
        group_wait_s=_either(route.group_wait_s, above.group_wait_s),
        group_interval_s=_either(route.group_interval_s, above.group_interval_s),
        repeat_interval_s=_either(route.repeat_interval_s, above.repeat_interval_s),
        goes_on=route.goes_on,
        symptoms=above.symptoms if route.symptoms is None else route.symptoms,
        mute_times=route.mute_times,
        children=(),
    )


def _with_children(node: Node, children: tuple[Node, ...]) -> Node:
    return replace(node, children=children)


def _either(own: float | None, above: float) -> float:
    return above if own is None else own


def _check(routing: Routing) -> None:
    names: set[str] = set()
    mute_times = {one.name for one in routing.mute_times}
    for route in routing.routes:
        where = f"route {route.name}"
        if route.name in names:
            raise Rejected(f"there are two routes {route.name}")
        if route.parent and route.parent not in names:
            raise Rejected(f"{where}: its parent {route.parent} is not among the routes before it")
        if not route.parent and not route.receiver:
            raise Rejected(f"{where}: a route without a parent names its receiver")
        for label in (*(one.label for one in route.matchers), *(route.group_by or ())):
            if label not in LABELS:
                raise Rejected(f"{where}: there is no label {label}; labels: {_listed(LABELS)}")
        _check_matchers(where, route.matchers)
        for name in route.mute_times:
            if name not in mute_times:
                raise Rejected(f"{where}: there is no mute time {name}")
        names.add(route.name)


def _check_matchers(where: str, matchers: Iterable[Matcher]) -> None:
    for matcher in matchers:
        if matcher.label not in LABELS:
            raise Rejected(f"{where}: there is no label {matcher.label}; {_listed(LABELS)}")
        if matcher.operator is MatchOperator.UNKNOWN:
            raise Rejected(f"{where}: operators are =, !=, =~ and !~")


def check_silence(matchers: Iterable[Matcher]) -> None:
    """Raises Rejected for matchers that fit nothing there can be."""
    _check_matchers("silence", matchers)


def check_receiver(receiver: Receiver) -> None:
    """Raises Rejected when a receiver cannot be told by its URL."""
    scheme, _, rest = receiver.url.partition("://")
    schemes = {
        ReceiverKind.WEBHOOK: ("http", "https"),
        ReceiverKind.ALERTMANAGER: ("http", "https"),
        ReceiverKind.SNMP: ("snmp",),
    }.get(receiver.kind)
    if schemes is None:
        raise Rejected("a receiver is a webhook, alertmanager or snmp")
    if scheme not in schemes or not rest.strip("/"):
        raise Rejected(f"a receiver of kind {receiver.kind.value} has a URL {schemes[0]}://host…")
    if "@" in rest.partition("/")[0]:
        raise Rejected("a URL bears no user or password; `secret` names a file")


def check_receivers(tree: Tree, known: Collection[str]) -> None:
    """Raises Rejected where a route names a receiver that is not there."""
    missing = tree.receivers() - set(known)
    if missing:
        raise Rejected(f"routes name receivers that are not there: {_listed(missing)}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
