"""When an alarm counts as flapping, and when no longer."""

from murmuration.fm.core.flapping import CALM_S, STEADY, TRANSITIONS, WINDOW_S, Flap, Flaps

KEY = ("300.001", "host=c-1.port=eth0")


def cycles(flaps: Flaps, count: int, *, every_s: float, start: float = 0.0) -> Flap:
    """So many raises, each with its clear half a period later; how it then flaps."""
    flap = STEADY
    for n in range(count):
        at = start + n * every_s
        flaps.raised(KEY, at)
        flap = flaps.cleared(KEY, raised_at=at, at=at + every_s / 2)
    return flap


def test_alarm_is_marked_when_it_changes_often_enough_within_the_window() -> None:
    flaps = Flaps()
    assert cycles(flaps, 2, every_s=60) == STEADY
    assert cycles(flaps, 1, every_s=60, start=120) == Flap(True, TRANSITIONS)
    assert flaps.raised(KEY, 200) == Flap(True, TRANSITIONS + 1)


def test_alarm_is_steady_when_it_changes_as_often_over_a_longer_time() -> None:
    assert cycles(Flaps(), 20, every_s=WINDOW_S / 2) == STEADY


def test_mark_stays_when_it_changes_less_and_goes_when_it_is_calm() -> None:
    flaps = Flaps()
    cycles(flaps, 3, every_s=10)
    at = 25.0
    for _ in range(5):
        at += CALM_S - 1
        assert flaps.raised(KEY, at).flapping
        assert list(flaps.calm(at + CALM_S - 1)) == []
    assert list(flaps.calm(at + CALM_S)) == [KEY]
    assert flaps.flap(KEY) == STEADY
    assert len(flaps) == 0


def test_nothing_is_kept_when_an_alarm_only_came_or_went_long_ago() -> None:
    flaps = Flaps()
    assert flaps.raised(KEY, 0) == STEADY
    assert len(flaps) == 0
    flaps.cleared(KEY, raised_at=0, at=1)
    assert len(flaps) == 1
    assert list(flaps.calm(1 + WINDOW_S)) == []
    assert len(flaps) == 0


def test_times_that_step_back_do_not_unsettle_the_order() -> None:
    flaps = Flaps()
    flaps.cleared(KEY, raised_at=100, at=90)
    assert flaps.raised(KEY, 50) == STEADY
    assert list(flaps.calm(100 + WINDOW_S)) == []
    assert len(flaps) == 0
