"""The whole picture that is derived from alarms: causes, flapping, lost switches, gates, degrades.

Inputs are what fm says of its alarms and what sysinv and mtce say of hosts, each a small struct: a
file of them (JSON Lines) is a trace, and replayed it gives the same picture. The shell feeds them
in, and writes what `settle`, `flapped`, `switches` and `derived` return.

Invariant: the picture is a function of its inputs; `settle` in slices of any size ends at the same.
"""

from collections.abc import Iterable, Mapping

import msgspec

from murmuration.fm.core.correlation import Correlator, Finding
from murmuration.fm.core.faults import UNCAUSED, AlarmKey, Fault, Verdict
from murmuration.fm.core.flapping import Flap, Flaps, Key
from murmuration.fm.core.gates import Causes, Gates, Subject, effect_of
from murmuration.fm.core.outages import EVIDENCE, SWITCH_LOST, Outage, outage_of, switches_of
from murmuration.fm.core.rules import Rules
from murmuration.fm.core.topology import Place, Topology

PRODUCER = "fm"  # as which fm raises what it concludes


class Active(msgspec.Struct, frozen=True, kw_only=True, tag="active", gc=False):
    """An alarm is active; `raised`: it was not before. Times in seconds since 1970."""

    uuid: AlarmKey
    alarm_id: str
    entity: str
    severity: str
    producer: str
    raised_at: float
    raised: bool = False
    masked: bool = False
    management: bool = False
    degrade: bool = False
    flapping: bool = False


class Cleared(msgspec.Struct, frozen=True, kw_only=True, tag="cleared", gc=False):
    """An alarm was cleared."""

    uuid: AlarmKey
    alarm_id: str
    entity: str
    raised_at: float
    at: float


class Placed(msgspec.Struct, frozen=True, kw_only=True, tag="placed"):
    """A host stands here now; `place` None: it is gone."""

    host: str
    place: Place | None


Input = Active | Cleared | Placed


class Picture:
    """What is derived, as far as the inputs go."""

    def __init__(self, rules: Rules, said: Mapping[Subject, Causes]) -> None:
        """`said`: what was said last of gates and degraded hosts."""
        self._topology = Topology()
        self._correlator = Correlator(rules, self._topology)
        self._gates = Gates(said)
        self._flaps = Flaps()
        self._flapped: dict[Key, Flap] = {}
        self._switches: dict[str, None] = {}
        self._lost: dict[str, tuple[AlarmKey, str]] = {}  # switch: its alarm and who raised it

    def __len__(self) -> int:
        """How many alarms are active."""
        return len(self._correlator)

    @property
    def correlator(self) -> Correlator:
        """The alarms and their causes."""
        return self._correlator

    def take(self, said: Input, verdict: Verdict = UNCAUSED) -> None:
        """Take one input in; `verdict` is what is stored of an active alarm."""
        match said:
            case Active():
                self._take_active(said, verdict)
            case Cleared():
                self._take_cleared(said)
            case Placed():
                self._switches.update(dict.fromkeys(self._switches_of(said.host)))
                self._correlator.place(said.host, said.place)
                self._switches.update(dict.fromkeys(self._switches_of(said.host)))

    def remember(self, key: Key, *, raised_at: float, at: float, cleared: bool) -> None:
        """A transition of the past, for what was flapping before this picture was begun."""
        if cleared:
            self._flaps.cleared(key, raised_at=raised_at, at=at)
        else:
            self._flaps.raised(key, at)

    def _take_active(self, said: Active, verdict: Verdict) -> None:
        fault = self._correlator.fault(said.uuid)
        fresh = Fault(
            uuid=said.uuid,
            alarm_id=said.alarm_id,
            entity=said.entity,
            severity=said.severity,
            raised_at=said.raised_at,
            verdict=verdict,
        )
        self._correlator.put(fresh)
        fault = fault or fresh
        effect = effect_of(masked=said.masked, management=said.management, degrade=said.degrade)
        self._gates.put(fault, effect)
        self._notice(fault, said.producer)
        key = (said.alarm_id, said.entity)
        flap = self._flaps.raised(key, said.raised_at) if said.raised else self._flaps.flap(key)
        if flap.flapping != said.flapping:
            self._flapped[key] = flap

    def _take_cleared(self, said: Cleared) -> None:
        key = (said.alarm_id, said.entity)
        self._flaps.cleared(key, raised_at=said.raised_at, at=said.at)
        self._flapped.pop(key, None)
        fault = self._correlator.fault(said.uuid)
        if fault is not None:
            self._gates.drop(fault)
            self._correlator.drop(said.uuid)
            self._notice(fault, None)

    # Causes

    @property
    def idle(self) -> bool:
        """Whether all causes are found."""
        return self._correlator.idle

    def settle(self, limit: int) -> list[Finding]:
        """Look at up to `limit` alarms; returns the verdicts that differ from before."""
        return self._correlator.settle(limit)

    # Flapping

    def flapped(self) -> list[tuple[Key, Flap]]:
        """The active alarms whose mark is other than stored; each is returned once."""
        found, self._flapped = self._flapped, {}
        return list(found.items())

    def calm(self, now: float) -> Iterable[Key]:
        """The alarms, active or not, that flap no longer."""
        return self._flaps.calm(now)

    # Lost switches

    def _notice(self, fault: Fault, producer: str | None) -> None:
        """An alarm that says something about a switch came (`producer`) or went (None)."""
        self._switches.update(dict.fromkeys(switches_of(fault, self._topology)))
        if fault.alarm_id == SWITCH_LOST:
            switch = fault.entity.removeprefix("switch=")
            self._switches[switch] = None
            if producer is not None:
                self._lost[switch] = (fault.uuid, producer)
            elif self._lost.get(switch, (b"", ""))[0] == fault.uuid:
                del self._lost[switch]

    def _switches_of(self, host: str) -> Iterable[str]:
        return [uplink.switch for uplink in self._topology.of(host).uplinks.values()]

    def switches(self) -> list[tuple[str, Outage, bool]]:
        """What is newly concluded: (switch, evidence, lost); each is returned once."""
        due, self._switches = self._switches, {}
        found: list[tuple[str, Outage, bool]] = []
        for switch in due:
            outage = outage_of(switch, self._topology, self._evidence)
            known = self._lost.get(switch)
            if known is None and outage.lost:
                found.append((switch, outage, True))
            elif known is not None and known[1] == PRODUCER and outage.back:
                found.append((switch, outage, False))
        return found

    def _evidence(self, host: str) -> Iterable[Fault]:
        return self._correlator.on_host(host, EVIDENCE)

    # Gates and degraded hosts

    def derived(self) -> list[tuple[Subject, Causes, Causes]]:
        """What affects gates and hosts otherwise than said: (subject, before, now)."""
        return self._gates.settle()
