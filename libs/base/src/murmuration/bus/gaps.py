"""Events that a reader can no longer get: noticed by the chain of numbers, bridged by the state.

Each event names the one before it (`Mur-Prev`). One whose predecessor was never taken in shows a
gap: the stream no longer holds what lies between. Then the sender's state buckets are read, and
what is newer than the position is applied from there; events of an entity up to the change its
state already told (its floor) are passed. Floors are rows, so that a crash in between does no harm;
they are gone when the position has passed them all.
"""

from collections.abc import Mapping
from typing import NamedTuple

import asyncpg
import msgspec
import structlog

from murmuration.bus.connection import Bus
from murmuration.bus.message import Delivery
from murmuration.bus.state import load_bucket
from murmuration.proto.envelope import Version
from murmuration.proto.ids import token
from murmuration.proto.registry import BUCKETS
from murmuration.store.database import Unit

LOAD = "select entity, epoch, change from mur.floor where stream = $1"
SAVE = """
insert into mur.floor (stream, entity, epoch, change)
select $1, * from unnest($2::text[], $3::bigint[], $4::bigint[])
on conflict (stream, entity) do update set epoch = excluded.epoch, change = excluded.change
"""
CLEAR = "delete from mur.floor where stream = $1"
log = structlog.get_logger()


class StateReceived(NamedTuple):
    """One key of the sender's state: `value` None when it is no more."""

    bucket: str
    key: str
    version: Version
    value: msgspec.Struct | None


def is_gap(position: Version, version: Version, previous: int) -> bool:
    """Whether something between `position` and this event was never taken in."""
    return previous > (position.change if position.epoch == version.epoch else 0)


class Floors:
    """What the state already told, by key; empty but after a gap."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._floors: dict[str, Version] = {}
        self._passed = False

    async def load(self, connection: asyncpg.Connection) -> None:
        """Read what is still above the position."""
        rows = await connection.fetch(LOAD, self._stream)
        self._floors = {r["entity"]: Version(r["epoch"], r["change"]) for r in rows}
        self._passed = False

    def covers(self, delivery: Delivery, version: Version) -> bool:
        """Whether the state has already told what this event tells."""
        if not self._floors or not delivery.entity:
            return False
        floor = self._floors.get(token(delivery.entity))
        return floor is not None and version <= floor

    async def raise_to(self, unit: Unit, states: list[StateReceived]) -> None:
        """Store the floors of these states."""
        found: dict[str, Version] = {}
        for state in states:
            found[state.key] = max(state.version, found.get(state.key, state.version))
        await unit.connection.execute(
            SAVE,
            self._stream,
            list(found),
            [version.epoch for version in found.values()],
            [version.change for version in found.values()],
        )

    async def passed(self, unit: Unit, position: Version) -> None:
        """Forget the floors, in this transaction, once the position is beyond them all."""
        self._passed = bool(self._floors) and max(self._floors.values()) <= position
        if self._passed:
            await unit.connection.execute(CLEAR, self._stream)

    def settle(self) -> None:
        """After the commit."""
        if self._passed:
            self._floors, self._passed = {}, False


async def read_states(
    bus: Bus, buckets: Mapping[str, object], behind: Version
) -> list[StateReceived]:
    """What the buckets hold that is newer than `behind`, oldest first. Raises Unavailable.

    What does not decode is said and passed: its owner's next change of it will come as an event.
    """
    found: list[StateReceived] = []
    for bucket in buckets:
        kind = BUCKETS[bucket].payload
        keys, _ = await load_bucket(bus, bucket)
        for key, stored in keys.items():
            value = stored.value
            if value.version <= behind:
                continue
            try:
                decoded = None if value.deleted else msgspec.json.decode(value.data, type=kind)
            except msgspec.DecodeError as error:
                log.warning("state.undecodable", bucket=bucket, key=key, reason=str(error))
                continue
            found.append(StateReceived(bucket, key, value.version, decoded))
    return sorted(found, key=lambda state: state.version)
