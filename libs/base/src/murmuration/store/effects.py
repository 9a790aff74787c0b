"""Effects as rows: what is to be done in the world, decided with the state that wants it.

Two classes. `repeat`: doing it again does no harm (tell, arm, push a configuration); it is done
until it is known to be done. `once`: doing it again may do harm (reset, power-cycle, a script); it
is marked sent in a transaction of its own before it is sent, and is never sent again. When its
outcome was not seen (crash, deadline), it is observed, not assumed.

Status:
- open: decided;
- sent: `once` only: it may have happened; seen or observed, it becomes done or failed;
- held: `once`, decided or sent in the earlier life of a database that was put back: nobody knows
  what the lost part did. Observed it becomes done; confirmed by an operator it is open again;
- dropped: held, and an operator said that it is not to be done; the executor makes it failed;
- done, failed: settled, with the outcome in one sentence.

Invariants: a `once` effect is sent at most once, whatever is killed whenever; an operation id is
one effect; settling is one transaction with what follows from it.
"""

from datetime import UTC
from typing import NamedTuple

import asyncpg
import msgspec

from murmuration.kernel.errors import Conflict
from murmuration.proto.envelope import encode
from murmuration.proto.platform import GetHeld, HeldEffect
from murmuration.store.database import Unit

OUTCOME_MAX = 500
REQUEST = """
insert into mur.effect (operation_id, kind, entity, once, body, epoch)
select $1, $2, $3, $4, $5, epoch from mur.life
on conflict (operation_id) do nothing returning id
"""
UNSETTLED = """
select id, operation_id, kind, entity, once, body, status from mur.effect
where status in ('open', 'sent', 'held', 'dropped') and kind = any($1) and id > $2
order by id limit $3
"""
MARK_SENT = """
update mur.effect set status = 'sent', changed_at = now()
where id = $1 and status = 'open' and once returning id
"""
SETTLE = """
update mur.effect set status = $2, outcome = $3, changed_at = now()
where id = $1 and status in ('open', 'sent', 'held', 'dropped') returning id
"""
WITHDRAW = """
update mur.effect set status = 'failed', outcome = $2, changed_at = now()
where operation_id = $1 and status in ('open', 'sent', 'held')
"""
CONFIRM = """
update mur.effect set status = 'open', outcome = '', changed_at = now(),
    epoch = (select epoch from mur.life)
where id = $1 and status = 'held' returning kind, entity
"""
DROP = """
update mur.effect set status = 'dropped', changed_at = now()
where id = $1 and status = 'held' returning kind, entity
"""
HELD = """
select id, operation_id, kind, entity, created_at, changed_at from mur.effect
where status = 'held' and id > $1 order by id limit $2
"""


class Effect(NamedTuple):
    """One effect as it is stored."""

    id: int
    operation_id: str
    kind: str
    entity: str
    once: bool
    body: bytes
    status: str


async def request(
    unit: Unit, *, operation_id: str, kind: str, entity: str, once: bool, body: msgspec.Struct
) -> bool:
    """Decide an effect with this unit; False when this operation id was decided before."""
    made = await unit.connection.fetchval(REQUEST, operation_id, kind, entity, once, encode(body))
    return made is not None


async def unsettled(
    connection: asyncpg.Connection, kinds: list[str], *, after: int, limit: int
) -> list[Effect]:
    """Effects of these kinds that are not settled, oldest first, behind the id `after`."""
    return [Effect(*row) for row in await connection.fetch(UNSETTLED, kinds, after, limit)]


async def mark_sent(unit: Unit, effect: Effect) -> bool:
    """Before a `once` effect is sent; False when it was sent, held or settled meanwhile."""
    return await unit.connection.fetchval(MARK_SENT, effect.id) is not None


async def settle(unit: Unit, effect: Effect, *, done: bool, outcome: str) -> bool:
    """Store how it ended; False when that was stored before: then nothing follows from it."""
    status = "done" if done else "failed"
    settled = await unit.connection.fetchval(SETTLE, effect.id, status, outcome[:OUTCOME_MAX])
    return settled is not None


async def withdraw(unit: Unit, operation_id: str, reason: str) -> None:
    """Nobody wants this effect any more: it is not sent, if it was not; nothing follows from it.

    One that was sent already may have happened, and is no longer looked after. May be repeated.
    """
    await unit.connection.execute(WITHDRAW, operation_id, reason[:OUTCOME_MAX])


async def held(connection: asyncpg.Connection, ask: GetHeld) -> tuple[HeldEffect, ...]:
    """Effects that wait for an operator, oldest first."""
    return tuple(
        HeldEffect(
            id=row["id"],
            operation_id=row["operation_id"],
            kind=row["kind"],
            entity=row["entity"],
            decided_at=row["created_at"].astimezone(UTC),
            held_at=row["changed_at"].astimezone(UTC),
        )
        for row in await connection.fetch(HELD, ask.after, ask.limit)
    )


async def confirm(unit: Unit, effect_id: int) -> str:
    """An operator says that a held effect is to be done after all; what it is.

    Raises Conflict when it is not held.
    """
    return await _decide(unit, CONFIRM, effect_id)


async def drop(unit: Unit, effect_id: int) -> str:
    """An operator says that a held effect is not to be done; what it is. Raises Conflict likewise.

    What follows from its failure is the executor's to do.
    """
    return await _decide(unit, DROP, effect_id)


async def _decide(unit: Unit, statement: str, effect_id: int) -> str:
    row = await unit.connection.fetchrow(statement, effect_id)
    if row is None:
        raise Conflict(f"no effect {effect_id} is held")
    return f"{row['kind']} of {row['entity']}"
