"""sysinv over NATS: enrolment by request, reports into the stream of observations.

Straight on the client library: the services' own layer brings a database driver and tracing along,
for which a host has no use. For the same reason aiohttp, which the client library takes in for web
sockets when it finds it, is kept out: 12 MB.

Invariants: one connection, kept for ever; a dead or frozen server is noticed within three ping
intervals and said once; nothing is published twice by this layer, and nothing is queued here.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC
from typing import TypeVar

import msgspec
import structlog

from murmuration.kernel.errors import (
    BY_CODE,
    Bug,
    DeadlineExceeded,
    Rejected,
    Unavailable,
)
from murmuration.proto import envelope
from murmuration.proto.node import Observation
from murmuration.proto.registry import channel_of
from murmuration.proto.sysinv import (
    AskReport,
    EnrolHost,
    EnrolReply,
    HostCredentials,
    HostDelta,
    HostReport,
    JoinHost,
)
from murmuration.runtime.config import BusCredentials, BusSection
from murmuration.security.login import Refusal, authorities_of, login_options

_keep_out = "aiohttp" not in sys.modules
if _keep_out:
    sys.modules["aiohttp"] = None  # type: ignore[assignment]  # makes its import fail, as absent
try:
    import nats.errors
    import nats.js.errors
    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from murmuration.security.client import new_client
finally:
    if _keep_out:
        del sys.modules["aiohttp"]

REQUEST_S = 3.0  # an enrolment is one short transaction
PUBLISH_S = 2.0  # until a stored report is given up as not stored
CONNECT_S = 2
PENDING_BYTES_MAX = 2 * 2**20  # of the client: one message at a time is in flight
ERROR_CODE = "Mur-Error"  # header of an error reply: a code of murmuration.kernel.errors
ERROR_LENGTH_MAX = 1_000

R = TypeVar("R", bound=msgspec.Struct)
Observed = HostReport | HostDelta | Observation
log = structlog.get_logger()


class NatsInventory:
    """One agent's connection. Made by `open_inventory`."""

    def __init__(self, client: Client, faults: "_Faults") -> None:
        self._client = client
        self._faults = faults

    @property
    def client(self) -> Client:
        """The connection, for the other conversations of the agent."""
        return self._client

    async def enrol(self, request: EnrolHost) -> EnrolReply:
        """Introduce the host. Raises what sysinv answered, Unavailable or DeadlineExceeded."""
        return await _ask(self._client, request, EnrolReply)

    async def publish(self, message: HostReport | HostDelta) -> None:
        """Store a message. Raises Unavailable (not stored) or DeadlineExceeded (unknown)."""
        await publish_observed(self._client, message)

    async def ended(self) -> None:
        """Raise Unavailable when the connection has ended for good, as after a refused login."""
        await self._faults.ended.wait()
        raise Unavailable(f"the connection to NATS has ended: {self._faults.last}")

    async def on_ask(self, host: str, wanted: Callable[[], None]) -> None:
        """Call `wanted` whenever a full report of `host` is asked for."""

        async def asked(_message: Msg) -> None:
            wanted()

        await self._client.subscribe(channel_of(AskReport).subject.format(host=host), cb=asked)


async def publish_observed(client: Client, message: Observed) -> None:
    """Store an observation in its stream.

    Raises Rejected when it is too large, Unavailable (not stored) or DeadlineExceeded (unknown).
    """
    channel = channel_of(type(message))
    body = envelope.encode(message)
    if len(body) > envelope.BODY_BYTES_MAX:
        raise Rejected(f"a report of {len(body)} bytes is larger than what may travel")
    try:
        await client.jetstream(timeout=PUBLISH_S).publish(
            channel.subject.format(host=message.host),
            body,
            timeout=PUBLISH_S,
            stream=channel.stream,
            headers=headers_of(message, channel.type, channel.service),
        )
    except nats.js.errors.NoStreamResponseError as error:
        raise Unavailable(f"no stream takes it: {channel.stream} is away") from error
    except (nats.errors.TimeoutError, TimeoutError) as error:
        raise DeadlineExceeded(f"not acknowledged within {PUBLISH_S:g} s") from error
    except (nats.errors.Error, OSError) as error:
        raise Unavailable(f"it was not stored: {error!r}") from error


async def join(section: BusSection, token: BusCredentials, request: JoinHost) -> HostCredentials:
    """Log in with a join token and ask for the host's own credentials; may be repeated.

    Raises what sysinv answered, Rejected when the server refuses the token, Unavailable or
    DeadlineExceeded.
    """
    client, secured = new_client(authorities_of(section))
    refused: list[Exception] = []

    async def on_error(error: Exception) -> None:
        refused.append(error)

    try:
        await client.connect(
            section.url,
            **login_options(token, f"join@{request.host}"),
            **secured,
            error_cb=on_error,
            allow_reconnect=False,
            connect_timeout=CONNECT_S,
        )
        return await _ask(client, request, HostCredentials)
    except (nats.errors.Error, OSError, TimeoutError) as error:
        if any("authorization" in str(each).lower() for each in (error, *refused)):
            raise Rejected("NATS refuses the join token: expired, or another site's") from error
        raise Unavailable(f"NATS is away: {error!r}") from error
    finally:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(client.close(), CONNECT_S)


async def _ask(client: Client, request: EnrolHost | JoinHost, reply: type[R]) -> R:
    subject = channel_of(type(request)).subject.format(host=request.host)
    try:
        answer = await client.request(subject, envelope.encode(request), timeout=REQUEST_S)
    except nats.errors.NoRespondersError as error:
        raise Unavailable("nobody serves enrolments: sysinv is away") from error
    except (nats.errors.TimeoutError, TimeoutError) as error:
        raise DeadlineExceeded(f"sysinv did not answer within {REQUEST_S:g} s") from error
    except (nats.errors.Error, OSError) as error:
        raise Unavailable(f"NATS is away: {error!r}") from error
    return _decode(answer, reply)


def headers_of(message: Observed, type: str, service: str) -> dict[str, str]:
    """CloudEvents headers of an observation: its id is host, incarnation and number."""
    time = message.observed_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {
        envelope.CE_SPECVERSION: "1.0",
        envelope.CE_ID: f"{message.host}:{message.incarnation}:{message.n}",
        envelope.CE_TYPE: type,
        envelope.CE_SOURCE: f"/{service}/agents/{message.host}",
        envelope.CE_SUBJECT: message.host,
        envelope.CE_TIME: time,
        envelope.INCARNATION: str(message.incarnation),
        envelope.NUMBER: str(message.n),
    }


@asynccontextmanager
async def open_inventory(
    section: BusSection, credentials: BusCredentials, *, identity: str
) -> AsyncGenerator[NatsInventory]:
    """Connect, however long it takes, and keep connected; closes at the end.

    Raises Unavailable when the server refuses the credentials.
    """
    faults = _Faults()
    client = await _connect(section, credentials, identity, faults)
    try:
        yield NatsInventory(client, faults)
    finally:
        faults.closing = True
        with contextlib.suppress(Exception):
            await asyncio.wait_for(client.close(), CONNECT_S)


class _Faults:
    """Says once that the connection is lost, and once that it is back."""

    def __init__(self) -> None:
        self.closing = False
        self.refusal = Refusal()
        self.ended = asyncio.Event()
        self.last = ""

    async def error(self, error: Exception) -> None:
        self.refusal.look_at(error)
        reason = str(error) or repr(error)
        if reason != self.last:
            self.last = reason
            log.warning("bus.error", reason=reason)

    async def lost(self) -> None:
        if not self.closing:
            log.warning("bus.lost")

    async def restored(self) -> None:
        self.last = ""
        log.info("bus.restored")

    async def closed(self) -> None:
        if not self.closing:
            log.error("bus.ended", reason=self.last)
            self.ended.set()


async def _connect(
    section: BusSection,
    credentials: BusCredentials,
    identity: str,
    faults: _Faults,
) -> Client:
    """A client, when it is connected: the client library tries again by itself, for ever.

    Raises Unavailable when the server refuses the credentials.
    """
    client, secured = new_client(authorities_of(section))
    connecting = client.connect(
        section.url,
        **login_options(credentials, identity),
        **secured,
        error_cb=faults.error,
        disconnected_cb=faults.lost,
        reconnected_cb=faults.restored,
        closed_cb=faults.closed,
        max_reconnect_attempts=-1,
        reconnect_time_wait=section.reconnect_wait_s,  # type: ignore[arg-type]  # a float works
        ping_interval=section.ping_interval_s,  # type: ignore[arg-type]  # likewise
        max_outstanding_pings=2,
        pending_size=PENDING_BYTES_MAX,
        connect_timeout=CONNECT_S,
    )
    if not await faults.refusal.unless(connecting):
        raise Unavailable("NATS refuses the credentials of this host: it needs a join token")
    log.info("bus.connected", url=section.url)
    return client


def _decode(answer: Msg, reply: type[R]) -> R:
    code = (answer.headers or {}).get(ERROR_CODE)
    if code is not None:
        raise BY_CODE.get(code, Bug)(answer.data.decode(errors="replace")[:ERROR_LENGTH_MAX])
    try:
        return msgspec.json.decode(answer.data, type=reply)
    except msgspec.DecodeError as error:
        raise Bug(f"sysinv's answer cannot be decoded: {error}") from error
