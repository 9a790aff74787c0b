"""Releases: levels become steps of the fence machine; power-offs are effects, proofs come back."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from murmuration.kernel.clock import Clock
from murmuration.mtce.core import fence_fsm
from murmuration.mtce.core.fence_fsm import (
    Evidence,
    FenceRecord,
    FenceState,
    FenceStep,
    Input,
    Levels,
    PowerOff,
)
from murmuration.mtce.core.model import Observation
from murmuration.mtce.ports import Observer
from murmuration.mtce.store import fences
from murmuration.mtce.store.fences import Goodbye, Stand
from murmuration.proto.ids import BootId, HostName
from murmuration.proto.mtce_bmc import HostReleased, Proof, Release, ReleasePlanned
from murmuration.store import effects
from murmuration.store.database import Unit
from murmuration.store.effects import Effect

FENCE_OFF = "bmc.fence_off"
BUCKET = "mtce_releases"
AT_STAKE_MAX: Final = 2_000  # lost hosts looked at together: beyond it the first ones by name
GOODBYE_BEFORE: Final = timedelta(seconds=60)  # pulses may go on for so long after a good-bye

log = structlog.get_logger()


class FenceOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an effect: which loss of which host it serves."""

    host: str
    boot_id: str
    episode: int
    reason: str = ""


_ORDERS = msgspec.json.Decoder(FenceOrder)
OUTCOME = "select outcome from mur.effect where id = $1"


class FenceHandlers:
    """Brings releases to what is known."""

    def __init__(self, clock: Clock, observer: Observer) -> None:
        self._clock = clock
        self._observer = observer
        self.on_released: Callable[[Unit, HostName], Awaitable[None]] | None = None

    async def settle(self, unit: Unit) -> list[FenceStep]:
        """Settle every host that is lost or has a release at stake. May be repeated."""
        stands = await fences.stands(unit.connection, AT_STAKE_MAX)
        names = [stand.name for stand in stands]
        records = await fences.load(unit.connection, names)
        said = await fences.goodbyes(unit.connection, names) if names else {}
        held = fence_fsm.hold(*await fences.counts(unit.connection)) if names else ""
        now = self._clock.now()
        steps: list[FenceStep] = []
        for stand in stands:
            seen = self._levels(stand, said.get(stand.name), held, now)
            record = records.get(stand.name) or fence_fsm.quiet(stand.name, now)
            found = fence_fsm.settle(record, seen, now)
            await self._carry_out(unit, record, found)
            steps += found
        steps += await self._forget(unit, now)
        return steps

    async def followed(self, unit: Unit, effect: Effect, *, done: bool) -> None:
        """A power-off has ended: proof, or a refusal that is tried again later."""
        order = _ORDERS.decode(effect.body)
        name, now = HostName(order.host), self._clock.now()
        record = (await fences.load(unit.connection, [name])).get(name)
        key = (BootId(order.boot_id), order.episode)
        if record is None or record.state is not FenceState.PLANNED or record.key != key:
            return  # of a loss that is over
        outcome = str(await unit.connection.fetchval(OUTCOME, effect.id) or "")
        if not done:
            await fences.save(unit.connection, fence_fsm.refused(record, now, outcome))
            return
        seen = self._seen(name, record)
        figures = {"bmc": outcome, "operation": effect.operation_id}
        evidence = Evidence(proof=Proof.POWER_OFF, at=now, figures=figures)
        step = fence_fsm.proven(record, evidence, seen, now)
        await self._carry_out(unit, record, (step,))
        log.info("fence.step", reason=step.reason)

    async def wanted(self, unit: Unit, effect: Effect) -> bool:
        """Whether a power-off still serves a loss: a host that is heard again is not switched off.

        Raises nothing; to be asked right before the power is switched.
        """
        order = _ORDERS.decode(effect.body)
        name = HostName(order.host)
        record = (await fences.load(unit.connection, [name])).get(name)
        if record is None or record.state is not FenceState.PLANNED:
            return False
        if record.key != (BootId(order.boot_id), order.episode):
            return False
        return not self._seen(name, record).heard

    async def at_stake(self, unit: Unit, name: HostName) -> bool:
        """Whether a host is being switched off, to prove that its workload may move."""
        record = (await fences.load(unit.connection, [name])).get(name)
        if record is None or record.state is not FenceState.PLANNED:
            return False
        return record.attempt > 0 and record.retry_at is None

    async def republish(self, unit: Unit) -> None:
        """Say again what is planned and released, in the new epoch, under the same keys."""
        for record in await fences.every(unit.connection):
            release = record.published()
            if record.state is FenceState.PLANNED:
                _say(unit, ReleasePlanned(release=release), release)
            elif record.state is FenceState.RELEASED:
                _say(unit, HostReleased(release=release), release)

    async def _forget(self, unit: Unit, now: datetime) -> list[FenceStep]:
        names = await fences.forgotten(unit.connection)
        steps: list[FenceStep] = []
        for name, record in (await fences.load(unit.connection, names)).items():
            seen = self._seen(name, record)
            step = fence_fsm.step(record, Input.FORGET, seen, now)
            await self._carry_out(unit, record, (step,))
            steps.append(step)
        return steps

    async def _carry_out(self, unit: Unit, record: FenceRecord, steps: Sequence[FenceStep]) -> None:
        for step in steps:
            after = step.state
            for event in step.events:
                if isinstance(event, HostReleased):
                    assert after is not None
                    if not await fences.release(unit.connection, after):
                        log.error("fence.released_twice", reason=after.reason)
                        continue  # the record was lost and made anew: readers know it already
                    if self.on_released is not None:
                        await self.on_released(unit, record.name)
                kept = event.release if isinstance(event, (ReleasePlanned, HostReleased)) else None
                _say(unit, event, kept)
            for effect in step.effects:
                assert after is not None
                await _request(unit, effect, after)
            if after is None:
                await fences.remove(unit.connection, record.name)
            elif after is not record:
                await fences.save(unit.connection, after)

    def _levels(self, stand: Stand, goodbye: Goodbye | None, held: str, now: datetime) -> Levels:
        seen = self._observer.observe(stand.name)
        last = now - timedelta(milliseconds=seen.silent_ms)
        said = ""
        if goodbye is not None and goodbye.boot_id == stand.boot_id:
            said = goodbye.kind if goodbye.at >= last - GOODBYE_BEFORE else ""
        return Levels(
            boot_id=_boot(seen, stand.boot_id),
            episode=stand.episode,
            lost=stand.lost,
            failed=stand.failed,
            locked=stand.locked,
            silent_ms=seen.silent_ms,
            silent=_silent(seen),
            heard=seen.returned,
            promise_s=seen.fence_s if seen.boot_id == stand.boot_id else 0,
            goodbye=said,
            policy=stand.policy,
            has_bmc=stand.has_bmc,
            held=held,
        )

    def _seen(self, name: HostName, record: FenceRecord) -> Levels:
        """The levels of a loss that is known, by what is heard now alone."""
        seen = self._observer.observe(name)
        return Levels(
            boot_id=_boot(seen, record.boot_id),
            episode=record.episode,
            lost=True,
            failed=False,
            locked=False,
            silent_ms=seen.silent_ms,
            silent=_silent(seen),
            heard=seen.returned,
            policy=record.policy,
        )


def _silent(seen: Observation) -> bool:
    return seen.silent_ms >= seen.lost_ms


def _boot(seen: Observation, recorded: BootId) -> BootId:
    """The boot that is heard now; the record of a host follows it a moment later."""
    return seen.boot_id if seen.returned and seen.boot_id else recorded


def _say(unit: Unit, event: fence_fsm.FenceEvent, kept: Release | None) -> None:
    host = event.release.host
    if kept is None:
        unit.emit(event, entity=host, bucket=BUCKET, host=host)
    else:
        unit.emit(event, entity=host, bucket=BUCKET, state=kept, host=host)


async def _request(unit: Unit, effect: PowerOff, record: FenceRecord) -> None:
    planned = int(record.changed_at.timestamp() * 1_000)
    await effects.request(
        unit,
        operation_id=f"fence/{effect.host}/{effect.boot_id}/{planned}/{effect.attempt}",
        kind=FENCE_OFF,
        entity=f"bmc/{effect.host}",
        once=False,
        body=FenceOrder(
            host=effect.host,
            boot_id=effect.boot_id,
            episode=effect.episode,
            reason=effect.reason,
        ),
    )
