"""What a host's own monitors say, as far as mtce decides by it.

| condition | severity | what it means for the host |
|---|---|---|
| process | critical | it cannot serve: failed, and enabled anew |
| process | major | degraded |
| stall, resource, filesystem | critical | degraded |
| sensor | major, critical | degraded |
| anything else | | its alarm alone |

An action that an operator's policy asks for a sensor (reset, power-cycle) is only asked: whether it
is done, mtce's machines decide.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from murmuration.mtce.core.model import Ask
from murmuration.proto.fm import Severity
from murmuration.proto.mtce import HealthCause
from murmuration.proto.node import AskedAction, Condition, ConditionKind

WORST_FIRST = (AskedAction.POWER_CYCLE, AskedAction.RESET)
_DEGRADES = {
    (ConditionKind.PROCESS, Severity.MAJOR): HealthCause.PROCESS,
    (ConditionKind.PROCESS, Severity.CRITICAL): HealthCause.PROCESS,
    (ConditionKind.RESOURCE, Severity.CRITICAL): HealthCause.RESOURCE,
    (ConditionKind.FILESYSTEM, Severity.CRITICAL): HealthCause.RESOURCE,
    (ConditionKind.STALL, Severity.CRITICAL): HealthCause.RESOURCE,
    (ConditionKind.SENSOR, Severity.MAJOR): HealthCause.SENSOR,
    (ConditionKind.SENSOR, Severity.CRITICAL): HealthCause.SENSOR,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """Why the host is degraded, why it has failed (empty: it has not), and what is asked for it."""

    causes: tuple[HealthCause, ...] = ()
    failed: str = ""
    asked: Ask | None = None


def judge(conditions: Iterable[Condition]) -> Judgement:
    """What follows from the conditions of one host."""
    given = list(conditions)
    causes = {_DEGRADES.get((c.kind, c.severity)) for c in given} - {None}
    critical = [
        c for c in given if c.kind is ConditionKind.PROCESS and c.severity is Severity.CRITICAL
    ]
    asks = [Ask(f"{c.kind.value}/{c.name}", c.asked) for c in given if c.asked in WORST_FIRST]
    return Judgement(
        causes=tuple(sorted(cause for cause in causes if cause is not None)),
        failed=critical[0].reason if critical else "",
        asked=worst(asks),
    )


def worst(asks: Iterable[Ask]) -> Ask | None:
    """The one of many asks that is heeded."""
    return min(asks, key=lambda ask: (WORST_FIRST.index(ask.action), ask.cause), default=None)


def names_of(conditions: Iterable[Condition]) -> set[str]:
    """What a set of conditions is about, as kind/name."""
    return {f"{c.kind.value}/{c.name}" for c in conditions}


def sentence(host: str, appeared: Iterable[str], gone: Iterable[str], left: int) -> str:
    """What changed about a host's health, for people."""
    parts = [f"{each} is wrong" for each in appeared] + [f"{each} is well again" for each in gone]
    told = ", ".join(parts[:4]) + (f" and {len(parts) - 4} more" if len(parts) > 4 else "")
    rest = f"{left} condition{'' if left == 1 else 's'} stand{'s' if left == 1 else ''}"
    return f"{host}: {told or 'its processes changed'}; {rest if left else 'all is well'}"
