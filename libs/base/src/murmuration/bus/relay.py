"""The relay: what the database committed is published, in order, exactly as often as needed.

Own stream. The stream's last message names the last version published (`Mur-Epoch`, `Mur-Change`);
the rows after it follow in windows, each message with the sequence it must get
(`Nats-Expected-Last-Sequence`): the last acknowledgement of a window speaks for all of it, a second
relay is fenced by the stream itself, and a stream that lost its tail is filled again. On any
failure the window is dropped and the tail is read again.

Foreign streams (intake, orders). Many senders share them, so the receiver makes it exact: each
message names the one before it (`Mur-Prev`), the receiver takes it in when it has that one and not
this one, and its mark says how far it came. The cursor follows the mark.

Where to begin, and what it means when a stream and the database do not fit, is told in `standing`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import NamedTuple

import asyncpg
import nats.errors
import structlog

from murmuration.bus.connection import Bus
from murmuration.bus.outbox import (
    FETCH,
    LAG,
    SAVE_CURSOR,
    STATES,
    TRIM,
    TRIM_EFFECTS,
    TRIM_OPERATIONS,
    Cursor,
    publication,
    read_cursor,
)
from murmuration.bus.publisher import WindowPublisher
from murmuration.bus.standing import LAST_SENT, Republish, Standing
from murmuration.bus.state import StateWriter
from murmuration.kernel.backoff import Backoff
from murmuration.kernel.errors import MurmurationError, Unavailable
from murmuration.proto.envelope import ZERO, Version
from murmuration.runtime.dice import dice
from murmuration.store.database import Database

WINDOW = 500  # tried with one and three servers: more gains nothing
IDLE_S = 1.0  # between looks at the outbox, which commits nudge, and at what it goes to
TRIM_EVERY_S = 600.0
STANDS_S = 3.0  # how long a receiver's mark may stand before all behind it is sent again
STANDS_S_MAX = 60.0
SAVE_EVERY = 10_000  # changes between two savings of the cursor while there is no pause
log = structlog.get_logger()


class Checks(NamedTuple):
    """As of when what was last found: the receiver's mark while it stands, and since when."""

    mark: Version | None
    epoch: int
    connects: int
    at: float
    stands_since: float = 0.0


class Relay:
    """Publishes one service's outbox. `verify` first, then `run` under the singleton lock."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        *,
        service: str,
        republish: Republish,
        foreign: tuple[str, ...] = (),
    ) -> None:
        self._database = database
        self._bus = bus
        self._service = service
        self._stream = service.upper()
        self._foreign = foreign
        self._standing = Standing(database, bus, service=service, republish=republish)
        self._states = StateWriter(
            bus, service=service, census=self._standing.census, said=self._said
        )
        self._sent: dict[str, Version] = {}
        self._patience_s: dict[str, float] = {}
        self.published = 0

    async def verify(self) -> None:
        """Compare the database with the stream; see Standing. Raises Unavailable."""
        await self._standing.verify()

    async def lag(self) -> int:
        """Rows of the outbox that are not yet on the bus. Raises Unavailable."""
        total = 0
        async with self._database.connection() as connection:
            for stream in (self._stream, *self._foreign):
                sent = self._sent.get(stream)
                if sent is None:
                    sent = (await read_cursor(connection, stream)).version
                total += int(await connection.fetchval(LAG, stream, sent.change) or 0)
        return total

    async def run(self) -> None:
        """Publish until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._persist(self._stream, self._resume_own), name="relay own")
                for stream in self._foreign:
                    group.create_task(
                        self._persist(stream, self._resume_foreign), name=f"relay {stream}"
                    )
                group.create_task(self._states.run(), name="relay state")
                group.create_task(self._trim(), name="relay trim")
        finally:
            self._sent.clear()  # another replica goes on: what it saves is the truth

    async def _persist(self, stream: str, resume: Callable[[str], Awaitable[Cursor]]) -> None:
        nudge = self._database.nudge()
        publisher = WindowPublisher(self._bus)
        try:
            await self._keep_on(stream, resume, publisher, nudge)
        finally:
            self._database.forget_nudge(nudge)
            with contextlib.suppress(nats.errors.Error):  # the connection went before us
                await publisher.close()

    async def _keep_on(
        self,
        stream: str,
        resume: Callable[[str], Awaitable[Cursor]],
        publisher: WindowPublisher,
        nudge: asyncio.Event,
    ) -> None:
        backoff = Backoff(first_s=0.05, most_s=2.0)
        said = False
        while True:
            try:
                cursor = await resume(stream)
                if said:
                    log.info("relay.resumed", stream=stream, after=str(cursor.version))
                    said = False
                backoff.reset()
                await self._pump(stream, cursor, publisher, nudge)
            except (MurmurationError, nats.errors.Error, TimeoutError, OSError) as error:
                if not said:
                    log.warning("relay.stopped", stream=stream, reason=str(error) or repr(error))
                    said = True
                await asyncio.sleep(backoff.next_s(dice()))

    async def _pump(
        self, stream: str, cursor: Cursor, publisher: WindowPublisher, nudge: asyncio.Event
    ) -> None:
        own = stream == self._stream
        epoch = (await self._database.life()).epoch
        after, sequence = cursor
        if after.epoch < epoch:
            after = Version(epoch, 0)
        self._sent[stream] = after
        checks = Checks(None, epoch, self._bus.connects, asyncio.get_running_loop().time())
        saved, rows = after, list[asyncpg.Record]()
        while True:
            checks = await self._check(stream, checks, after, sequence)
            if not rows:
                nudge.clear()
                rows = await self._rows(stream, after)
            if not rows:
                if own and saved != after:
                    await self._save(stream, after, sequence)
                    saved = after
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_S):
                        await nudge.wait()
                continue
            if not own:
                await self._standing.about_to_send(Version(epoch, rows[-1]["change"]))
            await publisher.send(
                [
                    publication(
                        row, self._service, expected_sequence=sequence + place if own else None
                    )
                    for place, row in enumerate(rows)
                ],
                chained=own,
            )
            after, sent = Version(epoch, rows[-1]["change"]), rows
            rows = await self._rows(stream, after) if len(sent) == WINDOW else []
            sequence = (await publisher.settle())[-1]
            self._sent[stream] = after
            self.published += len(sent)
            if own:
                self._states.offer(sent)
                if after.change - saved.change >= SAVE_EVERY:
                    await self._save(stream, after, sequence)
                    saved = after

    async def _rows(self, stream: str, after: Version) -> list[asyncpg.Record]:
        async with self._database.connection() as connection:
            return await connection.fetch(FETCH, stream, after.change, after.epoch, WINDOW)

    async def _said(self, after: int, limit: int) -> list[asyncpg.Record]:
        async with self._database.connection() as connection:
            return await connection.fetch(STATES, self._stream, after, limit)

    async def _save(self, stream: str, after: Version, sequence: int) -> None:
        """Keep how far the stream was filled: a hint for when it has lost its tail to age."""
        async with self._database.connection() as connection:
            await connection.execute(SAVE_CURSOR, stream, *after, sequence)

    async def _check(
        self, stream: str, checks: "Checks", after: Version, sequence: int
    ) -> "Checks":
        """Between two windows, every IDLE_S: whether all is as it was, whatever there is to do.

        Raises Unavailable when a new epoch started, when the stream is not as it was left, or when
        the broker was away: it may have come back without its last second.
        """
        if self._bus.connects != checks.connects:
            raise Unavailable("the broker was away")
        now = asyncio.get_running_loop().time()
        if now - checks.at < IDLE_S:
            return checks
        if (await self._database.life()).epoch != checks.epoch:
            raise Unavailable("a new epoch has started")
        if stream == self._stream:
            await self._standing.look(stream, sequence)
            return checks._replace(at=now)
        mark = await self._confirm(stream, after)
        if mark is None or mark != checks.mark:
            self._patience_s.pop(stream, None)
            return checks._replace(at=now, mark=mark, stands_since=now)
        patience_s = self._patience_s.get(stream, STANDS_S)
        if now - checks.stands_since > patience_s:
            self._patience_s[stream] = min(2 * patience_s, STANDS_S_MAX)
            raise Unavailable(f"the owner of {stream} stands at {mark}, {after} was sent")
        return checks._replace(at=now)

    async def _confirm(self, stream: str, sent: Version) -> Version | None:
        """Ask the owner of a stream how far it came: None when it has all that was sent.

        A message that was acknowledged may still have gone with the stream's last second.
        """
        mark = await self._standing.mark(stream)
        if mark is None:
            return None
        async with self._database.connection() as connection:
            await connection.execute(SAVE_CURSOR, stream, *mark, 0)
            said = await connection.fetchval(LAST_SENT, stream, sent.epoch)
        # a mark of an earlier epoch is all there is to confirm
        return None if mark >= sent or not said else mark

    async def _resume_own(self, stream: str) -> Cursor:
        cursor = await self._standing.own(stream)
        self._states.compare()
        return cursor

    async def _resume_foreign(self, stream: str) -> Cursor:
        return await self._standing.foreign(stream, self._sent.get(stream, ZERO))

    async def _trim(self) -> None:
        while True:
            await asyncio.sleep(TRIM_EVERY_S)
            try:
                async with self._database.connection() as connection:
                    for statement in (TRIM, TRIM_OPERATIONS, TRIM_EFFECTS):
                        await connection.execute(statement)
            except Unavailable as error:
                log.info("relay.trim_postponed", reason=str(error), at=datetime.now(UTC))
