"""Effects interrupted at every point: `once` is never sent twice, nothing decided is forgotten."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from murmuration.bus.outbox import HOLD_EFFECTS
from murmuration.kernel.errors import Conflict, DeadlineExceeded, Rejected, Unavailable
from murmuration.proto.platform import GetHeld
from murmuration.runtime.effects import Executor
from murmuration.store import effects
from murmuration.store.database import Database, Unit, open_database
from murmuration.store.effects import Effect
from murmuration.testkit.postgres import Postgres


class Reset(msgspec.Struct):
    host: str


class Killed(BaseException):
    """As kill -9 at this point: nothing after it runs."""


class World:
    """What resets are done to; `answer` decides what the sender sees of it."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.before: BaseException | None = None
        self.after: BaseException | None = None
        self.observable = True

    async def perform(self, effect: Effect) -> str:
        if self.before is not None:
            raise self.before
        self.happened.append(effect.operation_id)
        if self.after is not None:
            raise self.after
        return "the host was reset"

    async def observe(self, effect: Effect) -> bool | None:
        return effect.operation_id in self.happened if self.observable else None


class Site:
    """A database, the world, and what followed."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.world = World()
        self.followed: list[tuple[str, bool]] = []
        self.kill_in_follow = False

    def executor(self) -> Executor:
        return Executor(self.database, {"reset": self.world}, follow=self._follow)

    async def _follow(self, _unit: Unit, effect: Effect, done: bool) -> None:
        if self.kill_in_follow:
            raise Killed
        self.followed.append((effect.operation_id, done))

    async def decide(self, operation_id: str, *, once: bool, host: str = "worker-1") -> bool:
        async with self.database.unit() as unit:
            return await effects.request(
                unit,
                operation_id=operation_id,
                kind="reset",
                entity=host,
                once=once,
                body=Reset(host=host),
            )

    async def status(self, operation_id: str) -> str:
        async with self.database.connection() as connection:
            return str(
                await connection.fetchval(
                    "select status from mur.effect where operation_id = $1", operation_id
                )
            )


@pytest.fixture
async def site(postgres: Postgres) -> AsyncIterator[Site]:
    async with open_database(
        postgres.section, postgres.database("mtce"), migrations=None
    ) as database:
        async with database.connection():
            database.verified.set()
        yield Site(database)


async def test_effect_is_done_once_and_settled_when_nothing_is_interrupted(site: Site) -> None:
    assert await site.decide("reset-1", once=True)
    assert not await site.decide("reset-1", once=True)
    assert await site.executor().round()
    assert await site.executor().round()
    assert site.world.happened == ["reset-1"]
    assert site.followed == [("reset-1", True)]


@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize("point", ["before", "after", "follow"])
async def test_effect_is_settled_and_once_not_sent_again_when_killed_at(
    site: Site, point: str, once: bool
) -> None:
    await site.decide("reset-1", once=once)
    site.kill_in_follow = point == "follow"
    site.world.before = Killed() if point == "before" else None
    site.world.after = Killed() if point == "after" else None
    with pytest.raises(Killed):
        await site.executor().round()
    assert await site.status("reset-1") == ("sent" if once else "open")
    site.world.before = site.world.after = None
    site.kill_in_follow = False
    assert await site.executor().round()
    happened = point != "before"
    if once:
        assert site.world.happened == (["reset-1"] if happened else [])
        assert await site.status("reset-1") == ("done" if happened else "failed")
        assert site.followed == [("reset-1", happened)]
    else:
        assert site.world.happened == ["reset-1"] * (2 if happened else 1)
        assert site.followed == [("reset-1", True)]


@pytest.mark.parametrize("error", [Unavailable("away"), DeadlineExceeded("no answer")])
async def test_once_waits_for_observation_when_its_outcome_was_not_seen(
    site: Site, error: Exception
) -> None:
    await site.decide("reset-1", once=True)
    site.world.after, site.world.observable = error, False
    for _ in range(3):
        assert not await site.executor().round()
    assert site.world.happened == ["reset-1"]
    assert await site.status("reset-1") == "sent"
    site.world.observable = True
    assert await site.executor().round()
    assert site.followed == [("reset-1", True)]


async def test_effect_fails_for_good_when_it_is_refused(site: Site) -> None:
    await site.decide("reset-1", once=True)
    site.world.before = Rejected("the BMC refuses")
    assert await site.executor().round()
    assert await site.status("reset-1") == "failed"
    assert site.followed == [("reset-1", False)]


async def test_only_its_entity_waits_when_an_effect_cannot_be_done_yet(site: Site) -> None:
    await site.decide("reset-1", once=True, host="worker-1")
    await site.decide("reset-2", once=True, host="worker-1")
    await site.decide("reset-3", once=True, host="worker-2")
    site.world.observable = False

    class Deaf(World):
        async def perform(self, effect: Effect) -> str:
            if effect.entity == "worker-1":
                raise DeadlineExceeded("no answer")
            return await super().perform(effect)

    deaf = Deaf()
    deaf.observable = False
    site.world = deaf
    assert not await site.executor().round()
    assert deaf.happened == ["reset-3"]
    assert await site.status("reset-2") == "open"


async def test_once_is_held_until_observed_or_confirmed_when_a_new_epoch_began(site: Site) -> None:
    for operation_id in ("seen", "unseen", "unwanted"):
        await site.decide(f"reset-{operation_id}", once=True, host=operation_id)
    await site.decide("repeated", once=False, host="other")
    async with site.database.unit() as unit:
        await unit.connection.execute(HOLD_EFFECTS)
    site.world.happened.append("reset-seen")  # in the life that was lost
    assert not await site.executor().round()
    assert await site.status("reset-seen") == "done"
    assert await site.status("repeated") == "done"
    assert await site.status("reset-unseen") == "held"
    assert site.world.happened == ["reset-seen", "repeated"]
    assert await site.status("reset-unwanted") == "held"
    async with site.database.connection() as connection:
        found = await effects.held(connection, GetHeld())
    assert [each.operation_id for each in found] == ["reset-unseen", "reset-unwanted"]
    for decide, effect in zip((effects.confirm, effects.drop), found, strict=True):
        async with site.database.unit() as unit:
            assert effect.entity in await decide(unit, effect.id)
        with pytest.raises(Conflict):
            async with site.database.unit() as unit:
                await decide(unit, effect.id)
    assert await site.executor().round()
    assert site.world.happened == ["reset-seen", "repeated", "reset-unseen"]
    assert await site.status("reset-unwanted") == "failed"
    assert site.followed.count(("reset-unwanted", False)) == 1


async def test_executor_wakes_when_an_effect_is_decided_with_an_event(site: Site) -> None:
    from murmuration.testkit.levels import reaches

    task = asyncio.create_task(site.executor().run())
    try:
        await site.decide("reset-1", once=True)
        await reaches(lambda: bool(site.followed))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
