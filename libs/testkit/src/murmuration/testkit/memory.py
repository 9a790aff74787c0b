"""Bus and store in memory: what tests of cores and the simulation need of NATS and PostgreSQL.

Plain data, no event loop, no clock: everything happens in the call. They keep the invariants that
the libraries stand on, and a suite (tests/test_stand_ins.py) holds them to what the real parts do:
- a stream numbers messages from 1 without gaps; a message with an expected last sequence is stored
  only right behind it;
- a key is written only over the revision it names (0: it must not be there);
- a unit of work is all or nothing; its messages are numbered at its commit, in order of commit,
  each naming the one before it to the same stream.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from murmuration.bus.message import Delivery
from murmuration.kernel.errors import Conflict
from murmuration.proto.envelope import Version


class Stored(NamedTuple):
    """The value of a key, and the revision to name when writing over it."""

    value: bytes
    revision: int


class MemoryBus:
    """Streams and buckets."""

    def __init__(self) -> None:
        self._streams: dict[str, list[Delivery]] = {}
        self._buckets: dict[str, dict[str, Stored]] = {}
        self._revisions: dict[str, int] = {}

    def publish(
        self,
        stream: str,
        subject: str,
        body: bytes,
        *,
        headers: dict[str, str] | None = None,
        expected_sequence: int | None = None,
    ) -> int:
        """Store a message; returns its sequence. Raises Conflict when the stream ends elsewhere."""
        held = self._streams.setdefault(stream, [])
        if expected_sequence is not None and expected_sequence != len(held):
            raise Conflict(f"{stream} ends at {len(held)}, not at {expected_sequence}")
        held.append(Delivery(stream, len(held) + 1, subject, headers or {}, body))
        return len(held)

    def read(self, stream: str, start: int, limit: int) -> list[Delivery]:
        """Up to `limit` messages from the sequence `start` on."""
        return self._streams.get(stream, [])[max(0, start - 1) : max(0, start - 1) + limit]

    def tail(self, stream: str) -> int:
        """The last sequence, 0 for an empty stream."""
        return len(self._streams.get(stream, []))

    def cut(self, stream: str, sequence: int) -> None:
        """Lose everything behind `sequence`, as a power cut or an older copy does."""
        del self._streams.setdefault(stream, [])[sequence:]

    def put(self, bucket: str, key: str, value: bytes, *, expected_revision: int) -> int:
        """Write a key; returns its revision. Raises Conflict when another revision is stored."""
        keys = self._buckets.setdefault(bucket, {})
        stored = keys.get(key)
        revision = stored.revision if stored is not None else 0
        if revision != expected_revision:
            raise Conflict(f"{bucket} {key} is at {revision}, not at {expected_revision}")
        self._revisions[bucket] = self._revisions.get(bucket, 0) + 1
        keys[key] = Stored(value, self._revisions[bucket])
        return self._revisions[bucket]

    def get(self, bucket: str, key: str) -> Stored | None:
        """A key as it is stored."""
        return self._buckets.get(bucket, {}).get(key)


class OutboxRow(NamedTuple):
    """A message of the outbox; `previous` numbers the one before it to the same stream, or 0."""

    version: Version
    previous: int
    stream: str
    entity: str
    body: bytes


class MemoryUnit:
    """One transaction."""

    def __init__(self, facts: dict[str, bytes], positions: dict[str, Version]) -> None:
        self.facts = facts
        self.positions = positions
        self.said: list[tuple[str, str, bytes]] = []

    def write(self, key: str, value: bytes) -> None:
        """Set a fact."""
        self.facts[key] = value

    def say(self, stream: str, entity: str, body: bytes) -> None:
        """Publish once committed."""
        self.said.append((stream, entity, body))

    def move(self, sender: str, position: Version) -> None:
        """How far `sender` has been read, with the effects of it."""
        self.positions[sender] = position


class MemoryStore:
    """A service's database, as far as the bus depends on it."""

    def __init__(self, *, epoch: int = 1) -> None:
        self.life = Version(epoch, 0)
        self._facts: dict[str, bytes] = {}
        self._positions: dict[str, Version] = {}
        self._last: dict[str, Version] = {}
        self._outbox: list[OutboxRow] = []

    @contextmanager
    def unit(self) -> Iterator[MemoryUnit]:
        """A transaction: all of it at the end, nothing of it on any exception."""
        unit = MemoryUnit(dict(self._facts), dict(self._positions))
        yield unit
        self._facts, self._positions = unit.facts, unit.positions
        for stream, entity, body in unit.said:
            self.life = Version(self.life.epoch, self.life.change + 1)
            last = self._last.get(stream, self.life)
            previous = last.change if last.epoch == self.life.epoch and stream in self._last else 0
            self._outbox.append(OutboxRow(self.life, previous, stream, entity, body))
            self._last[stream] = self.life

    def read(self, key: str) -> bytes | None:
        """A fact."""
        return self._facts.get(key)

    def position(self, sender: str) -> Version | None:
        """How far a sender has been read."""
        return self._positions.get(sender)

    def outbox(self, stream: str, after: Version, limit: int) -> list[OutboxRow]:
        """What is said to a stream behind `after`, in order."""
        rows = [row for row in self._outbox if row.stream == stream and row.version > after]
        return rows[:limit]

    def start_epoch(self, epoch: int) -> None:
        """A new life, as after the database was put back; what was not sent stays unsent."""
        if epoch <= self.life.epoch:
            raise ValueError(f"epoch {epoch} is not after {self.life.epoch}")
        self.life = Version(epoch, self.life.change)
