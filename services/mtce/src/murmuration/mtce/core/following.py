"""Messages that tell nothing but that their hosts go on: nearly all there are, taken at once.

What is here does what `Attendance.take` would do with them, in a tenth of the operations. Whoever
is not settled, or says anything else than was expected, is left to that.
"""

from typing import Final, NamedTuple

import numpy as np

from murmuration.mtce.core.frames import (
    WITHOUT_SHARD,
    Ints,
    Mask,
    Word,
    every,
    framed,
    indexes,
    whole,
)
from murmuration.mtce.core.freshness import LATE_PERIODS, Freshness

# What a host that goes on changes, or is measured by: a cache line of the attendance.
COLUMNS: Final = (
    *("_shard", "_token", "_period_ns", "_heard_ns"),
    *("_path_bus_ns", "_excused_at_ns", "_good", "_window_bus"),
)
_SHARD, _TOKEN, _PERIOD, _HEARD, _PATH_BUS, _EXCUSED_AT, _GOOD, _WINDOW_BUS = range(len(COLUMNS))


class Found(NamedTuple):
    """`follows`: which rows; of these whose, what is kept of the host, and is expected then."""

    follows: Mask
    of: Ints
    hosts: Ints
    expected: Ints
    minor_ns: Ints


def alone(mark: Ints, index: Ints) -> Mask:
    """Which rows are the only one of their host, or the last one. `mark` is scratch, by index."""
    place = np.arange(len(index))
    mark[index] = place
    found: Mask = mark[index] == place
    return found


def find(
    rows: Ints, received_ns: int, *, table: Ints, mark: Ints, fresh: Freshness, minor: int
) -> Found:
    """The messages that follow, each of another host; none behind one that is no whole pulse.

    `table` has COLUMNS by index; `minor` is the periods of silence that make a host minor.
    """
    index = np.minimum(indexes(rows), len(table) - 1)
    hosts = table.take(index, axis=0)
    period_ns = hosts[:, _PERIOD]
    minor_ns, late_ns = minor * period_ns, LATE_PERIODS * period_ns
    follows, expected = fresh.follow(
        rows, index, silent_ns=minor_ns, late_ns=late_ns, received_ns=received_ns
    )
    follows &= framed(rows)
    follows &= rows[:, Word.SHARD] & WITHOUT_SHARD == hosts[:, _SHARD]
    follows &= rows[:, Word.TOKEN] == hosts[:, _TOKEN]
    follows &= alone(mark, index)
    if every(follows):
        return Found(follows, index, hosts, expected, minor_ns)
    follows[whole(rows) :] = False
    return Found(follows, index[follows], hosts[follows], expected[follows], minor_ns[follows])


def go_on(hosts: Ints, *, received_ns: int, excused_ns: int) -> None:
    """The hosts were heard once more."""
    hosts[:, _HEARD] = hosts[:, _PATH_BUS] = received_ns
    hosts[:, _EXCUSED_AT] = excused_ns
    hosts[:, _GOOD] += 1
    hosts[:, _WINDOW_BUS] += 1
