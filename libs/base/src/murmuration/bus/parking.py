"""Parked messages: what could not be decoded or applied, set aside so that nothing behind it waits.

Invariants: a message is parked in the transaction that passes it. Before something newer of the
same entity is applied, what is parked of it is marked superseded, in the transaction that applies
it and before its effects: so a retry, which locks the parked row first, either comes before the
newer one or is refused. What bears no entity counts as one entity per sender. Of one sender at most
KEPT_MAX are kept, the newest: whoever sends nothing but rubbish fills no disk.
"""

from collections import Counter
from datetime import UTC

import asyncpg
import msgspec
import structlog

from murmuration.bus.message import Delivery
from murmuration.kernel.errors import Conflict, NotFound
from murmuration.proto.envelope import Version
from murmuration.proto.platform import GetParked, ParkedMessage
from murmuration.store.database import Unit

REASON_MAX = 500
KEPT_MAX = 1_000  # parked messages of one sender to one stream
PARK = """
insert into mur.parked
    (stream, sequence, subject, type, entity, epoch, change, headers, body, reason)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
ENTITIES = "select distinct entity from mur.parked where stream = $1 and not superseded"
SUPERSEDE = """
update mur.parked set superseded = true where stream = $1 and entity = $2 and not superseded
"""
TAKE = """
select stream, sequence, subject, headers::text, body, superseded
from mur.parked where id = $1 for update
"""
OF_SENDER = "stream = $1 and split_part(subject, '.', 3) = $2"
COUNTS = """
select split_part(subject, '.', 3) as sender, count(*) as count
from mur.parked where stream = $1 group by 1
"""
DROP_OLDEST = f"""
delete from mur.parked where {OF_SENDER} and id not in (
    select id from mur.parked where {OF_SENDER} order by id desc limit $3
)
"""
SUPERSEDE_OLDER = """
update mur.parked set superseded = true
where stream = $1 and entity = $2 and id < $3 and not superseded
"""
DROP = "delete from mur.parked where id = $1 returning type, entity"
LIST = """
select id, stream, sequence, subject, type, entity, epoch, change, reason, parked_at, superseded,
       headers::text, body
from mur.parked where ($1 = 0 and id > $2) or id = $1 order by id limit $3
"""
log = structlog.get_logger()
_HEADERS = msgspec.json.Decoder(dict[str, str])


def entity_of(delivery: Delivery) -> str:
    """What a message is about; its sender where it does not say."""
    return delivery.entity or ".".join(delivery.subject.split(".")[:3])


class Parking:
    """The parked messages of one stream, as its follower sees them."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._entities: set[str] = set()
        self._counts: Counter[str] = Counter()
        self.dropped = 0

    async def load(self, connection: asyncpg.Connection) -> None:
        """Read of which entities something waits for a retry."""
        rows = await connection.fetch(ENTITIES, self._stream)
        self._entities = {row["entity"] for row in rows}
        counts = await connection.fetch(COUNTS, self._stream)
        self._counts = Counter({row["sender"]: row["count"] for row in counts})

    async def supersede(self, unit: Unit, delivery: Delivery) -> None:
        """Before `delivery` is applied: what is parked of its entity can no longer be retried."""
        if self._entities and entity_of(delivery) in self._entities:
            await unit.connection.execute(SUPERSEDE, self._stream, entity_of(delivery))

    async def park(self, unit: Unit, delivery: Delivery, version: Version, reason: str) -> None:
        """Set a message aside, in the transaction that passes it."""
        await unit.connection.execute(
            PARK,
            delivery.stream,
            delivery.sequence,
            delivery.subject,
            delivery.type,
            entity_of(delivery),
            *version,
            msgspec.json.encode(dict(delivery.headers)).decode(),
            delivery.body,
            reason[:REASON_MAX],
        )
        self._entities.add(entity_of(delivery))
        sender = ".".join(delivery.subject.split(".")[2:3])
        self._counts[sender] += 1
        if self._counts[sender] > KEPT_MAX:
            await unit.connection.execute(DROP_OLDEST, self._stream, sender, KEPT_MAX)
            self._counts[sender] -= 1
            self.dropped += 1
            log.warning("parked.dropped", stream=self._stream, sender=sender, kept=KEPT_MAX)


async def take(unit: Unit, parked_id: int) -> Delivery:
    """A parked message to be tried again, its row locked; older ones of its entity are superseded.

    Raises NotFound, and Conflict when something newer of its entity was applied.
    """
    row = await unit.connection.fetchrow(TAKE, parked_id)
    if row is None:
        raise NotFound(f"there is no parked message {parked_id}")
    if row["superseded"]:
        raise Conflict("something newer of its entity was applied: it can only be dropped")
    headers = _HEADERS.decode(row["headers"])
    delivery = Delivery(row["stream"], row["sequence"], row["subject"], headers, row["body"])
    entity = entity_of(delivery)
    await unit.connection.execute(SUPERSEDE_OLDER, delivery.stream, entity, parked_id)
    return delivery


async def drop(unit: Unit, parked_id: int) -> str:
    """Forget a parked message; returns what it was. Raises NotFound."""
    row = await unit.connection.fetchrow(DROP, parked_id)
    if row is None:
        raise NotFound(f"there is no parked message {parked_id}")
    return f"{row['type'] or 'a message'} of {row['entity']}"


async def listed(connection: asyncpg.Connection, ask: GetParked) -> tuple[ParkedMessage, ...]:
    """The parked messages asked for; headers and body only of a single one."""
    rows = await connection.fetch(LIST, ask.id, ask.after, ask.limit)
    return tuple(
        ParkedMessage(
            id=row["id"],
            stream=row["stream"],
            sequence=row["sequence"],
            subject=row["subject"],
            type=row["type"],
            entity=row["entity"],
            epoch=row["epoch"],
            change=row["change"],
            reason=row["reason"],
            parked_at=row["parked_at"].astimezone(UTC),
            superseded=row["superseded"],
            headers=_HEADERS.decode(row["headers"]) if ask.id else {},
            body=bytes(row["body"]).decode(errors="replace") if ask.id else "",
        )
        for row in rows
    )
