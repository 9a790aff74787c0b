"""Telling mtce and fm what the board shows, and mtce what happened once.

Health is a level: only the newest is sent, whenever conditions or processes differ and once a
minute for the readings. What happened once (a boot, the end of a test, a last gasp) waits its turn
until the stream has it. Alarms are brought in line with the conditions; the alarm client keeps what
was said over crashes and absences, so that an alarm of an earlier life of the agent is cleared here
once its monitor has looked again.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import structlog

from murmuration.kernel.errors import Rejected, Unavailable
from murmuration.node.board import Board
from murmuration.node.core.health import alarm_changes
from murmuration.node.retry import until_done
from murmuration.proto.fm import ClearAlarm, RaiseAlarm
from murmuration.proto.node import HostHealth, Observation

EVERY_S = 60.0  # readings are told at least so often
ONCE_MAX = 128  # what may wait: mtce asks again for what an order came to
RETRY_S = 1.0
log = structlog.get_logger()

Make = Callable[[int, int], Observation]  # of incarnation and number


class Maintenance(Protocol):
    """mtce, as the agent speaks to it."""

    async def observe(self, message: Observation) -> None:
        """Store an observation. Raises Unavailable (not stored) or DeadlineExceeded (unknown)."""
        ...


class Alarms(Protocol):
    """fm, as the agent speaks to it."""

    async def held(self) -> list[str]:
        """Keys of what was raised and not cleared, also by an earlier life of the producer."""
        ...

    async def raise_alarm(self, alarm: RaiseAlarm) -> int:
        """Say that a fault is there. Raises Unavailable: nothing was said."""
        ...

    async def clear_alarm(self, clear: ClearAlarm) -> int:
        """Say that a fault is gone. Raises Unavailable: nothing was said."""
        ...


class Telling:
    """What one agent tells; numbers its observations."""

    def __init__(self, board: Board, *, host: str, boot_id: str) -> None:
        self._board = board
        self._host = host
        self._boot_id = boot_id
        self._incarnation = time.time_ns()
        self._n = 0
        self._once: deque[tuple[Observation, Callable[[], None]]] = deque(maxlen=ONCE_MAX)
        self._waiting = asyncio.Event()

    def once(self, make: Make, *, done: Callable[[], None] = lambda: None) -> None:
        """Tell something that happened once, in its turn; `done` is called when it is stored."""
        self._once.append((make(self._incarnation, self._next()), done))
        self._waiting.set()

    async def last(self, maintenance: Maintenance, make: Make) -> None:
        """Tell something at once, before whatever waits. Raises Unavailable, DeadlineExceeded."""
        await maintenance.observe(make(self._incarnation, self._next()))

    async def run(self, maintenance: Maintenance) -> None:
        """Tell for ever; nothing is lost while the bus is away but older levels."""
        told = -1
        while True:
            self._waiting.clear()
            while self._once:
                await self._first(maintenance)
            version = self._board.version
            if self._board.spoken or self._board.processes:
                await self._send(maintenance, self._health())
            told = version
            await self._until(told)

    async def _first(self, maintenance: Maintenance) -> None:
        """Tell what waits longest; it waits on when this is cancelled."""
        first = self._once[0]
        message, done = first
        await self._send(maintenance, message)
        if self._once and self._once[0] is first:  # else it was the oldest of too many
            self._once.popleft()
        try:
            done()
        except OSError as error:
            log.warning("observation.not_noted", host=self._host, reason=str(error))

    async def _until(self, told: int) -> None:
        waits = (
            asyncio.create_task(self._board.beyond(told)),
            asyncio.create_task(self._waited()),
        )
        try:
            await asyncio.wait(waits, timeout=EVERY_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _waited(self) -> None:
        await self._waiting.wait()

    async def _send(self, maintenance: Maintenance, message: Observation) -> None:
        async def attempt() -> None:
            try:
                await maintenance.observe(message)
            except Rejected as error:
                log.error("observation.dropped", reason=str(error))

        await until_done(attempt, "observation", host=self._host)

    def _health(self) -> HostHealth:
        return HostHealth(
            host=self._host,
            incarnation=self._incarnation,
            n=self._next(),
            boot_id=self._boot_id,
            conditions=self._board.conditions,
            processes=self._board.processes,
            readings=self._board.readings,
            observed_at=datetime.now(UTC),
        )

    def _next(self) -> int:
        self._n += 1
        return self._n


async def keep_alarms(board: Board, alarms: Alarms, *, host: str) -> None:
    """Bring the alarms that fm is told of in line with the conditions, for ever."""
    held: dict[str, RaiseAlarm | None] = dict.fromkeys(await alarms.held())
    while True:
        version = board.version
        changes = alarm_changes(
            held, board.conditions, board.spoken, host=host, now=datetime.now(UTC)
        )
        try:
            for change in changes:
                key = f"{change.alarm_id}/{change.entity}"
                if isinstance(change, RaiseAlarm):
                    await alarms.raise_alarm(change)
                    held[key] = change
                else:
                    await alarms.clear_alarm(change)
                    held.pop(key, None)
        except Unavailable as error:
            log.warning("alarms.not_said", host=host, reason=str(error))
            await asyncio.sleep(RETRY_S)
            continue
        await board.beyond(version)
