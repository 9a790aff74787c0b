"""What operators say of notifications: receivers, routing, silences; and how it goes."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import msgspec

from murmuration.bus.commands import once
from murmuration.fm.core.notices import trial_bodies
from murmuration.fm.core.routing import Tree, check_receiver, check_receivers, check_silence
from murmuration.fm.core.silences import check_times, state_of
from murmuration.fm.handlers.ids import fresh_uuids
from murmuration.fm.store import deliveries, receivers
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import Conflict, NotFound
from murmuration.proto.envelope import Version
from murmuration.proto.fm_notify import (
    RECEIVERS_MAX,
    SILENCES_MAX,
    AddSilence,
    ExpireSilence,
    GetReceivers,
    GetRouting,
    GetSilences,
    Receiver,
    Receivers,
    RemoveReceiver,
    RetryDeliveries,
    Routing,
    SetReceiver,
    SetRouting,
    Silence,
    Silences,
    TryReceiver,
)
from murmuration.proto.fm_operators import Raised
from murmuration.store.database import Database, Unit

EXPIRED_SHOWN_S = 24 * 3_600


class Notifications:
    """Answers commands and queries about notifications."""

    def __init__(self, database: Database, clock: Clock, *, site: str) -> None:
        self._database = database
        self._clock = clock
        self._site = site

    async def set_receiver(self, unit: Unit, request: SetReceiver) -> str:
        """Add or change a receiver. Raises Rejected for its URL, Conflict when there are many."""
        check_receiver(request.receiver)
        known = {one.name for one in await receivers.every(unit.connection)}
        name = request.receiver.name
        if name not in known and len(known) >= RECEIVERS_MAX:
            raise Conflict(f"there are {len(known)} receivers, the limit is {RECEIVERS_MAX}")
        await receivers.save(unit.connection, request.receiver)
        return f"receiver {name} was {'changed' if name in known else 'added'}"

    async def remove_receiver(self, unit: Unit, request: RemoveReceiver) -> str:
        """Remove a receiver. Raises Conflict while a route names it, NotFound."""
        if request.name in Tree(await receivers.routing(unit.connection)).receivers():
            raise Conflict(f"a route names {request.name}: change the routing first")
        if not await receivers.delete(unit.connection, request.name):
            raise NotFound(f"there is no receiver {request.name}")
        return f"receiver {request.name} was removed"

    async def try_receiver(self, unit: Unit, request: TryReceiver) -> str:
        """Queue a test notification. Raises NotFound."""
        receiver = await self._receiver(unit, request.name)
        now = self._clock.now()
        bodies = trial_bodies(receiver, site=self._site, now=now)
        await deliveries.put(unit.connection, receiver.name, "{}", bodies, now=now)
        return f"a test notification for {receiver.name} was queued"

    async def retry(self, unit: Unit, request: RetryDeliveries) -> str:
        """Send again what was given up. Raises NotFound."""
        receiver = await self._receiver(unit, request.name)
        count = await deliveries.revive(unit.connection, receiver.name, self._clock.now())
        return f"{count} notifications for {receiver.name} are sent again"

    async def _receiver(self, unit: Unit, name: str) -> Receiver:
        known = {one.name: one for one in await receivers.every(unit.connection)}
        if name not in known:
            raise NotFound(f"there is no receiver {name}")
        return known[name]

    async def set_routing(self, unit: Unit, request: SetRouting) -> str:
        """Replace the routing. Raises Rejected where it is not whole."""
        tree = Tree(request.routing)
        known = await receivers.every(unit.connection)
        check_receivers(tree, [one.name for one in known])
        await receivers.set_routing(unit.connection, request.routing)
        return f"there are {len(tree.nodes)} routes now"

    async def add_silence(self, request: AddSilence) -> Raised:
        """Silence alarms. Raises Rejected for matchers or times, Conflict when there are many."""

        async def decide(unit: Unit) -> Callable[[Version], Raised]:
            silence = await self._new_silence(unit, request)
            return lambda version: Raised(
                operation_id=request.operation_id,
                service="fm",
                epoch=version.epoch,
                change=version.change,
                reason=f"silenced until {silence.ends_at.isoformat(timespec='seconds')}",
                uuid=silence.id,
            )

        return await once(self._database, request, Raised, decide)

    async def _new_silence(self, unit: Unit, request: AddSilence) -> Silence:
        now = self._clock.now()
        starts_at = request.starts_at or now
        check_silence(request.matchers)
        check_times(starts_at=starts_at, ends_at=request.ends_at, now=now)
        count = await receivers.count_silences(unit.connection, now)
        if count >= SILENCES_MAX:
            raise Conflict(f"there are {count} silences, the limit is {SILENCES_MAX}")
        (silence_id,) = fresh_uuids(1, now)
        silence = Silence(
            id=silence_id,
            matchers=request.matchers,
            starts_at=starts_at,
            ends_at=request.ends_at,
            author=request.author,
            comment=request.comment,
            created_at=now,
        )
        await receivers.save_silence(unit.connection, silence)
        return silence

    async def expire_silence(self, unit: Unit, request: ExpireSilence) -> str:
        """End a silence now. Raises NotFound."""
        try:
            found = await receivers.silence(unit.connection, UUID(request.id))
        except ValueError:
            found = None
        if found is None:
            raise NotFound(f"there is no silence {request.id[:64]}")
        now = self._clock.now()
        if found.ends_at > now:
            ended = msgspec.structs.replace(found, ends_at=now, starts_at=min(found.starts_at, now))
            await receivers.save_silence(unit.connection, ended)
        return f"silence {found.id} has ended"

    async def receivers(self, _request: GetReceivers) -> Receivers:
        """All receivers and how it goes with them."""
        async with self._database.connection() as connection:
            return Receivers(items=tuple(await receivers.status(connection)))

    async def routing(self, _request: GetRouting) -> Routing:
        """The routes and mute times."""
        async with self._database.connection() as connection:
            return await receivers.routing(connection)

    async def silences(self, request: GetSilences) -> Silences:
        """Silences in force and to come, and on demand those of the last day."""
        now = self._clock.now()
        since = now - timedelta(seconds=EXPIRED_SHOWN_S) if request.expired else now
        async with self._database.connection() as connection:
            found = await receivers.silences(connection, since)
        return Silences(
            items=tuple(msgspec.structs.replace(one, state=state_of(one, now)) for one in found)
        )
