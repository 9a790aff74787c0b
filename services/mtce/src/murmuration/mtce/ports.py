"""What the shell's parts need from each other and from outside, as protocols."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from murmuration.bmc.ports import Bmc
from murmuration.mtce.core.attendance import Attendance
from murmuration.mtce.core.bmc_fsm import Audit
from murmuration.mtce.core.model import Observation
from murmuration.proto.ids import HostName
from murmuration.proto.mtce_bmc import BmcSensor
from murmuration.proto.sysinv import HostBmc


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


class BmcSource(Protocol):
    """Who speaks to the BMCs of hosts."""

    async def declare(self, roster: dict[HostName, HostBmc]) -> None:
        """Have exactly these BMCs; what is as it was keeps its connection."""
        ...

    async def of(self, name: HostName) -> Bmc:
        """The BMC of a host. Raises NotFound when it has none, and as murmuration.bmc.ports."""
        ...

    async def audit(self, name: HostName) -> Audit:
        """One look. Raises as `of`."""
        ...

    async def sensors(self, name: HostName) -> list[BmcSensor]:
        """Every sensor as it reads now. Raises as `of`."""
        ...

    async def forget(self, name: HostName) -> None:
        """Close the connection: the next use logs in anew."""
        ...

    async def close(self) -> None:
        """Give all sessions back."""
        ...
