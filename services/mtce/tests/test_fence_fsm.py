"""The release of a workload: its table, its proofs, and that none comes without one, or twice."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from murmuration.mtce.core import fence_fsm
from murmuration.mtce.core.fence_fsm import (
    GOODBYE_MS,
    RETRY,
    Evidence,
    FenceRecord,
    FenceState,
    FenceStep,
    Input,
    Levels,
    PowerOff,
    bite_ms,
)
from murmuration.proto.ids import BootId, HostName
from murmuration.proto.mtce_bmc import (
    FencePolicy,
    HostReleased,
    Proof,
    ReleasePlanned,
    ReleaseWithdrawn,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOST = HostName("worker-1")
BOOT = BootId("boot-1")
QUIET = fence_fsm.quiet(HOST, NOW)
LOST = Levels(
    boot_id=BOOT,
    episode=1,
    lost=True,
    failed=False,
    locked=False,
    silent_ms=1_000,
    silent=True,
    heard=False,
)
FAST = replace(LOST, policy=FencePolicy.FAST)
ALIVE = replace(LOST, lost=False, silent_ms=20, silent=False, heard=True)
OFF = Evidence(proof=Proof.POWER_OFF, at=NOW, figures={"bmc": "off twice"})


def follow(
    record: FenceRecord, *seen: Levels, now: datetime = NOW
) -> tuple[FenceRecord, list[FenceStep]]:
    """Settle by levels, one after the other."""
    steps: list[FenceStep] = []
    for each in seen:
        found = fence_fsm.settle(record, each, now)
        for step in found:
            assert step.state is not None
            record = step.state
        steps += found
    return record, steps


def events(steps: list[FenceStep]) -> list[type]:
    return [type(event) for step in steps for event in step.events]


@pytest.mark.parametrize(("state", "given"), list(product(FenceState, Input)))
def test_fence_says_what_its_state_says_whatever_the_input(state: FenceState, given: Input) -> None:
    record = replace(QUIET, state=state, boot_id=BOOT, episode=1, evidence=OFF)
    step = fence_fsm.step(record, given, LOST, NOW)
    said = [type(event) for event in step.events]
    assert said.count(HostReleased) == (state is FenceState.PLANNED and given is Input.PROVEN)
    at_stake = state in (FenceState.PLANNED, FenceState.RELEASED)
    gone = given in (Input.ALIVE, Input.FORGET)
    assert said.count(ReleaseWithdrawn) == (at_stake and gone)


def test_graceful_release_waits_for_recovery_to_fail_and_fast_does_not() -> None:
    record, steps = follow(QUIET, LOST, LOST)
    assert (record.state, events(steps)) == (FenceState.RECOVERING, [])
    record, steps = follow(record, replace(LOST, failed=True))
    assert (record.state, events(steps)) == (FenceState.PLANNED, [ReleasePlanned])
    record, steps = follow(QUIET, FAST)
    assert (record.state, events(steps)) == (FenceState.PLANNED, [ReleasePlanned])
    assert "none is to be had by itself" in record.reason
    record, _ = follow(QUIET, replace(FAST, locked=True))
    assert record.state is FenceState.QUIET


def test_power_off_is_asked_for_once_and_again_only_after_a_refusal() -> None:
    bmc = replace(FAST, has_bmc=True)
    record, steps = follow(QUIET, bmc, bmc)
    asked = [effect for step in steps for effect in step.effects]
    assert [(type(one), one.attempt) for one in asked] == [(PowerOff, 1)]
    refused = fence_fsm.refused(record, NOW, "no such user")
    assert follow(refused, bmc)[1] == []
    later = fence_fsm.settle(refused, bmc, NOW + RETRY)
    assert [effect.attempt for step in later for effect in step.effects] == [2]
    record = fence_fsm.proven(record, OFF, bmc, NOW).state
    assert record is not None
    assert (record.state, record.published().proof) == (FenceState.RELEASED, Proof.POWER_OFF)


def test_nobody_is_powered_off_while_many_are_lost_at_once() -> None:
    assert fence_fsm.hold(2, 3) == ""
    assert "common cause" in fence_fsm.hold(3, 4)
    assert fence_fsm.hold(25, 100) == ""
    held = replace(FAST, has_bmc=True, held=fence_fsm.hold(26, 100))
    record, steps = follow(QUIET, held)
    assert record.state is FenceState.PLANNED
    assert [effect for step in steps for effect in step.effects] == []


def test_watchdog_is_a_proof_when_the_promise_of_that_boot_has_run_out() -> None:
    promised = replace(FAST, promise_s=10)
    record, _ = follow(QUIET, promised)
    assert record.at == NOW + timedelta(milliseconds=bite_ms(10) - 1_000)
    short = replace(promised, silent_ms=bite_ms(10) - 1, promise_s=0)
    assert follow(record, short)[0].state is FenceState.PLANNED
    record, steps = follow(record, replace(short, silent_ms=bite_ms(10)))
    assert (record.state, events(steps)) == (FenceState.RELEASED, [HostReleased])
    assert record.published().proof is Proof.WATCHDOG
    never = follow(QUIET, FAST, replace(FAST, silent_ms=10**9))[0]
    assert never.state is FenceState.PLANNED


def test_goodbye_is_a_proof_when_the_shutdown_must_be_over() -> None:
    said = replace(FAST, goodbye="powering-off")
    record, _ = follow(QUIET, said, replace(said, silent_ms=GOODBYE_MS - 1))
    assert record.state is FenceState.PLANNED
    record, _ = follow(record, replace(said, silent_ms=GOODBYE_MS))
    assert record.published().proof is Proof.GOODBYE


def test_release_is_withdrawn_when_the_host_is_heard_and_contradicted_when_it_was_given() -> None:
    planned, _ = follow(QUIET, FAST)
    _, steps = follow(planned, ALIVE)
    assert events(steps) == [ReleaseWithdrawn]
    released = fence_fsm.proven(planned, OFF, FAST, NOW).state
    assert released is not None
    same, steps = follow(released, ALIVE)
    (event,) = steps[0].events
    assert isinstance(event, ReleaseWithdrawn)
    assert event.contradicts
    assert same.state is FenceState.QUIET
    other = replace(ALIVE, boot_id=BootId("boot-2"))
    (event,) = follow(released, other)[1][0].events
    assert isinstance(event, ReleaseWithdrawn)
    assert not event.contradicts


def test_release_is_kept_when_the_monitor_has_just_started_and_heard_nobody() -> None:
    starting = replace(FAST, silent=False, silent_ms=0)
    for record in (
        follow(QUIET, FAST)[0],
        replace(follow(QUIET, FAST)[0], state=FenceState.RELEASED),
    ):
        assert follow(record, starting)[1] == []
    assert follow(QUIET, starting)[1] == []


def test_proof_of_another_loss_releases_nothing() -> None:
    record, _ = follow(QUIET, FAST)
    for seen in (
        replace(FAST, episode=2),
        replace(FAST, boot_id=BootId("x")),
        replace(FAST, heard=True),
    ):
        assert fence_fsm.proven(record, OFF, seen, NOW).state is record


class World:
    """A host that lives and dies as chance has it, and what its release machine makes of it."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.record = QUIET
        self.boot, self.episode, self.running = 1, 1, True
        self.silent_ms, self.lost, self.failed = 0, False, False
        self.connected, self.since_ack_ms = True, 0
        self.promise_s = self.dice.choice([0, 5])
        self.policy = self.dice.choice([FencePolicy.FAST, FencePolicy.GRACEFUL])
        self.has_bmc = self.dice.random() < 0.5
        self.off_asked: list[PowerOff] = []
        self.released: list[tuple[str, int]] = []
        self.now = NOW

    def levels(self) -> Levels:
        silent = self.silent_ms >= 1_000
        return Levels(
            boot_id=BootId(f"boot-{self.boot}"),
            episode=self.episode,
            lost=self.lost,
            failed=self.failed,
            locked=False,
            silent_ms=self.silent_ms,
            silent=silent,
            heard=not silent,
            promise_s=self.promise_s,
            policy=self.policy,
            has_bmc=self.has_bmc,
        )

    def turn(self) -> None:
        """Some time, some event, some loss of a message; then the machine settles."""
        ms = self.dice.choice([50, 200, 900, 3_000])
        self.now += timedelta(milliseconds=ms)
        hears = self.running and self.connected
        self.silent_ms = 0 if hears else self.silent_ms + ms
        self.since_ack_ms = 0 if hears else self.since_ack_ms + ms
        if self.promise_s and self.since_ack_ms >= self.promise_s * 1_000:
            self.running = False  # the watchdog bites
        self.lost = self.silent_ms >= 1_000 and (self.lost or self.dice.random() < 0.9)
        self.failed = self.lost and self.silent_ms >= 8_000
        event = self.dice.random()
        if event < 0.1:
            self.running = False
        elif event < 0.2:
            self.connected = not self.connected
        elif event < 0.35 and not self.running:
            self.boot, self.running, self.since_ack_ms = self.boot + 1, True, 0
            self.connected, self.silent_ms, self.lost, self.failed = True, 0, False, False
            self.episode += 1
        if self.dice.random() < 0.8:  # or mtce was killed before it committed
            self.carry_out(fence_fsm.settle(self.record, self.levels(), self.now))
        if self.off_asked and self.dice.random() < 0.5:
            self.answer(self.off_asked.pop(0))

    def answer(self, asked: PowerOff) -> None:
        """A power-off has ended: the boot that runs by then is off, and the BMC has said so."""
        if self.record.state is FenceState.PLANNED and self.record.key == asked[1:3]:
            self.running = False
            self.carry_out((fence_fsm.proven(self.record, OFF, self.levels(), self.now),))

    def carry_out(self, steps: Sequence[FenceStep]) -> None:
        for step in steps:
            assert step.state is not None
            for event in step.events:
                if isinstance(event, HostReleased):
                    release = event.release
                    assert release.proof is not None
                    assert (release.boot_id, release.episode) not in self.released
                    lives = self.running and release.boot_id == f"boot-{self.boot}"
                    assert not lives, f"released while it ran: {release.reason}"
                    self.released.append((release.boot_id, release.episode))
            self.off_asked += step.effects
            self.record = step.state


def test_no_release_without_proof_and_none_twice_whatever_happens_in_whatever_order() -> None:
    released = 0
    for seed in range(300):
        world = World(seed)
        try:
            for _ in range(120):
                world.turn()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        released += len(world.released)
    assert released > 100
