"""Pulse frames by the thousand: read out of received bytes as columns, never one by one.

On NATS a pulse arrives as one MSG line and 64 bytes. Everything about it has a fixed size (shard
and index are zero-padded, the subscription's id has one digit), so whole pulses lie in the buffer
at a fixed stride: twelve numbers of eight bytes each. Begun at their seventh byte, the fields of
the frame are whole numbers among them, and the rest is text that is the same in every pulse of a
host. So one comparison with what is expected of its host next says nearly all about a pulse
(`Freshness.follow`). `whole` says how many rows are whole pulses where something else lies between
them; `core/wire.py` takes whatever is not.

On NATS the subject's index must be the frame's: a sender may publish on its own subject alone, so
this is what makes a frame its sender's.

No row is trusted beyond its sizes: what is out of range is left out and counted by its outcome.
"""

import enum
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from murmuration.proto import pulse

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Table = npt.NDArray[np.void]  # rows of a structured dtype

SID: Final = 1  # one digit, or the stride is another; as HEAD has it
HEAD: Final = b"MSG mtce.pulse.00.00000 1 64\r\n"
STRIDE: Final = len(HEAD) + pulse.FRAME_BYTES + 2
INDEX_MAX: Final = 99_999  # five digits on the subject
PERIOD_MS_MIN: Final = 50
PERIOD_MS_MAX: Final = 1_000
NUMBER_BITS: Final = 62  # of sequence and time: 146 years of nanoseconds; sums stay in 64 bits
# A frame's first eight bytes as one number: what they must be, and where flags and period stand.
_KNOWN_BITS: Final = (1 << 40) - 1
_KNOWN: Final = int.from_bytes(pulse.MAGIC + bytes([pulse.VERSION]), "little")
_FLAGS_AT: Final = 40
_PERIOD_AT: Final = 48


def _fields(at: int) -> dict[str, tuple[str, int]]:
    """The fields of a frame that begins at byte `at`; as in murmuration.proto.pulse."""
    return {
        "opening": ("<i8", at),  # magic, version, flags, period
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
LEAD: Final = 6  # bytes of a message before its first number, which are its predecessor's last


class Word(enum.IntEnum):
    """The numbers of a message, from its byte LEAD on to that of the next one."""

    NAME = 0  # ce.pulse
    SHARD = 1  # .00.0000
    TOKEN = 2  # 0 1 64\r\n
    OPENING = 3
    INDEX_LOAD = 4
    SEQUENCE = 5
    SENT = 6
    BOOT_HIGH = 7
    BOOT_LOW = 8
    MAC_HIGH = 9
    MAC_LOW = 10
    END = 11  # \r\n and MSG mt of the next one


def _number(text: bytes) -> int:
    return int.from_bytes(text, "little", signed=True)


LOW: Final = 0xFFFF_FFFF
END: Final = _number(b"\r\n" + HEAD[:LEAD])
_CRLF: Final = _number(b"\r\n")
_NAME: Final = _number(HEAD[LEAD : LEAD + 8])
_DOT: Final = ord(".")
WITHOUT_SHARD: Final = _number(b"\xff\0\0\xff\xff\xff\xff\xff")
_ZEROS: Final = _number(b"00000\0\0\0")
_HIGH: Final = _number(b"\xf0\xf0\xf0\xf0\xf0\0\0\0")
_TAIL: Final = _number(HEAD[LEAD + 17 : LEAD + 24] + b"\0")  # of TOKEN, without the digit


class Refused(enum.Enum):
    """Why a frame is left out before anybody looks whose it is."""

    MALFORMED = "malformed"
    FOREIGN_SUBJECT = "foreign_subject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulses:
    """Frames as columns of equal length, every value within its range; `boot` is two columns.

    `opening` is a frame's first eight bytes: who compares it compares flags and period.
    """

    index: Ints
    opening: Ints
    sequence: Ints
    sent_ns: Ints
    load: Ints
    boot: Ints

    def __len__(self) -> int:
        return len(self.index)

    @property
    def period_ns(self) -> Ints:
        """How often the sender means to send."""
        return (self.opening >> _PERIOD_AT) * 1_000_000

    @property
    def flags(self) -> Ints:
        """As in murmuration.proto.pulse."""
        return (self.opening >> _FLAGS_AT) & 0xFF

    def some(self, rows: Mask | Ints) -> "Pulses":
        """Only these rows, in order."""
        return Pulses(
            index=self.index[rows],
            opening=self.opening[rows],
            sequence=self.sequence[rows],
            sent_ns=self.sent_ns[rows],
            load=self.load[rows],
            boot=self.boot[:, rows],
        )


def every(rows: Mask) -> bool:
    """As `rows.all()`, at a third of its price for a mask of thousands."""
    return int(np.count_nonzero(rows)) == len(rows)


def rows_at(buffer: bytearray, at: int, count: int) -> Ints:
    """`count` messages that begin at byte `at`, as rows of numbers; whether they are is open.

    It is a view: reading is quick where `at` + LEAD lies on a whole number.
    """
    numbers = np.frombuffer(buffer, np.int64, count * len(Word), at + LEAD)
    return numbers.reshape(count, len(Word))


def indexes(rows: Ints) -> Ints:
    """Of which index each row says it is; 0 to 2^32 - 1."""
    return rows[:, Word.INDEX_LOAD] & LOW


def framed(rows: Ints) -> Mask:
    """Which rows begin and end as pulses do. `rows` has some."""
    found: Mask = rows[:, Word.NAME] == _NAME
    goes_on = rows[:-1, Word.END] == END
    if not every(goes_on):
        found[:-1] &= rows[:-1, Word.END] & 0xFFFF == _CRLF
        found[1:] &= goes_on
    found[-1] &= int(rows[-1, Word.END]) & 0xFFFF == _CRLF  # what follows it is not looked at
    return found


def subject_of(index: int) -> tuple[int, int]:
    """SHARD, without the shard, and TOKEN of an index's messages."""
    text = HEAD[LEAD + 8 : LEAD + 11] + b".%05d" % index + HEAD[-7:]
    return _number(text[:8]) & WITHOUT_SHARD, _number(text[8:])


def of_subject(rows: Ints, index: Ints) -> Mask:
    """Which rows came on their index's own subject."""
    shard = rows[:, Word.SHARD] >> 24  # .0000, and then the last digit
    digits = shard >> 8 | (rows[:, Word.TOKEN] & 0xFF) << 32
    found: Mask = shard & 0xFF == _DOT
    found &= digits & _HIGH == _ZEROS
    digits &= ~_HIGH
    number = (digits & 0xF) * 10_000
    number += (digits >> 8 & 0xF) * 1_000
    number += (digits >> 16 & 0xF) * 100
    number += (digits >> 24 & 0xF) * 10
    number += digits >> 32
    found &= number == index
    return found


def whole(rows: Ints) -> int:
    """How many rows, from the first on, are whole pulses by their text. `rows` has some."""
    found = framed(rows)
    found &= rows[:, Word.SHARD] & 0xFF == _DOT
    found &= rows[:, Word.TOKEN] >> 8 == _TAIL
    return len(rows) if every(found) else int(np.argmin(found))


def from_messages(rows: Ints) -> tuple[Pulses, dict[Refused, int]]:
    """The frames of whole messages; and how many were left out, and why."""
    index = indexes(rows)
    pulses = Pulses(
        index=index,
        opening=rows[:, Word.OPENING],
        sequence=rows[:, Word.SEQUENCE],
        sent_ns=rows[:, Word.SENT],
        load=rows[:, Word.INDEX_LOAD] >> 32 & LOW,
        boot=rows[:, Word.BOOT_HIGH : Word.BOOT_LOW + 1].T,
    )
    found = _is_frame(pulses)
    malformed = len(rows) - int(np.count_nonzero(found))
    own = of_subject(rows, index)
    foreign = int(np.count_nonzero(found & ~own))
    found &= own
    refused = {Refused.MALFORMED: malformed, Refused.FOREIGN_SUBJECT: foreign}
    return pulses if every(found) else pulses.some(found), refused


def from_frames(table: Table) -> tuple[Pulses, Mask]:
    """The frames of a FRAME view, and which rows they are."""
    boot = np.empty((2, len(table)), np.int64)
    boot[0] = table["boot_high"]
    boot[1] = table["boot_low"]
    pulses = Pulses(
        index=table["index"].astype(np.int64),
        opening=table["opening"].astype(np.int64),
        sequence=table["sequence"].astype(np.int64),
        sent_ns=table["sent_ns"].astype(np.int64),
        load=table["load"].astype(np.int64),
        boot=boot,
    )
    found = _is_frame(pulses)
    return pulses if every(found) else pulses.some(found), found


def _is_frame(pulses: Pulses) -> Mask:
    """Version 1, and every number within its range."""
    found: Mask = (pulses.sequence | pulses.sent_ns) >> NUMBER_BITS == 0
    found &= pulses.index <= INDEX_MAX
    found &= pulses.opening & _KNOWN_BITS == _KNOWN
    period = pulses.opening >> _PERIOD_AT
    found &= (period >= PERIOD_MS_MIN) & (period <= PERIOD_MS_MAX)
    return found
