"""Freshness: whether a frame proves that its host lives now.

A frame is fresh when it is of the present boot, was sent after the last one of its path and was not
held up on its way. All instants are nanoseconds; `sent` is the sender's clock, `received` ours.

- Order is that of the send time: the sender's clock never steps within a boot. Its sequence begins
  again when the sender is restarted, so it only measures loss.
- Late is judged against the smallest (received - sent) seen for the boot, which may creep by
  1 in `DRIFT`, because two clocks drift. A frame more than `LATE_PERIODS` behind it was kept in a
  buffer somewhere (a frozen broker, a reconnecting client) and says nothing about now.
- If frames stay *evenly* late on all paths for the failure threshold, no buffer is draining: the
  sender's clock moved against ours (a paused virtual machine), and the measure is taken anew.
- A boot that was replaced is retired: its frames are refused. A new boot is believed from the bus,
  where the sender's identity is checked; from UDP, where an old recording could be played, only
  while the bus is silent, and the bus may take it back.

Columns are arrays indexed by pulse index (by path and index where two paths differ): `check` takes
many frames, each of another host, in a few array operations. Boots change rarely and go one by one.

What a settled host is expected to say next on the bus is kept as a row of its own, a cache line:
`follow` finds in a few comparisons which messages are just that. All others are `check`ed.
"""

import enum
from collections import Counter
from typing import Final

import numpy as np

from murmuration.mtce.core.columns import Columns, put_rows
from murmuration.mtce.core.frames import LOW, Ints, Mask, Pulses, Word, every
from murmuration.proto.ids import BootId

DRIFT: Final = 1_000  # 1 in 1000: two clocks, each slewed by at most 500 ppm (NTP's limit)
LATE_PERIODS: Final = 3
EVEN_PERIODS: Final = 10  # as long as the failure threshold
GAP_MAX: Final = 1_000_000  # frames missing at once, a day at 10 Hz: more is a sender's error
RETIRED_BOOTS_MAX: Final = 4  # a frame of an older boot than that is no longer on any wire
_UNKNOWN_NS: Final = 1 << 62  # above every offset
_INDEX_LOAD, _NEXT, _NEWEST, _SENT_BUS, _FLOOR = 1, 2, 3, 6, 7  # in a row of what is expected


class Path(enum.IntEnum):
    """How a frame came."""

    BUS = 0
    UDP = 1


def _crept(offset_ns: Ints, received_ns: int) -> Ints:
    """An offset as floors are kept: they all creep up together, so none needs to be touched."""
    return offset_ns - received_ns // DRIFT


def boot_text(boot: bytes) -> BootId:
    """The usual text form of a boot id's 16 bytes; empty for none."""
    text = boot.hex()
    parts = (text[:8], text[8:12], text[12:16], text[16:20], text[20:])
    return BootId("-".join(parts) if boot else "")


def boot_bytes(text: str) -> bytes:
    """What `boot_text` wrote, undone. Raises ValueError when it is not a boot id."""
    boot = bytes.fromhex(text.replace("-", ""))
    if boot_text(boot) != text:
        raise ValueError(f"{text[:80]!r} is not a boot id")
    return boot


class Freshness:
    """The marks by which frames are told fresh; one row per pulse index."""

    # The frame that is expected next on the bus, but for its time; where its MAC stood are ours:
    _opening: Ints  # 0: nothing is expected
    _index_load: Ints  # the last load
    _next_bus: Ints  # sequence; 0: none has come
    newest_sent_ns: Ints  # send time of the newest frame of either path
    _boot_high: Ints
    _boot_low: Ints
    _sent_bus_ns: Ints  # in the place of MAC_HIGH
    _floor_ns: Ints  # smallest received - sent of this boot, without what it crept up since time 0
    _even_from_ns: Ints  # since when frames are evenly late; 0: they are not
    _even_low_ns: Ints
    _even_high_ns: Ints
    _sent_udp_ns: Ints
    _next_udp: Ints
    _missing_bus: Ints
    _missing_udp: Ints
    _has_boot: Mask
    _confirmed: Mask  # the bus has brought the present boot

    def __init__(self) -> None:
        self.missing_count: Counter[Path] = Counter()
        self._retired: dict[int, tuple[bytes, ...]] = {}
        self._columns = Columns(
            (
                *("_opening", "_index_load", "_next_bus", "newest_sent_ns"),
                *("_boot_high", "_boot_low", "_sent_bus_ns", "_floor_ns"),
            ),
            (
                *("_sent_udp_ns", "_next_udp", "_missing_udp", "_missing_bus"),
                *("_even_from_ns", "_even_low_ns", "_even_high_ns"),
            ),
            marks=("_has_boot", "_confirmed"),
        )
        self.grow(0)

    def grow(self, index: int) -> None:
        """Have a row for `index`."""
        if self._columns.grow(self, index):
            self._expected = self._columns.tables[0]
            self._sent_ns = (self._sent_bus_ns, self._sent_udp_ns)
            self._next = (self._next_bus, self._next_udp)
            self._missing = (self._missing_bus, self._missing_udp)

    def boot(self, index: int) -> bytes:
        """The present boot's id, empty when none is known."""
        if not self._has_boot[index]:
            return b""
        return self._boot_high[index].tobytes() + self._boot_low[index].tobytes()

    def sequence(self, path: Path, index: int) -> int:
        """The sequence of the last frame on a path, 0 before the first."""
        return max(0, int(self._next[path][index]) - 1)

    def load(self, index: Ints | int) -> Ints:
        """What the newest frames said of load, and in its upper half of a promise."""
        load: Ints = self._index_load[index] >> 32 & LOW
        return load

    def missing(self, path: Path, index: int) -> int:
        """How many frames of this boot never came on a path, by gaps in the sequence."""
        return int(self._missing[path][index])

    def begin(self, index: int, boot: bytes) -> None:
        """Start anew for an index, with the boot on record (empty when none)."""
        self.forget(index)
        if boot:
            self._set_boot(index, boot)
        self._confirmed[index] = False
        self._index_load[index] = 0
        self._reset(index)

    def forget(self, index: int) -> None:
        """Drop what is known of an index."""
        self._has_boot[index] = False
        self._opening[index] = 0
        self._retired.pop(index, None)

    def of_present_boot(self, pulses: Pulses) -> Mask:
        """Which frames are of the boot that is known."""
        same: Mask = self._boot_high[pulses.index] == pulses.boot[0]
        same &= self._boot_low[pulses.index] == pulses.boot[1]
        return same & self._has_boot[pulses.index]

    def confirmed(self, index: Ints) -> Mask:
        """Of which hosts the bus has brought the present boot."""
        return self._confirmed[index] & self._has_boot[index]

    def admits(self, path: Path, index: int, boot: bytes, *, bus_silent: bool) -> bool:
        """Whether a boot other than the present one may replace it."""
        retired = boot in self._retired.get(index, ())
        if path is Path.BUS:
            return not retired or not self._confirmed[index]
        return not retired and (bus_silent or not self._has_boot[index])

    def begin_boot(self, path: Path, index: int, boot: bytes) -> None:
        """Another boot takes over; the one before is retired."""
        old = self.boot(index)
        kept = tuple(one for one in self._retired.get(index, ()) if one != boot)
        if old:
            self._retired[index] = (*kept, old)[-RETIRED_BOOTS_MAX:]
        self._set_boot(index, boot)
        self._confirmed[index] = path is Path.BUS
        self._reset(index)

    def follow(
        self, rows: Ints, index: Ints, *, silent_ns: Ints, late_ns: Ints, received_ns: int
    ) -> tuple[Mask, Ints]:
        """Which messages are just what is expected of their hosts next; and what would be then.

        They were sent less than `silent_ns` after the one before, and are at most `late_ns` late.
        No mark is moved. The messages' text is for others to look at.
        """
        expected = self._expected.take(index, axis=0)
        sent_ns, floor_ns = rows[:, Word.SENT], expected[:, _FLOOR]
        since_ns = sent_ns - expected[:, _NEWEST]
        follows: Mask = since_ns > 0
        follows &= since_ns < silent_ns
        crept_ns = _crept(received_ns - sent_ns, received_ns)
        follows &= crept_ns - floor_ns <= late_ns
        for place in (Word.OPENING, Word.SEQUENCE, Word.BOOT_HIGH, Word.BOOT_LOW):
            follows &= rows[:, place] == expected[:, place - Word.OPENING]
        expected[:, _INDEX_LOAD] = rows[:, Word.INDEX_LOAD]
        expected[:, _NEXT] += 1
        expected[:, _NEWEST] = expected[:, _SENT_BUS] = sent_ns
        np.minimum(crept_ns, floor_ns, out=floor_ns)
        return follows, expected

    def move_on(self, expected: Ints, index: Ints) -> None:
        """Move the marks of hosts, all different, to what `follow` gave of them."""
        put_rows(self._expected, index, expected)

    def expect(self, pulses: Pulses) -> None:
        """Expect more of what these frames are of their hosts."""
        self._opening[pulses.index] = pulses.opening

    def expect_nothing(self, index: Ints | int) -> None:
        """Have what these hosts say next looked at by itself."""
        self._opening[index] = 0

    def expect_no_other(self, pulses: Pulses) -> None:
        """Expect nothing of hosts whose frames begin otherwise than those before."""
        index = pulses.index
        self._opening[index[self._opening[index] != pulses.opening]] = 0

    def hear(self, pulses: Pulses) -> None:
        """These are the newest frames of their hosts."""
        self.newest_sent_ns[pulses.index] = pulses.sent_ns
        self._index_load[pulses.index] = pulses.index | pulses.load << 32

    def check(
        self, path: Path, pulses: Pulses, *, period_ns: Ints, received_ns: int, passed_over: Ints
    ) -> tuple[Mask, Mask]:
        """Which frames of the present boot are fresh, and which are late; the rest is replayed.

        Each frame is of another host. The marks are moved. `passed_over`: frames of each host that
        came on this path since its last one and were not looked at; they are not missing.
        """
        newer = pulses.sent_ns > self._sent_ns[path][pulses.index]
        if every(newer):
            late = self._move(path, pulses, period_ns, received_ns, passed_over)
            return ~late, late
        late = np.zeros(len(pulses), np.bool_)
        over = np.broadcast_to(passed_over, len(pulses))
        late[newer] = self._move(
            path, pulses.some(newer), period_ns[newer], received_ns, over[newer]
        )
        return newer & ~late, late

    def _move(
        self, path: Path, pulses: Pulses, period_ns: Ints, received_ns: int, passed_over: Ints
    ) -> Mask:
        index = pulses.index
        awaited = self._next[path][index]
        gaps = pulses.sequence - awaited - passed_over
        if gaps.any():
            gaps = np.clip(gaps, 0, GAP_MAX) * (awaited > 0)
            self._missing[path][index] += gaps
            self.missing_count[path] += int(gaps.sum())
        self._next[path][index] = pulses.sequence + 1
        self._sent_ns[path][index] = pulses.sent_ns
        if path is Path.BUS:
            self._confirmed[index] = True
        return self._late(index, received_ns - pulses.sent_ns, period_ns, received_ns)

    def _late(self, index: Ints, offset_ns: Ints, period_ns: Ints, received_ns: int) -> Mask:
        floor_ns, crept_ns = self._floor_ns[index], _crept(offset_ns, received_ns)
        late = crept_ns - floor_ns > LATE_PERIODS * period_ns
        good = index
        if late.any():
            moved = self._clock_moved(index[late], offset_ns[late], period_ns[late], received_ns)
            rows = np.flatnonzero(late)[moved]
            floor_ns[rows] = crept_ns[rows]
            late[rows] = False
            good, floor_ns, crept_ns = index[~late], floor_ns[~late], crept_ns[~late]
        self._floor_ns[good] = np.minimum(floor_ns, crept_ns)
        self._even_from_ns[good] = 0
        return late

    def _clock_moved(self, index: Ints, offset_ns: Ints, period_ns: Ints, at_ns: int) -> Mask:
        """Which were evenly late for so long that it is the clock, not a queue."""
        low_ns = np.minimum(self._even_low_ns[index], offset_ns)
        high_ns = np.maximum(self._even_high_ns[index], offset_ns)
        from_ns = self._even_from_ns[index]
        anew = (from_ns == 0) | (high_ns - low_ns > period_ns)
        self._even_from_ns[index] = np.where(anew, at_ns, from_ns)
        self._even_low_ns[index] = np.where(anew, offset_ns, low_ns)
        self._even_high_ns[index] = np.where(anew, offset_ns, high_ns)
        moved: Mask = ~anew & (at_ns - from_ns >= EVEN_PERIODS * period_ns)
        return moved

    def _set_boot(self, index: int, boot: bytes) -> None:
        self._boot_high[index], self._boot_low[index] = np.frombuffer(boot, np.int64)
        self._has_boot[index] = True

    def _reset(self, index: int) -> None:
        self._floor_ns[index] = _UNKNOWN_NS
        self._even_from_ns[index] = 0
        for column in (*self._sent_ns, *self._next, *self._missing):
            column[index] = 0
        self._opening[index] = self.newest_sent_ns[index] = 0
