"""Which alarm is the cause of which: a function of (active alarms, topology, rules).

The correlator keeps what is active and says what is newly found; fed the same facts in any order
and in slices of any size it comes to the same findings. So it may be thrown away at any moment and
fed again.

How it works: every rule is a join. Alarms are found by the components of their entity; a symptom
looks where the rule says that its cause must be, rule after rule, and takes the first that fits.
When a cause comes or goes, only alarms that share a component with it, or are cabled to it, are
looked at again, causes before what they may explain.

Invariants:
- a cause is active, and another alarm than its symptom;
- chains have no circle, for the rules have none (see `rules`); they end at one root;
- whatever is found depends on the active alarms, the topology and the rules, not on their order of
  arrival: among several causes of a rule the one raised first counts, then the lower uuid.
"""

from collections.abc import Callable, Container, Iterable
from functools import cache, lru_cache
from math import inf
from typing import NamedTuple

from murmuration.fm.core.entities import HOST, component, is_below, value
from murmuration.fm.core.faults import (
    UNCAUSED,
    AlarmKey,
    Fault,
    Groups,
    Verdict,
    in_order,
)
from murmuration.fm.core.rules import By, Rule, Rules
from murmuration.fm.core.topology import Place, Topology, Uplink
from murmuration.proto.entities import components

SWITCH = "switch"
PORT = "port"
SITE = ""  # the part that what may explain anything on the site has
INTERFACE_KEYS = (PORT, "interface")
VERDICTS_KEPT = 4_096  # one object for all symptoms of a cause; more causes than that are rare


class Finding(NamedTuple):
    """A verdict that differs from the one before."""

    fault: Fault
    verdict: Verdict


class Correlator:
    """Active alarms, the verdict of each, and what is still to be looked at."""

    def __init__(self, rules: Rules, topology: Topology) -> None:
        """`topology` is the correlator's from now on: it changes by `place` alone."""
        self._rules = rules
        self._topology = topology
        self._faults: dict[AlarmKey, Fault] = {}
        self._groups = Groups()
        self._causes: dict[str, int] = {}  # how many alarms are active, of ids that are causes
        self._touched: dict[tuple[Rule, str], None] = {}
        # By layer; one that is no longer due is passed when its turn comes.
        self._due: list[list[Fault]] = [[] for _ in range(len(rules.layers) + 1)]

    def __len__(self) -> int:
        """How many alarms are active."""
        return len(self._faults)

    @property
    def idle(self) -> bool:
        """Whether nothing is left to be looked at."""
        return not self._touched and not any(self._due)

    def fault(self, uuid: AlarmKey) -> Fault | None:
        """The active alarm of this uuid."""
        return self._faults.get(uuid)

    def faults(self) -> Iterable[Fault]:
        """All active alarms."""
        return self._faults.values()

    def on_host(self, host: str, alarm_ids: Container[str]) -> Iterable[Fault]:
        """The active alarms of these ids that name a host."""
        return self._groups.find(f"{HOST}={host}", alarm_ids.__contains__)

    def put(self, fault: Fault) -> None:
        """An alarm is active, or has another severity; may be repeated."""
        known = self._faults.get(fault.uuid)
        if known is None:
            self._faults[fault.uuid] = fault
            for part in self._parts(fault):
                self._groups.add(part, fault)
            if self._rules.of_cause(fault.alarm_id):
                self._causes[fault.alarm_id] = self._causes.get(fault.alarm_id, 0) + 1
                self._touch(fault)
            self._look_at(fault)
        elif known.severity != fault.severity:
            known.severity = fault.severity
            self._touch(known)

    def drop(self, uuid: AlarmKey) -> None:
        """An alarm was cleared; what it caused is looked at again."""
        fault = self._faults.pop(uuid, None)
        if fault is None:
            return
        for part in self._parts(fault):
            self._groups.remove(part, fault)
        if fault.alarm_id in self._causes:
            self._causes[fault.alarm_id] -= 1
            if not self._causes[fault.alarm_id]:
                del self._causes[fault.alarm_id]
            self._touch(fault)
        fault.due = False

    def place(self, host: str, place: Place | None) -> None:
        """A host stands elsewhere, is for something else, or (None) is gone."""
        self._topology.place(host, place)
        for fault in self._groups.find(f"{HOST}={host}", _any):
            self._touch(fault)
            self._look_at(fault)

    def settle(self, limit: int) -> list[Finding]:
        """Look at up to `limit` alarms that are due; returns what differs from before."""
        found: list[Finding] = []
        while limit > 0:
            self._expand()
            layer = next((layer for layer in self._due if layer), None)
            if layer is None:
                break
            for _ in range(min(limit, len(layer))):
                limit -= 1
                fault = layer.pop()
                if not fault.due:
                    continue
                fault.due = False
                verdict = self._judge(fault)
                if verdict != fault.verdict:
                    fault.verdict = verdict
                    found.append(Finding(fault, verdict))
                    self._touch(fault)
        return found

    # What a symptom looks up

    def _judge(self, fault: Fault) -> Verdict:
        path = components(fault.entity)
        for rule in self._rules.of_symptom(fault.alarm_id):
            if self._causes.keys().isdisjoint(rule.causes):
                continue
            cause = self._cause(rule, fault, path)
            if cause is not None:
                return _verdict(cause.verdict.root or cause.uuid, cause.uuid, rule.name)
        return UNCAUSED

    def _cause(self, rule: Rule, fault: Fault, path: tuple[str, ...]) -> Fault | None:
        match rule.by:
            case By.ENTITY:
                return self._first(rule, fault, path[0], lambda other: other == path)
            case By.BELOW:
                return self._first(rule, fault, path[0], lambda other: is_below(path, other))
            case By.COMPONENT:
                return self._first(rule, fault, component(path, rule.key), _anywhere)
            case By.SITE:
                return self._first(rule, fault, SITE, _anywhere)
            case By.UPLINK:
                return self._cause_upstream(rule, fault, path)
            case By.STORM:
                storm = components(self._topology.of(value(path, HOST)).storm)
                part = storm[0] if storm else ""
                return self._first(rule, fault, part, lambda other: other == storm)

    def _cause_upstream(self, rule: Rule, fault: Fault, path: tuple[str, ...]) -> Fault | None:
        """What cut every cable the symptom hangs on: of several the last, which made it whole."""
        causes: list[Fault] = []
        for switch, port in uplinks_of(path, self._topology):
            at = (f"{SWITCH}={switch}", f"{PORT}={port}")
            cause = self._first(rule, fault, at[0], lambda other, at=at: is_below(at, other))
            if cause is None:
                return None
            causes.append(cause)
        return max(causes, key=in_order, default=None)

    def _first(
        self, rule: Rule, fault: Fault, part: str, at: Callable[[tuple[str, ...]], bool]
    ) -> Fault | None:
        """The cause at this place that was raised first, within the rule's time of the symptom."""
        if not part and rule.by is not By.SITE:
            return None
        return self._groups.first(
            part,
            rule.causes,
            since=-inf if rule.after_s is None else fault.raised_at - rule.after_s,
            until=fault.raised_at + rule.before_s,
            counts=lambda cause: at(components(cause.entity)) and self._counts(rule, cause),
        )

    def _counts(self, rule: Rule, cause: Fault) -> bool:
        """Whether this rule takes the alarm for a cause as it is now."""
        if rule.severities and cause.severity not in rule.severities:
            return False
        path = components(cause.entity)
        if rule.of and rule.of not in path:
            return False
        if not rule.personality:
            return True
        return rule.personality == self._topology.of(value(path, HOST)).personality

    # Who is to be looked at again

    def _look_at(self, fault: Fault) -> None:
        if not fault.due:
            fault.due = True
            self._due[self._rules.layer(fault.alarm_id)].append(fault)

    def _touch(self, fault: Fault) -> None:
        """Whatever this alarm may be the cause of is to be looked at again."""
        rules = self._rules.of_cause(fault.alarm_id)
        path = components(fault.entity) if rules else ()
        for rule in rules:
            for part in self._where_symptoms_are(rule, path):
                self._touched[rule, part] = None

    def _where_symptoms_are(self, rule: Rule, path: tuple[str, ...]) -> Iterable[str]:
        match rule.by:
            case By.COMPONENT:
                return (part for part in path if part.startswith(f"{rule.key}="))
            case By.UPLINK:
                hosts = self._topology.behind(value(path, SWITCH))
                return (f"{HOST}={host}" for host in hosts)
            case By.STORM:
                hosts = self._topology.in_storm(".".join(path))
                return (f"{HOST}={host}" for host in hosts)
            case By.ENTITY | By.BELOW:
                return path[:1]
            case By.SITE:
                return (SITE,)

    def _expand(self) -> None:
        """Make the alarms of what was touched due; many causes of one group are one look."""
        touched, self._touched = self._touched, {}
        for rule, part in touched:
            explains = cache(rule.explains)
            symptoms = (
                self._groups.find(part, explains)
                if part != SITE
                else (fault for fault in self.faults() if explains(fault.alarm_id))
            )
            for fault in symptoms:
                self._look_at(fault)

    def _parts(self, fault: Fault) -> Iterable[str]:
        """What a fault is found by: its outermost component, and those that rules share."""
        path = components(fault.entity)
        parts = {path[0]: None}
        for part in path[1:]:
            if part.partition("=")[0] in self._rules.keys:
                parts[part] = None
        if fault.alarm_id in self._rules.site_causes:
            parts[SITE] = None
        return parts


def uplinks_of(path: tuple[str, ...], topology: Topology) -> Iterable[Uplink]:
    """The cables an entity hangs on: that of its port or interface, else all of its host."""
    uplinks = topology.of(value(path, HOST)).uplinks
    for key in INTERFACE_KEYS:
        name = value(path, key)
        if name in uplinks:
            return (uplinks[name],)
    return dict.fromkeys(uplinks.values())


def _anywhere(_path: tuple[str, ...]) -> bool:
    return True


def _any(_alarm_id: str) -> bool:
    return True


@lru_cache(maxsize=VERDICTS_KEPT)
def _verdict(root: AlarmKey, cause: AlarmKey, rule: str) -> Verdict:
    return Verdict(root, cause, rule)
