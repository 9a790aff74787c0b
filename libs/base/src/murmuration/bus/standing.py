"""How a service's database and the streams it fills stand to each other, and what follows.

Invariants:
- A stream (its own by the tail, foreign ones by what was about to be sent and by their receivers'
  marks) that knows more than the database proves that the database is an older copy: a new epoch
  begins, once, however many replicas notice; `once` effects of the earlier life are held, and so
  are orders from before (see follower).
- A stream that lacks what the outbox no longer holds is told the whole state afresh. The end of
  such a telling is marked (`StatePublished`), so that readers drop what was not told again.
- Telling the state only reads the database and emits (`Republish`): it can be asked for at any
  time, which is how state buckets are compared with the database.
"""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from murmuration.bus.connection import Bus
from murmuration.bus.outbox import HOLD_EFFECTS, START_EPOCH, Cursor, read_cursor
from murmuration.bus.sent import SentMark
from murmuration.bus.state import Census
from murmuration.bus.stream import Tail, read_tail
from murmuration.kernel.errors import DeadlineExceeded, Unavailable
from murmuration.proto.envelope import ZERO, Version
from murmuration.proto.platform import ORDER_MARK, EpochStarted, GetMark, Mark, StatePublished
from murmuration.proto.registry import STREAMS, Permanence
from murmuration.store.database import Database, Unit

Republish = Callable[[Unit], Awaitable[None]]

MARK_WAIT_S = 2.0
ANY_CHANGE = 2**62
HOLE_S = 10.0  # a receiver that was put back first reads its own stream again: so long it may stand
# In one statement: what is said between two would look like a hole.
HOLE = """
select coalesce(
    (select previous > $3 from mur.outbox
     where stream = $1 and epoch = $2 and change > $3 order by change limit 1),
    (select change > $3 from mur.last_sent where stream = $1 and epoch = $2),
    false)
"""
LOCK_LIFE = "select epoch, change from mur.life for update"
LAST_SENT = "select change from mur.last_sent where stream = $1 and epoch = $2"
TOLD = """
select exists (select from mur.outbox
               where stream = $1 and epoch = $2 and change > $3 and type = $4)
"""
log = structlog.get_logger()


class Standing:
    """Comparison and resumption for one service's relay."""

    def __init__(self, database: Database, bus: Bus, *, service: str, republish: Republish) -> None:
        self._database = database
        self._bus = bus
        self._service = service
        self._stream = service.upper()
        self._republish = republish
        self._sent = SentMark(bus, service)
        self._holes: dict[str, tuple[Version, float]] = {}

    async def verify(self) -> None:
        """Compare the database with the stream; start a new epoch if the stream knows more.

        Raises Unavailable when either is away. May be repeated.
        """
        server = self._database.life_of_server
        known = max(_known(await read_tail(self._bus, self._stream)), await self._sent.read())
        life = await self._database.life()
        if known > life:
            reason = f"{known} was published, the database ends at {life}: it was put back"
            await self._start_epoch(known, reason, put_back=True)
        elif known > ZERO and known.epoch < life.epoch and not life.change:
            reason = f"{known} was published, the database was made anew"
            await self._start_epoch(life, reason, put_back=True)
        self._database.confirm(server)

    async def _start_epoch(self, known: Version, reason: str, *, put_back: bool) -> None:
        async with self._database.unverified_unit() as unit:
            row = await unit.connection.fetchrow(START_EPOCH, *known, reason, put_back)
            if row is None:
                return  # another replica was first
            if put_back:
                await unit.connection.execute(HOLD_EFFECTS)
            started = EpochStarted(service=self._service, epoch=row["epoch"], reason=reason)
            unit.emit(started, entity=self._service, as_type=f"{self._service}.epoch.started.v1")
            await self._tell(unit)
        log.warning("epoch.started", service=self._service, epoch=row["epoch"], reason=reason)

    async def _tell(self, unit: Unit) -> None:
        """Say the whole state, and that it was the whole.

        The row that numbers changes is locked first: what is committed is told, and whoever comes
        later is numbered later, so that nothing told is older than what was said before.
        """
        since = await unit.connection.fetchrow(LOCK_LIFE)
        assert since is not None
        await self._republish(unit)
        unit.emit(
            StatePublished(
                service=self._service, since_epoch=since["epoch"], since_change=since["change"]
            ),
            entity=self._service,
            as_type=f"{self._service}.state.published.v1",
        )

    async def census(self) -> Census:
        """The whole state as the database holds it now, and as of which change."""
        async with self._database.connection() as connection:
            transaction = connection.transaction(isolation="repeatable_read", readonly=True)
            await transaction.start()
            try:
                unit = Unit(connection)
                at = await unit.number()
                await self._republish(unit)
                rows = unit.said
            finally:
                if not connection.is_closed():
                    await transaction.rollback()
        states = {(r.bucket, r.key): r.state for r in rows if r.bucket and r.key and r.state}
        return Census(at, states)

    async def own(self, stream: str) -> Cursor:
        """Where to go on in the own stream; fills what it lacks. Raises Unavailable."""
        await self.verify()
        tail = await read_tail(self._bus, stream)
        life = await self._database.life()
        async with self._database.connection() as connection:
            stored = await read_cursor(connection, stream)
            known = _known(tail)
            if tail.last is None and tail.sequence and tail.sequence == stored.sequence:
                known = stored.version  # it only aged out of the stream
            base = _base(known, life)
            lacking = await _hole(connection, stream, base) and not await connection.fetchval(
                TOLD, stream, life.epoch, base.change, f"{self._service}.state.published.v1"
            )
        if lacking:
            log.warning("relay.told_afresh", stream=stream, after=str(known))
            async with self._database.unit() as unit:
                await self._tell(unit)
        return Cursor(known, tail.sequence)

    async def foreign(self, stream: str, sent: Version) -> Cursor:
        """Where to go on in another's stream: behind its owner's mark, else behind what was sent.

        Raises Unavailable.
        """
        await self._database.verified.wait()
        async with self._database.connection() as connection:
            stored = await read_cursor(connection, stream)
        mark = await self.mark(stream)
        if mark is None:
            return Cursor(max(stored.version, sent), 0)
        life = await self._database.life()
        if mark > life:
            reason = f"{stream} took in {mark}, the database ends at {life}: it was put back"
            await self._start_epoch(mark, reason, put_back=True)
        elif await self._stands_before_hole(stream, mark, life):
            reason = f"{stream} stands at {mark} and what follows is no longer kept"
            await self._start_epoch(Version(life.epoch, ANY_CHANGE), reason, put_back=False)
        return Cursor(mark, 0)

    async def _stands_before_hole(self, stream: str, mark: Version, life: Version) -> bool:
        """Whether the receiver has waited for HOLE_S for what the outbox has not any more."""
        async with self._database.connection() as connection:
            hole = await _hole(connection, stream, _base(mark, life))
        if not hole:
            self._holes.pop(stream, None)
            return False
        now = asyncio.get_running_loop().time()
        stood, since = self._holes.setdefault(stream, (mark, now))
        if stood != mark:
            self._holes[stream] = (mark, now)
            return False
        return now - since > HOLE_S

    async def mark(self, stream: str) -> Version | None:
        """How far the owner of `stream` took in what this service sent; None while it is away."""
        spec = STREAMS[stream]
        orders = spec.permanence is Permanence.ORDERS
        ask = GetMark(producer=f"{ORDER_MARK}{self._service}" if orders else self._service)
        try:
            mark = await self._bus.request(
                ask, Mark, timeout_s=MARK_WAIT_S, as_type=f"{spec.owner}.mark.get.v1"
            )
        except (Unavailable, DeadlineExceeded):
            return None  # its stream may still be there
        return Version(mark.incarnation, mark.n)

    async def about_to_send(self, version: Version) -> None:
        """Before a window goes to another's stream: remember that it may have gone."""
        await self._sent.reach(version)

    async def look(self, stream: str, sequence: int) -> None:
        """Raises Unavailable when the own stream no longer ends at `sequence`."""
        tail = await read_tail(self._bus, stream)
        if tail.sequence != sequence:
            raise Unavailable(f"{stream} ends at {tail.sequence}, it was filled to {sequence}")


def _known(tail: Tail) -> Version:
    return tail.last.version if tail.last is not None else ZERO


def _base(known: Version, life: Version) -> Version:
    """Behind which number of this life's chain a stream goes on."""
    return known if known.epoch == life.epoch else Version(life.epoch, 0)


async def _hole(connection: asyncpg.Connection, stream: str, base: Version) -> bool:
    """Whether something was said to `stream` after `base` that the outbox no longer holds."""
    return bool(await connection.fetchval(HOLE, stream, base.epoch, base.change))
