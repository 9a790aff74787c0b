"""What the agent needs from its host and from the bus."""

from collections.abc import Callable
from typing import Protocol

from murmuration.node.core.facts import HostTexts
from murmuration.proto.sysinv import EnrolHost, EnrolReply, HostDelta, HostReport, Link


class HostReader(Protocol):
    """The files in which the kernel describes the host."""

    def texts(self) -> HostTexts:
        """Read them all; what is not there is empty."""
        ...

    def boot_id(self) -> str:
        """The kernel's boot id, empty where it has none."""
        ...


class LinkSource(Protocol):
    """The links of the host's network namespace."""

    async def look(self) -> tuple[Link, ...]:
        """All links as they are now. Raises Unavailable."""
        ...

    async def changed(self) -> None:
        """Return when something about links or addresses has changed, and the burst is over."""
        ...


class Inventory(Protocol):
    """sysinv, as the agent speaks to it."""

    async def enrol(self, request: EnrolHost) -> EnrolReply:
        """Introduce the host. Raises a MurmurationError that says why there is no answer."""
        ...

    async def publish(self, message: HostReport | HostDelta) -> None:
        """Store a report or delta. Raises Unavailable or DeadlineExceeded."""
        ...

    async def ended(self) -> None:
        """Raise Unavailable when the connection has ended for good."""
        ...

    async def on_ask(self, host: str, wanted: Callable[[], None]) -> None:
        """Call `wanted` whenever a full report of `host` is asked for."""
        ...
