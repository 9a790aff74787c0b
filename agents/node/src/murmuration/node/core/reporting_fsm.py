"""When the agent sends a full report, when a delta, and what number it bears.

Governs one incarnation of the agent on one host. Invariants:
- n is contiguous and never used twice, whatever became of a message;
- a delta is sent only on top of a message that the stream has acknowledged;
- one message is in flight at a time, so memory does not grow while the bus is away;
- after a message whose outcome is bad or unknown the next one is a full report.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from murmuration.node.core.links import LinkChange, difference
from murmuration.proto.sysinv import Link


class Phase(enum.Enum):
    """Where the conversation with the inventory stands."""

    REPORT_DUE = "report due"  # the inventory cannot know this host's links
    CURRENT = "current"  # it knows what was last acknowledged
    AWAITING = "awaiting"  # a message is in flight
    AWAITING_REPORT_DUE = "awaiting, report due"  # likewise, and a full report was asked meanwhile


@dataclass(frozen=True, slots=True)
class Wanted:
    """A full report is wanted: at start, every ten minutes, or because it was asked for."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The links were looked at."""

    links: Mapping[str, Link]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The stream has stored the message in flight."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The message in flight was refused, or nothing was heard of it."""


Input = Wanted | Looked | Acknowledged | Failed


@dataclass(frozen=True, slots=True)
class SendReport:
    """Publish a full report numbered n."""

    n: int
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class SendDelta:
    """Publish a delta numbered n."""

    n: int
    change: LinkChange


Effect = SendReport | SendDelta


@dataclass(frozen=True, slots=True)
class Reporting:
    """The machine's state: phase, last number used, links acknowledged and links in flight."""

    phase: Phase = Phase.REPORT_DUE
    n: int = 0
    known: Mapping[str, Link] = field(default_factory=dict[str, Link])
    in_flight: Mapping[str, Link] = field(default_factory=dict[str, Link])


@dataclass(frozen=True, slots=True)
class Step:
    """What comes of one input."""

    state: Reporting
    effect: Effect | None
    reason: str


class Impossible(Exception):
    """An outcome was reported while nothing was in flight: a fault in the shell."""


def step(state: Reporting, given: Input) -> Step:
    """One step. Raises Impossible for a pair in REFUSED."""
    pair: Pair = (state.phase, type(given))
    if pair in REFUSED:
        raise Impossible(f"{type(given).__name__} while {state.phase.value}")
    if pair in IGNORED:
        return Step(state, None, IGNORED[pair])
    return TABLE[pair](state, given)


def _want(state: Reporting, _given: Input) -> Step:
    return Step(replace(state, phase=Phase.REPORT_DUE), None, "a full report is due")


def _want_next(state: Reporting, _given: Input) -> Step:
    reason = "a full report is due after the message in flight"
    return Step(replace(state, phase=Phase.AWAITING_REPORT_DUE), None, reason)


def _report(state: Reporting, given: Input) -> Step:
    assert isinstance(given, Looked)
    n = state.n + 1
    following = replace(state, phase=Phase.AWAITING, n=n, in_flight=given.links)
    effect = SendReport(n, tuple(given.links.values()))
    return Step(following, effect, f"full report {n} with {len(given.links)} links")


def _compare(state: Reporting, given: Input) -> Step:
    assert isinstance(given, Looked)
    change = difference(state.known, given.links)
    if not change:
        return Step(state, None, "no link differs from what was told")
    n = state.n + 1
    following = replace(state, phase=Phase.AWAITING, n=n, in_flight=given.links)
    told = f"{len(change.changed)} changed and {len(change.removed)} removed links"
    return Step(following, SendDelta(n, change), f"delta {n} with {told}")


def _keep(state: Reporting, _given: Input) -> Step:
    following = replace(state, phase=Phase.CURRENT, known=state.in_flight, in_flight={})
    return Step(following, None, f"message {state.n} is stored")


def _start_over(state: Reporting, _given: Input) -> Step:
    following = replace(state, phase=Phase.REPORT_DUE, known={}, in_flight={})
    return Step(following, None, f"after message {state.n} a full report is due")


Pair = tuple[Phase, type[Wanted] | type[Looked] | type[Acknowledged] | type[Failed]]

TABLE: dict[Pair, Callable[[Reporting, Input], Step]] = {
    (Phase.REPORT_DUE, Looked): _report,
    (Phase.CURRENT, Wanted): _want,
    (Phase.CURRENT, Looked): _compare,
    (Phase.AWAITING, Wanted): _want_next,
    (Phase.AWAITING, Acknowledged): _keep,
    (Phase.AWAITING, Failed): _start_over,
    (Phase.AWAITING_REPORT_DUE, Acknowledged): _start_over,
    (Phase.AWAITING_REPORT_DUE, Failed): _start_over,
}
IGNORED: dict[Pair, str] = {
    (Phase.REPORT_DUE, Wanted): "a full report is due already",
    (Phase.AWAITING, Looked): "a message is in flight: look again after it",
    (Phase.AWAITING_REPORT_DUE, Wanted): "a full report is due already",
    (Phase.AWAITING_REPORT_DUE, Looked): "a message is in flight: look again after it",
}
REFUSED: frozenset[Pair] = frozenset(
    (phase, outcome)
    for phase in (Phase.REPORT_DUE, Phase.CURRENT)
    for outcome in (Acknowledged, Failed)
)
