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
"""

import enum
from collections import Counter
from typing import Final

import numpy as np

from murmuration.mtce.core.columns import Columns
from murmuration.mtce.core.frames import Ints, Mask, Pulses
from murmuration.proto.ids import BootId

DRIFT: Final = 1_000  # 1 in 1000: two clocks, each slewed by at most 500 ppm (NTP's limit)
LATE_PERIODS: Final = 3
EVEN_PERIODS: Final = 10  # as long as the failure threshold
GAP_MAX: Final = 1_000_000  # frames missing at once, a day at 10 Hz: more is a sender's error
RETIRED_BOOTS_MAX: Final = 4  # a frame of an older boot than that is no longer on any wire


class Path(enum.IntEnum):
    """How a frame came."""

    BUS = 0
    UDP = 1


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

    _boot_high: Ints
    _boot_low: Ints
    _floor_ns: Ints  # smallest received - sent of this boot
    _floor_at_ns: Ints  # when it was last touched; 0: not yet known
    _even_from_ns: Ints  # since when frames are evenly late; 0: they are not
    _even_low_ns: Ints
    _even_high_ns: Ints
    _sent_bus_ns: Ints
    _sent_udp_ns: Ints
    _sequence_bus: Ints
    _sequence_udp: Ints
    _missing_bus: Ints
    _missing_udp: Ints
    _has_boot: Mask
    _confirmed: Mask  # the bus has brought the present boot

    def __init__(self) -> None:
        self.missing_count: Counter[Path] = Counter()
        self._retired: dict[int, tuple[bytes, ...]] = {}
        self._columns = Columns(
            (
                *("_boot_high", "_boot_low", "_sent_bus_ns", "_sequence_bus"),
                *("_floor_ns", "_floor_at_ns", "_even_from_ns", "_missing_bus"),
            ),
            (
                *("_sent_udp_ns", "_sequence_udp", "_missing_udp"),
                *("_even_low_ns", "_even_high_ns"),
            ),
            marks=("_has_boot", "_confirmed"),
        )
        self.grow(0)

    def grow(self, index: int) -> None:
        """Have a row for `index`."""
        if self._columns.grow(self, index):
            self._sent_ns = (self._sent_bus_ns, self._sent_udp_ns)
            self._sequence = (self._sequence_bus, self._sequence_udp)
            self._missing = (self._missing_bus, self._missing_udp)

    def boot(self, index: int) -> bytes:
        """The present boot's id, empty when none is known."""
        if not self._has_boot[index]:
            return b""
        return self._boot_high[index].tobytes() + self._boot_low[index].tobytes()

    def sequence(self, path: Path, index: int) -> int:
        """The sequence of the last frame on a path, 0 before the first."""
        return int(self._sequence[path][index])

    def missing(self, path: Path, index: int) -> int:
        """How many frames of this boot never came on a path, by gaps in the sequence."""
        return int(self._missing[path][index])

    def begin(self, index: int, boot: bytes) -> None:
        """Start anew for an index, with the boot on record (empty when none)."""
        self.forget(index)
        if boot:
            self._set_boot(index, boot)
        self._confirmed[index] = False
        self._reset(index)

    def forget(self, index: int) -> None:
        """Drop what is known of an index."""
        self._has_boot[index] = False
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

    def check(
        self, path: Path, pulses: Pulses, *, period_ns: Ints, received_ns: int, passed_over: Ints
    ) -> tuple[Mask, Mask]:
        """Which frames of the present boot are fresh, and which are late; the rest is replayed.

        Each frame is of another host. The marks are moved. `passed_over`: frames of each host that
        came on this path since its last one and were not looked at; they are not missing.
        """
        newer = pulses.sent_ns > self._sent_ns[path][pulses.index]
        if newer.all():
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
        last = self._sequence[path][index]
        gaps = pulses.sequence - last - 1 - passed_over
        if gaps.any():
            gaps = np.clip(gaps, 0, GAP_MAX) * (last > 0)
            self._missing[path][index] += gaps
            self.missing_count[path] += int(gaps.sum())
        self._sequence[path][index] = pulses.sequence
        self._sent_ns[path][index] = pulses.sent_ns
        if path is Path.BUS:
            self._confirmed[index] = True
        return self._late(index, received_ns - pulses.sent_ns, period_ns, received_ns)

    def _late(self, index: Ints, offset_ns: Ints, period_ns: Ints, received_ns: int) -> Mask:
        touched_ns = self._floor_at_ns[index]
        floor_ns = self._floor_ns[index] + (received_ns - touched_ns) // DRIFT
        if not touched_ns.all():
            floor_ns = np.where(touched_ns > 0, floor_ns, offset_ns)
        late = offset_ns - floor_ns > LATE_PERIODS * period_ns
        good = index
        if late.any():
            moved = self._clock_moved(index[late], offset_ns[late], period_ns[late], received_ns)
            rows = np.flatnonzero(late)[moved]
            floor_ns[rows] = offset_ns[rows]
            late[rows] = False
            good, floor_ns, offset_ns = index[~late], floor_ns[~late], offset_ns[~late]
        self._floor_ns[good] = np.minimum(floor_ns, offset_ns)
        self._floor_at_ns[good] = received_ns
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
        self._floor_at_ns[index] = 0
        self._even_from_ns[index] = 0
        for column in (*self._sent_ns, *self._sequence, *self._missing):
            column[index] = 0
