"""NATS' protocol, as far as one subscription to pulses needs it: bytes in, pulses and words out.

Pure: the shell reads into `Inbox.room` and says by `put` how much came; `take` gives what is whole.
Whole pulses in a row are read as a table (`core/frames.py`) and offered to `follow`, which takes
those that are just what was expected next. Anything else is looked at by itself:
a PING, an INFO, an -ERR, a message of another size or subject, or the part of a message whose rest
has not come. So what is strange costs its own time and never shifts what follows.

The protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol. Lines end with
CR LF; `MSG <subject> <sid> [reply] <bytes>` is followed by that many bytes and CR LF.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from murmuration.mtce.core.frames import (
    HEAD,
    LEAD,
    STRIDE,
    Ints,
    Mask,
    Pulses,
    Refused,
    every,
    from_messages,
    rows_at,
    whole,
)
from murmuration.proto.pulse import FRAME_BYTES

BUFFER_BYTES: Final = 1 << 20  # about 10,900 pulses: a tenth of a second of the largest site
_NUMBER_BYTES: Final = 8
_ROOM_BYTES: Final = BUFFER_BYTES + LEAD + _NUMBER_BYTES
LINE_BYTES_MAX: Final = 65_536  # an INFO with many cluster members has a few thousand
PAYLOAD_BYTES_MAX: Final = 1 << 20  # as nats-server allows; nothing longer comes
_ROW = memoryview(HEAD)[:15]  # what the line of every pulse begins with


class NotNats(Exception):
    """The server says what NATS' protocol has not: the connection is of no more use."""


def nothing(rows: Ints) -> Mask:
    """Follow no row: all pulses are in `Taken`."""
    return np.zeros(len(rows), np.bool_)


class Taken(NamedTuple):
    """What came and was not followed: pulses in order; counts of what was refused; other lines."""

    pulses: list[Pulses]
    refused: dict[Refused, int]
    lines: list[bytes]


class Inbox:
    """What has come on one connection and was not taken yet.

    `follow` is given rows that may be pulses, and says which are and were taken by it.
    """

    def __init__(self, follow: Callable[[Ints], Mask] = nothing) -> None:
        self._follow = follow
        self._bytes = bytearray(_ROOM_BYTES)
        self._view = memoryview(self._bytes)[: _ROOM_BYTES - LEAD]
        # Where a first message lies so that its numbers lie on whole numbers of memory.
        self._begin = -(np.frombuffer(self._bytes, np.uint8).ctypes.data + LEAD) % _NUMBER_BYTES
        self._end = self._begin
        self._skip = 0  # bytes of a foreign message's body that have still to come

    @property
    def room(self) -> memoryview:
        """Where the next bytes are to be put; never empty after `take`."""
        return self._view[self._end :]

    def put(self, count: int) -> None:
        """So many bytes more were put into `room`."""
        self._end += count

    def take(self) -> Taken:
        """What is whole of all that was put. Raises NotNats."""
        taken = Taken([], dict.fromkeys(Refused, 0), [])
        at = self._drop_body(self._begin)
        while at < self._end:
            moved = self._bulk(at, taken)
            if moved == at:
                moved = self._single(at, taken)
            if moved == at:
                break  # its rest has not come
            at = moved
        if at > self._begin:
            left = bytes(self._view[at : self._end])
            self._end = self._begin + len(left)
            self._view[self._begin : self._end] = left
        return taken

    def _bulk(self, at: int, taken: Taken) -> int:
        """Take the whole pulses that lie at `at`; returns where they end."""
        count = (self._end - at) // STRIDE
        if not count or self._view[at : at + 15] != _ROW:
            return at
        rows = rows_at(self._bytes, at, count)
        known = self._follow(rows)
        if not every(known):
            count = whole(rows)
            rest = rows[:count][~known[:count]]
            if len(rest):
                pulses, refused = from_messages(rest)
                taken.pulses.append(pulses)
                for why, number in refused.items():
                    taken.refused[why] += number
        return at + count * STRIDE

    def _single(self, at: int, taken: Taken) -> int:
        """Take one line, and its body where it has one; returns where it ends, `at` if not yet."""
        end = self._bytes.find(b"\r\n", at, self._end)
        if end < 0:
            if self._end - at > LINE_BYTES_MAX:
                raise NotNats("a line without an end")
            return at
        line = bytes(self._view[at:end])
        if line[:4].upper() != b"MSG ":
            taken.lines.append(line)
            return end + 2
        size = _size(line)
        if size == FRAME_BYTES and len(line) + 2 == len(HEAD):
            return self._whole_or_wait(at, end + 2 + size + 2, line, taken)
        strange = Refused.FOREIGN_SUBJECT if size == FRAME_BYTES else Refused.MALFORMED
        taken.refused[strange] += 1
        self._skip = size + 2
        return self._drop_body(end + 2)

    def _whole_or_wait(self, at: int, end: int, line: bytes, taken: Taken) -> int:
        """A message of a pulse's sizes that is in no table: its rest has not come, or it is odd."""
        if end > self._end:
            return at
        if bytes(self._view[end - 2 : end]) != b"\r\n":
            raise NotNats(f"{line[:60]!r} has a body of another size")
        taken.refused[Refused.FOREIGN_SUBJECT] += 1
        return end

    def _drop_body(self, at: int) -> int:
        """Pass over what has come of a body that nobody wants."""
        dropped = min(self._skip, self._end - at)
        self._skip -= dropped
        return at + dropped


def _size(line: bytes) -> int:
    """How long a message's body is. Raises NotNats."""
    text = line.rpartition(b" ")[2]
    if not text.isdigit() or len(text) > 7 or int(text) > PAYLOAD_BYTES_MAX:
        raise NotNats(f"{line[:60]!r} has no size")
    return int(text)
