"""The tasks that empty the queues of receivers: one for each, so that none waits for another.

Deliveries of a receiver go in order. One that fails is tried again after a time that doubles, with
a share of chance, until it is too old; then it is given up, kept for the operator to see and to
send again, and the next one is tried.
"""

import asyncio
from collections import Counter
from datetime import timedelta

import structlog

from murmuration.fm.adapters.senders import Sender
from murmuration.fm.store import deliveries, receivers
from murmuration.fm.store.deliveries import Delivery
from murmuration.kernel.backoff import Backoff
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import DeadlineExceeded, Unavailable
from murmuration.proto.fm_notify import Receiver
from murmuration.runtime.dice import dice
from murmuration.store.database import Database

LOOK_S = 1.0  # how long a delivery may wait unseen, and a changed receiver
AT_ONCE = 20  # deliveries read at a time
RETRY_FIRST_S = 2.0
RETRY_MOST_S = 300.0
AGE_MAX_S = 24 * 3_600.0  # a day: beyond it a notification is history, which fm keeps anyway
WAITING_MAX = 100_000  # of one receiver: a storm of traps; beyond it the oldest are given up
DEAD_MAX = 1_000  # given up and kept, of one receiver
SILENCE_KEPT_S = 24 * 3_600.0  # an expired silence is seen for so long
log = structlog.get_logger()


class Delivering:
    """Sends what is queued; `run` until cancelled."""

    def __init__(self, database: Database, clock: Clock, sender: Sender) -> None:
        self._database = database
        self._clock = clock
        self._sender = sender
        # Of this replica since its start: sent, failed (and tried again), given up, by receiver.
        self.counts: Counter[tuple[str, str]] = Counter()

    async def run(self) -> None:
        """Keep one task for each receiver, as it is configured now."""
        backoff = Backoff(first_s=0.1, most_s=2.0)
        running: dict[str, tuple[Receiver, asyncio.Task[None]]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    wanted = await self._receivers()
                    backoff.reset()
                except (Unavailable, DeadlineExceeded) as error:
                    log.info("delivering.waits", reason=str(error))
                    await asyncio.sleep(backoff.next_s(dice()))
                    continue
                for name, (receiver, task) in list(running.items()):
                    if wanted.get(name) != receiver:
                        task.cancel()
                        del running[name]
                for name, receiver in wanted.items():
                    if name not in running:
                        task = group.create_task(self._serve(receiver), name=f"deliver {name}")
                        running[name] = (receiver, task)
                await asyncio.sleep(LOOK_S)

    async def _receivers(self) -> dict[str, Receiver]:
        await self._database.verified.wait()
        now = self._clock.now()
        async with self._database.unit() as unit:
            await receivers.forget_silences(
                unit.connection, now - timedelta(seconds=SILENCE_KEPT_S)
            )
            known = await receivers.every(unit.connection)
            for receiver in known:
                count = await deliveries.give_up(
                    unit.connection,
                    receiver.name,
                    before=now - timedelta(seconds=AGE_MAX_S),
                    most=WAITING_MAX,
                    dead_most=DEAD_MAX,
                )
                if count:
                    self.counts[receiver.name, "given_up"] += count
                    log.error("deliveries.given_up", receiver=receiver.name, count=count)
        return {receiver.name: receiver for receiver in known}

    async def _serve(self, receiver: Receiver) -> None:
        while True:
            try:
                sent = await self._deliver(receiver)
            except (Unavailable, DeadlineExceeded) as error:
                log.info("delivering.waits", receiver=receiver.name, reason=str(error))
                sent = False
            if not sent:
                await asyncio.sleep(LOOK_S)

    async def _deliver(self, receiver: Receiver) -> bool:
        """Send what is next; returns whether all of it went."""
        async with self._database.connection() as connection:
            found = await deliveries.following(
                connection, receiver.name, self._clock.now(), AT_ONCE
            )
        for delivery in found:
            try:
                await self._sender.send(receiver, delivery.id, delivery.body)
            except Unavailable as error:
                await self._postpone(receiver, delivery, str(error))
                return False
            self.counts[receiver.name, "sent"] += 1
            async with self._database.unit() as unit:
                await deliveries.done(unit.connection, receiver.name, delivery, self._clock.now())
        return bool(found)

    async def _postpone(self, receiver: Receiver, delivery: Delivery, reason: str) -> None:
        backoff = Backoff(first_s=RETRY_FIRST_S, most_s=RETRY_MOST_S, attempt=delivery.attempts)
        now = self._clock.now()
        next_at = now + timedelta(seconds=backoff.next_s(dice()))
        async with self._database.unit() as unit:
            await deliveries.retry(
                unit.connection,
                receiver.name,
                delivery,
                now=now,
                next_at=next_at,
                error=reason,
            )
        self.counts[receiver.name, "failed"] += 1
        log.warning("delivery.failed", receiver=receiver.name, reason=reason)
