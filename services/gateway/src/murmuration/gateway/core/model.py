"""The words of the projection: what comes in, what goes out, and where a reader stands.

A **position** is one sender's (epoch, change); a **vector** holds one per sender and is what a
client keeps to resume: `fm.1.8123-mtce.1.77-sysinv.1.5`. The senders give the numbers, so a vector
means the same to every replica of the gateway, in whatever order it heard the senders.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, NamedTuple, TypeVar

import msgspec

from murmuration.kernel.errors import Rejected
from murmuration.proto.api import EventView, HostView
from murmuration.proto.envelope import ZERO, Version
from murmuration.proto.fm import Alarm

SENDERS = ("fm", "mtce", "sysinv")  # in the order in which a vector names them
TOMBSTONES_MAX = 20_000  # per noun; older ones only matter to a state cache that lags days behind
VECTOR_LENGTH_MAX = 300
_PART = re.compile(r"([a-z]{1,16})\.([0-9]{1,19})\.([0-9]{1,19})", re.ASCII)

_EVENT_DECODER = msgspec.json.Decoder(EventView)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Occurred:
    """One event of a sender's stream. `payload` is None for a type this version does not know.

    `previous` is the change number of the sender's message before this one (0: not told), `data`
    the payload as JSON.
    """

    sender: str
    version: Version
    previous: int
    type: str
    entity: str
    time: datetime
    payload: msgspec.Struct | None
    data: msgspec.Raw


class Position(NamedTuple):
    """A sender and its version, for who waits until it is reached."""

    sender: str
    version: Version

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Read `fm:1:8123`. Raises Rejected."""
        sender, _, rest = text.partition(":")
        epoch, _, change = rest.partition(":")
        digits = epoch + change
        if sender not in SENDERS or not (epoch and change and digits.isascii()):
            raise Rejected(f"{text[:80]!r} is not <service>:<epoch>:<change>")
        if not digits.isdigit() or len(digits) > 38:
            raise Rejected(f"{text[:80]!r} is not <service>:<epoch>:<change>")
        return cls(sender, Version(int(epoch), int(change)))


class Vector(NamedTuple):
    """Where every sender stands, in the order of SENDERS."""

    fm: Version = ZERO
    mtce: Version = ZERO
    sysinv: Version = ZERO

    def at(self, sender: str) -> Version:
        """The version of one sender."""
        return self[SENDERS.index(sender)]

    def moved(self, sender: str, version: Version) -> "Vector":
        """The same with one sender further on."""
        return self._replace(**{sender: version})

    def joined(self, other: "Vector") -> "Vector":
        """Every sender as far as either of the two."""
        return Vector._make(map(max, self, other))

    def covers(self, other: "Vector") -> bool:
        """Whether no sender stands further in `other`."""
        return all(mine >= theirs for mine, theirs in zip(self, other, strict=True))

    def __str__(self) -> str:
        return "-".join(
            f"{sender}.{version.epoch}.{version.change}"
            for sender, version in zip(SENDERS, self, strict=True)
        )

    @classmethod
    def parse(cls, text: str) -> "Vector":
        """Read the text form; a sender that is not named stands at zero. Raises Rejected."""
        found: dict[str, Version] = {}
        for part in text.split("-") if len(text) <= VECTOR_LENGTH_MAX else [""]:
            match = _PART.fullmatch(part)
            if match is None or match[1] not in SENDERS or match[1] in found:
                raise Rejected(f"{text[:80]!r} is not a position in the event stream")
            found[match[1]] = Version(int(match[2]), int(match[3]))
        return cls(*(found.get(sender, ZERO) for sender in SENDERS))


@dataclass(frozen=True, slots=True)
class HostPut:
    """A host appeared or looks different."""

    view: HostView


@dataclass(frozen=True, slots=True)
class HostGone:
    """A host is no longer there."""

    name: str


@dataclass(frozen=True, slots=True)
class AlarmPut:
    """An alarm was raised or looks different; how many others it explains."""

    alarm: Alarm
    impacted_count: int = 0


@dataclass(frozen=True, slots=True)
class AlarmGone:
    """An alarm is no longer active."""

    uuid: str
    reason: str


class Touched(NamedTuple):
    """What an event bears on: a host by name, or an alarm by uuid."""

    noun: Literal["host", "alarm"]
    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Logged:
    """One entry of the event ring, encoded; `cursor` resumes after it."""

    sender: str
    version: Version
    cursor: Vector
    type: str
    touched: tuple["Touched", ...]
    body: bytes  # an EventView as JSON

    @property
    def view(self) -> EventView:
        """The entry as it is shown."""
        return _EVENT_DECODER.decode(self.body)


@dataclass(frozen=True, slots=True)
class Missed:
    """Messages of a sender went by unseen: its state must be loaded again."""

    sender: str
    reason: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """A sender began a new life: its part was emptied, and must be loaded again."""

    sender: str
    reason: str


Shown = HostPut | HostGone | AlarmPut | AlarmGone | Logged  # what listeners see as it is
Delta = Shown | Missed | Restarted


class Part(Generic[T]):
    """One noun of one sender by key: the highest version of each key wins, deleted ones stay out.

    Invariant: whatever the order and repetition of `put` and `remove`, the outcome is the same:
    only the highest epoch counts, and in it the highest version per key.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self._values: dict[str, T] = {}
        self._changes: dict[str, int] = {}  # beside the values: 100,000 pairs less to keep
        self._tombstones: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    @property
    def values(self) -> Collection[T]:
        """All that is there."""
        return self._values.values()

    def get(self, key: str) -> T | None:
        """What stands under `key`."""
        return self._values.get(key)

    def version(self, key: str) -> Version:
        """The version of what is known of `key`, be it that it was deleted; zero: nothing."""
        change = self._changes.get(key, self._tombstones.get(key))
        return Version(self.epoch, change) if change is not None else ZERO

    def put(self, key: str, version: Version, value: T) -> bool:
        """Take a value; False when it is not newer than what is known."""
        if not self._is_newer(key, version):
            return False
        self._tombstones.pop(key, None)
        self._values[key] = value
        self._changes[key] = version.change
        return True

    def remove(self, key: str, version: Version) -> T | None:
        """Take a deletion; gives what it removed, None when there was nothing older to remove."""
        if not self._is_newer(key, version):
            return None
        found = self._values.pop(key, None)
        self._changes.pop(key, None)
        self._tombstones.pop(key, None)
        self._tombstones[key] = version.change
        if len(self._tombstones) > TOMBSTONES_MAX:
            del self._tombstones[next(iter(self._tombstones))]
        return found

    def begin(self, epoch: int) -> bool:
        """Drop all of older epochs; False when there was no older one."""
        if epoch <= self.epoch:
            return False
        was_known = self.epoch > 0
        self.epoch = epoch
        self._values.clear()
        self._changes.clear()
        self._tombstones.clear()
        return was_known

    def _is_newer(self, key: str, version: Version) -> bool:
        return version.epoch == self.epoch and version > self.version(key)
