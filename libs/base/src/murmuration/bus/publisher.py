"""Publishing into a stream by hand: a window of messages in flight, each acknowledged.

About twice as fast as the client library's own (one inbox, one dictionary, no future per message).
A window either ends whole or says how far it came.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from nats.aio.msg import Msg

from murmuration.bus import wire
from murmuration.bus.connection import Bus
from murmuration.kernel.errors import MurmurationError, Unavailable

PROGRESS_S = 2.0  # a window without any acknowledgement for so long is given up


class Publication(NamedTuple):
    """One message to publish; `block` is what `wire.header_block` makes."""

    subject: str
    block: bytes
    body: bytes


class WindowBroken(MurmurationError):
    """Not all of a window was acknowledged; `acknowledged` messages from its start were."""

    status = 503
    code = "unavailable"

    def __init__(self, acknowledged: int, reason: str) -> None:
        super().__init__(f"{reason} after {acknowledged} acknowledged messages")
        self.acknowledged = acknowledged
        self.reason = reason


class _Ack(msgspec.Struct):
    seq: int = 0
    error: dict[str, str | int] | None = None


_ACK = msgspec.json.Decoder(_Ack)


class WindowPublisher:
    """Publishes windows over one reply inbox. `close` when done."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._prefix = bus.nc.new_inbox()
        self._waiting: dict[str, int] = {}
        self._acks: list[int] = []
        self._fault: str | None = None
        self._left = 0
        self._progress = asyncio.Event()
        self._serial = 0
        self._subscription: object | None = None

    async def publish(self, window: Sequence[Publication]) -> list[int]:
        """Publish all and wait for all acknowledgements; as `send`, then `settle`."""
        await self.send(window)
        return await self.settle()

    async def send(self, window: Sequence[Publication]) -> None:
        """Write a window; `settle` must follow before the next. Raises WindowBroken."""
        if self._subscription is None:
            self._subscription = await self._bus.nc.subscribe(
                f"{self._prefix}.*", cb=self._on_ack, pending_msgs_limit=65_536
            )
        self._begin(len(window))
        commands: list[bytes] = []
        for place, message in enumerate(window):
            self._serial += 1
            token = f"{self._serial:x}"
            self._waiting[token] = place
            reply = f"{self._prefix}.{token}"
            commands.append(wire.hpub(message.subject, reply, message.block, message.body))
        try:
            await wire.send(self._bus.nc, commands)
        except Unavailable as error:
            raise WindowBroken(0, str(error)) from error

    def _begin(self, count: int) -> None:
        self._waiting.clear()
        self._acks = [0] * count
        self._left = count
        self._fault = None
        self._progress.clear()

    async def settle(self) -> list[int]:
        """Wait for all acknowledgements of the window sent; the stream sequences in order.

        Raises WindowBroken when one is refused or nothing is acknowledged for PROGRESS_S.
        """
        while self._left and self._fault is None:
            before = self._left
            self._progress.clear()
            try:
                async with asyncio.timeout(PROGRESS_S):
                    await self._progress.wait()
            except TimeoutError as error:
                if self._left == before:
                    raise WindowBroken(self._acknowledged(), "no acknowledgement") from error
        if self._fault is not None:
            raise WindowBroken(self._acknowledged(), self._fault)
        return self._acks

    def _acknowledged(self) -> int:
        return next((i for i, seq in enumerate(self._acks) if not seq), len(self._acks))

    async def _on_ack(self, message: Msg) -> None:
        place = self._waiting.pop(message.subject.rpartition(".")[2], None)
        if place is None:
            return  # of an earlier window, or nobody asked for it
        status = (message.headers or {}).get("Status")
        if status:
            self._fault = f"nobody stores it (status {status})"
        else:
            ack = _ACK.decode(message.data)
            if ack.error is not None:
                self._fault = str(ack.error.get("description", "refused"))
            else:
                self._acks[place] = ack.seq
                self._left -= 1
        if not self._left or self._fault is not None or self._left % 64 == 0:
            self._progress.set()

    async def close(self) -> None:
        """Give up the inbox."""
        if self._subscription is not None:
            await self._subscription.unsubscribe()  # type: ignore[attr-defined]
            self._subscription = None
