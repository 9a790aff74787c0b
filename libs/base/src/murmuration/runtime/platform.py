"""What every stateful service answers besides its own: marks, parked messages, held effects."""

from collections.abc import Sequence

from murmuration.bus import parking
from murmuration.bus.commands import RequestServer
from murmuration.bus.follower import Follower
from murmuration.bus.marks import read_mark
from murmuration.kernel.errors import MurmurationError, NotFound, Rejected
from murmuration.proto.platform import (
    ConfirmHeld,
    DropHeld,
    DropParked,
    GetHeld,
    GetMark,
    GetParked,
    HeldEffects,
    Mark,
    ParkedMessages,
    RetryParked,
)
from murmuration.proto.registry import CHANNELS
from murmuration.store import effects
from murmuration.store.database import Database, Unit


def serve_platform(
    server: RequestServer, database: Database, followers: Sequence[Follower], *, service: str
) -> None:
    """Have `server` answer them; any replica may, for each works on locked rows."""

    async def mark(ask: GetMark) -> Mark:
        async with database.connection() as connection:
            return await read_mark(connection, ask)

    async def parked(ask: GetParked) -> ParkedMessages:
        async with database.connection() as connection:
            messages = await parking.listed(connection, ask)
        if ask.id and not messages:
            raise NotFound(f"{service} has no parked message {ask.id}")
        return ParkedMessages(service=service, messages=messages)

    async def retry(unit: Unit, request: RetryParked) -> str:
        delivery = await parking.take(unit, request.id)
        follower = next((f for f in followers if f.stream == delivery.stream), None)
        if follower is None:
            raise Rejected(f"{service} no longer reads {delivery.stream}")
        try:
            said = await follower.retry(unit, delivery)
        except MurmurationError:
            raise
        except Exception as error:
            raise Rejected(f"it still fails: {type(error).__name__}: {error}") from error
        await parking.drop(unit, request.id)
        return said

    async def drop(unit: Unit, request: DropParked) -> str:
        return f"{await parking.drop(unit, request.id)} was dropped by an operator"

    async def held(ask: GetHeld) -> HeldEffects:
        async with database.connection() as connection:
            return HeldEffects(service=service, effects=await effects.held(connection, ask))

    async def confirm_held(unit: Unit, request: ConfirmHeld) -> str:
        return f"{await effects.confirm(unit, request.id)} is to be done, as an operator confirmed"

    async def drop_held(unit: Unit, request: DropHeld) -> str:
        return f"{await effects.drop(unit, request.id)} was dropped by an operator"

    if f"{service}.mark.get.v1" in CHANNELS:
        server.answer(GetMark, mark, as_type=f"{service}.mark.get.v1")
    server.answer(GetParked, parked, as_type=f"{service}.parked.get.v1")
    server.command(RetryParked, database, retry, as_type=f"{service}.parked.retry.v1")
    server.command(DropParked, database, drop, as_type=f"{service}.parked.drop.v1")
    server.answer(GetHeld, held, as_type=f"{service}.held.get.v1")
    server.command(ConfirmHeld, database, confirm_held, as_type=f"{service}.held.confirm.v1")
    server.command(DropHeld, database, drop_held, as_type=f"{service}.held.drop.v1")
