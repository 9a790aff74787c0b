"""Answering commands and queries: NATS micro endpoints with a bound, deadlines and typed errors.

Invariants: a command's operation id is unique in its owner's table, so that a repeat returns the
first answer and changes nothing; endpoints of the micro library run one after another, so each
request becomes a bounded child task.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import nats.errors
import nats.micro
import structlog
from nats.micro.request import Request
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from murmuration.bus.connection import ERROR_CODE, Bus
from murmuration.bus.message import NUL, REDELIVERED, speaks_of_itself
from murmuration.kernel.errors import (
    Bug,
    Conflict,
    DeadlineExceeded,
    MurmurationError,
    Rejected,
    TooLarge,
    Unavailable,
)
from murmuration.proto.envelope import BODY_BYTES_MAX, Version, encode
from murmuration.proto.registry import CHANNELS, Channel, channel_of
from murmuration.proto.sysinv import Accepted
from murmuration.store.database import Database, Unit

Q = TypeVar("Q", bound=msgspec.Struct)

CONCURRENT_MAX = 32  # requests of one replica at work at once; further ones are told to try later
HANDLER_S = 10.0
RESPOND_S = 2.0
ERROR_TEXT_MAX = 1_000
log = structlog.get_logger()
tracer = trace.get_tracer("murmuration.bus")
_PROPAGATOR = TraceContextTextMapPropagator()

Answer = Callable[[Any], Awaitable[msgspec.Struct]]


class RequestServer:
    """The endpoints of one replica. `run` serves until cancelled."""

    def __init__(self, bus: Bus, *, version: str) -> None:
        self._bus = bus
        self._version = version
        self._handlers: dict[str, tuple[type[msgspec.Struct], Answer]] = {}
        self._at_work = 0

    def answer(
        self,
        payload: type[Q],
        answer: Callable[[Q], Awaitable[msgspec.Struct]],
        *,
        as_type: str | None = None,
    ) -> None:
        """Serve a query, or a command that answers with a payload of its own.

        `as_type` names the channel where one payload serves several.
        """
        channel = CHANNELS[as_type] if as_type else channel_of(payload)
        self._handlers[channel.type] = (payload, answer)

    def command(
        self,
        payload: type[Q],
        database: Database,
        apply: Callable[[Unit, Q], Awaitable[str]],
        *,
        as_type: str | None = None,
    ) -> None:
        """Serve a command whose answer is Accepted; `apply` returns the sentence of its reason."""
        channel = CHANNELS[as_type] if as_type else channel_of(payload)

        async def answer(request: Q) -> msgspec.Struct:
            async def decide(unit: Unit) -> Callable[[Version], msgspec.Struct]:
                reason = await apply(unit, request)
                return lambda version: Accepted(
                    operation_id=operation_id_of(request),
                    service=channel.service,
                    epoch=version.epoch,
                    change=version.change,
                    reason=reason,
                )

            return await once(database, request, Accepted, decide, kind=channel.type)

        self.answer(payload, answer, as_type=channel.type)

    async def run(self) -> None:
        """Serve until cancelled; what is at work then is given up."""
        service = await nats.micro.add_service(
            self._bus.nc,
            name=self._bus.identity,
            version=self._version,
            description=f"commands and queries of {self._bus.identity}",
        )
        try:
            async with asyncio.TaskGroup() as group:
                for kind, (payload, answer) in self._handlers.items():
                    channel = CHANNELS[kind]
                    await service.add_endpoint(
                        name=channel.type.replace(".", "-"),
                        subject=channel.filter,
                        handler=self._endpoint(group, channel, payload, answer),
                    )
                await asyncio.Event().wait()
        finally:
            with contextlib.suppress(nats.errors.Error):  # the connection went before us
                await service.stop()

    def _endpoint(
        self,
        group: asyncio.TaskGroup,
        channel: Channel,
        payload: type[msgspec.Struct],
        answer: Answer,
    ) -> Callable[[Request], Awaitable[None]]:
        decoder = msgspec.json.Decoder(payload)

        async def serve(request: Request) -> None:
            try:
                await self._serve(request, channel, decoder, answer)
            finally:
                self._at_work -= 1

        async def endpoint(request: Request) -> None:
            if _redelivered(request):
                log.warning("request.redelivered", subject=request.subject)
                return
            if not request._msg.reply:  # nobody waits for its answer: it was published
                log.warning("request.without_reply", subject=request.subject)
                return
            if self._at_work >= CONCURRENT_MAX:
                await _refuse(request, Unavailable("too many requests at once, try again"))
                return
            self._at_work += 1
            group.create_task(serve(request), name=f"request {request.subject}")

        return endpoint

    async def _serve(
        self,
        request: Request,
        channel: Channel,
        decoder: msgspec.json.Decoder[Any],
        answer: Answer,
    ) -> None:
        parent = _PROPAGATOR.extract(dict(request.headers or {}))
        with tracer.start_as_current_span(
            f"serve {request.subject}", context=parent, kind=trace.SpanKind.SERVER
        ):
            try:
                payload = _decode(request, channel, decoder)
                async with asyncio.timeout(HANDLER_S):
                    reply = encode(await answer(payload))
            except MurmurationError as error:
                await _refuse(request, error)
            except TimeoutError:
                await _refuse(request, DeadlineExceeded("not done in time; it may still be done"))
            except Exception:
                log.exception("request.bug", subject=request.subject)
                await _refuse(request, Bug("the service failed; its log says why"))
            else:
                await _respond(request, reply, {})


def _redelivered(request: Request) -> bool:
    """Whether it is no request, but what somebody had the server read from a stream and send here.

    The server does not check where its answers and deliveries are directed.
    """
    return REDELIVERED in (request.headers or {}) or request._msg.reply.startswith("$JS.")


def _decode(request: Request, channel: Channel, decoder: msgspec.json.Decoder[Any]) -> Any:
    body = request.data
    if len(body) > BODY_BYTES_MAX:
        raise TooLarge(f"a request has at most {BODY_BYTES_MAX} bytes")
    if NUL in body:
        raise Rejected("the request holds U+0000, which cannot be stored as text")
    try:
        payload = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected(f"the request does not decode: {error}") from error
    if not speaks_of_itself(channel, payload, request.subject):
        raise Rejected(f"who asks on {request.subject} speaks for that one alone")
    return payload


async def _refuse(request: Request, error: MurmurationError) -> None:
    await _respond(request, str(error).encode()[:ERROR_TEXT_MAX], {ERROR_CODE: error.code})


async def _respond(request: Request, body: bytes, headers: dict[str, str]) -> None:
    """Answer, or say in the log why not: who asked asks again. Ends within RESPOND_S."""
    try:
        async with asyncio.timeout(RESPOND_S):
            await request.respond(body, headers=headers)
    except Exception as error:
        log.warning("request.unanswered", subject=request.subject, reason=repr(error))


def operation_id_of(request: msgspec.Struct) -> str:
    """The caller's operation id; every command has one."""
    return str(getattr(request, "operation_id"))  # noqa: B009 - commands share it by contract


async def once(
    database: Database,
    request: msgspec.Struct,
    reply: type[Q],
    decide: Callable[[Unit], Awaitable[Callable[[Version], Q]]],
    *,
    kind: str | None = None,
) -> Q:
    """Do a command in one transaction, or return the answer of the first time.

    `decide` changes state on the unit and returns how the answer is made from the version its
    events got; `kind` names the command where one payload serves several. Raises Conflict when the
    operation id was used for a different request.
    """
    kind = kind or channel_of(type(request)).type
    digest = hashlib.sha256(encode(request)).digest()
    async with database.unit() as unit:
        await unit.connection.execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))", operation_id_of(request)
        )
        known = await unit.connection.fetchrow(
            "select type, digest, reply from mur.operation where operation_id = $1",
            operation_id_of(request),
        )
        if known is not None:
            if known["type"] != kind or known["digest"] != digest:
                raise Conflict("this operation id was used for another request")
            return msgspec.json.decode(known["reply"], type=reply)
        answer = await decide(unit)
        version = await unit.number()
        made = answer(version)
        await unit.connection.execute(
            "insert into mur.operation (operation_id, type, digest, reply) values ($1, $2, $3, $4)",
            operation_id_of(request),
            kind,
            digest,
            encode(made),
        )
    return made
