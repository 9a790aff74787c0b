"""The last events, oldest first, and what of them a reader who stands at a vector has not had.

Invariant: for every sender the ring holds all its events above its floor; a vector below a floor
cannot be continued from.
"""

from collections import deque
from dataclasses import replace

import msgspec

from murmuration.gateway.core.model import SENDERS, Logged, Vector
from murmuration.proto.envelope import ZERO, Version, encode

EVENTS_MAX = 5_000  # about a day of a busy rack; 1 to 2 kB each
BYTES_MAX = 16 * 2**20  # should they be large


class EventRing:
    """A bounded history of all senders in the order in which they were heard."""

    def __init__(self, size: int = EVENTS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._entries: deque[Logged] = deque()
        self._size = size
        self._bytes_max = bytes_max
        self._bytes = 0
        self._floors: dict[str, Version] = dict.fromkeys(SENDERS, ZERO)

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, entry: Logged) -> None:
        """Take the newest event; the oldest goes when the ring is full."""
        self._entries.append(entry)
        self._bytes += len(entry.body)
        while len(self._entries) > self._size or self._bytes > self._bytes_max:
            gone = self._entries.popleft()
            self._bytes -= len(gone.body)
            self.raise_floor(gone.sender, gone.version)

    def raise_floor(self, sender: str, version: Version) -> None:
        """Say that events of `sender` up to `version` may be missing."""
        self._floors[sender] = max(self._floors[sender], version)

    def covers(self, vector: Vector) -> bool:
        """Whether everything after `vector` is here."""
        return all(
            version >= self._floors[sender] for sender, version in zip(SENDERS, vector, strict=True)
        )

    def after(self, vector: Vector) -> list[Logged]:
        """All kept events that `vector` does not cover, oldest first.

        Their cursors say what the reader has after each: what it had, and all up to the entry.
        """
        known: dict[str, Version] = dict(zip(SENDERS, vector, strict=True))
        return [
            _seen_from(vector, entry)
            for entry in self._entries
            if entry.version > known[entry.sender]
        ]

    def last(self, count: int, type: str | None = None) -> list[Logged]:
        """The last `count` events (of one type), oldest first."""
        found: list[Logged] = []
        for entry in reversed(self._entries):
            if len(found) == count:
                break
            if type is None or entry.type == type:
                found.append(entry)
        found.reverse()
        return found


def _seen_from(vector: Vector, entry: Logged) -> Logged:
    """The entry with the cursor of a reader that had `vector`, perhaps from another replica."""
    cursor = entry.cursor.joined(vector)
    if cursor == entry.cursor:
        return entry
    view = msgspec.structs.replace(entry.view, cursor=str(cursor))
    return replace(entry, cursor=cursor, body=encode(view))
