import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from murmuration.mtce import diagram
from murmuration.mtce.core.alarms import alarms_of
from murmuration.mtce.core.host_fsm import LEVELS, MACHINE, Input, move
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.model import (
    Condition,
    Declared,
    HostOutcome,
    HostRecord,
    HostStep,
    Observation,
    Work,
)
from murmuration.mtce.core.policy import Policy
from murmuration.proto.fm import ClearAlarm, RaiseAlarm, Severity
from murmuration.proto.ids import BootId, HostName
from murmuration.proto.mtce import Availability, HeartbeatState, Operational
from murmuration.proto.sysinv import Administrative

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAME = HostName("worker-1")
MACHINES = Machines(Policy(heartbeat_soak_s=0.0, recovery_listen_s=7.0))  # soaked at once
LEGAL = {
    "locked-disabled-offline",
    "locked-disabled-online",
    "locked-disabled-power-off",
    "unlocked-disabled-offline",
    "unlocked-disabled-online",
    "unlocked-disabled-intest",
    "unlocked-disabled-failed",
    "unlocked-disabled-power-off",
    "unlocked-enabled-available",
    "unlocked-enabled-degraded",
}
SERVING = (Condition.AVAILABLE, Condition.DEGRADED)


def observation(
    heartbeat: HeartbeatState = HeartbeatState.AWAITED,
    *,
    boot: str = "boot-a",
    silent_ms: int = 0,
    stopping: bool = False,
    heard: bool = True,
) -> Observation:
    return Observation(
        heartbeat=heartbeat,
        boot_id=BootId(boot),
        heard=heard,
        silent_ms=silent_ms,
        excused_ms=0,
        silent_bus_ms=silent_ms,
        silent_udp_ms=silent_ms,
        period_ms=100,
        good_count=10,
        stopping=stopping,
    )


def record(condition: Condition, heartbeat: HeartbeatState = HeartbeatState.WELL) -> HostRecord:
    return HostRecord(
        name=NAME,
        index=7,
        condition=condition,
        heartbeat=heartbeat,
        boot_id=BootId("boot-a"),
        episode=1,
        last_heard_at=None,
        changed_at=NOW,
        reason="as the test wants it",
        work=Work(failed=condition is Condition.UNLOCKED_FAILED),
    )


def declared(administrative: Administrative = Administrative.UNLOCKED) -> Declared:
    return Declared(name=NAME, index=7, period_ms=100, administrative=administrative)


def settle(
    current: HostRecord, administrative: Administrative, seen: Observation, now: datetime = NOW
) -> tuple[HostStep, ...]:
    return MACHINES.settle(current, declared(administrative), seen, now)


def state(found: HostStep) -> HostRecord:
    assert found.state is not None
    return found.state


class Alarms:
    """What fm would hold if it did as it is told."""

    def __init__(self) -> None:
        self.active: dict[str, Severity] = {}

    def apply(self, outcomes: tuple[HostOutcome, ...]) -> None:
        for order in outcomes:
            if isinstance(order, RaiseAlarm):
                assert self.active.get(order.alarm_id) != order.severity, "raised twice"
                self.active[order.alarm_id] = order.severity
            elif isinstance(order, ClearAlarm):
                del self.active[order.alarm_id]  # clearing what is not raised is a fault


def expected(current: HostRecord) -> dict[str, Severity]:
    return {kind.alarm_id: kind.severity for kind in alarms_of(current)}


def test_every_condition_is_one_of_the_legal_combinations():
    assert {str(condition) for condition in Condition} == LEGAL


@pytest.mark.parametrize("condition", list(Condition), ids=lambda c: c.name)
@pytest.mark.parametrize("sent", list(Input), ids=lambda i: i.name)
def test_every_pair_of_condition_and_input_keeps_the_rules(condition: Condition, sent: Input):
    after = move(condition, sent)
    if sent is Input.FORGET:
        assert after is None
        return
    assert after is not None
    if after in SERVING and condition not in SERVING:
        assert sent is Input.SERVE, "only a procedure puts a host into service"
    if condition.locked != after.locked:
        assert sent in (Input.LOCK, Input.UNLOCK), "only an operator locks and unlocks"
    if condition.locked:
        assert after is not Condition.UNLOCKED_FAILED
    if sent in LEVELS:
        assert MACHINE.find(condition, sent) is not None, "what is heard is never passed over"


def test_host_goes_from_available_over_degraded_to_failed_and_back():
    alarms = Alarms()
    current = record(Condition.AVAILABLE)
    seen_conditions: list[str] = []
    for level, silent_ms in (
        (HeartbeatState.MINOR, 400),
        (HeartbeatState.DEGRADED, 600),
        (HeartbeatState.LOST, 1_000),
        (HeartbeatState.WELL, 10),
    ):
        (found,) = settle(current, Administrative.UNLOCKED, observation(level, silent_ms=silent_ms))
        alarms.apply(found.effects)
        current = state(found)
        active = ",".join(f"{key}={value}" for key, value in sorted(alarms.active.items()))
        seen_conditions.append(f"{current.condition} {active}".strip())
    assert seen_conditions == [
        "unlocked-enabled-available",
        "unlocked-enabled-degraded 200.005=major",
        "unlocked-disabled-failed 200.004=critical,200.005=critical",
        "unlocked-enabled-available",
    ]
    assert current.episode == 2


def test_alarm_of_the_silence_stands_until_another_boot_beats_well():
    alarms = Alarms()
    current = record(Condition.AVAILABLE)
    active: list[list[str]] = []
    for level, boot in (
        (HeartbeatState.LOST, ""),
        (HeartbeatState.AWAITED, "boot-b"),
        (HeartbeatState.WELL, "boot-b"),
    ):
        seen = observation(level, boot=boot, silent_ms=1_000)
        for found in settle(current, Administrative.UNLOCKED, seen):
            alarms.apply(found.effects)
            current = state(found)
        active.append(sorted(alarms.active))
    assert active[:2] == [["200.004", "200.005"], ["200.004", "200.005"]]
    assert "200.005" not in active[2]


def test_reason_has_the_figures_and_the_good_bye_when_a_host_is_lost():
    seen = observation(HeartbeatState.LOST, silent_ms=1_023, stopping=True)
    (found,) = settle(record(Condition.AVAILABLE), Administrative.UNLOCKED, seen)
    assert found.reason == (
        "worker-1 is failed: no pulse for 1023 ms after it said good-bye:"
        " 10 of 100 ms missed on NATS and UDP"
    )
    assert state(found).last_heard_at == NOW - timedelta(milliseconds=1_023)


def test_host_leaves_service_and_waits_for_good_pulses_when_it_rebooted_unnoticed():
    seen = observation(boot="boot-b")
    (found,) = settle(record(Condition.AVAILABLE), Administrative.UNLOCKED, seen)
    after = state(found)
    assert after.condition is Condition.UNLOCKED_ONLINE
    assert after.boot_id == "boot-b"
    assert after.heartbeat is HeartbeatState.AWAITED
    back = settle(after, Administrative.UNLOCKED, observation(HeartbeatState.WELL, boot="boot-b"))
    assert state(back[-1]).condition is Condition.AVAILABLE


def test_locked_host_that_beats_goes_into_service_in_one_settling_when_it_is_unlocked():
    steps = settle(
        record(Condition.LOCKED_ONLINE), Administrative.UNLOCKED, observation(HeartbeatState.WELL)
    )
    assert state(steps[-1]).condition is Condition.AVAILABLE


def test_alarm_says_locked_and_others_are_cleared_when_a_failed_host_is_locked():
    (found,) = settle(
        record(Condition.UNLOCKED_FAILED, HeartbeatState.LOST),
        Administrative.LOCKED,
        observation(HeartbeatState.LOST, silent_ms=90_000),
    )
    assert state(found).condition is Condition.LOCKED_OFFLINE
    raised = [order.alarm_id for order in found.effects if isinstance(order, RaiseAlarm)]
    cleared = [order.alarm_id for order in found.effects if isinstance(order, ClearAlarm)]
    assert raised == ["200.001"]
    assert cleared == ["200.004", "200.005"]


def test_nothing_is_to_do_when_record_intent_and_observation_agree():
    seen = observation(HeartbeatState.WELL)
    assert settle(record(Condition.AVAILABLE), Administrative.UNLOCKED, seen) == ()


def test_restart_disturbs_nothing_when_no_pulse_was_judged_yet():
    for condition in (*SERVING, Condition.LOCKED_ONLINE, Condition.LOCKED_OFFLINE):
        before = record(condition)
        if condition is Condition.DEGRADED:
            continue  # without a cause it would be healed
        intended = condition.value.administrative
        assert settle(before, intended, observation(heard=False)) == ()


def test_admitted_host_has_no_alarm_and_is_enabled_by_nothing_but_pulses():
    found = MACHINES.admit(declared(), observation(), NOW)
    assert state(found).condition is Condition.UNLOCKED_OFFLINE
    assert found.effects == ()
    assert settle(state(found), Administrative.UNLOCKED, observation()) == ()


levels = st.sampled_from(list(HeartbeatState)[:5])
boots = st.sampled_from(["boot-a", "boot-b", "boot-c"])
intents = st.sampled_from([Administrative.LOCKED, Administrative.UNLOCKED])
happenings = st.lists(st.tuples(intents, levels, boots, st.integers(0, 50_000)), max_size=40)


def walk(
    current: HostRecord, story: list[tuple[Administrative, HeartbeatState, str, int]]
) -> HostRecord:
    alarms = Alarms()
    alarms.active = expected(current)
    now = NOW
    for intended, level, boot, silent_ms in story:
        now += timedelta(milliseconds=silent_ms)
        seen = observation(level, boot=boot, silent_ms=silent_ms)
        steps = settle(current, intended, seen, now)
        assert steps == settle(current, intended, seen, now), "not deterministic"
        for one in steps:
            alarms.apply(one.effects)
            current = state(one)
            check(current, alarms)
        assert settle(current, intended, seen, now) == (), "a level fed twice changed something"
        assert current.condition.value.administrative is intended
    return current


def check(current: HostRecord, alarms: Alarms) -> None:
    axes = current.condition.value
    assert (axes.operational is Operational.ENABLED) == (
        axes.availability in (Availability.AVAILABLE, Availability.DEGRADED)
    )
    assert alarms.active == expected(current), "alarms are not those of the record"


@settings(max_examples=200, deadline=None)
@given(story=happenings, begin=intents)
def test_any_history_keeps_the_invariants_and_ends_in_service_when_an_unlocked_host_beats_well(
    story: list[tuple[Administrative, HeartbeatState, str, int]], begin: Administrative
):
    first = state(MACHINES.admit(declared(begin), observation(heard=False), NOW))
    current = walk(first, story)
    current = walk(current, [(Administrative.LOCKED, HeartbeatState.AWAITED, "", 0)])
    well = observation(HeartbeatState.WELL, boot="boot-z")
    end = settle(current, Administrative.UNLOCKED, well)
    final = state(end[-1]) if end else current
    assert final.condition is Condition.AVAILABLE
    assert final.heartbeat is HeartbeatState.WELL
    assert final.boot_id == "boot-z"


def test_long_random_histories_keep_the_invariants():
    seed = random.SystemRandom().getrandbits(32)
    dice = random.Random(seed)
    story = [
        (
            dice.choice([Administrative.LOCKED, Administrative.UNLOCKED]),
            dice.choice(list(HeartbeatState)[1:5]),
            dice.choice(["boot-a", "boot-b"]),
            dice.randrange(20_000),
        )
        for _ in range(2_000)
    ]
    first = state(MACHINES.admit(declared(Administrative.LOCKED), observation(heard=False), NOW))
    try:
        walk(first, story)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}") from error


def test_generated_diagram_is_current():
    path = Path(__file__).parents[3] / "docs" / "generated" / "mtce-host.md"
    assert diagram.main(["--check", str(path)]) == 0


def test_released_boot_stays_released_when_a_replica_knows_only_the_boot_before_it() -> None:
    lost = replace(
        record(Condition.UNLOCKED_FAILED, HeartbeatState.LOST),
        boot_id=BootId("boot-b"),
        work=Work(failed=True, released=True),
    )
    stale = observation(HeartbeatState.LOST, boot="boot-a", silent_ms=60_000)
    for step in MACHINES.settle(lost, declared(), stale, NOW):
        assert step.state is not None
        lost = step.state
    assert lost.work.released, "its boot is not known to have ended"
    assert lost.boot_id == "boot-b"
