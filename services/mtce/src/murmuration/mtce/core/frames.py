"""Pulse frames by the thousand: read out of received bytes as columns, never one by one.

On NATS a pulse arrives as one MSG line and 64 bytes. Everything about it has a fixed size (shard
and index are zero-padded, the subscription's id has one digit), so whole pulses lie in the buffer
at a fixed stride, and one structured view of the buffer is a table of them. `leading` says how many
rows of it are whole pulses by comparing every row's literal bytes at once; `core/wire.py` takes
whatever is not.

On NATS the subject's index must be the frame's: a sender may publish on its own subject alone, so
this is what makes a frame its sender's. The token of an index is looked up, not parsed.

No row is trusted beyond its sizes: what is out of range is left out and counted by its outcome.
"""

import enum
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from murmuration.proto import pulse

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Table = npt.NDArray[np.void]  # rows of a structured dtype

SID: Final = 1  # one digit, or the stride is another
HEAD: Final = b"MSG mtce.pulse.00.00000 1 64\r\n"
STRIDE: Final = len(HEAD) + pulse.FRAME_BYTES + 2
INDEX_MAX: Final = 99_999  # five digits on the subject
PERIOD_MS_MIN: Final = 50
PERIOD_MS_MAX: Final = 1_000
NUMBER_MAX: Final = 1 << 62  # 146 years of nanoseconds; keeps sums within 64 bits
_MAGIC: Final = int.from_bytes(pulse.MAGIC, "little")


def _fields(at: int) -> dict[str, tuple[str, int]]:
    """The fields of a frame that begins at byte `at`; as in murmuration.proto.pulse."""
    return {
        "magic": ("<u4", at),
        "version": ("u1", at + 4),
        "flags": ("u1", at + 5),
        "period_ms": ("<u2", at + 6),
        "index": ("<u4", at + 8),
        "load": ("<u4", at + 12),  # and in its upper half the promise to be reset, in seconds
        "sequence": ("<u8", at + 16),
        "sent_ns": ("<u8", at + 24),
        "boot_high": ("<i8", at + 32),
        "boot_low": ("<i8", at + 40),
    }


def _dtype(fields: dict[str, tuple[str, int]], size: int) -> np.dtype[np.void]:
    return np.dtype(
        {
            "names": list(fields),
            "formats": [form for form, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": size,
        }
    )


FRAME: Final = _dtype(_fields(0), pulse.FRAME_BYTES)
# Literal bytes of a whole message, as numbers: each compared over all rows at once.
_LITERALS: Final = {
    "head": ("<u8", 0, HEAD[0:8]),
    "subject": ("<u8", 7, HEAD[7:15]),
    "sid": ("<u4", 23, HEAD[23:27]),
    "size": ("<u4", 26, HEAD[26:30]),
    "end": ("<u2", STRIDE - 2, b"\r\n"),
}
MESSAGE: Final = _dtype(
    {
        **_fields(len(HEAD)),
        **{name: (form, at) for name, (form, at, _) in _LITERALS.items()},
        "token": ("<u8", 17),  # ".00000 1": the index as the subject has it
    },
    STRIDE,
)
_NUMBERS: Final = {name: int.from_bytes(text, "little") for name, (_, _, text) in _LITERALS.items()}


class Refused(enum.Enum):
    """Why a frame is left out before anybody looks whose it is."""

    MALFORMED = "malformed"
    FOREIGN_SUBJECT = "foreign_subject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulses:
    """Frames as columns of equal length, every value within its range; `boot` is two columns."""

    index: Ints
    period_ns: Ints
    sequence: Ints
    sent_ns: Ints
    load: Ints
    flags: Ints
    boot: Ints

    def __len__(self) -> int:
        return len(self.index)

    def some(self, rows: Mask | Ints) -> "Pulses":
        """Only these rows, in order."""
        return Pulses(
            index=self.index[rows],
            period_ns=self.period_ns[rows],
            sequence=self.sequence[rows],
            sent_ns=self.sent_ns[rows],
            load=self.load[rows],
            flags=self.flags[rows],
            boot=self.boot[:, rows],
        )


def leading(table: Table) -> int:
    """How many rows of a MESSAGE view, from its beginning, are whole pulses by their literals."""
    whole: Any = None
    for name, number in _NUMBERS.items():
        same = table[name] == number
        whole = same if whole is None else whole & same
    if whole is None or whole.all():
        return len(table)
    return int(np.argmin(whole))


def from_messages(table: Table) -> tuple[Pulses, dict[Refused, int]]:
    """The frames of whole messages; and how many were left out, and why."""
    is_frame = _is_frame(table)
    index = np.minimum(table["index"], INDEX_MAX)
    own = table["token"] == _tokens()[index]
    refused = {
        Refused.MALFORMED: len(table) - int(np.count_nonzero(is_frame)),
        Refused.FOREIGN_SUBJECT: int(np.count_nonzero(is_frame & ~own)),
    }
    return _columns(table, is_frame & own), refused


def from_frames(table: Table) -> tuple[Pulses, Mask]:
    """The frames of a FRAME view, and which rows they are."""
    is_frame = _is_frame(table)
    return _columns(table, is_frame), is_frame


def _is_frame(table: Table) -> Mask:
    """Version 1, and every number within its range."""
    period: Any = table["period_ms"]
    found: Mask = (table["magic"] == _MAGIC) & (table["version"] == pulse.VERSION)
    found &= (period >= PERIOD_MS_MIN) & (period <= PERIOD_MS_MAX)
    found &= (table["index"] <= INDEX_MAX) & (table["sent_ns"] <= NUMBER_MAX)
    found &= table["sequence"] <= NUMBER_MAX
    return found


def _columns(table: Table, rows: Mask) -> Pulses:
    chosen: Any = table if rows.all() else table[rows]
    boot = np.empty((2, len(chosen)), np.int64)
    boot[0] = chosen["boot_high"]
    boot[1] = chosen["boot_low"]
    return Pulses(
        index=chosen["index"].astype(np.int64),
        period_ns=chosen["period_ms"].astype(np.int64) * 1_000_000,
        sequence=chosen["sequence"].astype(np.int64),
        sent_ns=chosen["sent_ns"].astype(np.int64),
        load=chosen["load"].astype(np.int64),
        flags=chosen["flags"].astype(np.int64),
        boot=boot,
    )


@cache
def _tokens() -> npt.NDArray[np.uint64]:
    """For every index, what stands around it on the subject: `.00042 1`, as one number."""
    number = np.arange(INDEX_MAX + 1, dtype=np.uint64)
    text = np.empty((INDEX_MAX + 1, 8), np.uint8)
    text[:, 0], text[:, 6], text[:, 7] = ord("."), ord(" "), ord("0") + SID
    for place in range(5):
        text[:, 5 - place] = ord("0") + number // 10**place % 10
    return text.view("<u8")[:, 0]
