"""The heartbeats of all simulated hosts on one connection and one socket.

The sender's own connection is used, not the client library: it drops what cannot be sent now,
where the library would keep it and deliver it late; and a slot's frames leave in one write.
"""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType

import structlog

from murmuration.proto.pulse import FRAME_BYTES
from murmuration.pulse.bus import Bus
from murmuration.pulse.udp import Udp
from murmuration.runtime.config import BusCredentials
from murmuration.sim.core.world import Frame

TEND_S = 0.1  # between two looks at the connection
CONNECTING_S = 0.01

log = structlog.get_logger()


class Pulses:
    """Both paths; never blocks, never raises on a network error. Numeric addresses only."""

    def __init__(
        self,
        server: tuple[str, int],
        login: BusCredentials,
        udp: Sequence[tuple[str, int]],
        *,
        web: bool = False,
    ) -> None:
        self._bus = Bus(*server, jwt=login.jwt, seed=login.seed, name="sim-pulses", web=web)
        self._udp = Udp(list(udp))
        self._said = ""

    def __enter__(self) -> "Pulses":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bus.close()
        self._udp.close()

    def send(self, frames: Sequence[Frame]) -> None:
        """Send all of them now on both paths, or drop what does not go."""
        if not frames:
            return
        lines = b"".join(
            b"PUB %b %d\r\n%b\r\n" % (frame.subject.encode(), FRAME_BYTES, frame.data)
            for frame in frames
            if frame.by_nats
        )
        if lines:
            self._bus.send(lines, time.monotonic_ns())
        for frame in frames:
            self._udp.send(frame.data)

    async def tend(self) -> None:
        """Look after the connection, for ever; say once when its condition changes."""
        while True:
            self._bus.tick(time.monotonic_ns())
            state = "ready" if self._bus.ready else "down"
            if state != self._said and (state == "ready" or self._bus.reason):
                self._said = state
                log.info("pulses.path", state=state, reason=self._bus.reason)
            await asyncio.sleep(CONNECTING_S if self._bus.connecting else TEND_S)
