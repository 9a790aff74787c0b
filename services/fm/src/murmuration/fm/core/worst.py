"""The worst of many alarms at any time, without looking at all of them.

What an alarm affects is a number in the alarm itself: bits, and above them how bad it is. Alarms
stand in a heap for each rank; one that went, or counts otherwise now, is recognised by that number
and passed where it comes up.

Invariants: `count` is exact; a heap holds each member once at least, and at most twice as many
entries as it has members, but for a few.
"""

from heapq import heapify, heappop, heappush

from murmuration.fm.core.faults import Fault

NOTHING = 0
PRESENT = 1  # it counts at all
MANAGEMENT = 2
DEGRADE = 4
_BITS = 3
_RANK = {"critical": 0, "major": 1, "minor": 2, "warning": 3}
_LEAST = 4
_SPARE = 64  # entries of those that went, in a small heap


def ranked(effect: int, severity: str) -> int:
    """What an alarm of this severity affects, with its rank."""
    return effect and effect | _RANK.get(severity, _LEAST) << _BITS


class Worst:
    """The alarms that have one bit, worst first: by severity, then by time, then by uuid."""

    __slots__ = ("_bit", "_counts", "_heaps")

    def __init__(self, bit: int) -> None:
        """`bit` of an alarm's effect makes it a member."""
        self._bit = bit
        self._heaps: list[list[Fault]] = [[] for _ in range(_LEAST + 1)]
        self._counts = [0] * (_LEAST + 1)

    @property
    def count(self) -> int:
        """How many alarms there are."""
        return sum(self._counts)

    def put(self, fault: Fault) -> bool:
        """Take in an alarm whose effect was set, and was another before; whether it is a member."""
        if not fault.effect & self._bit:
            return False
        rank = fault.effect >> _BITS
        self._counts[rank] += 1
        heappush(self._heaps[rank], fault)
        return True

    def drop(self, effect: int) -> bool:
        """An alarm has this effect no longer; returns whether it was a member."""
        if not effect & self._bit:
            return False
        rank = effect >> _BITS
        self._counts[rank] -= 1
        heap = self._heaps[rank]
        if len(heap) > 2 * self._counts[rank] + _SPARE:
            heap[:] = {fault for fault in heap if self._is_member(fault, rank)}
            heapify(heap)
        return True

    def first(self, most: int) -> list[Fault]:
        """The worst, at most so many."""
        found: list[Fault] = []
        for rank, heap in enumerate(self._heaps):
            before = len(found)
            while heap and len(found) < most:
                fault = heappop(heap)
                if self._is_member(fault, rank) and fault not in found[-1:]:
                    found.append(fault)
            for fault in found[before:]:
                heappush(heap, fault)
        return found

    def _is_member(self, fault: Fault, rank: int) -> bool:
        return bool(fault.effect & self._bit) and fault.effect >> _BITS == rank
