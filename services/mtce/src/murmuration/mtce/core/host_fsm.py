"""The machine of a host's condition: from locked over tested and in service to failed, and back.

It governs the administrative, operational and availability state (ITU-T X.731) of an accepted host,
which move together only along the table below. Procedures (`core/procedure.py`) move it by inputs;
pulses do so at any time.

Invariants
- Every condition is legal: the enum has no other members.
- A host serves only after a procedure said so (SERVE); never by an intent, never by pulses alone.
- Who beats is not off: pulses outweigh what a BMC says.
- A locked host is never failed: nobody relies on it.
"""

import enum
from collections.abc import Iterable

from murmuration.kernel.fsm import Machine, Transition
from murmuration.mtce.core.model import Condition


class Input(enum.Enum):
    """What may happen to a host's condition."""

    WELL = "well"  # enough good pulses in a row
    MINOR = "minor"  # some pulses missing
    DEGRADED = "degraded"  # more pulses missing
    LOST = "lost"  # silent on every path beyond the failure threshold
    DOWN = "down"  # likewise, and it was expected: it is being restarted
    REBOOTED = "rebooted"  # beats under another boot id than the recorded one
    LOCK = "lock"  # it is out of service, as the operator wants it
    UNLOCK = "unlock"  # the operator wants it in service
    TEST = "test"  # it is being tested
    SERVE = "serve"  # it has proven that it can serve
    FAIL = "fail"  # it has proven that it cannot
    POWERED_OFF = "powered-off"  # its BMC says that it is off
    POWERED_ON = "powered-on"  # its BMC says that it is on again
    ILL = "ill"  # something is wrong with it that does not keep it from serving
    HEALED = "healed"  # nothing is any more
    FORGET = "forget"  # it was removed from the inventory


C, G = Condition, Input
# What pulses and boots do; a pair that is not here keeps the condition.
_LEVELS: dict[tuple[Condition, Input], Condition] = {
    (C.LOCKED_OFFLINE, G.WELL): C.LOCKED_ONLINE,
    (C.LOCKED_POWER_OFF, G.WELL): C.LOCKED_ONLINE,
    (C.LOCKED_ONLINE, G.LOST): C.LOCKED_OFFLINE,
    (C.LOCKED_ONLINE, G.DOWN): C.LOCKED_OFFLINE,
    (C.UNLOCKED_OFFLINE, G.WELL): C.UNLOCKED_ONLINE,
    (C.UNLOCKED_OFFLINE, G.LOST): C.UNLOCKED_FAILED,
    (C.UNLOCKED_POWER_OFF, G.WELL): C.UNLOCKED_ONLINE,
    (C.UNLOCKED_ONLINE, G.LOST): C.UNLOCKED_FAILED,
    (C.UNLOCKED_ONLINE, G.DOWN): C.UNLOCKED_OFFLINE,
    (C.UNLOCKED_INTEST, G.LOST): C.UNLOCKED_FAILED,
    (C.UNLOCKED_INTEST, G.DOWN): C.UNLOCKED_OFFLINE,
    (C.UNLOCKED_INTEST, G.REBOOTED): C.UNLOCKED_ONLINE,
    (C.AVAILABLE, G.LOST): C.UNLOCKED_FAILED,
    (C.AVAILABLE, G.DOWN): C.UNLOCKED_OFFLINE,
    (C.AVAILABLE, G.REBOOTED): C.UNLOCKED_ONLINE,
    (C.DEGRADED, G.LOST): C.UNLOCKED_FAILED,
    (C.DEGRADED, G.DOWN): C.UNLOCKED_OFFLINE,
    (C.DEGRADED, G.REBOOTED): C.UNLOCKED_ONLINE,
}
# What operators and procedures do; a pair that is not here means nothing there.
_DECISIONS: dict[tuple[Condition, Input], Condition] = {
    (C.LOCKED_OFFLINE, G.UNLOCK): C.UNLOCKED_OFFLINE,
    (C.LOCKED_OFFLINE, G.POWERED_OFF): C.LOCKED_POWER_OFF,
    (C.LOCKED_ONLINE, G.UNLOCK): C.UNLOCKED_ONLINE,
    (C.LOCKED_POWER_OFF, G.UNLOCK): C.UNLOCKED_POWER_OFF,
    (C.LOCKED_POWER_OFF, G.POWERED_ON): C.LOCKED_OFFLINE,
    (C.UNLOCKED_OFFLINE, G.LOCK): C.LOCKED_OFFLINE,
    (C.UNLOCKED_OFFLINE, G.FAIL): C.UNLOCKED_FAILED,
    (C.UNLOCKED_OFFLINE, G.POWERED_OFF): C.UNLOCKED_POWER_OFF,
    (C.UNLOCKED_ONLINE, G.LOCK): C.LOCKED_ONLINE,
    (C.UNLOCKED_ONLINE, G.TEST): C.UNLOCKED_INTEST,
    (C.UNLOCKED_ONLINE, G.SERVE): C.AVAILABLE,
    (C.UNLOCKED_ONLINE, G.FAIL): C.UNLOCKED_FAILED,
    (C.UNLOCKED_INTEST, G.LOCK): C.LOCKED_ONLINE,
    (C.UNLOCKED_INTEST, G.SERVE): C.AVAILABLE,
    (C.UNLOCKED_INTEST, G.FAIL): C.UNLOCKED_FAILED,
    (C.UNLOCKED_FAILED, G.LOCK): C.LOCKED_OFFLINE,
    (C.UNLOCKED_FAILED, G.TEST): C.UNLOCKED_INTEST,
    (C.UNLOCKED_FAILED, G.SERVE): C.AVAILABLE,
    (C.UNLOCKED_FAILED, G.POWERED_OFF): C.UNLOCKED_POWER_OFF,
    (C.UNLOCKED_POWER_OFF, G.LOCK): C.LOCKED_POWER_OFF,
    (C.UNLOCKED_POWER_OFF, G.POWERED_ON): C.UNLOCKED_OFFLINE,
    (C.UNLOCKED_POWER_OFF, G.FAIL): C.UNLOCKED_FAILED,
    (C.AVAILABLE, G.LOCK): C.LOCKED_ONLINE,
    (C.AVAILABLE, G.FAIL): C.UNLOCKED_FAILED,
    (C.AVAILABLE, G.ILL): C.DEGRADED,
    (C.DEGRADED, G.LOCK): C.LOCKED_ONLINE,
    (C.DEGRADED, G.FAIL): C.UNLOCKED_FAILED,
    (C.DEGRADED, G.HEALED): C.AVAILABLE,
}
LEVELS = (G.WELL, G.MINOR, G.DEGRADED, G.LOST, G.DOWN, G.REBOOTED)
_KEEP = "what is heard of it is noted"


def _rows() -> Iterable[tuple[tuple[Condition, Input], Transition[Condition, str]]]:
    for condition in Condition:
        yield (condition, G.FORGET), Transition(None, "removed from the inventory")
        for level in LEVELS:
            yield (
                (condition, level),
                Transition(_LEVELS.get((condition, level), condition), _KEEP),
            )
    for pair, target in _DECISIONS.items():
        yield pair, Transition(target, _KEEP)


TABLE = dict(_rows())
# Already so, or outweighed by what is heard: said again by whoever repairs a half-done change.
IGNORED = frozenset((c, i) for c in Condition for i in Input if (c, i) not in TABLE)
MACHINE: Machine[Condition, Input, str] = Machine(
    name="host", states=Condition, inputs=Input, table=TABLE, ignored=IGNORED
)


def move(condition: Condition, given: Input) -> Condition | None:
    """The condition after an input; None when the host is no more."""
    transition = MACHINE.find(condition, given)
    return condition if transition is None else transition.to
