"""mtce over NATS: orders to this host, and what is observed of it; and fm by the alarm client.

On the connection of the agent. An order is answered as murmuration.bus.commands answers a command:
the reply's payload, or an error code and its sentence.
"""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from murmuration.alarms.client import AlarmClient, open_alarms
from murmuration.bus.connection import Bus
from murmuration.kernel.errors import Bug, MurmurationError, Rejected
from murmuration.node.adapters.bus import ERROR_CODE, ERROR_LENGTH_MAX, publish_observed
from murmuration.proto import envelope
from murmuration.proto.node import (
    Observation,
    Order,
    OrderReply,
    RebootHost,
    RunInTest,
    SwitchServices,
    WipeHost,
)
from murmuration.proto.registry import channel_of
from murmuration.runtime.config import BusSection

ORDERS: tuple[type[Order], ...] = (RebootHost, RunInTest, SwitchServices, WipeHost)
log = structlog.get_logger()

Take = Callable[[Order], Awaitable[OrderReply]]


class NatsMaintenance:
    """One agent's conversation with mtce."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def observe(self, message: Observation) -> None:
        """Store an observation. Raises Unavailable (not stored) or DeadlineExceeded (unknown)."""
        await publish_observed(self._client, message)

    @asynccontextmanager
    async def answering(self, host: str, take: Take) -> AsyncGenerator[None]:
        """Answer each order to `host` with what `take` returns or raises, until the end."""
        subscriptions = [
            await self._client.subscribe(
                channel_of(kind).subject.format(host=host),
                cb=_answering(self._client, kind, take),
            )
            for kind in ORDERS
        ]
        try:
            yield
        finally:
            for subscription in subscriptions:
                with contextlib.suppress(nats.errors.Error):  # the connection went before us
                    await subscription.unsubscribe()


def _answering(client: Client, kind: type[Order], take: Take) -> Callable[[Msg], Awaitable[None]]:
    decoder = msgspec.json.Decoder(kind)

    async def answer(message: Msg) -> None:
        try:
            order = decoder.decode(message.data)
        except msgspec.DecodeError as error:
            await _refuse(client, message, Rejected(f"the order cannot be decoded: {error}"))
            return
        try:
            reply = await take(order)
        except MurmurationError as error:
            log.warning("order.refused", operation_id=order.operation_id, reason=str(error))
            await _refuse(client, message, error)
        except OSError as error:
            log.exception("order.failed", operation_id=order.operation_id)
            await _refuse(
                client, message, Bug(f"the agent could not write the order down: {error}")
            )
        else:
            await _respond(client, message, envelope.encode(reply), {})

    return answer


async def _refuse(client: Client, message: Msg, error: MurmurationError) -> None:
    await _respond(
        client, message, str(error)[:ERROR_LENGTH_MAX].encode(), {ERROR_CODE: error.code}
    )


async def _respond(client: Client, message: Msg, body: bytes, headers: dict[str, str]) -> None:
    if message.reply:
        await client.publish(message.reply, body, headers=headers or None)


@asynccontextmanager
async def open_host_alarms(
    client: Client, section: BusSection, *, host: str, folder: Path
) -> AsyncGenerator[AlarmClient]:
    """The alarm client of this host's agent; what it says survives the agent."""
    bus = Bus(client, section, f"node@{host}")
    async with open_alarms(bus, producer=f"node-{host}", spool=folder / "alarms.db") as alarms:
        yield alarms
