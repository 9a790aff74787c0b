"""An ordered reader of one stream: whatever is queued is handed over, up to hundreds at once.

It is an ephemeral pull consumer without acknowledgements. The reader keeps the position; it is
recreated behind the last delivered message whenever the consumer is gone, its numbers have a gap,
its heartbeats stay away, or the broker was. Pulling (not pushing) bounds what waits in memory.

Invariant: within one stream, messages are handed over in order of sequence, each at least once;
exactness is the follower's business, by (epoch, change). A stream that was deleted, put back or
lost its tail may hold other messages under the same numbers: before the reader goes on behind its
last message it reads that one again, and starts from the oldest when it is not the same.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg

from murmuration.bus.connection import Bus
from murmuration.bus.message import Delivery
from murmuration.bus.stream import read_message
from murmuration.kernel.errors import Unavailable

BATCH_MAX = 500  # what is handed over at once: PostgreSQL takes it in one statement
OUTSTANDING = 1_000  # messages asked for ahead
RENEW_BELOW = 500
HEARTBEAT_S = 1.0
PULL_S = 5.0
INACTIVE_S = 30
log = structlog.get_logger()


class Gone(Exception):
    """The consumer must be made anew."""


class StreamReader:
    """Reads one stream from a sequence on; use `batches` once."""

    def __init__(self, bus: Bus, stream: str, *, start: int, subjects: list[str] | None = None):
        """`start` is the first stream sequence wanted (1: the oldest kept)."""
        self._bus = bus
        self._stream = stream
        self._next = max(1, start)
        self._subjects = subjects
        self._queue: asyncio.Queue[Msg] = asyncio.Queue()
        self._last: Delivery | None = None
        self.pending = 0  # messages the stream still holds behind the last one handed over

    async def batches(self) -> AsyncIterator[list[Delivery]]:
        """Batches of 1 to BATCH_MAX messages, for ever. Survives broker and stream being away."""
        while True:
            try:
                async for batch in self._consume():
                    yield batch
            except (Gone, Unavailable, nats.errors.Error, TimeoutError, OSError) as error:
                log.info("reader.renewed", stream=self._stream, reason=str(error) or repr(error))
                await asyncio.sleep(0.1)

    async def _consume(self) -> AsyncIterator[list[Delivery]]:
        nc = self._bus.nc
        name = f"{self._bus.identity}-{uuid.uuid4().hex[:12]}"
        inbox = nc.new_inbox()
        self._queue = asyncio.Queue()

        async def on_message(message: Msg) -> None:
            self._queue.put_nowait(message)

        await self._recognise()
        subscription = await nc.subscribe(inbox, cb=on_message)
        try:
            await self._create(name)
            await self._pull(name, inbox, OUTSTANDING)
            async for batch in self._loop(name, inbox):
                yield batch
        finally:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()
            with contextlib.suppress(Exception):
                await nc.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{name}", b"")

    async def _recognise(self) -> None:
        """Start over when the last message taken is not where it was."""
        last = self._last
        if last is None:
            return
        found = await read_message(self._bus, self._stream, last.sequence)
        if found is None or found.identity != last.identity:
            log.warning("reader.starts_over", stream=self._stream, behind=last.sequence)
            self._next, self._last = 1, None

    async def _loop(self, name: str, inbox: str) -> AsyncIterator[list[Delivery]]:
        expected, asked = 1, OUTSTANDING
        while True:
            batch: list[Delivery] = []
            for message in await self._queued():
                if not message.reply.startswith("$JS.ACK."):
                    asked -= _credit_lost(message, expected - 1)
                    continue
                fields = message.reply.split(".")
                sequence, number, at_ns, self.pending = map(int, fields[-4:])
                if number != expected:
                    raise Gone(f"consumer message {number} came where {expected} was due")
                expected, asked = expected + 1, asked - 1
                self._next = sequence + 1
                batch.append(
                    Delivery(
                        self._stream,
                        sequence,
                        message.subject,
                        message.headers or {},
                        message.data,
                        at_ns,
                    )
                )
            if batch:
                self._last = batch[-1]
                yield batch
            if asked < RENEW_BELOW:
                await self._pull(name, inbox, OUTSTANDING - asked)
                asked = OUTSTANDING

    async def _queued(self) -> list[Msg]:
        try:
            async with asyncio.timeout(HEARTBEAT_S * 3):
                first = await self._queue.get()
        except TimeoutError as error:
            raise Gone("no heartbeat of the consumer") from error
        found = [first]
        while len(found) < BATCH_MAX and not self._queue.empty():
            found.append(self._queue.get_nowait())
        return found

    async def _create(self, name: str) -> None:
        config: dict[str, object] = {
            "name": name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._next,
            "ack_policy": "none",
            "max_waiting": 8,
            "inactive_threshold": INACTIVE_S * 1_000_000_000,
            "num_replicas": 1,
            "mem_storage": True,
        }
        if self._subjects:
            config["filter_subjects"] = self._subjects
        body = msgspec.json.encode(
            {"stream_name": self._stream, "config": config, "action": "create"}
        )
        answer = await self._bus.nc.request(
            f"$JS.API.CONSUMER.CREATE.{self._stream}.{name}", body, timeout=2
        )
        reply = msgspec.json.decode(answer.data)
        if "error" in reply:
            raise Unavailable(f"{self._stream}: {reply['error'].get('description')}")

    async def _pull(self, name: str, inbox: str, count: int) -> None:
        body = msgspec.json.encode(
            {
                "batch": count,
                "expires": 30_000_000_000,
                "idle_heartbeat": int(HEARTBEAT_S * 1e9),
            }
        )
        async with asyncio.timeout(PULL_S):
            await self._bus.nc.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{name}", body, reply=inbox
            )


def _credit_lost(status: Msg, taken: int) -> int:
    """How many asked-for messages a status message takes back.

    Raises Gone when all is over, or when a heartbeat tells of more messages than were `taken`: what
    was under way when a connection broke does not come again, and nothing else may come for hours.
    """
    headers = status.headers or {}
    code = headers.get("Status", "")
    if code == "100":
        sent = headers.get("Nats-Last-Consumer", "")
        if sent.isdigit() and int(sent) != taken:
            raise Gone(f"{sent} messages were sent, {taken} came")
        return 0
    if code in ("404", "408"):
        return int(headers.get("Nats-Pending-Messages", "0") or 0)
    raise Gone(f"status {code} {headers.get('Description', '')}")
