"""Operators' actions: what sysinv refuses, notes and orders, and what becomes of its intents."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import msgspec
import pytest

from murmuration.bus.follower import Received
from murmuration.bus.message import Delivery
from murmuration.kernel.clock import ManualClock
from murmuration.kernel.errors import Conflict, NotFound
from murmuration.proto.envelope import Version
from murmuration.proto.mtce import (
    HostOrder,
    Operation,
    OperationCompleted,
    OperationFailed,
    OperationRefused,
)
from murmuration.proto.registry import channel_of
from murmuration.proto.sysinv import (
    ActOnHost,
    Administrative,
    Admission,
    CheckAction,
    Host,
    HostAction,
    Origin,
    Personality,
    RefusalCode,
)
from murmuration.store.database import Database, open_database
from murmuration.sysinv.app import MIGRATIONS
from murmuration.sysinv.core import actions
from murmuration.sysinv.core.model import Numbering
from murmuration.sysinv.handlers.actions import Actions
from murmuration.sysinv.store import hosts
from murmuration.testkit.postgres import Postgres

LOCKED, UNLOCKED = Administrative.LOCKED, Administrative.UNLOCKED


def host(**fields: object) -> Host:
    known: dict[str, object] = {
        "personality": Personality.WORKER,
        "origin": Origin.NAMESPACE,
        "observe_only": False,
        "admission": Admission.ACCEPTED,
        "intended_administrative": UNLOCKED,
        **fields,
    }
    return Host(name="worker-1", index=0, shard=0, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "action", "refusal"),
    [
        ({}, HostAction.LOCK, RefusalCode.NONE),
        ({}, HostAction.FORCE_LOCK, RefusalCode.NONE),
        ({}, HostAction.UNLOCK, RefusalCode.NONE),
        ({"intended_administrative": LOCKED}, HostAction.REBOOT, RefusalCode.NONE),
        ({"intended_administrative": LOCKED}, HostAction.DELETE, RefusalCode.NONE),
        ({}, HostAction.REBOOT, RefusalCode.HOST_UNLOCKED),
        ({}, HostAction.DELETE, RefusalCode.HOST_UNLOCKED),
        ({"admission": Admission.DISCOVERED}, HostAction.LOCK, RefusalCode.NOT_ACCEPTED),
        ({"observe_only": True}, HostAction.LOCK, RefusalCode.OBSERVE_ONLY),
        ({"observe_only": True}, HostAction.UNLOCK, RefusalCode.NONE),
        ({}, HostAction.SWACT, RefusalCode.NOT_A_CONTROLLER),
        (
            {"intended_administrative": LOCKED, "origin": Origin.SIMULATED},
            HostAction.REBOOT,
            RefusalCode.SIMULATED,
        ),
        ({}, HostAction.UNKNOWN, RefusalCode.UNKNOWN_ACTION),
    ],
)
def test_action_is_refused_by_code_when_what_sysinv_owns_forbids_it(
    fields: dict[str, object], action: HostAction, refusal: RefusalCode
) -> None:
    found = actions.check(host(**fields), action)
    assert found.refusal is refusal
    assert bool(found.reason) == (refusal is not RefusalCode.NONE)


class Rig:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.actions = Actions(database, ManualClock(datetime(2026, 1, 1, tzinfo=UTC)))

    async def act(self, action: HostAction, operation_id: str = "operation-1") -> str:
        request = ActOnHost(operation_id=operation_id, host="worker-1", action=action)
        async with self.database.unit() as unit:
            return await self.actions.act(unit, request)

    async def hear(
        self,
        kind: type[OperationRefused] | type[OperationFailed] | type[OperationCompleted],
        action: HostAction,
        operation_id: str = "operation-1",
    ) -> None:
        operation = Operation(
            operation_id=operation_id,
            host="worker-1",
            action=action,
            reason="said by mtce",
            at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        delivery = Delivery("MTCE", 1, "", {}, b"")
        received = Received(kind(operation=operation), channel_of(kind), delivery, Version(1, 1))
        handler = {
            OperationRefused: self.actions.refused,
            OperationFailed: self.actions.failed,
            OperationCompleted: self.actions.completed,
        }[kind]
        async with self.database.unit() as unit:
            await handler(unit, received)

    async def intended(self) -> Administrative | None:
        async with self.database.unit() as unit:
            found = await hosts.find(unit.connection, "worker-1")
        return found.host.intended_administrative if found else None

    async def said(self) -> list[tuple[str, bytes]]:
        async with self.database.connection() as connection:
            rows = await connection.fetch("select type, body from mur.outbox order by change")
        return [(row["type"], row["body"]) for row in rows]


@pytest.fixture
async def rig(postgres: Postgres) -> AsyncGenerator[Rig, None]:
    login = postgres.database("sysinv")
    async with open_database(postgres.section, login, migrations=MIGRATIONS) as database:
        database.verified.set()
        async with database.unit() as unit:
            await hosts.save(unit.connection, host(), Numbering())
        yield Rig(database)


async def test_lock_notes_the_intent_and_orders_it_in_one_transaction(rig: Rig) -> None:
    assert await rig.act(HostAction.LOCK) == "lock of worker-1 is ordered"
    assert await rig.intended() is LOCKED
    (changed, _), (ordered, body) = await rig.said()
    assert (changed, ordered) == ("sysinv.host.changed.v1", "mtce.host.act.v1")
    order = msgspec.json.decode(body, type=HostOrder)
    assert (order.operation_id, order.action) == ("operation-1", HostAction.LOCK)
    assert order.expires_at > datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", [OperationRefused, OperationFailed])
async def test_intent_is_put_back_when_mtce_does_not_lock(
    rig: Rig, kind: type[OperationRefused] | type[OperationFailed]
) -> None:
    await rig.act(HostAction.LOCK)
    await rig.hear(kind, HostAction.LOCK)
    assert await rig.intended() is UNLOCKED
    await rig.hear(kind, HostAction.LOCK)
    assert await rig.intended() is UNLOCKED


async def test_intent_stays_when_something_newer_is_intended(rig: Rig) -> None:
    await rig.act(HostAction.LOCK)
    await rig.act(HostAction.FORCE_LOCK, "operation-2")
    await rig.hear(OperationFailed, HostAction.LOCK)
    assert await rig.intended() is LOCKED


async def test_failed_unlock_leaves_the_host_wanted_in_service(rig: Rig) -> None:
    await rig.act(HostAction.LOCK)
    await rig.act(HostAction.UNLOCK, "operation-2")
    await rig.hear(OperationFailed, HostAction.UNLOCK, "operation-2")
    assert await rig.intended() is UNLOCKED


async def test_host_is_removed_when_mtce_lets_it_go(rig: Rig) -> None:
    await rig.act(HostAction.LOCK)
    await rig.act(HostAction.DELETE, "operation-2")
    assert await rig.intended() is LOCKED
    for _ in range(2):
        await rig.hear(OperationCompleted, HostAction.DELETE, "operation-2")
    assert await rig.intended() is None
    assert [kind for kind, _ in await rig.said()][-1] == "sysinv.host.removed.v1"


async def test_refusal_changes_nothing_and_a_check_says_the_same(rig: Rig) -> None:
    with pytest.raises(Conflict, match="host-unlocked"):
        await rig.act(HostAction.REBOOT)
    assert await rig.said() == []
    found = await rig.actions.check(CheckAction(host="worker-1", action=HostAction.REBOOT))
    assert found.refusal is RefusalCode.HOST_UNLOCKED
    with pytest.raises(NotFound):
        await rig.actions.check(CheckAction(host="worker-9", action=HostAction.LOCK))
