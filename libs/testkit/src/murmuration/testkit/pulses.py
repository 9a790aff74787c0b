"""Listening to heartbeats on both paths, as the monitor does: NATS and UDP."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from nats.aio.msg import Msg

from murmuration.bus.connection import open_bus
from murmuration.proto import pulse
from murmuration.proto.pulse import Pulse
from murmuration.runtime.config import BusSection, read_credentials


class Heard(NamedTuple):
    """One frame that came: where to, decoded, and its bytes."""

    subject: str
    pulse: Pulse
    frame: bytes


class Listener(asyncio.DatagramProtocol):
    """What was heard so far, per path, in order of arrival."""

    def __init__(self) -> None:
        self.nats: list[Heard] = []
        self.udp: list[Heard] = []
        self.port = 0

    async def on_message(self, message: Msg) -> None:
        """A frame on NATS."""
        self.nats.append(Heard(message.subject, pulse.unpack(message.data), message.data))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A frame by UDP."""
        self.udp.append(Heard("", pulse.unpack(data), data))


@asynccontextmanager
async def listening(section: BusSection, credentials_dir: Path) -> AsyncGenerator[Listener]:
    """Listen as mtce on NATS, and on a free UDP port of loopback."""
    listener = Listener()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: listener, local_addr=("127.0.0.1", 0)
    )
    listener.port = int(transport.get_extra_info("sockname")[1])
    login = read_credentials(credentials_dir, "mtce").bus
    try:
        async with open_bus(section, login, identity="mtce") as bus:
            await bus.nc.subscribe("mtce.pulse.*.*", cb=listener.on_message)
            await bus.nc.flush()
            yield listener
    finally:
        transport.close()
