"""Alarms that come and go: marked while they do, and until they have been calm.

A transition is a raise after a clear, or a clear. `TRANSITIONS` of one alarm within `WINDOW_S` mark
it as flapping; it stays so until `CALM_S` pass without another one. The two differ, so that the
mark itself does not flap.

Invariants: what is kept of an alarm is its last `TRANSITIONS` times, and only while they matter; an
alarm that was raised once costs nothing. `_due` names each of them once, with a time not later than
that at which it will have been calm: to look for calm ones costs nothing while there are none.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace
from typing import NamedTuple

TRANSITIONS = 6  # three times there and gone: once may be a repair, twice a reboot
WINDOW_S = 600.0
CALM_S = 600.0  # not below WINDOW_S, see `_due`

Key = tuple[str, str]  # (alarm id, entity): an alarm's uuid is another after each clear


@dataclass(frozen=True, slots=True)
class Flap:
    """How an alarm flaps; `count` counts its transitions since the mark was set."""

    flapping: bool
    count: int


STEADY = Flap(False, 0)


class _Known(NamedTuple):
    times: tuple[float, ...]  # of the last transitions, the newest last
    flap: Flap


class Flaps:
    """The alarms that have come and gone lately."""

    def __init__(self) -> None:
        self._known: dict[Key, _Known] = {}
        self._due: list[tuple[float, Key]] = []  # a heap

    def __len__(self) -> int:
        return len(self._known)

    def cleared(self, key: Key, *, raised_at: float, at: float) -> Flap:
        """An alarm went; `raised_at` is when it had come. Times in seconds since 1970."""
        known = self._known.get(key)
        if known is None:
            self._known[key] = _Known((raised_at,), STEADY)
            heappush(self._due, (raised_at + WINDOW_S, key))
        return self._transition(key, at)

    def raised(self, key: Key, at: float) -> Flap:
        """An alarm came; steady at once if it had not gone lately."""
        return self._transition(key, at) if key in self._known else STEADY

    def flap(self, key: Key) -> Flap:
        """How an alarm flaps, as last found."""
        known = self._known.get(key)
        return known.flap if known else STEADY

    def calm(self, now: float) -> Iterable[Key]:
        """Forget what has been calm; returns the alarms whose mark is taken off thereby."""
        freed: list[Key] = []
        while self._due and self._due[0][0] <= now:
            key = self._due[0][1]
            known = self._known[key]
            calm_at = known.times[-1] + (CALM_S if known.flap.flapping else WINDOW_S)
            if calm_at > now:
                heapreplace(self._due, (calm_at, key))
                continue
            heappop(self._due)
            del self._known[key]
            if known.flap.flapping:
                freed.append(key)
        return freed

    def _transition(self, key: Key, at: float) -> Flap:
        known = self._known[key]
        times = (*known.times, max(at, known.times[-1]))[-TRANSITIONS:]
        flap = known.flap
        if flap.flapping:
            flap = Flap(True, flap.count + 1)
        elif len(times) == TRANSITIONS and times[-1] - times[0] <= WINDOW_S:
            flap = Flap(True, TRANSITIONS)
        self._known[key] = _Known(times, flap)
        return flap
