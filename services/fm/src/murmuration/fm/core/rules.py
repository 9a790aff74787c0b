"""The rules of correlation: which fault explains which, where, and within what time.

Rules are data (`rules/*.toml`); an operator adds files of the same form. A wrong cause is worse
than none: a rule belongs here only where the cause makes the symptom necessary or explains it in
nearly every case.

Invariants, all checked when rules are read:
- a cause is named by its alarm id, never by a pattern;
- no alarm id explains itself, over any chain of rules: so no cycle of alarms can ever be, whatever
  is raised in whatever order;
- names are unique; the first rule that fits wins, in the order of the files.
"""

import enum
from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Annotated

import msgspec
from msgspec import Meta

from murmuration.fm.core.entities import HOST
from murmuration.kernel.errors import Rejected
from murmuration.proto.fm import AlarmIdField, Severity

RULES_MAX = 500  # each alarm is held against the rules of its id; far more than anybody can review


class By(enum.StrEnum):
    """What cause and symptom have in common."""

    ENTITY = "entity"  # they are about the same entity
    BELOW = "below"  # the symptom's entity lies inside the cause's
    COMPONENT = "component"  # both name the same `key=value`
    UPLINK = "uplink"  # the symptom's host or port is cabled to the cause's switch or switch port
    STORM = "storm"  # mtce puts the silence of the symptom's host down to the cause's entity
    SITE = "site"  # nothing but the site


Pattern = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]{3}\.([0-9]{3}|\*)|\*)$",
        description="an alarm id, a group as `300.*`, or `*` for every id",
    ),
]
Seconds = Annotated[float, Meta(ge=0, le=34_560_000, description="at most 400 days")]


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One rule; `because` says in one sentence why the cause explains the symptom."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=48)]
    because: Annotated[str, Meta(min_length=10, max_length=200)]
    causes: Annotated[tuple[AlarmIdField, ...], Meta(min_length=1)]
    symptoms: Annotated[tuple[Pattern, ...], Meta(min_length=1)]
    by: By
    key: Annotated[str, Meta(description="with `component`: the key both share")] = ""
    severities: Annotated[
        tuple[Severity, ...], Meta(description="of the cause; empty: any severity")
    ] = ()
    of: Annotated[str, Meta(description="a `key=value` that the cause's entity must have")] = ""
    personality: Annotated[str, Meta(description="what the cause's host must be for")] = ""
    before_s: Annotated[
        Seconds, Meta(description="how long before the cause a symptom may have been raised")
    ] = 60.0
    after_s: Annotated[
        Seconds | None, Meta(description="how long after it; unset: as long as the cause is there")
    ] = None

    def explains(self, alarm_id: str) -> bool:
        """Whether alarms of this id may be symptoms; a rule's causes never are its symptoms."""
        if alarm_id in self.causes:
            return False
        return any(
            pattern in {alarm_id, "*"}
            or (pattern.endswith("*") and alarm_id.startswith(pattern[:-1]))
            for pattern in self.symptoms
        )


class RuleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of one file of rules."""

    rule: tuple[Rule, ...]


class Rules:
    """A valid set of rules, in order of precedence."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Raises Rejected, naming the rule that is wrong."""
        self.all: Sequence[Rule] = tuple(rules)
        _check(self.all)
        self.layers = _layers(self.all)
        self.keys = frozenset({HOST, *(rule.key for rule in self.all if rule.key)})
        self.site_causes = frozenset(
            cause for rule in self.all if rule.by is By.SITE for cause in rule.causes
        )
        self._of_cause = {
            alarm_id: tuple(rule for rule in self.all if alarm_id in rule.causes)
            for alarm_id in self.layers
        }
        self._of_symptom: dict[str, tuple[Rule, ...]] = {}
        self._named = {rule.name: rule for rule in self.all}

    def of_cause(self, alarm_id: str) -> tuple[Rule, ...]:
        """The rules in which alarms of this id are causes."""
        return self._of_cause.get(alarm_id, ())

    def of_symptom(self, alarm_id: str) -> tuple[Rule, ...]:
        """The rules in which alarms of this id are symptoms, in order of precedence."""
        found = self._of_symptom.get(alarm_id)
        if found is None:
            found = tuple(rule for rule in self.all if rule.explains(alarm_id))
            self._of_symptom[alarm_id] = found
        return found

    def layer(self, alarm_id: str) -> int:
        """How deep a cause lies: whatever may explain it has a lower number."""
        return self.layers.get(alarm_id, len(self.layers))

    def named(self, name: str) -> Rule | None:
        """The rule of this name, None: it was taken out since."""
        return self._named.get(name)


def read_rules(files: Iterable[tuple[str, bytes]]) -> Rules:
    """Rules from (name, TOML) of files, in order. Raises Rejected, naming file and place."""
    found: list[Rule] = []
    for name, content in files:
        try:
            found.extend(msgspec.toml.decode(content, type=RuleFile).rule)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Rejected(f"rules in {name}: {error}") from error
    return Rules(found)


def _check(rules: Sequence[Rule]) -> None:
    if len(rules) > RULES_MAX:
        raise Rejected(f"there are {len(rules)} rules, the limit is {RULES_MAX}")
    names: set[str] = set()
    for rule in rules:
        if rule.name in names:
            raise Rejected(f"there are two rules {rule.name}")
        names.add(rule.name)
        if bool(rule.key) != (rule.by is By.COMPONENT):
            raise Rejected(f"rule {rule.name}: `key` goes with by = component, and only with it")
        if Severity.UNKNOWN in rule.severities:
            raise Rejected(f"rule {rule.name}: a severity is none of those there are")


def _layers(rules: Sequence[Rule]) -> dict[str, int]:
    """Every cause's depth; Rejected where causes would explain each other in a circle."""
    causes = {alarm_id for rule in rules for alarm_id in rule.causes}
    graph = {
        alarm_id: {cause for rule in rules if rule.explains(alarm_id) for cause in rule.causes}
        for alarm_id in sorted(causes)
    }
    try:
        order = tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise Rejected(f"these alarms would explain each other: {circle}") from error
    return {alarm_id: depth for depth, alarm_id in enumerate(order)}
