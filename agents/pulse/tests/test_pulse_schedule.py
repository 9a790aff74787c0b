"""The schedule neither drifts nor bursts."""

from hypothesis import given
from hypothesis import strategies as st

from murmuration.pulse.schedule import next_due, steps_per_period

PERIOD = 100_000_000


@given(st.lists(st.integers(0, PERIOD - 1), min_size=1, max_size=50))
def test_grid_stays_when_every_beat_is_a_little_late(lateness: list[int]) -> None:
    due = 0
    for late in lateness:
        due = next_due(due, due + late, PERIOD)

    assert due == len(lateness) * PERIOD


@given(late=st.integers(PERIOD, 10**15))
def test_next_beat_is_a_period_after_now_when_one_or_more_were_missed(late: int) -> None:
    assert next_due(0, late, PERIOD) == late + PERIOD


@given(period=st.integers(50, 1_000), most=st.integers(10, 1_000))
def test_steps_are_never_longer_than_asked(period: int, most: int) -> None:
    steps = steps_per_period(period, most)

    assert period / steps <= most
    assert steps == 1 or period / (steps - 1) > most
