"""The read model, and what an event or a loaded state does to it.

`ReadModel` is changed in place, for it may hold 100,000 alarms; it does no I/O and reads no clock,
so the same input always gives the same model and deltas.

Invariants:
- events of a sender count once, in the order of (epoch, change): what is not newer than the
  sender's position is ignored;
- the state of an entity is that of the highest version seen, from event or state cache;
- a newer epoch of a sender empties that sender's part first;
- a delta that shows state goes before the log entry of the same event, so that who has the entry
  has the state.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from murmuration.gateway.core.alarms import AlarmIndex
from murmuration.gateway.core.derived import DERIVED, DerivedFacts
from murmuration.gateway.core.hosts import HostTable, host_view
from murmuration.gateway.core.model import (
    AlarmGone,
    AlarmPut,
    Delta,
    HostGone,
    HostPut,
    Logged,
    Missed,
    Occurred,
    Part,
    Restarted,
    Shown,
    Touched,
    Vector,
)
from murmuration.gateway.core.ring import EventRing
from murmuration.gateway.core.summaries import summarise
from murmuration.proto.api import EventView
from murmuration.proto.entities import host_of
from murmuration.proto.envelope import Version, encode
from murmuration.proto.fm import Alarm, AlarmChanged, AlarmCleared, AlarmRaised
from murmuration.proto.mtce import HostForgotten, HostState, HostStateChanged
from murmuration.proto.sysinv import Host, HostAccepted, HostChanged, HostDiscovered, HostRemoved

LOADED = "found so when the state was loaded"


class Loaded(NamedTuple):
    """One key of a state bucket; `value` None is a tombstone."""

    version: Version
    value: msgspec.Struct | None


def alarm_identity(alarm_id: str, entity: str) -> str:
    """The key under which an alarm is one and the same, whatever its uuid."""
    return f"{alarm_id} {entity}"


class ReadModel:
    """All that is shown, and where the senders stand."""

    def __init__(self, ring: EventRing | None = None) -> None:
        self.hosts = HostTable()
        self.alarms = AlarmIndex()
        self.ring = ring if ring is not None else EventRing()
        self.vector = Vector()
        self.revision = 0  # counts changes of anything shown; only ever compared for equality
        self._declared: Part[Host] = Part()
        self._states: Part[HostState] = Part()
        self._active: Part[Alarm] = Part()
        self.derived = DerivedFacts()
        self._moved_roots: set[str] = set()

    # ------------------------------------------------------------------ events

    def apply(self, event: Occurred) -> list[Delta]:
        """Take one event; gives what a listener must be told, in order."""
        position = self.vector.at(event.sender)
        if event.version <= position:
            return []
        self.revision += 1
        deltas = self._enter_epoch(event.sender, event.version.epoch)
        self._note_gap(event, position, deltas)
        changed, touched = self._take(event)
        deltas += changed
        self.vector = self.vector.moved(event.sender, event.version)
        entry = self._entry(event, touched)
        self.ring.append(entry)
        deltas.append(entry)
        return deltas

    def _note_gap(self, event: Occurred, position: Version, deltas: list[Delta]) -> None:
        epoch, previous = event.version.epoch, event.previous
        if not previous:
            return
        before = Version(epoch, previous)
        if before <= position:
            return
        self.ring.raise_floor(event.sender, before)
        if position.epoch == epoch:
            reason = f"messages of {event.sender} between {position} and {before} went by unseen"
            deltas.append(Missed(event.sender, reason))

    def _enter_epoch(self, sender: str, epoch: int) -> list[Delta]:
        """Empty a sender's part when `epoch` is newer than the one it is of."""
        part = {"sysinv": self._declared, "mtce": self._states, "fm": self._active}[sender]
        if not part.begin(epoch):
            return []
        self.revision += 1
        if sender == "fm":
            self.alarms.clear()
            self._moved_roots.clear()
            self.derived.begin(epoch)
        if sender == "sysinv":
            self.hosts = HostTable()
        for name in list(self._declared):
            self._refresh(name)
        return [Restarted(sender, f"the database of {sender} began a new life")]

    def _take(self, event: Occurred) -> tuple[list[Delta], tuple[Touched, ...]]:
        """The state an event bears, and what it touched."""
        match event.payload:
            case HostDiscovered(host=host) | HostAccepted(host=host) | HostChanged(host=host):
                return self._declare(host.name, event.version, host), (Touched("host", host.name),)
            case HostRemoved(host=name):
                return self._declare(name, event.version, None), (Touched("host", name),)
            case HostStateChanged(state=state):
                deltas = self._observe(state.host, event.version, state)
                return deltas, (Touched("host", state.host),)
            case HostForgotten(host=name):
                return self._observe(name, event.version, None), (Touched("host", name),)
            case AlarmRaised(alarm=alarm) | AlarmChanged(alarm=alarm):
                key = alarm_identity(alarm.alarm_id, alarm.entity)
                return self._raise(key, event.version, alarm), self._touched_by(alarm)
            case AlarmCleared(alarm=alarm, reason=reason):
                key = alarm_identity(alarm.alarm_id, alarm.entity)
                return self._clear(key, event.version, reason), self._touched_by(alarm)
            case _:
                self.derived.apply(event.payload, event.version)
                return [], ()

    def _touched_by(self, alarm: Alarm) -> tuple[Touched, ...]:
        name = host_of(alarm.entity)
        touched = [Touched("alarm", alarm.uuid)]
        if alarm.root_cause:
            touched.append(Touched("alarm", alarm.root_cause))
        if name is not None and self.hosts.get(name) is not None:
            touched.append(Touched("host", name))
        return tuple(touched)

    def _entry(self, event: Occurred, touched: tuple[Touched, ...]) -> Logged:
        summary, severity = summarise(event)
        view = EventView(
            id=f"{event.sender}:{event.version}",
            cursor=str(self.vector),
            type=event.type,
            subject=event.entity,
            time=event.time,
            summary=summary,
            severity=severity,
            data=event.data,
        )
        return Logged(
            sender=event.sender,
            version=event.version,
            cursor=self.vector,
            type=event.type,
            touched=touched,
            body=encode(view),
        )

    # ------------------------------------------------------------------- state

    def load(self, sender: str, values: Mapping[str, Loaded]) -> list[Delta]:
        """Merge a sender's whole state, by identity of its nouns; newer ones win, key by key."""
        epoch = max((loaded.version.epoch for loaded in values.values()), default=0)
        deltas = self._enter_epoch(sender, epoch)
        if sender == "fm" and not self._active:
            deltas += self._fill_alarms(values)
        for key, (version, value) in values.items():
            if sender == "sysinv":
                deltas += self._declare(key, version, value if isinstance(value, Host) else None)
            elif sender == "mtce":
                state = value if isinstance(value, HostState) else None
                deltas += self._observe(key, version, state)
            elif key.startswith(DERIVED):
                self.derived.take(key, version, value)
            elif isinstance(value, Alarm):
                deltas += self._raise(key, version, value)
            else:
                deltas += self._clear(key, version, LOADED)
        self.revision += 1
        return deltas

    def _fill_alarms(self, values: Mapping[str, Loaded]) -> list[Delta]:
        """Take in all alarms of a first load in one go."""
        taken: dict[str, Alarm] = {}
        for key, (version, value) in values.items():
            if isinstance(value, Alarm) and self._active.put(key, version, value):
                taken[value.uuid] = value
        self.alarms.fill(taken.values())
        deltas: list[Delta] = [self.alarm_put(alarm) for alarm in taken.values()]
        for name in {host_of(alarm.entity) for alarm in taken.values()}:
            deltas += self._refresh(name) if name is not None else []
        return deltas

    def settle(self, sender: str, values: Iterable[Loaded]) -> None:
        """Say that a sender's stream holds nothing: it stands where its state stands."""
        newest = max((loaded.version for loaded in values), default=self.vector.at(sender))
        if newest > self.vector.at(sender):
            self.vector = self.vector.moved(sender, newest)
            self.ring.raise_floor(sender, newest)

    def _declare(self, name: str, version: Version, host: Host | None) -> list[Delta]:
        if host is not None:
            return self._refresh(name) if self._declared.put(name, version, host) else []
        if self._declared.remove(name, version) is None:
            return []
        self.hosts.discard(name)
        return [HostGone(name)]

    def _observe(self, name: str, version: Version, state: HostState | None) -> list[Delta]:
        if state is not None:
            return self._refresh(name) if self._states.put(name, version, state) else []
        return self._refresh(name) if self._states.remove(name, version) is not None else []

    def _raise(self, key: str, version: Version, alarm: Alarm) -> list[Delta]:
        before = self._active.get(key)
        if not self._active.put(key, version, alarm):
            return []
        deltas: list[Delta] = []
        if before is not None and before.uuid != alarm.uuid:
            self.alarms.discard(before.uuid)
            deltas.append(AlarmGone(before.uuid, "it was raised anew"))
        counted_alike = before is not None and _counted_as(before) == _counted_as(alarm)
        self.alarms.add(alarm)
        deltas.append(self.alarm_put(alarm))
        self._note_roots(before, alarm)
        return deltas if counted_alike else deltas + self._refresh_host_of(alarm)

    def _clear(self, key: str, version: Version, reason: str) -> list[Delta]:
        before = self._active.remove(key, version)
        if before is None:
            return []
        self.alarms.discard(before.uuid)
        self._note_roots(before, None)
        return [AlarmGone(before.uuid, reason), *self._refresh_host_of(before)]

    def _note_roots(self, before: Alarm | None, alarm: Alarm | None) -> None:
        """Remember whose figures an alarm's coming, going or change has moved."""
        is_moved = before is None or alarm is None or _counted_as(before) != _counted_as(alarm)
        for each in (before, alarm) if is_moved else ():
            if each is not None and each.root_cause:
                self._moved_roots.add(each.root_cause)

    def take_moved_roots(self) -> list[Delta]:
        """How the roots stand whose figures have moved since this was last asked.

        Asked once a batch: in a storm one root explains thousands, and is told hundreds of times
        less often.
        """
        moved, self._moved_roots = self._moved_roots, set()
        found = (self.alarms.get(uuid) for uuid in moved)
        return [self.alarm_put(alarm) for alarm in found if alarm is not None]

    def alarm_put(self, alarm: Alarm) -> AlarmPut:
        """An alarm as it is shown now."""
        return AlarmPut(alarm, self.alarms.impacted_count(alarm.uuid))

    def _refresh_host_of(self, alarm: Alarm) -> list[Delta]:
        name = host_of(alarm.entity)
        return self._refresh(name) if name is not None else []

    def _refresh(self, name: str) -> list[Delta]:
        """Make a host's view anew from its parts."""
        host = self._declared.get(name)
        if host is None:
            return []
        view = host_view(host, self._states.get(name), self.alarms.counts_of(name))
        if view == self.hosts.get(name):
            return []
        self.hosts.put(view)
        return [HostPut(view)]

    # ------------------------------------------------------------------ reading

    def missed_since(self, vector: Vector) -> list[Shown] | None:
        """What a listener at `vector` must be told to be up to date; None: it must start anew.

        The state of everything touched comes first, as it is now; then the log entries.
        """
        if not self.ring.covers(vector):
            return None
        entries = self.ring.after(vector)
        if any(entry.type.endswith(".epoch.started.v1") for entry in entries):
            return None
        touched = dict.fromkeys(each for entry in entries for each in entry.touched)
        return [*map(self._show, touched), *entries]

    def _show(self, touched: Touched) -> Shown:
        """How something stands now."""
        if touched.noun == "host":
            view = self.hosts.get(touched.key)
            return HostPut(view) if view is not None else HostGone(touched.key)
        alarm = self.alarms.get(touched.key)
        if alarm is None:
            return AlarmGone(touched.key, "it was cleared")
        return self.alarm_put(alarm)


def _counted_as(alarm: Alarm) -> tuple[object, ...]:
    """What of an alarm the figures of its host and of its root depend on."""
    return (alarm.severity, alarm.masked, alarm.suppressed, alarm.root_cause)
