"""Which alarm is the cause of which: a function of (active alarms, topology, rules).

The correlator keeps what is active and says what is newly found; fed the same facts in any order
and in slices of any size it comes to the same findings. So it may be thrown away at any moment and
fed again.

How it works: every rule is a join. A cause is filed under (rule, what it shares with its symptoms);
a symptom looks there, rule after rule, and takes the first that fits. When a cause comes or goes,
only alarms that share a component with it, or are cabled to it, are looked at again, causes before
what they may explain.

Invariants:
- a cause is active, and another alarm than its symptom;
- chains have no circle, for the rules have none (see `rules`); they end at one root;
- whatever is found depends on the active alarms, the topology and the rules, not on their order of
  arrival: among several causes of a rule the one raised first counts, then the lower uuid.
"""

from bisect import bisect_left, insort
from collections.abc import Container, Iterable, Iterator
from functools import cache, lru_cache
from typing import NamedTuple

from murmuration.fm.core.entities import HOST, component, components, value
from murmuration.fm.core.faults import UNCAUSED, AlarmKey, Fault, Groups, Verdict
from murmuration.fm.core.rules import By, Rule, Rules
from murmuration.fm.core.topology import Place, Topology, Uplink

SWITCH = "switch"
PORT = "port"
INTERFACE_KEYS = (PORT, "interface")
VERDICTS_KEPT = 4_096  # one object for all symptoms of a cause; more causes than that are rare


class Finding(NamedTuple):
    """A verdict that differs from the one before."""

    uuid: AlarmKey
    verdict: Verdict


class _Filed(NamedTuple):
    """A cause in its file; files are sorted by time."""

    raised_at: float
    uuid: AlarmKey
    fault: Fault


class Correlator:
    """Active alarms, the verdict of each, and what is still to be looked at."""

    def __init__(self, rules: Rules, topology: Topology) -> None:
        """`topology` is the correlator's from now on: it changes by `place` alone."""
        self._rules = rules
        self._topology = topology
        self._faults: dict[AlarmKey, Fault] = {}
        self._groups = Groups()
        self._files: dict[tuple[str, str], list[_Filed]] = {}
        self._filed_count: dict[str, int] = {}
        self._touched: dict[tuple[Rule, str], None] = {}
        self._due: list[dict[Fault, None]] = [{} for _ in range(len(rules.layers) + 1)]

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
            self._file(fault)
            self._look_at(fault)
        elif known.severity != fault.severity:
            self._withdraw(known)
            known.severity = fault.severity
            self._file(known)

    def drop(self, uuid: AlarmKey) -> None:
        """An alarm was cleared; what it caused is looked at again."""
        fault = self._faults.pop(uuid, None)
        if fault is None:
            return
        for part in self._parts(fault):
            self._groups.remove(part, fault)
        self._withdraw(fault)
        self._due[self._rules.layer(fault.alarm_id)].pop(fault, None)

    def place(self, host: str, place: Place | None) -> None:
        """A host stands elsewhere, is for something else, or (None) is gone."""
        here = list(self._groups.find(f"{HOST}={host}", _any))
        for fault in here:
            self._withdraw(fault)
        self._topology.place(host, place)
        for fault in here:
            self._file(fault)
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
                fault, _none = layer.popitem()
                verdict = self._judge(fault)
                if verdict != fault.verdict:
                    fault.verdict = verdict
                    found.append(Finding(fault.uuid, verdict))
                    self._touch(fault)
        return found

    # What a symptom looks up

    def _judge(self, fault: Fault) -> Verdict:
        path: tuple[str, ...] = ()
        for rule in self._rules.of_symptom(fault.alarm_id):
            if rule.name not in self._filed_count:
                continue
            path = path or components(fault.entity)
            cause = self._cause(rule, fault, path)
            if cause is not None:
                return _verdict(cause.verdict.root or cause.uuid, cause.uuid, rule.name)
        return UNCAUSED

    def _cause(self, rule: Rule, fault: Fault, path: tuple[str, ...]) -> Fault | None:
        if rule.by is By.UPLINK:
            return self._cause_upstream(rule, fault, path)
        found = (self._first(rule, fault, key) for key in _shared_by_symptom(rule, path))
        return next((cause for cause in found if cause is not None), None)

    def _cause_upstream(self, rule: Rule, fault: Fault, path: tuple[str, ...]) -> Fault | None:
        """What cut every cable the symptom hangs on: of several the last, which made it whole."""
        causes: list[Fault] = []
        for uplink in uplinks_of(path, self._topology):
            there = [
                cause
                for key in (_switch_key(uplink.switch), _switch_key(*uplink))
                if (cause := self._first(rule, fault, key)) is not None
            ]
            if not there:
                return None
            causes.append(min(there, key=_order))
        return max(causes, key=_order, default=None)

    def _first(self, rule: Rule, fault: Fault, key: str) -> Fault | None:
        """The cause filed here that was raised first, within the rule's time of the symptom."""
        file = self._files.get((rule.name, key))
        if file is None:
            return None
        start = 0
        if rule.after_s is not None:
            start = bisect_left(file, fault.raised_at - rule.after_s, key=_raised_at)
        if start == len(file) or file[start].raised_at > fault.raised_at + rule.before_s:
            return None
        return file[start].fault

    # Where causes are filed

    def _file(self, fault: Fault) -> None:
        for rule, key in self._files_of(fault):
            insort(self._files.setdefault((rule.name, key), []), _filed(fault))
            self._filed_count[rule.name] = self._filed_count.get(rule.name, 0) + 1
        self._touch(fault)

    def _withdraw(self, fault: Fault) -> None:
        self._touch(fault)
        for rule, key in self._files_of(fault):
            file = self._files[rule.name, key]
            file.pop(bisect_left(file, _filed(fault)))
            if not file:
                del self._files[rule.name, key]
            self._filed_count[rule.name] -= 1
            if not self._filed_count[rule.name]:
                del self._filed_count[rule.name]

    def _files_of(self, fault: Fault) -> Iterator[tuple[Rule, str]]:
        rules = self._rules.of_cause(fault.alarm_id)
        path = components(fault.entity) if rules else ()
        for rule in rules:
            key = _shared_by_cause(rule, path)
            if key is not None and self._counts(rule, fault, path):
                yield rule, key

    def _counts(self, rule: Rule, fault: Fault, path: tuple[str, ...]) -> bool:
        """Whether this rule takes the alarm for a cause as it is now."""
        if rule.severities and fault.severity not in rule.severities:
            return False
        if rule.of and rule.of not in path:
            return False
        host = self._topology.of(value(path, HOST))
        return not rule.personality or rule.personality == host.personality

    # Who is to be looked at again

    def _look_at(self, fault: Fault) -> None:
        self._due[self._rules.layer(fault.alarm_id)][fault] = None

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
                return filter(None, (component(path, rule.key),))
            case By.UPLINK:
                hosts = self._topology.behind(value(path, SWITCH))
                return (f"{HOST}={host}" for host in hosts)
            case By.ENTITY | By.BELOW:
                return path[:1]
            case By.SITE:
                return ("",)

    def _expand(self) -> None:
        """Make the alarms of what was touched due; many causes of one group are one look."""
        touched, self._touched = self._touched, {}
        for rule, part in touched:
            explains = cache(rule.explains)
            symptoms = (
                self._groups.find(part, explains)
                if part
                else (fault for fault in self.faults() if explains(fault.alarm_id))
            )
            for fault in symptoms:
                self._look_at(fault)

    def _parts(self, fault: Fault) -> Iterable[str]:
        """What a fault is found by: its outermost component, and those that rules share."""
        path = components(fault.entity)
        shared = {path[0]: None}
        for key in self._rules.keys:
            if part := component(path, key):
                shared[part] = None
        return shared


def uplinks_of(path: tuple[str, ...], topology: Topology) -> Iterable[Uplink]:
    """The cables an entity hangs on: that of its port or interface, else all of its host."""
    uplinks = topology.of(value(path, HOST)).uplinks
    for key in INTERFACE_KEYS:
        name = value(path, key)
        if name in uplinks:
            return (uplinks[name],)
    return dict.fromkeys(uplinks.values())


def _switch_key(switch: str, port: str = "") -> str:
    return f"{SWITCH}={switch}.{PORT}={port}" if port else f"{SWITCH}={switch}"


def _shared_by_symptom(rule: Rule, path: tuple[str, ...]) -> Iterable[str]:
    """Under which keys a symptom looks for its cause, the nearest first."""
    match rule.by:
        case By.ENTITY:
            return (".".join(path),)
        case By.BELOW:
            return (".".join(path[:depth]) for depth in range(len(path), 0, -1))
        case By.COMPONENT:
            return filter(None, (component(path, rule.key),))
        case By.SITE:
            return ("",)
        case By.UPLINK:
            return ()


def _shared_by_cause(rule: Rule, path: tuple[str, ...]) -> str | None:
    """Under which key a cause is filed; None: this rule has no use for its entity."""
    match rule.by:
        case By.ENTITY | By.BELOW:
            return ".".join(path)
        case By.COMPONENT:
            return component(path, rule.key) or None
        case By.UPLINK:
            switch = value(path, SWITCH)
            return _switch_key(switch, value(path, PORT)) if switch else None
        case By.SITE:
            return ""


def _filed(fault: Fault) -> _Filed:
    return _Filed(fault.raised_at, fault.uuid, fault)


def _raised_at(filed: _Filed) -> float:
    return filed.raised_at


def _order(fault: Fault) -> tuple[float, AlarmKey]:
    return fault.raised_at, fault.uuid


def _any(_alarm_id: str) -> bool:
    return True


@lru_cache(maxsize=VERDICTS_KEPT)
def _verdict(root: AlarmKey, cause: AlarmKey, rule: str) -> Verdict:
    return Verdict(root, cause, rule)
