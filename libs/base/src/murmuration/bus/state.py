"""State: a key-value bucket per noun, derived from the changes and repairable from them.

The relay writes it with compare-and-set, newest change per key; a reader keeps the higher
(epoch, change) of event and state. Deletions are tombstones, so that an older copy cannot revive.

A site may have 100,000 alarms: of a key that is written only its version and revision stay here,
and what is not yet written beyond WAITING_MAX is left in the outbox and read from there.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from itertools import islice
from typing import NamedTuple

import asyncpg
import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg

from murmuration.bus.connection import Bus
from murmuration.bus.publisher import Publication, WindowPublisher
from murmuration.bus.wire import header_lines
from murmuration.kernel.errors import MurmurationError, Unavailable
from murmuration.proto.envelope import StateValue, Version, encode
from murmuration.proto.platform import sent_bucket
from murmuration.proto.registry import BUCKETS

WINDOW = 500
WAITING_MAX = 4_000  # states kept here: about 4 MB of alarms
LOAD_BATCH = 1_000
LOAD_TIMEOUT_S = 3.0
EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence"
COMPARE_EVERY_S = 3_600.0
RETRY_S = 0.5
log = structlog.get_logger()


class Stored(NamedTuple):
    """One key of a bucket as stored: its value and the revision to compare with."""

    value: StateValue
    revision: int


async def load_bucket(bus: Bus, bucket: str) -> tuple[dict[str, Stored], int]:
    """All keys of a bucket, tombstones included, and the highest revision among them.

    Whole in memory: who can take it page by page uses `bucket_pages`. Raises Unavailable.
    """
    found: dict[str, Stored] = {}
    async for page in bucket_pages(bus, bucket):
        found.update(page)
    return found, max((stored.revision for stored in found.values()), default=0)


async def bucket_pages(bus: Bus, bucket: str) -> AsyncIterator[list[tuple[str, Stored]]]:
    """All keys of a bucket, LOAD_BATCH at a time, in the order of their revisions.

    A bucket keeps one message per key, so its messages in order are its keys; one that is written
    meanwhile comes once more, later, with its higher revision. (Asking for the last message of each
    subject instead is refused by the server above 1,024 subjects.) Raises Unavailable.
    """
    start, has_more = 1, True
    while has_more:
        page, start, has_more = await _load_page(bus, f"KV_{bucket}", f"$KV.{bucket}.", start)
        if page:
            yield page


async def _load_page(
    bus: Bus, stream: str, prefix: str, start: int
) -> tuple[list[tuple[str, Stored]], int, bool]:
    """Keys from a sequence on, where the next page begins, and whether there is one."""
    inbox = bus.nc.new_inbox()
    queue: asyncio.Queue[Msg] = asyncio.Queue()

    async def on_message(message: Msg) -> None:
        queue.put_nowait(message)

    subscription = await bus.nc.subscribe(inbox, cb=on_message)
    page: list[tuple[str, Stored]] = []
    try:
        ask: dict[str, object] = {"seq": start, "batch": LOAD_BATCH, "next_by_subj": f"{prefix}>"}
        await bus.publish_raw(f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(ask), reply=inbox)
        while True:
            try:
                async with asyncio.timeout(LOAD_TIMEOUT_S):
                    message = await queue.get()
            except TimeoutError as error:
                raise Unavailable(f"bucket {prefix[4:-1]} does not answer") from error
            headers = message.headers or {}
            status = headers.get("Status")
            if status == "204":
                return page, start, headers.get("Nats-Num-Pending", "0") != "0"
            if status == "404":
                return page, start, False
            if status:
                raise Unavailable(f"bucket {prefix[4:-1]}: {headers.get('Description', status)}")
            subject = headers.get("Nats-Subject", "")
            revision = int(headers.get("Nats-Sequence", "0"))
            start = revision + 1
            if message.data:
                value = msgspec.json.decode(message.data, type=StateValue)
                page.append((subject.removeprefix(prefix), Stored(value, revision)))
    finally:
        await subscription.unsubscribe()


class Census(NamedTuple):
    """The whole state as the database holds it: by (bucket, key), as of one change."""

    at: Version
    states: dict[tuple[str, str], bytes]


class _Known:
    """The version and revision of each stored key, in about 200 bytes each."""

    _BITS = 63  # of an epoch, a change and a revision

    def __init__(self) -> None:
        self._packed: dict[bytes, int] = {}

    def of(self, place: tuple[str, str]) -> tuple[Version, int]:
        """What is stored; zeros when nothing is."""
        rest, revision = divmod(self._packed.get(_digest(place), 0), 1 << self._BITS)
        return Version(*divmod(rest, 1 << self._BITS)), revision

    def put(self, place: tuple[str, str], version: Version, revision: int) -> None:
        """A key is stored now."""
        rest = (version.epoch << self._BITS) | version.change
        self._packed[_digest(place)] = (rest << self._BITS) | revision


def _digest(place: tuple[str, str]) -> bytes:
    return hashlib.blake2b("/".join(place).encode(), digest_size=12).digest()


class StateWriter:
    """Writes the newest state of each key; keeps what is not yet written, by key.

    At start, on demand and hourly the buckets are compared with the database (`census`): a key that
    differs is written again, one that the database does not know becomes a tombstone, both with the
    change as of which the database was read. What is newer in the bucket is never touched, and each
    write names the revision it replaces: a second writer makes it fail, never regress.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        service: str,
        census: Callable[[], Awaitable[Census]],
        said: Callable[[int, int], Awaitable[list[asyncpg.Record]]],
    ) -> None:
        """`said` reads what the outbox has behind a change, in its order, at most so much."""
        self._bus = bus
        self._said = said
        self._left_after: int | None = None  # what is behind this change is left in the outbox
        self._left_to = 0
        self._buckets = sorted(
            spec.name
            for spec in BUCKETS.values()
            if spec.owner == service and spec.name != sent_bucket(service)
        )
        self._census = census
        self._waiting: dict[tuple[str, str], tuple[Version, bytes]] = {}
        self._known: _Known | None = None
        self._compare_due = True
        self._wake = asyncio.Event()
        self._wake.set()
        self.repaired = 0

    def offer(self, rows: Iterable[asyncpg.Record]) -> None:
        """Take the states of published rows; the newest of a key replaces an older one."""
        for row in rows:
            if row["bucket"] is None:
                continue
            if self._left_after is None and len(self._waiting) >= WAITING_MAX:
                self._left_after = row["change"] - 1
            if self._left_after is not None:
                self._left_to = row["change"]
            else:
                self._offer_row(row)
        if self._waiting:
            self._wake.set()

    def _offer_row(self, row: asyncpg.Record) -> None:
        place = (row["bucket"], row["key"])
        self._offer(place, Version(row["epoch"], row["change"]), row["state"])

    def _offer(self, place: tuple[str, str], version: Version, state: bytes | None) -> None:
        waiting = self._waiting.get(place)
        if waiting is None or waiting[0] < version:
            value = StateValue(
                epoch=version.epoch,
                change=version.change,
                deleted=state is None,
                data=msgspec.Raw(state or b"null"),
            )
            self._waiting[place] = (version, encode(value))

    def compare(self) -> None:
        """Compare with the database soon."""
        self._compare_due = True
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        if not self._buckets:
            return
        publisher = WindowPublisher(self._bus)
        while True:
            try:
                async with asyncio.timeout(COMPARE_EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                self._compare_due = True
            self._wake.clear()
            try:
                if self._compare_due:
                    await self._compare()
                await self._write(publisher)
                while self._left_after is not None:
                    await self._take_left(self._left_after)
                    await self._write(publisher)
            except (MurmurationError, nats.errors.Error, OSError, TimeoutError) as error:
                log.info("state.postponed", reason=str(error) or repr(error))
                self._known = None
                await asyncio.sleep(RETRY_S)
                self._wake.set()

    async def _compare(self) -> None:
        """Read the database, then the buckets; offer what differs."""
        self._compare_due = False
        try:
            census = await self._census()
            stored = await self._load()
        except BaseException:
            self._compare_due = True
            raise
        repaired = 0
        for place in census.states.keys() | stored.keys():
            wanted, found = census.states.get(place), stored.get(place)
            if found is not None and found.version > census.at:
                continue
            held = None if found is None or found.deleted else bytes(found.data)
            if held != wanted:
                self._offer(place, census.at, wanted)
                repaired += 1
        if repaired:
            self.repaired += repaired
            log.info("state.repaired", keys=repaired, at=str(census.at))

    async def _load(self) -> dict[tuple[str, str], StateValue]:
        values: dict[tuple[str, str], StateValue] = {}
        self._known = known = _Known()
        for bucket in self._buckets:
            keys, _ = await load_bucket(self._bus, bucket)
            for key, stored in keys.items():
                values[bucket, key] = stored.value
                known.put((bucket, key), stored.value.version, stored.revision)
        return values

    async def _write(self, publisher: WindowPublisher) -> None:
        if self._waiting and self._known is None:
            await self._load()
        known = self._known
        while self._waiting and known is not None:
            window: list[tuple[tuple[str, str], Version]] = []
            messages: list[Publication] = []
            for place, (version, body) in list(islice(self._waiting.items(), WINDOW)):
                stored, revision = known.of(place)
                if stored >= version:
                    self._settle(place, version)
                    continue
                window.append((place, version))
                messages.append(_publication(place, body, revision))
            if not window:
                continue
            acks = await publisher.publish(messages)
            for (place, version), revision in zip(window, acks, strict=True):
                known.put(place, version, revision)
                self._settle(place, version)

    async def _take_left(self, after: int) -> None:
        """Take a page of what was left in the outbox; offered rows are taken again behind it."""
        rows = await self._said(after, WAITING_MAX)
        for row in rows:
            if row["bucket"] is not None:
                self._offer_row(row)
        reached = rows[-1]["change"] if rows else after
        all_taken = len(rows) < WAITING_MAX and (not rows or reached >= self._left_to)
        self._left_after = None if all_taken else reached

    def _settle(self, place: tuple[str, str], version: Version) -> None:
        waiting = self._waiting.get(place)
        if waiting is not None and waiting[0] <= version:
            del self._waiting[place]


def _publication(place: tuple[str, str], body: bytes, revision: int) -> Publication:
    block = header_lines(f"{EXPECTED_SUBJECT}: {revision}\r\n", 1)
    return Publication(f"$KV.{place[0]}.{place[1]}", block, body)
