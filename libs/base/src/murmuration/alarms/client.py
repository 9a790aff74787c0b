"""The producer's client: raise and clear alarms; each is durable here before the call returns.

Messages go out in order, in windows, again and again until fm's mark says that they are durable
there; only then are they forgotten. So NATS away, fm away, a power cut of either side and a replay
after a day are all the same to the caller. What still holds is asserted again every five minutes:
fm counts it, and raises it anew where it was lost.

Never blocks a caller longer than `APPEND_S`; then, or when the spool is full, it raises Unavailable
and the caller knows that nothing was said.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg

from murmuration.alarms.spool import ASSERT, Said, Spool, Spooled
from murmuration.bus.connection import Bus
from murmuration.bus.publisher import Publication, WindowPublisher
from murmuration.bus.wire import header_block
from murmuration.kernel.backoff import Backoff
from murmuration.kernel.errors import (
    DeadlineExceeded,
    MurmurationError,
    TooLarge,
    Unavailable,
)
from murmuration.proto import envelope
from murmuration.proto.envelope import Version, encode
from murmuration.proto.fm import ClearAlarm, ClearBelow, RaiseAlarm, RecordLog
from murmuration.proto.ids import token
from murmuration.proto.platform import GetMark, Mark, MarkPublished
from murmuration.runtime.dice import dice
from murmuration.store.outgoing import current_traceparent

APPEND_S = 5.0
QUEUE_MAX = 5_000  # what waits for the disk; beyond it callers wait, to their bound
BATCH_MAX = 500
WINDOW = 500
CONFIRM_S = 5.0  # how long a standing mark is believed before everything behind it is sent again
STANDS_S = 10.0  # how long fm may read its own stream again before its mark counts as standing
ASSERT_EVERY_S = 300.0
TYPES = {
    "raise": "fm.alarm.raise.v1",
    "clear": "fm.alarm.clear.v1",
    "clear_below": "fm.alarm.clear_below.v1",
    "log": "fm.log.record.v1",
}
T = TypeVar("T")
log = structlog.get_logger()


class AlarmClient:
    """Made by `open_alarms`; one for each producer."""

    def __init__(self, bus: Bus, producer: str, spool: Spool, thread: ThreadPoolExecutor) -> None:
        self._bus = bus
        self.producer = producer
        self._spool = spool
        self._thread = thread
        self._queue: asyncio.Queue[tuple[list[Said], asyncio.Future[int]]] = asyncio.Queue(
            QUEUE_MAX
        )
        self._wake = asyncio.Event()
        self._marked = asyncio.Event()
        self._mark = Version(0, 0)
        self._behind: tuple[Version, float] | None = None

    @property
    def unconfirmed(self) -> int:
        """Messages that fm has not confirmed."""
        return self._spool.count

    @property
    def said(self) -> int:
        """How many messages are durable here or beyond, in this life of the spool."""
        return self._spool.last_n

    async def raise_alarm(self, alarm: RaiseAlarm) -> int:
        """Say that a fault is there; returns its number once it is durable here.

        Repeating an identical raise is harmless. It is asserted again until it is cleared, unless
        it has a lease of its own. Raises Unavailable: nothing was said.
        """
        return await self.say((alarm,))

    async def clear_alarm(self, clear: ClearAlarm) -> int:
        """Say that a fault is gone; as `raise_alarm`."""
        return await self.say((clear,))

    async def clear_below(self, clear: ClearBelow) -> int:
        """Say that everything wrong with an entity, and below it, is gone; as `raise_alarm`."""
        return await self.say((clear,))

    async def record_log(self, log: RecordLog) -> int:
        """Note a moment, without an alarm; as `raise_alarm`."""
        return await self.say((log,))

    async def raise_many(self, alarms: Sequence[RaiseAlarm]) -> int:
        """Say all or none of these, with one wait for the disk; returns the number of the last."""
        return await self.say(alarms)

    async def held(self) -> list[str]:
        """Keys (`<alarm id>/<entity>`) of what was raised and not cleared, in any life of it."""
        return [key for key, _ in await self._blocking(self._spool.held)]

    async def say(
        self, requests: Sequence[RaiseAlarm | ClearAlarm | ClearBelow | RecordLog]
    ) -> int:
        """Say things in their order, all or none; returns the number of the last.

        BATCH_MAX at most. Raises Unavailable: nothing was said.
        """
        if len(requests) > BATCH_MAX:
            raise TooLarge(f"{len(requests)} at once, the limit is {BATCH_MAX}")
        return await self._say([_said(request) for request in requests])

    async def _say(self, batch: list[Said]) -> int:
        stored: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(APPEND_S):
                await self._queue.put((batch, stored))
                return await stored
        except TimeoutError as error:
            stored.cancel()
            raise Unavailable("the alarm spool's disk is too slow") from error

    async def _blocking(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def run(self) -> None:
        """Store, send and assert until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._store(), name="alarms store")
            group.create_task(self._send(), name="alarms send")
            group.create_task(self._assert_held(), name="alarms assert")

    async def _store(self) -> None:
        while True:
            waiting = [await self._queue.get()]
            while len(waiting) < BATCH_MAX and not self._queue.empty():
                waiting.append(self._queue.get_nowait())
            waiting = [item for item in waiting if not item[1].cancelled()]
            batch = [said for group, _ in waiting for said in group]
            try:
                numbers = await self._blocking(lambda batch=batch: self._spool.append(batch))
            except Unavailable as error:
                for _, stored in waiting:
                    if not stored.done():
                        stored.set_exception(error)
                continue
            place = 0
            for group, stored in waiting:
                place += len(group)
                if not stored.done():
                    stored.set_result(numbers[place - 1] if place else self._spool.last_n)
            self._wake.set()

    async def _assert_held(self) -> None:
        while True:
            await asyncio.sleep(ASSERT_EVERY_S)
            try:
                held = [key for key, _ in await self._blocking(self._spool.held)]
                for first in range(0, len(held), BATCH_MAX):
                    await self._say([Said(ASSERT, key) for key in held[first : first + BATCH_MAX]])
            except Unavailable as error:
                log.warning("alarms.not_asserted", reason=str(error))

    async def _send(self) -> None:
        subject = f"fm.mark.{token(self.producer)}"
        subscription = await self._bus.nc.subscribe(subject, cb=self._on_mark)
        publisher, backoff = WindowPublisher(self._bus), Backoff(first_s=0.1, most_s=2.0)
        try:
            while True:
                try:
                    await self._pump(publisher, await self._resume())
                    backoff.reset()
                except (MurmurationError, nats.errors.Error, OSError, TimeoutError) as error:
                    log.info("alarms.wait", producer=self.producer, reason=str(error))
                    await asyncio.sleep(backoff.next_s(dice()))
        finally:
            with contextlib.suppress(nats.errors.Error):  # the connection went before us
                await subscription.unsubscribe()

    async def _resume(self) -> int:
        """Where to send from: behind fm's mark, or, fm being away, the oldest kept."""
        try:
            mark = await self._bus.request(
                GetMark(producer=self.producer), Mark, timeout_s=2, as_type="fm.mark.get.v1"
            )
        except (Unavailable, DeadlineExceeded):
            return 0
        known = Version(mark.incarnation, mark.n)
        if known > Version(self._spool.incarnation, self._spool.last_n):
            fresh = max(time.time_ns(), mark.incarnation + 1)
            log.warning("alarms.new_incarnation", producer=self.producer, mark=str(known))
            await self._blocking(lambda: self._spool.begin_incarnation(fresh))
            return 0
        await self._confirmed(known)
        if known.epoch != self._spool.incarnation:
            return 0
        if known.change >= self._spool.first_n - 1:
            self._behind = None
        elif await self._stands_behind(known):
            fresh = max(time.time_ns(), mark.incarnation + 1)
            log.warning("alarms.new_incarnation", producer=self.producer, mark=str(known))
            await self._blocking(lambda: self._spool.begin_incarnation(fresh))
            return 0
        return known.change

    async def _stands_behind(self, mark: Version) -> bool:
        """Whether fm, put back to an older copy, waits for what it had confirmed and is gone here.

        It first reads its own stream again; only a mark that stands still shows that it is lost.
        """
        now = asyncio.get_running_loop().time()
        if self._behind is None or self._behind[0] != mark:
            self._behind = (mark, now)
        return now - self._behind[1] > STANDS_S

    async def _pump(self, publisher: WindowPublisher, sent: int) -> None:
        """Send behind `sent` until something breaks, or fm's mark stands still."""
        loop = asyncio.get_running_loop()
        moved_at = loop.time()
        while True:
            self._wake.clear()
            start = sent
            waiting = await self._blocking(lambda start=start: self._spool.after(start, WINDOW))
            if waiting:
                await publisher.publish([self._publication(message) for message in waiting])
                sent = waiting[-1].n
                continue
            if self._marked.is_set():
                self._marked.clear()
                await self._confirmed(self._mark)
                moved_at = loop.time()
            if not self._spool.count:
                moved_at = loop.time()
            elif loop.time() - moved_at > CONFIRM_S:
                return
            try:
                async with asyncio.timeout(CONFIRM_S / 5):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _on_mark(self, message: Msg) -> None:
        try:
            mark = msgspec.json.decode(message.data, type=MarkPublished)
        except msgspec.DecodeError:
            return  # not ours to park: the next mark or query says the same
        self._mark = max(self._mark, Version(mark.incarnation, mark.n))
        self._marked.set()
        self._wake.set()

    async def _confirmed(self, mark: Version) -> None:
        if mark.epoch == self._spool.incarnation:
            await self._blocking(lambda: self._spool.trim(mark.change))

    def _publication(self, message: Spooled) -> Publication:
        headers = {
            envelope.CE_SPECVERSION: "1.0",
            envelope.CE_ID: f"{self.producer}:{self._spool.incarnation}:{message.n}",
            envelope.CE_TYPE: TYPES[message.verb],
            envelope.CE_SOURCE: f"/{self.producer}",
            envelope.INCARNATION: str(self._spool.incarnation),
            envelope.NUMBER: str(message.n),
            envelope.PREVIOUS: str(message.n - 1),
        }
        parent = current_traceparent()
        if parent:
            headers[envelope.TRACEPARENT] = parent
        subject = f"fm.intake.{token(self.producer)}.{message.verb}"
        return Publication(subject, header_block(headers.items()), message.body)


def _said(request: RaiseAlarm | ClearAlarm | ClearBelow | RecordLog) -> Said:
    body = encode(request)
    match request:
        case RaiseAlarm(alarm_id=alarm_id, entity=entity, lease_s=lease_s):
            return Said("raise", f"{alarm_id}/{entity}", body, holds=not lease_s)
        case ClearAlarm(alarm_id=alarm_id, entity=entity):
            return Said("clear", f"{alarm_id}/{entity}", body)
        case ClearBelow(alarm_id=alarm_id, entity=entity):
            return Said("clear_below", f"{alarm_id}/{entity}", body)
        case RecordLog(log_id=log_id, entity=entity):
            return Said("log", f"{log_id}/{entity}", body)


@asynccontextmanager
async def open_alarms(bus: Bus, *, producer: str, spool: Path) -> AsyncGenerator[AlarmClient, None]:
    """A running client of `producer` with its spool file; stops at the end, keeping what waits.

    Raises Unavailable when the spool cannot be opened.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="alarm-spool")
    loop = asyncio.get_running_loop()
    try:
        store = await loop.run_in_executor(
            thread, lambda: Spool(spool, fresh_incarnation=time.time_ns())
        )
        client = AlarmClient(bus, producer, store, thread)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(client.run(), name=f"alarms {producer}")
            try:
                yield client
            finally:
                task.cancel()
        await loop.run_in_executor(thread, store.close)
    finally:
        thread.shutdown(wait=False)
