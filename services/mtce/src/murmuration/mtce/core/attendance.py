"""Attendance: who is heard, who is missing, and whether the monitor may say so.

Frames go in by `take`; `judge` is called on every tick and names the hosts whose heartbeat level or
boot changed; `observe` gives the evidence. All instants are nanoseconds of one monotonic clock of
the monitor. Only fresh frames count (`core/freshness.py`). The two paths are kept apart; a host is
silent only when both are.

Silence of 4, 6 and 10 periods makes a host minor, degraded and lost; 10 pulses in a row, without a
gap of 4 periods, make it well again. Before it accuses, the monitor doubts itself:

- A host is accused only while another expected host is heard: when all fall silent at once, it is
  the monitor's own reach. A host without others around is accused only while the monitor's own
  connection to the bus stands.
- Time in which the monitor itself ran late by more than a period, or doubted its reach, is excused:
  every deadline moves by it. After an outage of reach, hosts get as long again as it lasted, at
  most `RETURN_S_MAX`.
- After a start of the monitor, hosts on record get a full failure threshold before they are
  accused; if fewer than half of them are heard by then, the site itself is coming up: `START_S`.

Columns are arrays indexed by pulse index; a pulse costs a few array writes, and only hosts whose
`_due_ns` has come are looked at by `judge`.
"""

import enum
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from murmuration.mtce.core.freshness import (
    SENT_NS_MAX,
    Frame,
    Freshness,
    Path,
    Taken,
    boot_bytes,
    boot_text,
)
from murmuration.mtce.core.model import Observation
from murmuration.proto.ids import HostName
from murmuration.proto.mtce import HeartbeatState, PulseSample
from murmuration.proto.pulse import FLAG_STOPPING

MINOR_PERIODS: Final = 4
DEGRADED_PERIODS: Final = 6
LOST_PERIODS: Final = 10
GOOD_PULSES: Final = 10
PERIOD_MS_MIN: Final = 50
PERIOD_MS_MAX: Final = 1_000
INDEX_MAX: Final = 99_999  # five digits on the subject
START_S: Final = 30  # between the first and the last agent of a site that starts as a whole
AWAIT_S: Final = 30  # from being accepted to the first pulse: the agent reads its key and begins
RETURN_S_MAX: Final = 30  # links and switches do not come back all at once
BLOCK: Final = 64  # rows added at a time: hosts come one by one
MS: Final = 1_000_000
S: Final = 1_000 * MS


class PathNote(NamedTuple):
    """One path of a host is silent while the other is heard; never a failure."""

    host: HostName
    path: Path


class Level(enum.IntEnum):
    """HeartbeatState as a number that grows with silence."""

    AWAITED = 0
    WELL = 1
    MINOR = 2
    DEGRADED = 3
    LOST = 4


_STATES = {level: HeartbeatState[level.name] for level in Level}
_THRESHOLDS = (
    (LOST_PERIODS, Level.LOST),
    (DEGRADED_PERIODS, Level.DEGRADED),
    (MINOR_PERIODS, Level.MINOR),
)


class Attendance:
    """The attendance of all hosts of one monitor; see the module for the rules.

    `bus_up` is set by the owner: whether the monitor's own connection to the bus stands.
    """

    def __init__(self, now_ns: int, *, tick_ms: int) -> None:
        """Begin to watch at `now_ns`; `judge` is meant to be called every `tick_ms`."""
        self.bus_up = True
        self.counts: Counter[tuple[Path, Taken]] = Counter()
        self.lag_count = 0
        self.lag_ns = 0
        self.reach_lost_count = 0
        self._tick_ns = tick_ms * MS
        self._judged_ns = now_ns
        self._newest_ns = now_ns  # last fresh frame of anybody, or the start
        self._doubt_from_ns = 0  # 0: no doubt
        self._excused_ns = 0  # grows by all time that does not count as silence
        self._site_starts = False
        self._expected_count = 0
        self._expected_heard_count = 0
        self._period_min_ns, self._period_max_ns = PERIOD_MS_MAX * MS, 0  # widened by `watch`
        self._names: dict[int, HostName] = {}
        self._fresh = Freshness()
        self._declared_ns = array("q")  # period as declared
        self._period_ns = array("q")  # the longer of the declared and the sent one
        self._heard_ns = array("q")  # last new pulse, or the start of the watch
        self._excused_at_ns = array("q")  # `_excused_ns` at that moment
        self._newest_sent_ns = array("q")
        self._due_ns = array("q")  # nothing can change before
        self._good = array("q")
        self._load = array("q")
        self._path_ns = array("q")  # last fresh frame; 2 * index + path
        self._window = array("q")  # frames in this window; 2 * index + path
        self._level = bytearray()
        self._heard = bytearray()  # heard in this watch
        self._expected = bytearray()  # known to beat: its silence is news
        self._stopping = bytearray()
        self._changed = bytearray()  # boot changed, not yet told by `judge`

    def __contains__(self, index: int) -> bool:
        return index in self._names

    def __len__(self) -> int:
        return len(self._names)

    @property
    def missing_count(self) -> Counter[Path]:
        """Frames that never came, by gaps in the sequence."""
        return self._fresh.missing_count

    def name(self, index: int) -> HostName | None:
        """The host behind a watched index."""
        return self._names.get(index)

    def level(self, index: int) -> HeartbeatState:
        """The heartbeat of a watched index."""
        return _STATES[Level(self._level[index])]

    def indexes(self) -> Iterator[int]:
        """The pulse indexes that are watched."""
        return iter(self._names)

    def watch(
        self,
        index: int,
        name: HostName,
        *,
        period_ms: int,
        boot_id: str,
        expected: bool,
        now_ns: int,
    ) -> None:
        """Watch a host, or take over its changed period; may be repeated.

        `boot_id` is the one on record, empty when none; `expected` says that the host is on record
        as beating. Raises ValueError for an index or a period out of range.
        """
        if not 0 <= index <= INDEX_MAX:
            raise ValueError(f"pulse index {index} of {name} is not within 0 to {INDEX_MAX}")
        if not PERIOD_MS_MIN <= period_ms <= PERIOD_MS_MAX:
            raise ValueError(f"period of {name} is {period_ms} ms, not {PERIOD_MS_MIN} to 1000")
        self._grow(index)
        if self._names.get(index) != name:
            self.forget(index)
            self._begin(index, name, boot_bytes(boot_id), now_ns)
            self._expect(index, expected=expected)
        self._declared_ns[index] = period_ms * MS
        sent_ns = self._period_ns[index] if self._heard[index] else 0
        self._period_ns[index] = max(period_ms * MS, sent_ns)
        self._due_ns[index] = 0
        self._period_min_ns = min(self._period_min_ns, self._period_ns[index])
        self._period_max_ns = max(self._period_max_ns, self._period_ns[index])

    def forget(self, index: int) -> None:
        """Watch this index no longer; nothing happens where it was not watched."""
        if self._names.pop(index, None) is not None:
            self._expect(index, expected=False)
            self._fresh.forget(index)

    def refuse(self, path: Path, why: Taken) -> None:
        """Count a frame that was refused before it could be taken."""
        self.counts[path, why] += 1

    def take(self, path: Path, frame: Frame, received_ns: int) -> Taken:
        """One authentic frame, as it came; says what became of it, and counts it."""
        taken = self._take(path, frame, received_ns)
        self.counts[path, taken] += 1
        return taken

    def judge(self, now_ns: int) -> list[int]:
        """The indexes whose level or boot changed since the last call."""
        lag_ns = now_ns - self._judged_ns - self._tick_ns
        self._judged_ns = now_ns
        if lag_ns > self._period_min_ns:
            self._excused_ns += lag_ns
            self.lag_count += 1
            self.lag_ns += lag_ns
        due = self._due_ns
        late = [index for index in self._names if due[index] <= now_ns]
        return [index for index in late if self._judge(index, now_ns)]

    @property
    def doubt(self) -> str:
        """One sentence while the monitor doubts its own reach, else empty."""
        if not self._doubt_from_ns:
            return ""
        silent_ms = (self._judged_ns - self._doubt_from_ns) // MS
        return (
            f"nothing was heard of any of {len(self._names)} hosts for {silent_ms} ms on NATS or"
            " UDP: the monitor's own reach is doubted, no host is judged"
        )

    def observe(self, index: int, now_ns: int) -> Observation:
        """The evidence about one watched host. Raises KeyError for an index that is not watched."""
        if index not in self._names:
            raise KeyError(index)
        boot = self._fresh.boot(index)
        return Observation(
            heartbeat=self.level(index),
            boot_id=boot_text(boot),
            heard=bool(self._heard[index]),
            silent_ms=(now_ns - self._heard_ns[index]) // MS,
            excused_ms=(self._excused_ns - self._excused_at_ns[index]) // MS,
            silent_bus_ms=(now_ns - self._path_ns[2 * index + Path.BUS]) // MS,
            silent_udp_ms=(now_ns - self._path_ns[2 * index + Path.UDP]) // MS,
            period_ms=self._period_ns[index] // MS,
            good_count=self._good[index],
            stopping=bool(self._stopping[index]),
        )

    def notes(self, now_ns: int) -> set[PathNote]:
        """The paths that are silent beyond the failure threshold while their host is heard."""
        found: set[PathNote] = set()
        for index, name in self._names.items():
            if not self._heard[index] or not self._attends(index, now_ns):
                continue
            limit_ns = LOST_PERIODS * self._period_ns[index]
            for path in Path:
                if now_ns - self._path_ns[2 * index + path] > limit_ns:
                    found.add(PathNote(name, path))
        return found

    def samples(self, now_ns: int) -> list[PulseSample]:
        """One sample per watched host, and a new window begun."""
        window = self._window
        found = [
            PulseSample(
                host=name,
                received=window[2 * index + Path.BUS],
                received_udp=window[2 * index + Path.UDP],
                silent_ms=max(0, now_ns - self._heard_ns[index]) // MS,
                load_percent=self._load[index],
            )
            for index, name in self._names.items()
        ]
        self._window = array("q", bytes(8 * len(window)))
        self._measure_periods()
        return found

    def _take(self, path: Path, frame: Frame, received_ns: int) -> Taken:
        flags, period_ms, index, load, boot = frame[2], frame[3], frame[4], frame[5], frame[9]
        sent_ns = frame[8]
        if index not in self._names:
            return Taken.UNKNOWN_INDEX
        if not PERIOD_MS_MIN <= period_ms <= PERIOD_MS_MAX or sent_ns > SENT_NS_MAX:
            return Taken.MALFORMED
        if boot != self._fresh.boot(index) and not self._begin_boot(path, index, boot, received_ns):
            return Taken.FOREIGN_BOOT
        period_ns = self._period_ns[index] = max(self._declared_ns[index], period_ms * MS)
        taken = self._fresh.check(
            path, index, frame=frame, period_ns=period_ns, received_ns=received_ns
        )
        if taken is not Taken.FRESH:
            return taken
        if self._doubt_from_ns:
            self._regain(received_ns)
        slot = 2 * index + path
        self._newest_ns = self._path_ns[slot] = received_ns
        self._window[slot] += 1
        if sent_ns > self._newest_sent_ns[index]:  # the other path has not brought it yet
            self._hear(index, received_ns, sent_ns)
            self._load[index] = load
            self._stopping[index] = flags & FLAG_STOPPING
        return taken

    def _hear(self, index: int, received_ns: int, sent_ns: int) -> None:
        period_ns = self._period_ns[index]
        gap_ns = sent_ns - self._newest_sent_ns[index]
        good = self._good[index] + 1 if gap_ns < MINOR_PERIODS * period_ns else 1
        self._good[index] = good
        self._newest_sent_ns[index] = sent_ns
        self._heard_ns[index] = received_ns
        self._excused_at_ns[index] = self._excused_ns
        if not self._heard[index]:
            self._heard[index] = 1
            self._expected_heard_count += self._expected[index]
            self._expect(index, expected=self._level[index] != Level.LOST)
        waits = self._changed[index] or (good >= GOOD_PULSES and self._level[index] != Level.WELL)
        self._due_ns[index] = 0 if waits else received_ns + MINOR_PERIODS * period_ns

    def _begin_boot(self, path: Path, index: int, boot: bytes, received_ns: int) -> bool:
        """Whether a frame of another boot is believed; if so, its boot is the present one."""
        bus_silent_ns = received_ns - self._path_ns[2 * index + Path.BUS]
        bus_silent = bus_silent_ns > MINOR_PERIODS * self._period_ns[index]
        if not self._fresh.admits(path, index, boot, bus_silent=bus_silent):
            return False
        if self._fresh.boot(index):
            self._changed[index] = 1
            self._level[index] = Level.AWAITED
        self._fresh.begin_boot(path, index, boot)
        self._newest_sent_ns[index] = self._good[index] = self._stopping[index] = 0
        return True

    def _judge(self, index: int, now_ns: int) -> bool:
        changed, self._changed[index] = bool(self._changed[index]), 0
        level = self._level[index]
        if (
            level != Level.WELL
            and self._good[index] >= GOOD_PULSES
            and self._attends(index, now_ns)
        ):
            self._set_level(index, Level.WELL)
            changed = True
        elif self._may_accuse(index, now_ns):
            self._set_level(index, self._silence_means(index, now_ns))
            self._good[index] = 0
            changed = True
        self._due_ns[index] = self._next_due_ns(index, now_ns)
        return changed

    def _silent_ns(self, index: int, now_ns: int) -> int:
        """Silence that counts: without the time that is excused."""
        return now_ns - self._heard_ns[index] - (self._excused_ns - self._excused_at_ns[index])

    def _attends(self, index: int, now_ns: int) -> bool:
        return self._silent_ns(index, now_ns) < MINOR_PERIODS * self._period_ns[index]

    def _silence_means(self, index: int, now_ns: int) -> Level:
        silent_ns = self._silent_ns(index, now_ns)
        if not self._heard[index]:
            return Level.LOST if silent_ns >= self._grace_ns(index) else Level.AWAITED
        period_ns = self._period_ns[index]
        for periods, level in _THRESHOLDS:
            if silent_ns >= periods * period_ns:
                return level
        return Level.AWAITED

    def _grace_ns(self, index: int) -> int:
        """How long a host may take until its first pulse in this watch."""
        if not self._expected[index]:
            return AWAIT_S * S
        return START_S * S if self._site_starts else LOST_PERIODS * self._period_ns[index]

    def _may_accuse(self, index: int, now_ns: int) -> bool:
        """Whether a silence is worse than what is known, and the monitor trusts its own reach."""
        target = self._silence_means(index, now_ns)
        if target <= self._level[index]:
            return False
        if not self._heard[index] and self._site_comes_up():
            self._site_starts = True
            return False
        if self._expected_count == self._expected[index]:  # no others around
            sound, quiet = self.bus_up, True
        else:
            unheard_ns = now_ns - self._newest_ns
            sound = unheard_ns < self._witness_ns(index, target)
            quiet = unheard_ns >= MINOR_PERIODS * self._period_max_ns
        if not sound and quiet and target >= Level.DEGRADED and not self._doubt_from_ns:
            self._doubt_from_ns = self._newest_ns
            self.reach_lost_count += 1
        return sound

    def _witness_ns(self, index: int, target: Level) -> int:
        """How recently another host must have been heard: within half of the accused silence."""
        periods = next(periods for periods, level in _THRESHOLDS if level is target)
        return periods * self._period_ns[index] // 2

    def _site_comes_up(self) -> bool:
        return not self._site_starts and self._expected_heard_count * 2 < self._expected_count

    def _regain(self, received_ns: int) -> None:
        """Somebody is heard again: what passed in doubt is excused, and as much again granted."""
        outage_ns = received_ns - self._doubt_from_ns
        self._excused_ns += outage_ns + min(outage_ns, RETURN_S_MAX * S)
        self._doubt_from_ns = 0

    def _next_due_ns(self, index: int, now_ns: int) -> int:
        """When silence next means something; the next tick while it means more than is known."""
        level = self._level[index]
        if self._silence_means(index, now_ns) > level:
            return now_ns + self._tick_ns
        silent_ns = self._silent_ns(index, now_ns)
        if self._heard[index]:
            steps = [periods * self._period_ns[index] for periods, _ in reversed(_THRESHOLDS)]
        else:
            steps = [self._grace_ns(index)]
        waits = [step_ns - silent_ns for step_ns in steps if step_ns > silent_ns]
        return now_ns + (waits[0] if waits else S)

    def _set_level(self, index: int, level: Level) -> None:
        self._level[index] = level
        self._expect(index, expected=level is not Level.LOST)

    def _expect(self, index: int, *, expected: bool) -> None:
        change = expected - self._expected[index]
        self._expected[index] = expected
        self._expected_count += change
        self._expected_heard_count += change * self._heard[index]

    def _begin(self, index: int, name: HostName, boot: bytes, now_ns: int) -> None:
        self._names[index] = name
        self._fresh.begin(index, boot)
        self._heard_ns[index] = now_ns
        self._excused_at_ns[index] = self._excused_ns
        self._newest_sent_ns[index] = self._good[index] = self._load[index] = 0
        self._level[index] = Level.AWAITED
        self._heard[index] = self._stopping[index] = self._changed[index] = 0
        for path in Path:
            self._path_ns[2 * index + path] = now_ns
            self._window[2 * index + path] = 0

    def _measure_periods(self) -> None:
        periods = [self._period_ns[index] for index in self._names]
        self._period_min_ns = min(periods, default=PERIOD_MS_MAX * MS)
        self._period_max_ns = max(periods, default=PERIOD_MS_MAX * MS)

    def _grow(self, index: int) -> None:
        if index < len(self._level):
            return
        count = (index // BLOCK + 1) * BLOCK - len(self._level)
        self._fresh.grow(count)
        for column in (
            *(self._declared_ns, self._period_ns, self._heard_ns, self._excused_at_ns),
            *(self._newest_sent_ns, self._due_ns, self._good, self._load),
        ):
            column.frombytes(bytes(8 * count))
        for column in (self._path_ns, self._window):
            column.frombytes(bytes(2 * 8 * count))
        flags = (self._level, self._heard, self._expected, self._stopping, self._changed)
        for column in flags:
            column.extend(bytes(count))
