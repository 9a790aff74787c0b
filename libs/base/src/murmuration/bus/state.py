"""State: a key-value bucket per noun, derived from the changes and repairable from them.

The relay writes it with compare-and-set, newest change per key; a reader keeps the higher
(epoch, change) of event and state. Deletions are tombstones, so that an older copy cannot revive.
"""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

import asyncpg
import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg

from murmuration.bus.connection import Bus
from murmuration.bus.publisher import Publication, WindowPublisher
from murmuration.bus.wire import header_block
from murmuration.kernel.errors import MurmurationError, Unavailable
from murmuration.proto.envelope import StateValue, Version, encode
from murmuration.store.database import Database

WINDOW = 500
LOAD_BATCH = 1_000
LOAD_TIMEOUT_S = 3.0
EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence"
NEWEST = """
select distinct on (bucket, key) bucket, key, state, epoch, change
from mur.outbox where bucket is not null order by bucket, key, epoch desc, change desc
"""
log = structlog.get_logger()


class Stored(NamedTuple):
    """One key of a bucket as stored: its value and the revision to compare with."""

    value: StateValue
    revision: int


async def load_bucket(bus: Bus, bucket: str) -> tuple[dict[str, Stored], int]:
    """All keys of a bucket, tombstones included, and the revision to read on from.

    One direct request per thousand keys. Raises Unavailable.
    """
    found: dict[str, Stored] = {}
    stream, prefix, up_to = f"KV_{bucket}", f"$KV.{bucket}.", 0
    start = 0
    while True:
        page, end = await _load_page(bus, stream, prefix, start)
        for key, stored in page:
            found[key] = stored
            start = max(start, stored.revision + 1)
        up_to = max(up_to, end)
        if len(page) < LOAD_BATCH:
            return found, up_to


async def _load_page(
    bus: Bus, stream: str, prefix: str, start: int
) -> tuple[list[tuple[str, Stored]], int]:
    inbox = bus.nc.new_inbox()
    queue: asyncio.Queue[Msg] = asyncio.Queue()

    async def on_message(message: Msg) -> None:
        queue.put_nowait(message)

    subscription = await bus.nc.subscribe(inbox, cb=on_message)
    page: list[tuple[str, Stored]] = []
    try:
        ask: dict[str, object] = {"multi_last": [f"{prefix}>"], "batch": LOAD_BATCH}
        if start:
            ask["seq"] = start
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
                return page, int(headers.get("Nats-UpTo-Sequence", "0"))
            if status == "404":
                return page, 0
            if status:
                raise Unavailable(f"bucket {prefix[4:-1]}: {headers.get('Description', status)}")
            subject = headers.get("Nats-Subject", "")
            revision = int(headers.get("Nats-Sequence", "0"))
            if message.data:
                value = msgspec.json.decode(message.data, type=StateValue)
                page.append((subject.removeprefix(prefix), Stored(value, revision)))
    finally:
        await subscription.unsubscribe()


class StateWriter:
    """Writes the newest state of each key; keeps what is not yet written, by key."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: dict[tuple[str, str], tuple[Version, bytes]] = {}
        self._revisions: dict[tuple[str, str], Stored] | None = None
        self._buckets: set[str] = set()
        self._wake = asyncio.Event()

    def offer(self, rows: Iterable[asyncpg.Record]) -> None:
        """Take the states of published rows; the newest of a key replaces an older one."""
        for row in rows:
            if row["bucket"] is not None:
                self._offer(row)
        if self._waiting:
            self._wake.set()

    def _offer(self, row: asyncpg.Record) -> None:
        place = (row["bucket"], row["key"])
        version = Version(row["epoch"], row["change"])
        waiting = self._waiting.get(place)
        if waiting is None or waiting[0] < version:
            value = StateValue(
                epoch=version.epoch,
                change=version.change,
                deleted=row["state"] is None,
                data=msgspec.Raw(row["state"] or b"null"),
            )
            self._waiting[place] = (version, encode(value))
        self._buckets.add(row["bucket"])

    async def repair(self, database: Database) -> None:
        """Offer the newest state of every key the outbox still knows; the write compares."""
        async with database.connection() as connection:
            self.offer(await connection.fetch(NEWEST))
        self._revisions = None

    async def run(self) -> None:
        """Write until cancelled."""
        publisher = WindowPublisher(self._bus)
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._write(publisher)
            except (MurmurationError, nats.errors.Error, OSError, TimeoutError) as error:
                log.info("state.postponed", reason=str(error) or repr(error))
                self._revisions = None
                await asyncio.sleep(0.5)
                self._wake.set()

    async def _known(self) -> dict[tuple[str, str], Stored]:
        if self._revisions is None:
            known: dict[tuple[str, str], Stored] = {}
            for bucket in self._buckets:
                keys, _ = await load_bucket(self._bus, bucket)
                known.update({(bucket, key): stored for key, stored in keys.items()})
            self._revisions = known
            self._loaded = set(self._buckets)
        for bucket in self._buckets - self._loaded:
            keys, _ = await load_bucket(self._bus, bucket)
            self._revisions.update({(bucket, key): stored for key, stored in keys.items()})
            self._loaded.add(bucket)
        return self._revisions

    async def _write(self, publisher: WindowPublisher) -> None:
        known = await self._known()
        while self._waiting:
            window: list[tuple[tuple[str, str], Version, bytes]] = []
            for place, (version, body) in list(self._waiting.items())[:WINDOW]:
                stored = known.get(place)
                if stored is not None and stored.value.version >= version:
                    self._settle(place, version)
                    continue
                window.append((place, version, body))
            if not window:
                continue
            acks = await publisher.publish([self._publication(*item, known) for item in window])
            for (place, version, _), revision in zip(window, acks, strict=True):
                value = StateValue(epoch=version.epoch, change=version.change)
                known[place] = Stored(value, revision)
                self._settle(place, version)

    def _settle(self, place: tuple[str, str], version: Version) -> None:
        waiting = self._waiting.get(place)
        if waiting is not None and waiting[0] <= version:
            del self._waiting[place]

    @staticmethod
    def _publication(
        place: tuple[str, str], _: Version, body: bytes, known: dict[tuple[str, str], Stored]
    ) -> Publication:
        stored = known.get(place)
        revision = stored.revision if stored is not None else 0
        block = header_block([(EXPECTED_SUBJECT, str(revision))])
        return Publication(f"$KV.{place[0]}.{place[1]}", block, body)
