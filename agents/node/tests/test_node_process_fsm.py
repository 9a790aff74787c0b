"""The machine of a monitored process: restarts, damping, debounce, and nothing without a bound."""

import random
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from murmuration.node.core.process_fsm import (
    DAMPED_S_MAX,
    MACHINE,
    RESTART_GAP_S,
    Input,
    Phase,
    Watch,
    failure,
    step,
    watch_of,
)
from murmuration.node.core.process_spec import Mode, ProcessSpec

SPEC = ProcessSpec(name="p", restarts=3, interval_s=5, debounce_s=20, startup_s=5, pidfile="/p")


def running(spec: ProcessSpec = SPEC, now: float = 0.0) -> Watch:
    looking = step(watch_of(spec), Input.BEGIN, now).state
    return step(looking, Input.APPEARED, now, pid=7).state


def fail(watch: Watch, now: float) -> Watch:
    return step(watch, failure(watch, now), now, why="it ended").state


def restarted(watch: Watch, now: float) -> Watch:
    """A restart that is due or under way succeeds, and the process appears."""
    if watch.phase is Phase.PAUSING:
        watch = step(watch, Input.DUE, now).state
    looking = step(watch, Input.RESTARTED, now).state
    return step(looking, Input.APPEARED, now, pid=8).state


def test_every_pair_is_answered_and_leaves_a_sound_watch() -> None:
    for phase, given_ in product(Phase, Input):
        watch = Watch(spec=SPEC, phase=phase, failures=1, due=3.0)
        MACHINE.find(phase, given_)
        after = step(watch, given_, 10.0, pid=9, why="it ended").state
        assert (after.phase is Phase.PAUSING) <= (after.due is not None)
        assert after.pid == 0 or after.phase is Phase.RUNNING or after == watch


def test_first_death_is_answered_at_once() -> None:
    after = fail(running(now=100.0), 100.0)

    assert (after.phase, after.restarted_at, after.alarmed) == (Phase.RESTARTING, 100.0, False)


def test_further_deaths_wait_for_the_interval() -> None:
    again = fail(restarted(fail(running(), 100.0), 101.0), 102.0)

    assert (again.phase, again.due) == (Phase.PAUSING, 105.0)


def test_alarm_comes_over_the_restarts_and_goes_after_the_debounce() -> None:
    watch, now = running(), 0.0
    for _ in range(SPEC.restarts):
        watch = restarted(fail(watch, now), now)
        now += 10
        assert not watch.alarmed
    watch = fail(watch, now)
    assert (watch.alarmed, watch.phase) == (True, Phase.PAUSING)

    watch = restarted(watch, now + 10)
    assert watch.alarmed
    assert watch.due == now + 10 + SPEC.debounce_s
    watch = step(watch, Input.DUE, now + 10 + SPEC.debounce_s).state
    assert (watch.alarmed, watch.failures) == (False, 0)


def test_process_without_restarts_is_alarmed_and_never_started() -> None:
    spec = ProcessSpec(name="p", restarts=0, debounce_s=5)
    down = fail(running(spec), 1.0)
    assert (down.phase, down.alarmed, down.restart_count) == (Phase.DOWN, True, 0)

    back = step(down, Input.APPEARED, 9.0, pid=3).state
    assert step(back, Input.DUE, 14.0).state.alarmed is False


def test_storm_of_deaths_is_damped_to_the_longest_wait() -> None:
    watch, now, starts = running(ProcessSpec(name="p", restarts=2, debounce_s=60)), 0.0, 0
    while now < 3_600:
        watch = fail(watch, now)
        if watch.phase is Phase.PAUSING:
            assert watch.due is not None
            now = watch.due
        starts += 1
        watch = restarted(watch, now)
    assert starts < 25
    waiting = fail(watch, now)
    assert waiting.due is not None
    assert waiting.due - now <= DAMPED_S_MAX


def test_suspended_monitor_starts_nothing_and_forgets_failures() -> None:
    watch = step(fail(running(), 1.0), Input.SUSPEND, 2.0).state
    for given_ in Input:
        if given_ is not Input.RESUME:
            assert step(watch, given_, 3.0).state == watch
    assert (watch.phase, watch.failures) == (Phase.SUSPENDED, 0)
    assert step(watch, Input.RESUME, 4.0).state.phase is Phase.LOOKING


def test_ignored_process_is_never_touched() -> None:
    watch = watch_of(ProcessSpec(name="p", mode=Mode.IGNORE))
    assert all(step(watch, given_, 1.0).state == watch for given_ in Input)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 4), st.floats(0, 10))
def test_histories_never_start_too_often_nor_get_stuck(
    seed: int, restarts: int, interval_s: float
) -> None:
    dice, now = random.Random(seed), 0.0
    spec = ProcessSpec(name="p", restarts=restarts, interval_s=interval_s, debounce_s=3)
    watch, started_at = watch_of(spec), -1e9
    for _ in range(60):
        now += dice.random() * 4
        given_ = dice.choice((*Input, failure(watch, now)))
        if given_ in (Input.FAILED_NOW, Input.FAILED_SOON, Input.FAILED_OVER, Input.FAILED_FINAL):
            given_ = failure(watch, now)
        if given_ is Input.DUE:
            now = max(now, watch.due or now)
        before, watch = watch, step(watch, given_, now, pid=5, why="it ended").state
        if watch.restart_count > before.restart_count:
            assert restarts > 0, seed
            if before.phase is not Phase.SUSPENDED and before.restarted_at is not None:
                assert now - started_at >= RESTART_GAP_S - 1e-9, seed
            started_at = now
        assert watch.phase is not Phase.PAUSING or watch.due is not None, seed
        assert not (watch.alarmed and not watch.failures), seed
