"""The follower: a stream's messages become state, each exactly once in effect.

It is a singleton (the service's advisory lock). Its position is moved in the transaction of the
effects; what is not newer than the position is skipped, so that a refilled, rewound or older stream
and a reader that starts at the beginning do no harm. The stream's own sequence is only a hint where
to start: it is believed when the message there is the one last taken in.

Acceptance, by what the stream holds:
- events: newer than the sender's position, by (epoch, change); a gap in front of one is said and
  bridged from the sender's state (see gaps);
- intake and orders: exactly the next of its producer: `previous <= mark < n` (`previous` names the
  message before); then the mark is published, and by it the producer trims its spool. An order is
  carried out once per operation id, and not after its expiry; one from before the database was put
  back is parked, for nobody knows whether it was;
- observed: everything; the handler judges by the report's own numbers.

`Unavailable` stops and repeats the batch. What cannot be decoded or applied is parked in the same
transaction (see parking).
"""

import asyncio
import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from murmuration.bus import marks
from murmuration.bus.connection import Bus
from murmuration.bus.gaps import Floors, StateReceived, is_gap, read_states
from murmuration.bus.marks import Marks
from murmuration.bus.message import Delivery, Undecodable, channel_for, decode
from murmuration.bus.parking import Parking, entity_of
from murmuration.bus.reader import StreamReader
from murmuration.bus.spans import consumer_span
from murmuration.bus.stream import read_message
from murmuration.kernel.backoff import Backoff
from murmuration.kernel.errors import DeadlineExceeded, Rejected, Stale, Unavailable
from murmuration.proto import envelope
from murmuration.proto.envelope import ZERO, Version
from murmuration.proto.platform import ORDER_MARK
from murmuration.proto.registry import STREAMS, Channel
from murmuration.runtime.dice import dice
from murmuration.store.away import away
from murmuration.store.database import Database, Unit

READ_POSITION = "select epoch, change, sequence, message from mur.position where sender = $1"
SAVE_POSITION = """
insert into mur.position (sender, epoch, change, sequence, message) values ($1, $2, $3, $4, $5)
on conflict (sender) do update set epoch = excluded.epoch, change = excluded.change,
    sequence = excluded.sequence, message = excluded.message
"""
SAVE_POSITION_AND_MARKS = f"with position as ({SAVE_POSITION}) {marks.SAVE}"  # alone, time counts
REMEMBER_ORDER = """
insert into mur.operation (operation_id, type, digest, reply) values ($1, $2, '', '')
on conflict do nothing returning operation_id
"""
PUT_BACK_AT = "select put_back_at from mur.life"
MAY_BE_DONE = "ordered before the database was put back: it may be done already; retry does it"
log = structlog.get_logger()

Handler = Callable[[Unit, "Received"], Awaitable[None]]
Refuse = Callable[[Unit, Delivery, str], Awaitable[None]]
StateHandler = Callable[[Unit, StateReceived], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Received:
    """A decoded message as a handler gets it."""

    payload: Any
    channel: Channel
    delivery: Delivery
    version: Version


BatchHandler = Callable[[Unit, Sequence[Received]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Many:
    """A handler that takes in all messages of its kind that came together, in their order.

    They are written in one statement instead of one each. It may not raise Stale; where it fails,
    they are handed to it one by one.
    """

    handle: BatchHandler


class Mode(enum.Enum):
    """How the follower decides what is new."""

    EVENTS = "events"
    INTAKE = "intake"
    ORDERS = "orders"
    OBSERVED = "observed"


@dataclass(slots=True)
class Counts:
    """What a follower did since its start."""

    applied: int = 0
    skipped: int = 0
    unknown: int = 0
    stale: int = 0
    parked: int = 0
    out_of_turn: int = 0
    repeated: int = 0
    expired: int = 0
    gaps: int = 0
    states_passed: int = 0


class Follower:
    """Takes in one stream. `run` under the singleton lock."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        stream: str,
        handlers: Mapping[type[msgspec.Struct], Handler | Many],
        *,
        states: Mapping[str, StateHandler] | None = None,
        refuse: Refuse | None = None,
    ) -> None:
        """`states` takes in the sender's buckets, by name, where events are no longer to be had.

        `refuse` is told of what does not decode or is of no known type, instead of parking it:
        where the sender can be told, nothing is gained by trying again.
        """
        self._database = database
        self._bus = bus
        self.stream = stream
        self._handlers = dict(handlers)
        permanence = STREAMS[stream].permanence
        self._mode = Mode(permanence.value)
        self.counts = Counts()
        self.lag = 0
        self._position = ZERO
        self._marks = Marks()
        self._states = dict(states or {})
        self._refuse = refuse
        self._floors = Floors(stream)
        self._parking = Parking(stream)

    async def run(self) -> None:
        """Follow until cancelled; survives the broker and the database being away."""
        backoff = Backoff(first_s=0.1, most_s=2.0)
        while True:
            try:
                await self._follow(backoff)
            except (Unavailable, DeadlineExceeded) as error:
                log.warning("follower.waits", stream=self.stream, reason=str(error))
                await asyncio.sleep(backoff.next_s(dice()))

    async def _follow(self, backoff: Backoff) -> None:
        await self._database.verified.wait()
        start = await self._start()
        reader = StreamReader(self._bus, self.stream, start=start)
        async for batch in reader.batches():
            self.lag = len(batch) + reader.pending
            await self._take(batch)
            self.lag = reader.pending
            backoff.reset()

    async def _start(self) -> int:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(READ_POSITION, self.stream)
            await self._marks.load(connection)
            await self._floors.load(connection)
            await self._parking.load(connection)
        self._position = Version(row["epoch"], row["change"]) if row else ZERO
        if row is None:
            return 1
        found = await read_message(self._bus, self.stream, row["sequence"])
        if found is not None and found.identity == row["message"]:
            return int(row["sequence"]) + 1
        log.info("follower.starts_over", stream=self.stream, after=str(self._position))
        return 1

    def _version(self, delivery: Delivery) -> Version:
        headers = delivery.headers
        if self._mode is Mode.EVENTS or envelope.EPOCH in headers:
            return delivery.version
        return Version(
            envelope.number(headers.get(envelope.INCARNATION, "0")),
            envelope.number(headers.get(envelope.NUMBER, "0")),
        )

    async def _take(self, batch: list[Delivery]) -> None:
        """One batch, one transaction; a gap in it is bridged between two."""
        if self._mode is Mode.EVENTS:
            while (place := self._gap(batch)) is not None:
                if place:
                    await self._take_whole(batch[:place])
                await self._bridge(batch[place])
                batch = batch[place:]
        await self._take_whole(batch)

    async def _take_whole(self, batch: list[Delivery]) -> None:
        """One transaction; a batch that fails is repeated message by message."""
        before = self._position
        try:
            async with self._database.unit() as unit:
                await self._apply(unit, batch, isolate=False)
        except (Unavailable, DeadlineExceeded):
            self._forget(before)
            raise
        except Exception as error:
            self._forget(before)
            log.warning("follower.isolates", stream=self.stream, reason=repr(error))
            try:
                async with self._database.unit() as unit:
                    await self._apply(unit, batch, isolate=True)
            except BaseException:
                self._forget(before)
                raise
        self._floors.settle()
        for mark in self._marks.settle():
            if self._mode is Mode.INTAKE:
                await self._bus.publish(
                    mark,
                    as_type=f"{STREAMS[self.stream].owner}.mark.published.v1",
                    producer=mark.producer,
                )

    def _gap(self, batch: list[Delivery]) -> int | None:
        """The first message of a batch before which something is missing."""
        position = self._position
        for place, delivery in enumerate(batch):
            try:
                version = delivery.version
            except ValueError:
                continue
            if version > position:
                if is_gap(position, version, delivery.previous):
                    return place
                position = version
        return None

    async def _bridge(self, delivery: Delivery) -> None:
        """Take in the sender's state instead of the events that are gone; said, never silent."""
        version = delivery.version
        missed = Version(version.epoch, delivery.previous)
        states = await read_states(self._bus, self._states, self._position)
        log.warning(
            "follower.gap",
            stream=self.stream,
            behind=str(self._position),
            missed_to=str(missed),
            states=len(states),
        )
        async with self._database.unit() as unit:
            taken = [state for state in states if await self._take_state(unit, state)]
            await self._floors.raise_to(unit, taken)
            await unit.connection.execute(
                SAVE_POSITION, self.stream, *missed, delivery.sequence - 1, ""
            )
        self.counts.gaps += 1
        self._position = missed
        async with self._database.connection() as connection:
            await self._floors.load(connection)

    async def _take_state(self, unit: Unit, state: StateReceived) -> bool:
        """Whether it could be applied; else its entity is brought up by what events there are."""
        kept = unit.savepoint()
        try:
            async with unit.connection.transaction():
                await self._states[state.bucket](unit, state)
        except Exception as error:
            if _is_for_later(error):
                raise
            unit.restore(kept)
            self.counts.states_passed += 1
            log.exception("follower.state_passed", bucket=state.bucket, key=state.key)
            return False
        return True

    def _forget(self, position: Version) -> None:
        self._position = position
        self._marks.rollback()

    async def _apply(self, unit: Unit, batch: list[Delivery], *, isolate: bool) -> None:
        together = Together(unit)
        for delivery in batch:
            if not self._accept(delivery):
                continue
            if isolate:
                await self._isolated(unit, delivery)
            else:
                await self._handle(unit, delivery, together)
        await together.flush()
        last = batch[-1]
        try:
            version = self._version(last)
        except ValueError:
            version = self._position
        moved = self._marks.moved()
        await unit.connection.execute(
            SAVE_POSITION if moved is None else SAVE_POSITION_AND_MARKS,
            self.stream,
            *(max(version, self._position) if self._mode is Mode.EVENTS else version),
            last.sequence,
            last.identity,
            *(moved or ()),
        )
        await self._floors.passed(unit, self._position)

    def _accept(self, delivery: Delivery) -> bool:
        try:
            version = self._version(delivery)
        except ValueError:
            self.counts.unknown += 1
            return False
        if self._mode is Mode.EVENTS:
            if version <= self._position:
                self.counts.skipped += 1
                return False
            self._position = version
            if self._floors.covers(delivery, version):
                self.counts.skipped += 1
                return False
            return True
        if self._mode in (Mode.INTAKE, Mode.ORDERS):
            sender = delivery.subject.split(".")[2]
            mark = f"{ORDER_MARK}{sender}" if self._mode is Mode.ORDERS else sender
            verdict = self._marks.accept(mark, version, delivery.previous)
            if not verdict:
                self.counts.out_of_turn += 1
            return verdict
        self._position = version
        return True

    async def _isolated(self, unit: Unit, delivery: Delivery) -> None:
        kept = unit.savepoint()
        try:
            async with unit.connection.transaction():
                together = Together(unit)
                await self._handle(unit, delivery, together)
                await together.flush()
        except Exception as error:
            if _is_for_later(error):
                raise
            unit.restore(kept)
            log.exception("follower.parked", stream=self.stream, sequence=delivery.sequence)
            await self._park(unit, delivery, f"{type(error).__name__}: {error}")

    async def _handle(self, unit: Unit, delivery: Delivery, together: "Together") -> None:
        channel = channel_for(delivery)
        if channel is None or channel.payload is None:
            self.counts.unknown += 1
            if self._refuse is not None:
                await self._refuse(unit, delivery, "its type is not known here")
            return
        handler = self._handlers.get(channel.payload)
        if handler is None:
            self.counts.skipped += 1
            return
        try:
            payload = decode(delivery, channel)
        except Undecodable as error:
            if self._refuse is not None:
                await self._refuse(unit, delivery, str(error))
            else:
                await self._park(unit, delivery, str(error))
            return
        await self._parking.supersede(unit, delivery)
        if self._mode is Mode.ORDERS and not await self._is_due(unit, payload, channel, delivery):
            return
        received = Received(payload, channel, delivery, self._version(delivery))
        try:
            with consumer_span(delivery):
                await together.take(handler, received)
            self.counts.applied += 1
        except Stale as error:
            self.counts.stale += 1
            log.debug("follower.stale", stream=self.stream, reason=str(error))

    async def _may_be_done(self, unit: Unit, delivery: Delivery) -> bool:
        """Whether the database, put back since, has forgotten what became of an order."""
        put_back_at = await unit.connection.fetchval(PUT_BACK_AT)
        return put_back_at is not None and delivery.stored_ns < put_back_at.timestamp() * 1e9

    async def _is_due(
        self, unit: Unit, order: Any, channel: Channel, delivery: Delivery | None = None
    ) -> bool:
        """Whether an order is still to be carried out: neither expired nor done before.

        With `delivery` it is set aside where nobody knows whether it was done.
        """
        expires_at = getattr(order, "expires_at", None)
        if expires_at is not None and expires_at < datetime.now(UTC):
            self.counts.expired += 1
            log.warning("order.expired", type=channel.type, operation_id=order.operation_id)
            return False
        if delivery is not None and await self._may_be_done(unit, delivery):
            await self._park(unit, delivery, MAY_BE_DONE)
            return False
        fresh = await unit.connection.fetchval(REMEMBER_ORDER, order.operation_id, channel.type)
        if fresh is None:
            self.counts.repeated += 1
        return fresh is not None

    async def _park(self, unit: Unit, delivery: Delivery, reason: str) -> None:
        try:
            version = self._version(delivery)
        except ValueError:
            version = ZERO
        await self._parking.park(unit, delivery, version, reason)
        self.counts.parked += 1

    async def retry(self, unit: Unit, delivery: Delivery) -> str:
        """Apply a parked message of this stream; returns what was done.

        Raises Rejected when it still cannot be decoded; what the handler raises is raised.
        """
        channel = channel_for(delivery)
        handler = self._handlers.get(channel.payload) if channel and channel.payload else None
        if channel is None or handler is None:
            raise Rejected(f"nothing here takes in {delivery.type or delivery.subject}")
        try:
            payload = decode(delivery, channel)
        except Undecodable as error:
            raise Rejected(f"it still does not decode: {error}") from error
        if self._mode is not Mode.ORDERS or await self._is_due(unit, payload, channel):
            together = Together(unit)
            received = Received(payload, channel, delivery, self._version(delivery))
            await together.take(handler, received)
            await together.flush()
        return f"{channel.type} of {entity_of(delivery)} was applied"


def _is_for_later(error: Exception) -> bool:
    """Whether it is no fault of what was to be applied: then all of it is tried again."""
    return isinstance(error, (Unavailable, DeadlineExceeded, TimeoutError)) or away(error)


class Together:
    """What a handler of many still has to take in, kept until something else comes."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._handler: Many | None = None
        self._waiting: list[Received] = []

    async def take(self, handler: Handler | Many, received: Received) -> None:
        """Hand over one message, at once or with those that follow; never out of order."""
        if self._handler is not None and handler != self._handler:
            await self.flush()
        if isinstance(handler, Many):
            self._handler = handler
            self._waiting.append(received)
        else:
            await handler(self._unit, received)

    async def flush(self) -> None:
        """Hand over what waits."""
        if self._handler is not None:
            waiting, self._waiting = self._waiting, []
            handler, self._handler = self._handler, None
            await handler.handle(self._unit, waiting)
