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

Columns are arrays indexed by pulse index (or 2 * index + path), so that a bulk decoder can fill
and compare them without a Python call per frame.
"""

import enum
from array import array
from collections import Counter
from typing import Final

from murmuration.proto.ids import BootId

DRIFT: Final = 1_000  # 1 in 1000: two clocks, each slewed by at most 500 ppm (NTP's limit)
LATE_PERIODS: Final = 3
EVEN_PERIODS: Final = 10  # as long as the failure threshold
SENT_NS_MAX: Final = 1 << 62  # 146 years of uptime; keeps sums within 64 bits
RETIRED_BOOTS_MAX: Final = 4  # a frame of an older boot than that is no longer on any wire

Frame = tuple[bytes, int, int, int, int, int, int, int, int, bytes]
"""As decoded: magic, version, flags, period_ms, index, load, reserved, sequence, sent_ns, boot."""


class Path(enum.IntEnum):
    """How a frame came."""

    BUS = 0
    UDP = 1


class Taken(enum.Enum):
    """What became of a frame."""

    FRESH = "fresh"
    LATE = "late"
    REPLAYED = "replayed"
    FOREIGN_BOOT = "foreign_boot"
    UNKNOWN_INDEX = "unknown_index"
    FOREIGN_SUBJECT = "foreign_subject"
    WRONG_MAC = "wrong_mac"
    MALFORMED = "malformed"


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

    def __init__(self) -> None:
        self._boots: dict[int, bytes] = {}
        self._retired: dict[int, tuple[bytes, ...]] = {}
        self._confirmed = bytearray()  # the bus has brought the present boot
        self._floor_ns = array("q")  # smallest received - sent of this boot
        self._floor_at_ns = array("q")  # when it was last touched; 0: not yet known
        self._even_from_ns = array("q")  # since when frames are evenly late; 0: they are not
        self._even_low_ns = array("q")
        self._even_high_ns = array("q")
        self._sent_ns = array("q")  # 2 * index + path
        self._sequence = array("Q")  # 2 * index + path
        self.missing_count: Counter[Path] = Counter()

    def grow(self, count: int) -> None:
        """Add rows for `count` more indexes."""
        self._confirmed.extend(bytes(count))
        for column in (self._floor_ns, self._floor_at_ns):
            column.frombytes(bytes(8 * count))
        for column in (self._even_from_ns, self._even_low_ns, self._even_high_ns):
            column.frombytes(bytes(8 * count))
        for column in (self._sent_ns, self._sequence):
            column.frombytes(bytes(2 * 8 * count))

    def boot(self, index: int) -> bytes:
        """The present boot's id, empty when none is known."""
        return self._boots.get(index, b"")

    def begin(self, index: int, boot: bytes) -> None:
        """Start anew for an index, with the boot on record (empty when none)."""
        self.forget(index)
        if boot:
            self._boots[index] = boot
        self._confirmed[index] = 0
        self._reset(index)

    def forget(self, index: int) -> None:
        """Drop what is known of an index."""
        self._boots.pop(index, None)
        self._retired.pop(index, None)

    def admits(self, path: Path, index: int, boot: bytes, *, bus_silent: bool) -> bool:
        """Whether a boot other than the present one may replace it."""
        retired = boot in self._retired.get(index, ())
        if path is Path.BUS:
            return not retired or not self._confirmed[index]
        return not retired and (bus_silent or index not in self._boots)

    def begin_boot(self, path: Path, index: int, boot: bytes) -> None:
        """Another boot takes over; the one before is retired."""
        old = self._boots.get(index)
        kept = tuple(one for one in self._retired.get(index, ()) if one != boot)
        if old is not None:
            self._retired[index] = (*kept, old)[-RETIRED_BOOTS_MAX:]
        self._boots[index] = boot
        self._confirmed[index] = path is Path.BUS
        self._reset(index)

    def check(
        self, path: Path, index: int, *, frame: Frame, period_ns: int, received_ns: int
    ) -> Taken:
        """FRESH, LATE or REPLAYED for a frame of the present boot, and the marks moved."""
        sequence, sent_ns = frame[7], frame[8]
        slot = 2 * index + path
        if sent_ns <= self._sent_ns[slot]:
            return Taken.REPLAYED
        self._sent_ns[slot] = sent_ns
        last = self._sequence[slot]
        if last and sequence > last + 1:
            self.missing_count[path] += sequence - last - 1
        self._sequence[slot] = sequence
        if path is Path.BUS:
            self._confirmed[index] = 1
        offset_ns = received_ns - sent_ns
        on_time = self._on_time(index, offset_ns, period_ns=period_ns, received_ns=received_ns)
        return Taken.FRESH if on_time else Taken.LATE

    def _on_time(self, index: int, offset_ns: int, *, period_ns: int, received_ns: int) -> bool:
        touched_ns = self._floor_at_ns[index]
        floor_ns = offset_ns
        if touched_ns:
            floor_ns = self._floor_ns[index] + (received_ns - touched_ns) // DRIFT
        if offset_ns - floor_ns > LATE_PERIODS * period_ns:
            if not self._clock_moved(index, offset_ns, period_ns=period_ns, at_ns=received_ns):
                return False
            floor_ns = offset_ns
        self._floor_ns[index] = min(floor_ns, offset_ns)
        self._floor_at_ns[index] = received_ns
        self._even_from_ns[index] = 0
        return True

    def _clock_moved(self, index: int, offset_ns: int, *, period_ns: int, at_ns: int) -> bool:
        """Whether frames have been evenly late for so long that it is the clock, not a queue."""
        low_ns = min(self._even_low_ns[index], offset_ns)
        high_ns = max(self._even_high_ns[index], offset_ns)
        from_ns = self._even_from_ns[index]
        if not from_ns or high_ns - low_ns > period_ns:
            self._even_from_ns[index] = at_ns
            self._even_low_ns[index] = self._even_high_ns[index] = offset_ns
            return False
        self._even_low_ns[index], self._even_high_ns[index] = low_ns, high_ns
        return at_ns - from_ns >= EVEN_PERIODS * period_ns

    def _reset(self, index: int) -> None:
        self._floor_at_ns[index] = 0
        self._even_from_ns[index] = 0
        for path in Path:
            self._sent_ns[2 * index + path] = 0
            self._sequence[2 * index + path] = 0
