"""The monitor: the attendance of all hosts, under the names their records have.

It joins what the core knows by pulse index with what everyone else knows by name, and holds the
keys of the frames. It does no I/O and waits for nothing: `tasks.py` moves it.
"""

from collections.abc import Iterable

from murmuration.mtce.core.attendance import Attendance
from murmuration.mtce.core.levels import LAN, Thresholds
from murmuration.mtce.core.model import Declared, HostRecord, Observation, unobserved
from murmuration.mtce.core.observers import Observers
from murmuration.mtce.core.verdict import Verdict
from murmuration.proto.ids import HostName
from murmuration.proto.mtce import HeartbeatState
from murmuration.proto.pulse import pulse_key

TICK_MS = 20  # a fifth of the usual period: what it adds to the time of a verdict
AGAIN_NS = 500_000_000  # a verdict not settled by then is written again: the shortest threshold
UNJUDGED = HeartbeatState.AWAITED
SILENT = (HeartbeatState.AWAITED, HeartbeatState.LOST)


class Monitor:
    """Attendance by name. Implements Observer and PulseKeys."""

    def __init__(
        self,
        site_secret: bytes,
        now_ns: int,
        *,
        thresholds: Thresholds = LAN,
        observers: Observers | None = None,
        own_host: str = "",
    ) -> None:
        """Begin to watch at `now_ns`; `own_host` is the one this runs on, empty if none."""
        self.attendance = Attendance(
            now_ns,
            tick_ms=TICK_MS,
            thresholds=thresholds,
            observers=observers,
            own_host=own_host,
        )
        self.pending: set[HostName] = set()  # hosts whose record may not fit what is heard
        self.lost: set[HostName] = set()  # hosts found lost, on record as something else
        self._said_ns: dict[HostName, int] = {}  # when a verdict on a host was last given out
        self._episodes: dict[HostName, int] = {}
        self._site_secret = site_secret
        self._now_ns = now_ns
        self._watched: dict[HostName, Declared] = {}
        self._keys: dict[int, bytes] = {}

    @property
    def instance(self) -> str:
        """The name of this replica among observers."""
        return self.attendance.observers.instance

    def watch(self, roster: Iterable[tuple[Declared, HostRecord]], now_ns: int) -> None:
        """Watch exactly these hosts; who is watched already stays as heard."""
        wanted = {declared.name: (declared, record) for declared, record in roster}
        self._episodes = {name: record.episode for name, (_, record) in wanted.items()}
        for name in self._watched.keys() - wanted.keys():
            self._forget(name)
        for name, (declared, record) in wanted.items():
            known = self._watched.get(name)
            if known is not None and known.index != declared.index:
                self._forget(name)
            if known != declared:
                self._watch(declared, record, now_ns)
            elif self.attendance.level(declared.index) not in (UNJUDGED, record.heartbeat):
                self._find(name, declared.index)  # whatever kept it from being settled before

    def recheck(self) -> None:
        """Settle every host once, whatever was begun before."""
        self.pending.update(self._watched)

    def judge(self, now_ns: int, *, bus_up: bool, link_up: bool) -> bool:
        """Take attendance; True when there is something to settle."""
        self._now_ns = now_ns
        self.attendance.bus_up, self.attendance.link_up = bus_up, link_up
        for index in self.attendance.judge(now_ns):
            name = self.attendance.name(index)
            if name is not None:
                self._find(name, index)
        return bool(self.pending)

    def verdicts(self, limit: int) -> list[Verdict]:
        """Take up to `limit` of the hosts found lost, with what is seen of them now."""
        names = sorted(self.lost)[:limit]
        self.lost.difference_update(names)
        self._said_ns.update(dict.fromkeys(names, self._now_ns))
        found = [
            Verdict(host=name, episode=self._episodes[name], seen=self.observe(name))
            for name in names
            if name in self._episodes
        ]
        return [one for one in found if one.seen.heartbeat is HeartbeatState.LOST]

    def observe(self, name: HostName) -> Observation:
        """The evidence of the last tick."""
        declared = self._watched.get(name)
        if declared is None or self.attendance.name(declared.index) != name:
            return unobserved()
        return self.attendance.observe(declared.index, self._now_ns)

    def key_of(self, index: int) -> bytes | None:
        """The key of a watched index."""
        return self._keys.get(index)

    def _find(self, name: HostName, index: int) -> None:
        self.pending.add(name)
        lost = self.attendance.level(index) is HeartbeatState.LOST
        if lost and self._now_ns - self._said_ns.get(name, -AGAIN_NS) >= AGAIN_NS:
            self.lost.add(name)

    def _watch(self, declared: Declared, record: HostRecord, now_ns: int) -> None:
        self.attendance.watch(
            declared.index,
            declared.name,
            period_ms=declared.period_ms,
            boot_id=record.boot_id,
            expected=record.heartbeat not in SILENT,
            now_ns=now_ns,
        )
        self._watched[declared.name] = declared
        self._keys[declared.index] = pulse_key(self._site_secret, declared.name, declared.index)
        self.pending.add(declared.name)

    def _forget(self, name: HostName) -> None:
        declared = self._watched.pop(name)
        self.pending.discard(name)
        self.lost.discard(name)
        self._said_ns.pop(name, None)
        if self.attendance.name(declared.index) == name:
            self.attendance.forget(declared.index)
            self._keys.pop(declared.index, None)
