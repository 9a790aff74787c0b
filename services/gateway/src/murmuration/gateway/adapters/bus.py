"""The site's bus as the gateway sees it.

Every replica has its own ordered readers and shares none; what cannot be decoded is counted and
passed, for a read model is not worth parking for (the owner's state is loaded instead).
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg

from murmuration.bus.commands import RequestServer
from murmuration.bus.connection import Bus
from murmuration.bus.message import Delivery, Undecodable, channel_for, decode
from murmuration.bus.reader import StreamReader
from murmuration.bus.spans import consumer_span
from murmuration.bus.state import Stored, bucket_pages
from murmuration.bus.stream import Tail, read_tail
from murmuration.gateway.core.alarms import Pool
from murmuration.gateway.core.derived import DEGRADE, GATE, SUPPRESSION
from murmuration.gateway.core.model import Occurred
from murmuration.gateway.core.projection import Loaded, alarm_identity
from murmuration.gateway.ports import Batch
from murmuration.kernel.backoff import Backoff
from murmuration.kernel.errors import Unavailable
from murmuration.proto.fm import Alarm
from murmuration.proto.fm_derived import GateState, HostDegrade
from murmuration.proto.fm_operators import Suppression
from murmuration.proto.ids import untoken
from murmuration.proto.mtce import HostState, PulseDigest
from murmuration.proto.platform import GetStatus, ServiceStatus
from murmuration.proto.registry import CHANNELS
from murmuration.proto.sysinv import Host
from murmuration.runtime.dice import dice

PING_ANSWERS_MAX = 1_000  # replicas of all services together
DECODED_AT_ONCE = 500  # states, before others may run: a few ms
AT_ONCE = 50  # events, before others may run: about 10 ms
STREAMS = {"fm": "FM", "mtce": "MTCE", "sysinv": "SYSINV"}


class Noun(NamedTuple):
    """One bucket of a sender; its keys are identities behind `prefix`."""

    bucket: str
    kind: type[msgspec.Struct]
    prefix: str = ""


NOUNS: dict[str, tuple[Noun, ...]] = {
    "fm": (
        Noun("fm_alarms", Alarm),
        Noun("fm_suppressions", Suppression, SUPPRESSION),
        Noun("fm_degrades", HostDegrade, DEGRADE),
        Noun("fm_gates", GateState, GATE),
    ),
    "mtce": (Noun("mtce_hosts", HostState),),
    "sysinv": (Noun("sysinv_hosts", Host),),
}
_ALARM_KEY = re.compile(r"([0-9]{3}\.[0-9]{3})[^0-9A-Za-z](.+)", re.DOTALL)

R = TypeVar("R", bound=msgspec.Struct)
log = structlog.get_logger()


class BusSite:
    """Implements murmuration.gateway.ports.SitePort."""

    def __init__(self) -> None:
        self._attached: Bus | None = None
        self._pool = Pool()
        self.undecodable = 0
        self.unknown = 0

    def attach(self, bus: Bus) -> None:
        """Use this connection from now on; until then the site is away."""
        self._attached = bus

    @property
    def _bus(self) -> Bus:
        if self._attached is None:
            raise Unavailable("NATS is away")
        return self._attached

    @property
    def connected(self) -> bool:
        """Whether the bus answers, as far as the last ping knows."""
        return self._attached is not None and self._attached.connected

    async def request(
        self,
        payload: msgspec.Struct,
        reply: type[R],
        *,
        timeout_s: float | None = None,
        as_type: str | None = None,
    ) -> R:
        """Send a command. Raises what its owner answers, Unavailable, or DeadlineExceeded."""
        if not self.connected:
            raise Unavailable("NATS is away")
        return await self._bus.request(payload, reply, timeout_s=timeout_s, as_type=as_type)

    # --------------------------------------------------------------------- state

    async def load(self, sender: str) -> Mapping[str, Loaded]:
        """The whole state a sender keeps for readers. Raises Unavailable."""
        found: dict[str, Loaded] = {}
        for noun in NOUNS[sender]:
            await self._load_noun(noun, found)
        return found

    async def _load_noun(self, noun: Noun, found: dict[str, Loaded]) -> None:
        try:
            async for page in bucket_pages(self._bus, noun.bucket):
                for n, (key, stored) in enumerate(page):
                    if n % DECODED_AT_ONCE == 0:
                        await asyncio.sleep(0)
                    self._take_stored(noun, key, stored, found)
        except (nats.errors.Error, OSError, msgspec.DecodeError) as error:
            raise Unavailable(f"bucket {noun.bucket}: {error}") from error

    def _take_stored(self, noun: Noun, key: str, stored: Stored, found: dict[str, Loaded]) -> None:
        try:
            identity, loaded = _loaded(key, stored, noun)
        except (msgspec.DecodeError, ValueError) as error:
            self._note_undecodable(f"{noun.bucket} {key}", error)
            return
        if isinstance(loaded.value, Alarm):
            self._pool.share(loaded.value)  # before the next page comes, not after all
        if identity not in found or found[identity].version < loaded.version:
            found[identity] = loaded

    # -------------------------------------------------------------------- events

    async def follow(self, sender: str, count: int) -> AsyncIterator[Batch]:
        """The last `count` events of a sender and all that come, for ever."""
        stream = STREAMS[sender]
        tail = await self._tail(stream)
        if tail.last is None:
            yield Batch([], caught_up=True, empty=True, behind=0)
        reader = StreamReader(self._bus, stream, start=tail.sequence - count + 1)
        async for deliveries in reader.batches():
            for first in range(0, len(deliveries), AT_ONCE):
                some = deliveries[first : first + AT_ONCE]
                events = [event for each in some if (event := self._traced(sender, each))]
                caught_up = some[-1].sequence >= tail.sequence
                yield Batch(events, caught_up=caught_up, empty=False, behind=reader.pending)

    async def _tail(self, stream: str) -> Tail:
        backoff = Backoff(first_s=0.05, most_s=1.0)
        while True:
            try:
                return await read_tail(self._bus, stream)
            except Unavailable as error:
                log.info("stream.awaited", stream=stream, reason=str(error))
                await asyncio.sleep(backoff.next_s(dice()))

    def _traced(self, sender: str, delivery: Delivery) -> Occurred | None:
        with consumer_span(delivery):
            return self._occurred(sender, delivery)

    def _occurred(self, sender: str, delivery: Delivery) -> Occurred | None:
        try:
            channel = channel_for(delivery)
            payload = decode(delivery, channel) if channel is not None else None
            if channel is None:
                self.unknown += 1
                msgspec.json.decode(delivery.body)
            return Occurred(
                sender=sender,
                version=delivery.version,
                previous=delivery.previous,
                type=delivery.type,
                entity=delivery.entity,
                time=_instant(delivery),
                payload=payload,
                data=msgspec.Raw(delivery.body),
            )
        except (Undecodable, msgspec.DecodeError, ValueError) as error:
            self._note_undecodable(f"{delivery.stream} {delivery.sequence}", error)
            return None

    def _note_undecodable(self, where: str, error: Exception) -> None:
        self.undecodable += 1
        log.warning("event.undecodable", where=where, reason=str(error)[:300])

    # -------------------------------------------------------------------- pulses

    async def listen_pulses(self, listener: Callable[[PulseDigest], None]) -> None:
        """Call `listener` for every digest, until cancelled."""
        decoder = msgspec.json.Decoder(PulseDigest)

        async def on_message(message: Msg) -> None:
            try:
                listener(decoder.decode(message.data))
            except msgspec.DecodeError as error:
                self._note_undecodable(message.subject, error)

        subject = CHANNELS["mtce.pulse.digest.v1"].subject
        subscription = await self._bus.nc.subscribe(subject, cb=on_message)
        try:
            await asyncio.Event().wait()
        finally:
            await subscription.unsubscribe()

    # -------------------------------------------------------------------- health

    async def ask_status(self, service: str, *, timeout_s: float) -> ServiceStatus:
        """How a service is. Raises Unavailable or DeadlineExceeded."""
        return await self._bus.request(
            GetStatus(), ServiceStatus, timeout_s=timeout_s, as_type=f"{service}.status.get.v1"
        )

    async def count_instances(self, *, timeout_s: float) -> Mapping[str, int]:
        """How many replicas of each service answer within `timeout_s`. Raises Unavailable."""
        inbox = self._bus.nc.new_inbox()
        found: dict[str, str] = {}

        async def on_message(message: Msg) -> None:
            try:
                pong = msgspec.json.decode(message.data, type=_Pong)
            except msgspec.DecodeError:
                return
            if len(found) < PING_ANSWERS_MAX:
                found[pong.id] = pong.name

        try:
            subscription = await self._bus.nc.subscribe(inbox, cb=on_message)
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"NATS is away: {error}") from error
        try:
            await self._bus.publish_raw("$SRV.PING", b"", reply=inbox)
            await asyncio.sleep(timeout_s)
        finally:
            await subscription.unsubscribe()
        return Counter(found.values())

    async def serve_status(self, status: Callable[[], ServiceStatus], *, version: str) -> None:
        """Answer the same question about this replica, until cancelled."""

        async def answer(_request: GetStatus) -> ServiceStatus:
            return status()

        server = RequestServer(self._bus, version=version)
        server.answer(GetStatus, answer, as_type="gateway.status.get.v1")
        await server.run()


class _Pong(msgspec.Struct, frozen=True):
    """What we read of a NATS micro service's answer to a ping."""

    name: str
    id: str


def _instant(delivery: Delivery) -> datetime:
    """The event's time; where it does not tell a usable one, the beginning of time."""
    try:
        at = datetime.fromisoformat(delivery.headers.get("ce-time", ""))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _loaded(key: str, stored: Stored, noun: Noun) -> tuple[str, Loaded]:
    """A stored key by identity of its noun. Raises DecodeError, ValueError."""
    value = stored.value
    if value.deleted:
        return _identity_of_key(key, noun), Loaded(value.version, None)
    found = msgspec.json.decode(value.data, type=noun.kind)
    match found:
        case Alarm():
            identity = alarm_identity(found.alarm_id, found.entity)
        case HostState() | HostDegrade():
            identity = found.host
        case Host():
            identity = found.name
        case Suppression():
            identity = found.id
        case GateState():
            identity = found.gate
        case _:
            raise ValueError(f"{noun.kind.__name__} has no identity")
    return noun.prefix + identity, Loaded(value.version, found)


def _identity_of_key(key: str, noun: Noun) -> str:
    """The identity a key stands for, where the value is gone."""
    text = ".".join(untoken(part) for part in key.split("."))
    if noun.kind is not Alarm:
        return noun.prefix + text
    found = _ALARM_KEY.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:80]!r} names no alarm")
    return alarm_identity(found[1], found[2])
