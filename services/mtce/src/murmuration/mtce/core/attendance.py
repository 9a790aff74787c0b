"""Attendance: who is heard, who is missing, and whether the monitor may say so.

Frames go in by `take`, many at once; `judge` is called on every tick and names the hosts whose
heartbeat level or boot changed; `observe` gives the evidence. All instants are nanoseconds of one
monotonic clock of the monitor. Only fresh frames count (`core/freshness.py`). The two paths are
kept apart; a host is silent only when both are.

Silence of 4, 6 and 10 periods makes a host minor, degraded and lost (`Thresholds`); 10 pulses in a
row, without a gap as long as a minor one, make it well again. Before it accuses, the monitor asks
the table in `core/verdict_table.py`, for which this module works out the facts:

- Sound: time in which the monitor ran late by more than a period, had no carrier or doubted its
  reach is excused: every deadline moves by it. After an outage of reach, hosts get as long again as
  it lasted, at most `RETURN_S_MAX`.
- Reach: another host, on another machine, was heard within half of the accused silence. Where at
  most `FEW_HOSTS` others are expected, they may well fail together: there the second witness is the
  monitor's own carrier and its connection to the bus. Else an observer elsewhere.
- After a start of the monitor, hosts on record get a full failure threshold before they are
  accused; if fewer than half of them are heard by then, the site itself is coming up: `START_S`.

Columns are arrays indexed by pulse index: what comes and what is due is worked on as a whole, so a
thousand hosts cost hardly more than one.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np

from murmuration.mtce.core import following, verdict_table
from murmuration.mtce.core.columns import Columns, put_rows
from murmuration.mtce.core.following import alone
from murmuration.mtce.core.frames import (
    INDEX_MAX,
    PERIOD_MS_MAX,
    PERIOD_MS_MIN,
    Ints,
    Mask,
    Pulses,
    every,
    subject_of,
)
from murmuration.mtce.core.freshness import (
    Freshness,
    Path,
    boot_bytes,
    boot_text,
)
from murmuration.mtce.core.levels import LAN, STATES, Level, PathNote, Taken, Thresholds
from murmuration.mtce.core.model import Observation
from murmuration.mtce.core.observers import Bits, Observers
from murmuration.mtce.core.verdict_table import Outcome, Reach
from murmuration.proto.ids import HostName
from murmuration.proto.mtce import HeartbeatState, PulseSample
from murmuration.proto.pulse import FLAG_STOPPING

START_S: Final = 30  # between the first and the last agent of a site that starts as a whole
AWAIT_S: Final = 30  # from being accepted to the first pulse: the agent reads its key and begins
RETURN_S_MAX: Final = 30  # links and switches do not come back all at once
FEW_HOSTS: Final = 2  # two may die together; that three do while nothing else is heard is our fault
UNPROVEN_PERIODS: Final = 5  # a host's UDP path is proven anew as often, half the failure threshold
ROUNDS_MAX: Final = 64  # frames of one host in one batch: three seconds at the shortest period
NOBODY: Final = -1
MS: Final = 1_000_000
S: Final = 1_000 * MS


_NOTHING = np.zeros(1, np.int64)  # added to any column


class Attendance:
    """The attendance of all hosts of one monitor; see the module for the rules.

    The owner keeps `bus_up` (its connection to the bus stands), `link_up` (its own link has a
    carrier) and `own_host` (the host it runs on itself: hearing that proves nothing).
    """

    _due_ns: Ints  # nothing can change before
    _declared_ns: Ints  # period as declared
    _period_ns: Ints  # the longer of the declared and the sent one
    _heard_ns: Ints  # last new pulse, or the start of the watch
    _excused_at_ns: Ints  # `_excused_ns` at that moment
    _good: Ints
    _path_bus_ns: Ints  # last fresh frame
    _path_udp_ns: Ints
    _window_bus: Ints  # frames in this window
    _window_udp: Ints
    _passed: Ints  # UDP frames since the last one that was looked at
    _level: Ints
    _outcome: Ints  # what the table said last of its silence
    _stopping: Ints
    _mark: Ints  # scratch of `alone`
    _shard: Ints  # the text of its messages, see `subject_of`
    _token: Ints
    _watched: Mask
    _heard: Mask  # heard in this watch
    _expected: Mask  # known to beat: its silence is news
    _changed: Mask  # boot changed, not yet told by `judge`

    def __init__(
        self,
        now_ns: int,
        *,
        tick_ms: int,
        thresholds: Thresholds = LAN,
        observers: Observers | None = None,
        own_host: str = "",
    ) -> None:
        """Begin to watch at `now_ns`; `judge` is meant to be called every `tick_ms`."""
        self.bus_up = True
        self.link_up = True
        self.observers = observers or Observers(instance="", machine="")
        self.counts: Counter[tuple[Path, Taken]] = Counter()
        self.lag_count = 0
        self.lag_ns = 0
        self.reach_lost_count = 0
        self._tick_ns = tick_ms * MS
        self._thresholds = thresholds
        self._own_host = own_host
        self._own_index = NOBODY
        self._judged_ns = now_ns
        self._newest_ns = now_ns  # last fresh frame of anybody elsewhere, or the start
        self._doubt_from_ns = 0  # 0: no doubt
        self._excused_ns = 0  # grows by all time that does not count as silence
        self._stood = True  # own link and connection did so at the last tick
        self._site_starts = False
        self._period_min_ns, self._period_max_ns = PERIOD_MS_MAX * MS, 0  # widened by `watch`
        self._names: dict[int, HostName] = {}
        self._fresh = Freshness()
        self._columns = Columns(
            ("_due_ns",),  # looked through on every tick
            ("_mark",),
            following.COLUMNS,
            (
                *("_declared_ns", "_level", "_path_udp_ns", "_window_udp"),
                *("_passed", "_outcome", "_stopping"),
            ),
            marks=("_watched", "_heard", "_expected", "_changed"),
        )
        self._grow(0)

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
        return STATES[self._level[index]]

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
            self._expected[index] = expected
        self._declared_ns[index] = period_ms * MS
        sent_ns = int(self._period_ns[index]) if self._heard[index] else 0
        period_ns = self._period_ns[index] = max(period_ms * MS, sent_ns)
        self._due_ns[index] = 0
        self._fresh.expect_nothing(index)
        self._period_min_ns = min(self._period_min_ns, period_ns)
        self._period_max_ns = max(self._period_max_ns, period_ns)

    def forget(self, index: int) -> None:
        """Watch this index no longer; nothing happens where it was not watched."""
        if self._names.pop(index, None) is not None:
            self._watched[index] = self._expected[index] = self._heard[index] = False
            self._fresh.forget(index)
            if self._own_index == index:
                self._own_index = NOBODY

    def count(self, path: Path, taken: Taken, number: int = 1) -> None:
        """Count frames that were refused before they could be taken."""
        if number:
            self.counts[path, taken] += number

    def take(self, path: Path, pulses: Pulses, received_ns: int) -> None:
        """Authentic frames in the order they came; counts what becomes of each."""
        known = self._known(pulses.index)
        if not every(known):
            self.count(path, Taken.UNKNOWN_INDEX, int(np.count_nonzero(~known)))
            pulses = pulses.some(known)
        for part in self._rounds(path, pulses):
            self._take(path, part, received_ns)

    def follow(self, rows: Ints, received_ns: int) -> Mask:
        """Take those messages that tell nothing but that their host goes on: nearly all there are.

        Whether all rows are messages is open: what comes after the first that is none is left.
        """
        minor = self._thresholds.minor
        follows, index, hosts, expected, minor_ns = following.find(
            rows, received_ns, table=self._going_on, mark=self._mark, fresh=self._fresh, minor=minor
        )
        if len(index):
            self.count(Path.BUS, Taken.FRESH, len(index))
            self._awake(index, received_ns)
            self._fresh.move_on(expected, index)
            following.go_on(hosts, received_ns=received_ns, excused_ns=self._excused_ns)
            put_rows(self._going_on, index, hosts)
            self._due_ns[index] = received_ns + minor_ns
        return follows

    def needed(self, pulses: Pulses, received_ns: int) -> Mask:
        """Which UDP frames are worth checking their MAC; the others are counted as passed over.

        A frame decides where NATS is silent, and proves the path where that was not done lately.
        """
        known = self._known(pulses.index)
        index = np.where(known, pulses.index, 0)
        period_ns = self._period_ns[index]
        decides = received_ns - self._path_ns[Path.BUS][index] > 2 * period_ns
        decides |= ~self._fresh.confirmed(index)
        proves = received_ns - self._path_ns[Path.UDP][index] > UNPROVEN_PERIODS * period_ns
        needed = known & (decides | proves)
        over = index[known & ~needed]
        np.add.at(self._passed, over, 1)
        np.add.at(self._window[Path.UDP], over, 1)
        self.count(Path.UDP, Taken.PASSED_OVER, len(over))
        self.count(Path.UDP, Taken.UNKNOWN_INDEX, int(np.count_nonzero(~known)))
        return needed

    def judge(self, now_ns: int) -> list[int]:
        """The indexes whose level or boot changed since the last call."""
        self._doubt_itself(now_ns)
        waits = self._due_ns <= now_ns
        waits &= self._watched
        if not np.count_nonzero(waits):
            return []
        due = np.flatnonzero(waits)
        changed = self._changed[due]
        self._changed[due] = False
        silent_ns, level = self._silent_ns(due, now_ns), self._level[due]
        well = (level != Level.WELL) & (self._good[due] >= self._thresholds.good)
        well &= silent_ns < self._thresholds.minor * self._period_ns[due]
        self._set_level(due[well], Level.WELL)
        target = self._silence_means(due, silent_ns)
        worse = np.flatnonzero(~well & (target > level))
        if len(worse):
            hit = worse[self._accused(due[worse], target[worse], now_ns)]
            self._set_level(due[hit], target[hit])
            self._good[due[hit]] = 0
            changed[hit] = True
        self._due_ns[due] = self._next_due_ns(due, now_ns)
        return due[changed | well].tolist()

    @property
    def doubt(self) -> str:
        """One sentence while the monitor doubts its own reach, else empty."""
        if not self._doubt_from_ns:
            return ""
        silent_ms = (self._judged_ns - self._doubt_from_ns) // MS
        if not self.link_up:
            return f"the monitor's own link has no carrier since {silent_ms} ms, no host is judged"
        return (
            f"nothing was heard of any of {len(self._names)} hosts for {silent_ms} ms on NATS or"
            " UDP: the monitor's own reach is doubted, no host is judged"
        )

    def observe(self, index: int, now_ns: int) -> Observation:
        """The evidence about one watched host. Raises KeyError for an index that is not watched."""
        if index not in self._names:
            raise KeyError(index)
        fresh = self._fresh
        return Observation(
            heartbeat=self.level(index),
            boot_id=boot_text(fresh.boot(index)),
            heard=bool(self._heard[index]),
            silent_ms=int(now_ns - self._heard_ns[index]) // MS,
            excused_ms=int(self._excused_ns - self._excused_at_ns[index]) // MS,
            silent_bus_ms=int(now_ns - self._path_ns[Path.BUS][index]) // MS,
            silent_udp_ms=int(now_ns - self._path_ns[Path.UDP][index]) // MS,
            period_ms=int(self._period_ns[index]) // MS,
            good_count=int(self._good[index]),
            stopping=bool(self._stopping[index]),
            sequence=max(fresh.sequence(path, index) for path in Path),
            missing_bus=fresh.missing(Path.BUS, index),
            missing_udp=fresh.missing(Path.UDP, index),
            thresholds="/".join(str(number) for number in self._thresholds),
            observers=self.observers.say(index, now_ns),
            lag_ms=self.lag_ns // MS,
            fence_s=int(fresh.load(index)) >> 16,
            lost_ms=int(self._thresholds.lost * self._period_ns[index]) // MS,
        )

    def bits(self, now_ns: int) -> tuple[Bits, Bits]:
        """Whom this monitor hears, and who is silent: a bit per index. Never heard is neither."""
        known = self._watched & self._heard
        every = np.arange(len(known))
        attends = self._silent_ns(every, now_ns) < self._thresholds.minor * self._period_ns
        return known & attends, known & ~attends

    def notes(self, now_ns: int) -> set[PathNote]:
        """The ways that are at fault while their host lives."""
        rows = np.array(list(self._names), np.int64)
        if not len(rows):
            return set()
        limit_ns = self._thresholds.lost * self._period_ns[rows]
        attends = self._silent_ns(rows, now_ns) < self._thresholds.minor * self._period_ns[rows]
        said = verdict_table.paths(
            bus_heard=now_ns - self._path_ns[Path.BUS][rows] <= limit_ns,
            udp_heard=now_ns - self._path_ns[Path.UDP][rows] <= limit_ns,
        )
        said[~attends] = self._outcome[rows[~attends]]
        faults = (Outcome.PATH_ALARM, Outcome.BUS_ALARM, Outcome.DISPUTED)
        at_fault = self._heard[rows] & np.isin(said, faults)
        return {
            PathNote(self._names[int(index)], Outcome(int(fault)))
            for index, fault in zip(rows[at_fault], said[at_fault], strict=True)
        }

    def samples(self, now_ns: int) -> list[PulseSample]:
        """One sample per watched host, and a new window begun."""
        rows = np.array(list(self._names), np.int64)
        silent_ms = np.maximum(0, now_ns - self._heard_ns[rows]) // MS
        figures = (
            *(window[rows] for window in self._window),
            silent_ms,
            self._fresh.load(rows) & 0xFFFF,
        )
        for window in self._window:
            window[:] = 0
        periods = self._period_ns[rows]
        self._period_min_ns = int(periods.min(initial=PERIOD_MS_MAX * MS))
        self._period_max_ns = int(periods.max(initial=0)) or PERIOD_MS_MAX * MS
        columns = (self._names.values(), *(column.tolist() for column in figures))
        return [PulseSample(*row) for row in zip(*columns, strict=True)]

    def _known(self, index: Ints) -> Mask:
        inside = index < len(self._watched)
        if inside.all():
            return self._watched[index]
        return inside & self._watched[np.where(inside, index, 0)]

    def _rounds(self, path: Path, pulses: Pulses) -> Iterator[Pulses]:
        """The frames in parts in which every host has one frame at most, in order."""
        for _ in range(ROUNDS_MAX):
            if every(alone(self._mark, pulses.index)):
                if len(pulses):
                    yield pulses
                return
            first = alone(self._mark, pulses.index[::-1])[::-1]
            yield pulses.some(first)
            pulses = pulses.some(~first)
        self.count(path, Taken.SURPLUS, len(pulses))

    def _take(self, path: Path, pulses: Pulses, received_ns: int) -> None:
        """Frames of different hosts."""
        present = self._fresh.of_present_boot(pulses)
        if not present.all():
            for row in np.flatnonzero(~present):
                index, boot = int(pulses.index[row]), pulses.boot[:, row].tobytes()
                present[row] = self._begin_boot(path, index, boot, received_ns)
            self.count(path, Taken.FOREIGN_BOOT, int(np.count_nonzero(~present)))
            pulses = pulses.some(present)
        index = pulses.index
        self._fresh.expect_no_other(pulses)
        period_ns = np.maximum(self._declared_ns[index], pulses.period_ns)
        self._period_ns[index] = period_ns
        over = self._passed[index] if path is Path.UDP else _NOTHING
        fresh, late = self._fresh.check(
            path, pulses, period_ns=period_ns, received_ns=received_ns, passed_over=over
        )
        if path is Path.UDP:
            self._passed[index] = 0
        self._fresh.expect_nothing(index[late])
        fresh_count, late_count = int(np.count_nonzero(fresh)), int(np.count_nonzero(late))
        self.count(path, Taken.FRESH, fresh_count)
        self.count(path, Taken.LATE, late_count)
        self.count(path, Taken.REPLAYED, len(index) - fresh_count - late_count)
        if fresh_count:
            self._attend(path, pulses if fresh.all() else pulses.some(fresh), received_ns)

    def _attend(self, path: Path, pulses: Pulses, received_ns: int) -> None:
        """Fresh frames of different hosts."""
        index = pulses.index
        self._awake(index, received_ns)
        self._path_ns[path][index] = received_ns
        self._window[path][index] += 1
        newer = pulses.sent_ns > self._fresh.newest_sent_ns[index]
        if every(newer):
            self._hear(path, pulses, received_ns)
        elif newer.any():  # the other path has brought the rest already
            self._hear(path, pulses.some(newer), received_ns)

    def _awake(self, index: Ints, received_ns: int) -> None:
        """Something fresh has come of these different hosts."""
        if len(index) > 1 or int(index[0]) != self._own_index:
            self._newest_ns = received_ns
            if self._doubt_from_ns and self.link_up:
                self._regain(received_ns)

    def _hear(self, path: Path, pulses: Pulses, received_ns: int) -> None:
        index = pulses.index
        minor_ns = self._thresholds.minor * self._period_ns[index]
        in_row = pulses.sent_ns - self._fresh.newest_sent_ns[index] < minor_ns
        good = np.where(in_row, self._good[index] + 1, 1)
        self._good[index] = good
        self._fresh.hear(pulses)
        self._heard_ns[index] = received_ns
        self._excused_at_ns[index] = self._excused_ns
        self._stopping[index] = pulses.flags & FLAG_STOPPING
        level = self._level[index]
        new = ~self._heard[index]
        if new.any():
            self._heard[index[new]] = True
            self._expected[index[new]] = level[new] != Level.LOST
        enough = good >= self._thresholds.good
        waits = self._changed[index] | (enough & (level != Level.WELL))
        self._due_ns[index] = np.where(waits, 0, received_ns + minor_ns)
        settled = enough & ~waits & self._fresh.confirmed(index)
        self._fresh.expect_nothing(index[~settled])
        if path is Path.BUS:
            self._fresh.expect(pulses.some(settled))

    def _begin_boot(self, path: Path, index: int, boot: bytes, received_ns: int) -> bool:
        """Whether a frame of another boot is believed; if so, its boot is the present one."""
        bus_silent_ns = received_ns - int(self._path_ns[Path.BUS][index])
        bus_silent = bus_silent_ns > self._thresholds.minor * int(self._period_ns[index])
        if not self._fresh.admits(path, index, boot, bus_silent=bus_silent):
            return False
        if self._fresh.boot(index):
            self._changed[index] = True
            self._level[index] = Level.AWAITED
        self._fresh.begin_boot(path, index, boot)
        self._good[index] = self._stopping[index] = 0
        return True

    def _doubt_itself(self, now_ns: int) -> None:
        lag_ns = now_ns - self._judged_ns - self._tick_ns
        self._judged_ns = now_ns
        if lag_ns > self._period_min_ns:
            self._excused_ns += lag_ns
            self.lag_count += 1
            self.lag_ns += lag_ns
        stands = self.link_up and self.bus_up
        if stands and not self._stood and self._doubt_from_ns:
            self._regain(now_ns)  # who was silent meanwhile was out of reach
        self._stood = stands
        if not self.link_up:
            self._begin_doubt(now_ns)

    def _silent_ns(self, index: Ints, now_ns: int) -> Ints:
        """Silence that counts: without the time that is excused."""
        excused_ns = self._excused_ns - self._excused_at_ns[index]
        return now_ns - self._heard_ns[index] - excused_ns

    def _silence_means(self, index: Ints, silent_ns: Ints) -> Ints:
        period_ns, heard = self._period_ns[index], self._heard[index]
        bounds = self._thresholds
        level = np.full(len(index), Level.AWAITED, np.int64)
        level[silent_ns >= bounds.minor * period_ns] = Level.MINOR
        level[silent_ns >= bounds.degraded * period_ns] = Level.DEGRADED
        level[silent_ns >= bounds.lost * period_ns] = Level.LOST
        return np.where(
            heard,
            level,
            np.where(silent_ns >= self._grace_ns(index), Level.LOST, Level.AWAITED),
        )

    def _grace_ns(self, index: Ints) -> Ints:
        """How long a host may take until its first pulse in this watch."""
        threshold_ns = self._thresholds.lost * self._period_ns[index]
        known_ns = np.int64(START_S * S) if self._site_starts else threshold_ns
        return np.where(self._expected[index], known_ns, AWAIT_S * S)

    def _accused(self, index: Ints, target: Ints, now_ns: int) -> Mask:
        """Which silences may be held against their hosts: see the table."""
        patient = np.zeros(len(index), np.bool_)
        unheard = ~self._heard[index]
        if unheard.any() and self._site_comes_up():
            self._site_starts = True
            patient = unheard
        reach, quiet = self._reach(index, target, now_ns)
        said = verdict_table.silent(
            sound=self.link_up, other=self.observers.opinion(index, now_ns), reach=reach
        )
        self._outcome[index] = said
        own = (said == Outcome.OWN_REACH) & (target >= Level.DEGRADED) & ~patient
        if quiet and own.any():
            self._begin_doubt(self._newest_ns)
        return (said == Outcome.ACCUSED) & ~patient

    def _reach(self, index: Ints, target: Ints, now_ns: int) -> tuple[Ints, bool]:
        """What proves our reach, for each silence; and whether nobody is heard by any measure."""
        unheard_ns = now_ns - self._newest_ns
        bounds = self._thresholds
        periods = np.select(
            [target == Level.LOST, target == Level.DEGRADED],
            [bounds.lost, bounds.degraded],
            bounds.minor,
        )
        others = unheard_ns < periods * self._period_ns[index] // 2
        expected = int(np.count_nonzero(self._expected))
        own = self._own_index
        expected -= int(own != NOBODY and self._expected[own])
        if expected <= FEW_HOSTS:
            second = Reach.WITNESS if self.bus_up and self.link_up else Reach.NONE
            return np.where(others & (expected > 1), Reach.OTHERS, second), True
        second = Reach.WITNESS if self.observers.witness(now_ns) else Reach.NONE
        return np.where(others, Reach.OTHERS, second), unheard_ns >= bounds.minor * (
            self._period_max_ns
        )

    def _site_comes_up(self) -> bool:
        if self._site_starts:
            return False
        expected = int(np.count_nonzero(self._expected))
        return int(np.count_nonzero(self._expected & self._heard)) * 2 < expected

    def _begin_doubt(self, from_ns: int) -> None:
        if not self._doubt_from_ns:
            self._doubt_from_ns = from_ns
            self.reach_lost_count += 1

    def _regain(self, received_ns: int) -> None:
        """Somebody is heard again: what passed in doubt is excused, and as much again granted."""
        outage_ns = received_ns - self._doubt_from_ns
        self._excused_ns += outage_ns + min(outage_ns, RETURN_S_MAX * S)
        self._doubt_from_ns = 0

    def _next_due_ns(self, index: Ints, now_ns: int) -> Ints:
        """When silence next means something; the next tick while it means more than is known."""
        silent_ns = self._silent_ns(index, now_ns)
        period_ns = self._period_ns[index]
        bounds = self._thresholds
        wait_ns = np.full(len(index), S, np.int64)
        for periods in (bounds.lost, bounds.degraded, bounds.minor):
            left_ns = periods * period_ns - silent_ns
            wait_ns = np.where(left_ns > 0, left_ns, wait_ns)
        grace_ns = self._grace_ns(index) - silent_ns
        wait_ns = np.where(self._heard[index], wait_ns, np.where(grace_ns > 0, grace_ns, S))
        open_ = self._silence_means(index, silent_ns) > self._level[index]
        return now_ns + np.where(open_, self._tick_ns, wait_ns)

    def _set_level(self, index: Ints, level: Ints | Level) -> None:
        self._level[index] = level
        self._fresh.expect_nothing(index)
        self._expected[index] = self._level[index] != Level.LOST

    def _begin(self, index: int, name: HostName, boot: bytes, now_ns: int) -> None:
        self._names[index] = name
        self._watched[index] = True
        self._shard[index], self._token[index] = subject_of(index)
        self._fresh.begin(index, boot)
        self._heard_ns[index] = now_ns
        self._excused_at_ns[index] = self._excused_ns
        for column in (self._good, self._passed, self._outcome):
            column[index] = 0
        self._level[index] = Level.AWAITED
        self._stopping[index] = 0
        self._heard[index] = self._changed[index] = False
        for path in Path:
            self._path_ns[path][index] = now_ns
            self._window[path][index] = 0
        if name == self._own_host:
            self._own_index = index

    def _grow(self, index: int) -> None:
        if self._columns.grow(self, index):
            self._fresh.grow(index)
            self._going_on = self._columns.tables[2]
            self._path_ns = (self._path_bus_ns, self._path_udp_ns)
            self._window = (self._window_bus, self._window_udp)
