"""What silence means: the table of everything a monitor may see of a host, and what it may say.

It is asked with five facts, each about one moment, and answers for all of their 72 combinations:

- whether the host is heard on NATS, and whether by UDP (a path silent for the failure threshold);
- whether the monitor is sound: it was on time, and its own link has a carrier;
- what another observer (another replica of mtce) says of the same host;
- whether something proves that the monitor's own reach is whole.

A host is accused by one row alone: silent on both paths, before a sound monitor whose reach is
proven, and nobody hears it. All else is a note, or patience; never a failure.
"""

import enum
from itertools import product
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from murmuration.mtce.core.frames import Ints


class Other(enum.IntEnum):
    """What other observers say of a host."""

    ABSENT = 0  # there is none, it is not heard, it does not know, or it doubts itself
    AGREES = 1  # one that does not doubt itself finds the host silent, and none hears it
    HEARS = 2  # one that does not doubt itself hears the host


class Reach(enum.IntEnum):
    """What proves that the monitor's own reach is whole."""

    NONE = 0  # nothing from outside this machine is heard
    WITNESS = 1  # no host, but a second witness: an observer elsewhere, or in a small site own link
    OTHERS = 2  # another host is heard


class Outcome(enum.IntEnum):
    """What the monitor says."""

    NOTHING = 0
    PATH_ALARM = 1  # the host's UDP path is at fault
    BUS_ALARM = 2  # the host's way to the bus is at fault
    WAIT = 3  # the monitor doubts itself
    DISPUTED = 4  # observers differ: a path is at fault, not the host
    OWN_REACH = 5  # one cause for all: the monitor's own reach
    ACCUSED = 6  # the silence is the host's: minor, degraded or lost by its length


class Case(NamedTuple):
    """One combination of facts."""

    bus_heard: bool
    udp_heard: bool
    sound: bool
    other: Other
    reach: Reach


class Rule(NamedTuple):
    """Which cases a rule speaks of (None: any), what it says, and why."""

    bus_heard: bool | None
    udp_heard: bool | None
    sound: bool | None
    other: tuple[Other, ...] | None
    reach: tuple[Reach, ...] | None
    outcome: Outcome
    reason: str

    def speaks_of(self, case: Case) -> bool:
        """Whether this rule is for that case."""
        return (
            self.bus_heard in (None, case.bus_heard)
            and self.udp_heard in (None, case.udp_heard)
            and self.sound in (None, case.sound)
            and (self.other is None or case.other in self.other)
            and (self.reach is None or case.reach in self.reach)
        )


_NOBODY_HEARS = (Other.ABSENT, Other.AGREES)
_PROVEN = (Reach.WITNESS, Reach.OTHERS)

RULES: Final = (
    Rule(True, True, None, None, None, Outcome.NOTHING, "it is heard on NATS and by UDP"),
    Rule(
        *(True, False, None, None, None, Outcome.PATH_ALARM),
        "it is heard on NATS, so it lives; its frames by UDP do not come through",
    ),
    Rule(
        *(False, True, None, None, None, Outcome.BUS_ALARM),
        "it is heard by UDP, so it lives; its frames on NATS do not come through",
    ),
    Rule(
        *(False, False, None, (Other.HEARS,), None, Outcome.DISPUTED),
        "another observer hears it, so it lives; the way from it to this observer is at fault",
    ),
    Rule(
        *(False, False, False, _NOBODY_HEARS, None, Outcome.WAIT),
        "the monitor itself was late or has no link: silence is no news until it is sound",
    ),
    Rule(
        *(False, False, True, _NOBODY_HEARS, (Reach.NONE,), Outcome.OWN_REACH),
        "nothing at all is heard from outside: one cause explains it, the monitor's own reach",
    ),
    Rule(
        *(False, False, True, _NOBODY_HEARS, _PROVEN, Outcome.ACCUSED),
        "silent on both paths while the monitor's reach is proven, and nobody hears it",
    ),
)


def rule_of(case: Case) -> Rule:
    """The one rule that speaks of a case."""
    (found,) = (rule for rule in RULES if rule.speaks_of(case))
    return found


def cases() -> list[Case]:
    """Every combination of facts."""
    both = (False, True)
    return [Case(*facts) for facts in product(both, both, both, Other, Reach)]


def _array() -> npt.NDArray[np.int8]:
    table = np.zeros((2, 2, 2, len(Other), len(Reach)), np.int8)
    for case in cases():
        table[tuple(int(fact) for fact in case)] = rule_of(case).outcome
    return table


_OUTCOMES: Final = _array()


def silent(*, sound: bool, other: Ints, reach: Ints) -> Ints:
    """The outcome for each of many hosts that are silent on both paths."""
    return _OUTCOMES[0, 0, int(sound)][other, reach].astype(np.int64)


def paths(*, bus_heard: npt.NDArray[np.bool_], udp_heard: npt.NDArray[np.bool_]) -> Ints:
    """The outcome for each of many hosts that are heard on one path at least."""
    by_path = _OUTCOMES[:, :, 1, Other.ABSENT, Reach.OTHERS]
    return by_path[bus_heard.astype(np.int64), udp_heard.astype(np.int64)].astype(np.int64)
