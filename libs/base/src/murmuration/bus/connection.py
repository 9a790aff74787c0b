"""One connection to NATS, set so that a dead, slow or frozen broker is noticed and said once.

Invariants: publishing never blocks its caller beyond the client's pending buffer (over it: a clear
Unavailable); a refused publish is only an asynchronous error at the client, so the error callback
counts, logs and keeps the last ones for tests and health.
"""

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import nats
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from opentelemetry import trace

from murmuration.bus.message import own_tokens
from murmuration.kernel.errors import (
    BY_CODE,
    Bug,
    DeadlineExceeded,
    MurmurationError,
    Unavailable,
)
from murmuration.proto.envelope import TRACEPARENT, encode
from murmuration.proto.registry import CHANNELS, channel_of
from murmuration.runtime.config import BusCredentials, BusSection
from murmuration.security.client import new_client
from murmuration.security.login import Refusal, authorities_of, login_options
from murmuration.store.outgoing import current_traceparent, subject_of

R = TypeVar("R", bound=msgspec.Struct)

PENDING_BYTES_MAX = 8 * 2**20  # what may wait in the client while the broker is away
JETSTREAM_TIMEOUT_S = 2.0
PUBLISH_S = 2.0  # a frozen broker is noticed sooner; this bounds what waits behind it
ERROR_CODE = "Mur-Error"  # header of an error reply: a code of murmuration.kernel.errors

log = structlog.get_logger()
tracer = trace.get_tracer("murmuration.bus")


class Bus:
    """A connected client of one identity. Made by `open_bus`."""

    def __init__(self, nc: Client, section: BusSection, identity: str) -> None:
        self.nc = nc
        self.js: JetStreamContext = nc.jetstream(timeout=JETSTREAM_TIMEOUT_S)
        self.section = section
        self.identity = identity
        self.reconnected = asyncio.Event()  # set at every (re)connect; who waits clears it
        self.connects = 0  # who saw another number may have missed something
        self.errors: deque[str] = deque(maxlen=100)
        self.error_count = 0

    @property
    def connected(self) -> bool:
        """Whether the broker answers, as far as the last ping knows."""
        return self.nc.is_connected

    async def request(
        self,
        payload: msgspec.Struct,
        reply: type[R],
        *,
        timeout_s: float | None = None,
        as_type: str | None = None,
        **tokens: str,
    ) -> R:
        """Send a command or query and decode its answer.

        `as_type` names the channel where one payload serves several. A placeholder of the subject
        that names a field of the payload is filled from it. Asked once more when half the time has
        passed; a command's repeat gets the answer of the first, by its operation id.
        Raises what the other side answered (Rejected and its kin), Unavailable when nobody serves
        it or the broker is away, DeadlineExceeded when no answer came in time.
        """
        channel = CHANNELS[as_type] if as_type else channel_of(type(payload))
        subject = subject_of(channel, {**own_tokens(channel, payload), **tokens})
        deadline_s = timeout_s or self.section.request_timeout_s
        with tracer.start_as_current_span(f"request {channel.type}", kind=trace.SpanKind.CLIENT):
            parent = current_traceparent()
            try:
                answer = await self._asked(
                    subject,
                    encode(payload),
                    deadline_s,
                    {TRACEPARENT: parent} if parent else None,
                )
            except nats.errors.NoRespondersError as error:
                raise Unavailable(f"{channel.service} is away") from error
            except (nats.errors.TimeoutError, TimeoutError) as error:
                raise DeadlineExceeded(
                    f"{channel.service} did not answer {channel.type} within {deadline_s:g} s"
                ) from error
            except nats.errors.Error as error:
                raise Unavailable(f"NATS is away: {error}") from error
        return _decode_reply(answer, reply)

    async def _asked(
        self, subject: str, body: bytes, deadline_s: float, headers: dict[str, str] | None
    ) -> Msg:
        """The first answer to one question, or to its repeat.

        A server that reads its configuration again forgets which answers are awaited, and refuses
        those that were under way; a service that is killed takes its answers with it. A repeat that
        found nobody, or no room, says nothing of the question that is still at work.
        """

        def ask(within_s: float) -> asyncio.Task[Msg]:
            return asyncio.create_task(self.nc.request(subject, body, within_s, headers=headers))

        first = ask(deadline_s)
        asked = [first]
        try:
            await asyncio.wait(asked, timeout=deadline_s / 2)
            if first.done():
                return first.result()
            again = ask(deadline_s / 2)
            asked.append(again)
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            if again.done() and not first.done() and _is_answer(again):
                return again.result()
            return await first
        finally:
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def publish(
        self, payload: msgspec.Struct, *, as_type: str | None = None, **tokens: str
    ) -> None:
        """Publish a core message, never stored. Raises Unavailable when the buffer is full.

        `as_type` names the channel where one payload serves several.
        """
        channel = CHANNELS[as_type] if as_type else channel_of(type(payload))
        await self.publish_raw(subject_of(channel, tokens), encode(payload))

    async def publish_raw(
        self, subject: str, body: bytes, *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Publish bytes. Waits at most PUBLISH_S.

        Raises Unavailable when the connection is closed, its buffer full or the broker frozen.
        """
        try:
            async with asyncio.timeout(PUBLISH_S):
                await self.nc.publish(subject, body, reply=reply, headers=headers)
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"cannot publish: {error or type(error).__name__}") from error


def _is_answer(asked: asyncio.Task[Msg]) -> bool:
    if asked.exception() is not None:
        return False
    return (asked.result().headers or {}).get(ERROR_CODE) != Unavailable.code


def _decode_reply(answer: Msg, reply: type[R]) -> R:
    headers = answer.headers or {}
    code = headers.get(ERROR_CODE)
    if code is not None:
        kind = BY_CODE.get(code, Bug)
        raise kind(answer.data.decode(errors="replace")[:1_000])
    try:
        return msgspec.json.decode(answer.data, type=reply)
    except msgspec.DecodeError as error:
        raise Bug(f"an answer cannot be decoded: {error}") from error


@asynccontextmanager
async def open_bus(
    section: BusSection, credentials: BusCredentials, *, identity: str, wait_s: float = 30.0
) -> AsyncIterator[Bus]:
    """Connect and keep connected; closes at the end.

    Raises Unavailable when no server answers within `wait_s` (also one that cannot be trusted),
    MurmurationError at once when the server refuses the credentials, and Rejected when the section
    wants TLS and names no authorities that can be used.
    """
    nc, secured = new_client(authorities_of(section))
    bus = Bus(nc, section, identity)
    state = {"down": False, "closing": False}

    refusal = Refusal()

    async def on_error(error: Exception) -> None:
        refusal.look_at(error)
        bus.error_count += 1
        bus.errors.append(str(error))
        if isinstance(error, nats.errors.Error) and "permissions violation" in str(error):
            log.error("bus.refused", identity=identity, reason=str(error))
        elif not state["down"] and not isinstance(error, (ConnectionError, OSError)):
            log.warning("bus.error", identity=identity, reason=str(error) or repr(error))

    async def on_disconnect() -> None:
        if not state["down"] and not state["closing"]:
            state["down"] = True
            log.warning("bus.lost", identity=identity)

    async def on_reconnect() -> None:
        state["down"] = False
        log.info("bus.restored", identity=identity)
        bus.connects += 1
        bus.reconnected.set()

    callbacks: dict[str, Any] = {
        **secured,
        "error_cb": on_error,
        "disconnected_cb": on_disconnect,
        "reconnected_cb": on_reconnect,
    }
    await _connect(bus, credentials, wait_s, callbacks, refusal)
    bus.reconnected.set()
    try:
        yield bus
    finally:
        state["closing"] = True
        with contextlib.suppress(Exception):
            async with asyncio.timeout(1.5):
                await nc.flush(1)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2):
                await nc.close()


async def _connect(
    bus: Bus,
    credentials: BusCredentials,
    wait_s: float,
    callbacks: dict[str, Any],
    refusal: Refusal,
) -> None:
    nc, section, identity = bus.nc, bus.section, bus.identity
    deadline = asyncio.get_running_loop().time() + wait_s
    while True:
        try:
            connecting = nc.connect(
                section.url.split(","),
                **login_options(credentials, identity),
                **callbacks,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=section.reconnect_wait_s,  # type: ignore[arg-type]  # likewise
                ping_interval=section.ping_interval_s,  # type: ignore[arg-type]  # seconds, a float works
                max_outstanding_pings=2,
                pending_size=PENDING_BYTES_MAX,
                connect_timeout=2,
                drain_timeout=2,
            )
            # The library itself would try for ever.
            async with asyncio.timeout_at(None if math.isinf(deadline) else deadline):
                if await refusal.unless(connecting):
                    return
            raise nats.errors.AuthorizationError
        except (nats.errors.Error, OSError, TimeoutError) as error:
            text = str(error).lower()
            if "authorization" in text:
                raise MurmurationError(f"NATS refuses the credentials of {identity}") from error
            if asyncio.get_running_loop().time() > deadline:
                why = str(error) or "; ".join(list(bus.errors)[-1:])
                raise Unavailable(f"NATS at {section.url} does not answer: {why}") from error
            await asyncio.sleep(section.reconnect_wait_s)
