"""What the gateway needs from outside. The bus implements it; tests put a site of their own."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from murmuration.gateway.core.model import Occurred
from murmuration.gateway.core.projection import Loaded
from murmuration.proto.mtce import PulseDigest
from murmuration.proto.platform import ServiceStatus

R = TypeVar("R", bound=msgspec.Struct)


class Batch(NamedTuple):
    """Events of one sender as they come, oldest first.

    `caught_up`: the stream's end as it was when reading began has been reached. `empty`: the
    stream held nothing then. `behind`: messages the stream still holds after these.
    """

    events: list[Occurred]
    caught_up: bool
    empty: bool
    behind: int


class SitePort(Protocol):
    """The site as seen from the gateway."""

    @property
    def connected(self) -> bool:
        """Whether the bus answers, as far as is known."""
        ...

    async def load(self, sender: str) -> Mapping[str, Loaded]:
        """The whole state a sender keeps for readers. Raises Unavailable."""
        ...

    def follow(self, sender: str, count: int) -> AsyncIterator[Batch]:
        """The last `count` events of a sender and all that come, for ever."""
        ...

    async def listen_pulses(self, listener: Callable[[PulseDigest], None]) -> None:
        """Call `listener` for every digest, until cancelled."""
        ...

    async def ask_status(self, service: str, *, timeout_s: float) -> ServiceStatus:
        """How a service is. Raises Unavailable or DeadlineExceeded."""
        ...

    async def count_instances(self, *, timeout_s: float) -> Mapping[str, int]:
        """How many replicas of each service answer within `timeout_s`. Raises Unavailable."""
        ...

    async def request(
        self,
        payload: msgspec.Struct,
        reply: type[R],
        *,
        timeout_s: float | None = None,
        as_type: str | None = None,
    ) -> R:
        """Send a command or query; `as_type` names the channel where one payload serves several.

        Raises what its owner answers, Unavailable, or DeadlineExceeded."""
        ...
