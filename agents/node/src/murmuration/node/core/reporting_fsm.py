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
from itertools import product

from murmuration.kernel.fsm import Machine, Step, Transition
from murmuration.node.core.links import LinkChange, difference
from murmuration.proto.sysinv import Link

Links = Mapping[str, Link]


class Phase(enum.Enum):
    """Where the conversation with the inventory stands."""

    REPORT_DUE = "a full report is due"  # the inventory cannot know this host's links
    CURRENT = "the inventory knows the links"  # as they were last acknowledged
    AWAITING = "a message is in flight"
    AWAITING_DUE = "a message is in flight, and a full report is due after it"


class Input(enum.Enum):
    """What may happen."""

    WANTED = "wanted"  # a full report: at start, every ten minutes, or because it was asked for
    SAME = "same"  # the links were looked at, and are as they were told
    DIFFERENT = "different"  # the links were looked at, and differ
    ACKNOWLEDGED = "acknowledged"  # the stream has stored the message in flight
    FAILED = "failed"  # the message in flight was refused, or nothing was heard of it


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
    known: Links = field(default_factory=dict[str, Link])
    in_flight: Links = field(default_factory=dict[str, Link])


ReportingStep = Step[Reporting, None, Effect]
Outcome = tuple[Reporting, tuple[Effect, ...], str]
Action = Callable[[Reporting, Links], Outcome]


def notes(state: Reporting, _seen: Links) -> Outcome:
    """A full report will be sent with the next look, or after the message in flight."""
    return state, (), "a full report is wanted"


def reports(state: Reporting, seen: Links) -> Outcome:
    """Everything is told."""
    n = state.n + 1
    sent = replace(state, n=n, in_flight=seen)
    return sent, (SendReport(n, tuple(seen.values())),), f"full report {n}: {len(seen)} links"


def tells(state: Reporting, seen: Links) -> Outcome:
    """What differs is told."""
    n, change = state.n + 1, difference(state.known, seen)
    reason = f"delta {n}: {len(change.changed)} links changed, {len(change.removed)} removed"
    return replace(state, n=n, in_flight=seen), (SendDelta(n, change),), reason


def keeps(state: Reporting, _seen: Links) -> Outcome:
    """What was in flight is known now."""
    kept = replace(state, known=state.in_flight, in_flight={})
    return kept, (), f"message {state.n} is stored"


def doubts(state: Reporting, _seen: Links) -> Outcome:
    """What the inventory knows is not known, or was asked for anew: begin again with everything."""
    return replace(state, known={}, in_flight={}), (), f"after message {state.n} everything is due"


_P, _I, _T = Phase, Input, Transition[Phase, Action]
TABLE: dict[tuple[Phase, Input], Transition[Phase, Action]] = {
    (_P.REPORT_DUE, _I.SAME): _T(_P.AWAITING, reports),
    (_P.REPORT_DUE, _I.DIFFERENT): _T(_P.AWAITING, reports),
    (_P.CURRENT, _I.WANTED): _T(_P.REPORT_DUE, notes),
    (_P.CURRENT, _I.DIFFERENT): _T(_P.AWAITING, tells),
    (_P.AWAITING, _I.WANTED): _T(_P.AWAITING_DUE, notes),
    (_P.AWAITING, _I.ACKNOWLEDGED): _T(_P.CURRENT, keeps),
    (_P.AWAITING, _I.FAILED): _T(_P.REPORT_DUE, doubts),
    (_P.AWAITING_DUE, _I.ACKNOWLEDGED): _T(_P.REPORT_DUE, doubts),
    (_P.AWAITING_DUE, _I.FAILED): _T(_P.REPORT_DUE, doubts),
}
IGNORED: frozenset[tuple[Phase, Input]] = frozenset(
    # A full report is due already, and what it says is looked at when it is made.
    {(_P.REPORT_DUE, _I.WANTED), (_P.AWAITING_DUE, _I.WANTED), (_P.CURRENT, _I.SAME)}
    # One message at a time: the shell looks again after it.
    | set(product((_P.AWAITING, _P.AWAITING_DUE), (_I.SAME, _I.DIFFERENT)))
)
REFUSED: dict[tuple[Phase, Input], str] = dict.fromkeys(
    product((_P.REPORT_DUE, _P.CURRENT), (_I.ACKNOWLEDGED, _I.FAILED)),
    "an outcome came while no message was in flight",
)
MACHINE: Machine[Phase, Input, Action] = Machine(
    name="reporting", states=Phase, inputs=Input, table=TABLE, ignored=IGNORED, refused=REFUSED
)


def step(state: Reporting, given: Input, seen: Links | None = None) -> ReportingStep:
    """One input; `seen` are the links of a look. Raises InputRefused."""
    transition = MACHINE.find(state.phase, given)
    if transition is None:
        return ReportingStep(state=state, events=(), effects=(), reason=state.phase.value)
    assert transition.to is not None  # this machine has no end
    following, effects, reason = transition.action(state, seen or {})
    moved = replace(following, phase=transition.to)
    return ReportingStep(state=moved, events=(), effects=effects, reason=reason)


def look(state: Reporting, seen: Links) -> ReportingStep:
    """One look at the links: whether they differ from what is known decides on the input."""
    return step(state, Input.DIFFERENT if difference(state.known, seen) else Input.SAME, seen)
