"""What the shell's parts need from each other and from outside, as protocols."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from murmuration.mtce.core.attendance import Attendance
from murmuration.mtce.core.model import Observation
from murmuration.proto.ids import HostName


class Observer(Protocol):
    """Who knows what is heard of a host."""

    def observe(self, name: HostName) -> Observation:
        """The evidence of this moment; that nothing was heard, for a host not yet watched."""
        ...


class PulseKeys(Protocol):
    """Who knows the keys of frames."""

    def key_of(self, index: int) -> bytes | None:
        """The key of a watched index, None for one that is not watched."""
        ...


class Link(Protocol):
    """The monitor's own link."""

    @property
    def up(self) -> bool:
        """Whether it has a carrier; True where there is none to look at."""
        ...

    def look(self) -> None:
        """Look again. Never waits, never raises."""
        ...


class PulseSource(Protocol):
    """Where pulses come from."""

    @property
    def bus_up(self) -> bool:
        """Whether the own connection to the bus stands."""
        ...

    @property
    def link_up(self) -> bool:
        """Whether the own link has a carrier."""
        ...

    def now_ns(self) -> int:
        """The clock that stamps frames: never steps, and runs on through suspension."""
        ...

    def feed(self, attendance: Attendance, keys: PulseKeys) -> AbstractAsyncContextManager[None]:
        """Have every frame that comes put into `attendance` by `drain` while it lasts."""
        ...

    def drain(self) -> None:
        """Take what has come. Never waits, never raises."""
        ...
