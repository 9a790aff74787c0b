"""Whose word counts among observers."""

import numpy as np

from murmuration.mtce.core.observers import OBSERVERS_MAX, STALE_NS, Observers, Word
from murmuration.mtce.core.verdict_table import Other

HEARD, NOBODY = np.ones(1, np.bool_), np.zeros(1, np.bool_)


def word(number: int, at_ns: int) -> Word:
    return Word(f"mtce-{number}", "controller-1", "", HEARD, NOBODY, at_ns)


def test_new_replica_counts_at_once_after_many_that_ended() -> None:
    observers = Observers(instance="mtce-0", machine="controller-0")
    for number in range(1, OBSERVERS_MAX + 1):  # each restart has a name of its own
        assert observers.hear(word(number, number))
    now_ns = OBSERVERS_MAX + STALE_NS
    assert observers.hear(word(99, now_ns))
    assert observers.opinion(np.array([0]), now_ns).tolist() == [Other.HEARS]


def test_no_more_observers_are_heard_at_once_than_a_site_has() -> None:
    observers = Observers(instance="mtce-0", machine="controller-0")
    for number in range(1, OBSERVERS_MAX + 1):
        assert observers.hear(word(number, 0))
    assert not observers.hear(word(99, 1))
    assert observers.hear(word(1, 1))
