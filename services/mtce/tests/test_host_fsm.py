import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from murmuration.mtce import diagram
from murmuration.mtce.core.host_fsm import ALARMS, MACHINE, HostStep, Input, admit, settle, step
from murmuration.mtce.core.model import (
    AlarmOrder,
    Condition,
    Declared,
    HostRecord,
    Observation,
)
from murmuration.proto.fm import RaiseAlarm, Severity
from murmuration.proto.ids import BootId, HostName
from murmuration.proto.mtce import Availability, HeartbeatState, HostForgotten, Operational
from murmuration.proto.sysinv import Administrative

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAME = HostName("worker-1")
LEGAL = {
    "locked-disabled-offline",
    "locked-disabled-online",
    "unlocked-disabled-offline",
    "unlocked-disabled-online",
    "unlocked-disabled-failed",
    "unlocked-enabled-available",
    "unlocked-enabled-degraded",
}
LEVEL_OF = {
    Input.WELL: HeartbeatState.WELL,
    Input.MINOR: HeartbeatState.MINOR,
    Input.DEGRADED: HeartbeatState.DEGRADED,
    Input.LOST: HeartbeatState.LOST,
}


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
    )


def declared(administrative: Administrative) -> Declared:
    return Declared(name=NAME, index=7, period_ms=100, administrative=administrative)


def state(found: HostStep) -> HostRecord:
    assert found.state is not None
    return found.state


class Alarms:
    """What fm would hold if it did as it is told."""

    def __init__(self) -> None:
        self.active: dict[str, Severity] = {}

    def apply(self, orders: tuple[AlarmOrder, ...]) -> None:
        for order in orders:
            assert order.entity == "host=worker-1"
            if isinstance(order, RaiseAlarm):
                assert self.active.get(order.alarm_id) != order.severity, "raised twice"
                self.active[order.alarm_id] = order.severity
            else:
                del self.active[order.alarm_id]  # clearing what is not raised is a fault


def test_every_condition_is_one_of_the_legal_combinations():
    assert {str(condition) for condition in Condition} == LEGAL


@pytest.mark.parametrize("condition", list(Condition), ids=lambda c: c.name)
@pytest.mark.parametrize("sent", list(Input), ids=lambda i: i.name)
def test_every_pair_of_condition_and_input_has_one_answer(condition: Condition, sent: Input):
    seen = observation(LEVEL_OF.get(sent, HeartbeatState.AWAITED), boot="boot-b", silent_ms=1_000)
    before = record(condition, HeartbeatState.AWAITED)
    found = step(before, sent, seen, NOW)
    transition = MACHINE.find(condition, sent)
    assert found.reason
    if transition is None:
        assert found == HostStep(state=before, events=(), effects=(), reason=before.reason)
    elif transition.to is None:
        assert found.state is None
        assert isinstance(found.events[0], HostForgotten)
    else:
        assert state(found).condition is transition.to
        assert found == step(before, sent, seen, NOW), "the same input gave another step"
    alarms = Alarms()
    alarms.active = {kind.alarm_id: kind.severity for kind in ALARMS[condition]}
    alarms.apply(found.effects)
    expected = ALARMS[found.state.condition] if found.state else frozenset()
    assert alarms.active == {kind.alarm_id: kind.severity for kind in expected}


def test_host_goes_from_available_over_degraded_to_failed_and_back():
    alarms = Alarms()
    current = record(Condition.AVAILABLE)
    seen_conditions: list[str] = []
    for sent, silent_ms in (
        (Input.MINOR, 400),
        (Input.DEGRADED, 600),
        (Input.LOST, 1_000),
        (Input.WELL, 10),
    ):
        found = step(current, sent, observation(LEVEL_OF[sent], silent_ms=silent_ms), NOW)
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


def test_reason_has_the_figures_and_the_good_bye_when_a_host_is_lost():
    seen = observation(HeartbeatState.LOST, silent_ms=1_023, stopping=True)
    found = step(record(Condition.AVAILABLE), Input.LOST, seen, NOW)
    assert found.reason == (
        "worker-1 is failed: no pulse for 1023 ms after it said good-bye:"
        " 10 of 100 ms missed on NATS and UDP"
    )
    assert state(found).last_heard_at == NOW - timedelta(milliseconds=1_023)


def test_host_leaves_service_and_waits_for_good_pulses_when_it_rebooted_unnoticed():
    seen = observation(boot="boot-b")
    (found,) = settle(record(Condition.AVAILABLE), Administrative.UNLOCKED, seen, NOW)
    after = state(found)
    assert after.condition is Condition.UNLOCKED_ONLINE
    assert after.boot_id == "boot-b"
    assert after.heartbeat is HeartbeatState.AWAITED
    back = settle(
        after, Administrative.UNLOCKED, observation(HeartbeatState.WELL, boot="boot-b"), NOW
    )
    assert state(back[-1]).condition is Condition.AVAILABLE


def test_locked_host_that_beats_goes_into_service_in_one_settling_when_it_is_unlocked():
    steps = settle(
        record(Condition.LOCKED_ONLINE),
        Administrative.UNLOCKED,
        observation(HeartbeatState.WELL),
        NOW,
    )
    assert [state(one).condition for one in steps] == [
        Condition.UNLOCKED_ONLINE,
        Condition.AVAILABLE,
    ]


def test_alarms_are_cleared_when_a_failed_host_is_locked():
    (found,) = settle(
        record(Condition.UNLOCKED_FAILED, HeartbeatState.LOST),
        Administrative.LOCKED,
        observation(HeartbeatState.LOST, silent_ms=90_000),
        NOW,
    )
    assert state(found).condition is Condition.LOCKED_OFFLINE
    assert [order.alarm_id for order in found.effects] == ["200.004", "200.005"]
    assert not any(isinstance(order, RaiseAlarm) for order in found.effects)


def test_nothing_is_to_do_when_record_intent_and_observation_agree():
    seen = observation(HeartbeatState.WELL)
    assert settle(record(Condition.AVAILABLE), Administrative.UNLOCKED, seen, NOW) == ()


def test_restart_disturbs_nothing_when_no_pulse_was_judged_yet():
    for condition in Condition:
        before = record(condition)
        intended = condition.value.administrative
        assert settle(before, intended, observation(heard=False), NOW) == ()


def test_admitted_host_has_no_alarm_and_is_enabled_by_nothing_but_pulses():
    found = admit(declared(Administrative.UNLOCKED), NOW)
    assert state(found).condition is Condition.UNLOCKED_OFFLINE
    assert found.effects == ()
    assert settle(state(found), Administrative.UNLOCKED, observation(), NOW) == ()


levels = st.sampled_from(list(HeartbeatState)[:5])
boots = st.sampled_from(["boot-a", "boot-b", "boot-c"])
intents = st.sampled_from([Administrative.LOCKED, Administrative.UNLOCKED])
happenings = st.lists(st.tuples(intents, levels, boots, st.integers(0, 50_000)), max_size=40)


def walk(
    current: HostRecord, story: list[tuple[Administrative, HeartbeatState, str, int]]
) -> tuple[HostRecord, Alarms]:
    alarms = Alarms()
    alarms.active = {kind.alarm_id: kind.severity for kind in ALARMS[current.condition]}
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
        assert (current.condition.value.administrative) is intended
    return current, alarms


def check(current: HostRecord, alarms: Alarms) -> None:
    axes = current.condition.value
    assert str(current.condition) in LEGAL
    assert (axes.operational is Operational.ENABLED) == (
        axes.availability in (Availability.AVAILABLE, Availability.DEGRADED)
    )
    expected = {kind.alarm_id: kind.severity for kind in ALARMS[current.condition]}
    assert alarms.active == expected, "alarms are not those of the condition"


@settings(max_examples=300, deadline=None)
@given(story=happenings, begin=intents)
def test_any_history_keeps_the_invariants_and_ends_in_service_when_an_unlocked_host_beats_well(
    story: list[tuple[Administrative, HeartbeatState, str, int]], begin: Administrative
):
    current, _ = walk(state(admit(declared(begin), NOW)), story)
    well = observation(HeartbeatState.WELL, boot="boot-z")
    end = settle(current, Administrative.UNLOCKED, well, NOW)
    final = state(end[-1]) if end else current
    assert final.condition is Condition.AVAILABLE
    assert final.heartbeat is HeartbeatState.WELL
    assert final.boot_id == "boot-z"


@settings(max_examples=150, deadline=None)
@given(story=happenings, cut=st.integers(0, 40))
def test_a_restart_at_any_point_changes_no_outcome(
    story: list[tuple[Administrative, HeartbeatState, str, int]], cut: int
):
    first = state(admit(declared(Administrative.UNLOCKED), NOW))
    whole, _ = walk(first, story)
    half, _ = walk(first, story[:cut])
    reloaded = replace(half)  # what the database gives back after a restart
    rest, _ = walk(reloaded, story[cut:])
    assert (rest.condition, rest.heartbeat, rest.boot_id, rest.episode) == (
        whole.condition,
        whole.heartbeat,
        whole.boot_id,
        whole.episode,
    )


def test_long_random_histories_keep_the_invariants():
    seed = random.SystemRandom().getrandbits(32)
    dice = random.Random(seed)
    story = [
        (
            dice.choice([Administrative.LOCKED, Administrative.UNLOCKED]),
            dice.choice(list(LEVEL_OF.values())),
            dice.choice(["boot-a", "boot-b"]),
            dice.randrange(20_000),
        )
        for _ in range(5_000)
    ]
    try:
        walk(state(admit(declared(Administrative.LOCKED), NOW)), story)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}") from error


def test_generated_diagram_is_current():
    path = Path(__file__).parents[3] / "docs" / "generated" / "mtce-host.md"
    assert diagram.main(["--check", str(path)]) == 0
