"""What the procedures of a host have in common: what may happen to them, and what their stages do.

A procedure brings a host from one condition to another: enable, disable, recovery, reboot, … Each
is a machine in a file of its own, and a table says for each of its stages what is done when it is
entered (`Entry`). A stage may wait for another procedure (`sub`): while that runs, the inputs go
first to the one that waits, and what it takes ends the other; but the end of an effect is the
innermost's.

The inputs (`Sign`) are the same for all of them. Who feeds them is `core/machines.py`.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from murmuration.kernel.fsm import Machine, Transition
from murmuration.mtce.core.host_fsm import Input
from murmuration.mtce.core.model import EffectKind
from murmuration.proto.mtce import Availability, HostTask, RecoveryCause


class Sign(enum.Enum):
    """What may happen to a procedure."""

    UP = "up"  # beats well, on another boot than the marked one
    BACK = "back"  # beats well on the marked boot: it never went down
    OUTLIVED = "outlived"  # as BACK, but its workload may run elsewhere by now
    LOST = "lost"  # proven silent
    REBOOTED = "rebooted"  # another boot is heard; whether it beats well is not known yet
    DONE = "done"  # the effect was done, or the procedure waited for ended well
    FAILED = "failed"  # likewise, and it failed for good
    DUE = "due"  # the stage's time is over
    OFF = "off"  # its BMC says that it is off
    SPENT = "spent"  # the cause of the failure has failed too often
    STORM = "storm"  # it fell silent together with others, for one cause
    CALM = "calm"  # that is over


class Result(enum.Enum):
    """How a procedure ended."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Move:
    """What comes with a transition of a procedure.

    `why`: a clause for the reason. `host`: what it means for the host's condition. `cause`: what
    is counted as a failure. `gives_up`: why it is left as it is until an operator acts. `worker`:
    how its worker half is then. `result`: how the procedure ends, where the transition ends it.
    """

    why: str
    host: Input | None = None
    cause: RecoveryCause | None = None
    gives_up: RecoveryCause | None = None
    worker: Availability | None = None
    result: Result | None = None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is done when a stage is entered.

    `text`: what is done, for plans. `timer`: the field of Policy with the stage's longest time, a
    stage without one waits for ever: it is a stable state. `silent`: the host is expected to fall
    silent. `limited`: each entry counts as a failure of `Move.cause`, too many are SPENT. `marks`:
    what beats well from here on must be another boot than now.
    """

    task: HostTask
    text: str
    effect: EffectKind | None = None
    timer: str = ""
    sub: str = ""
    sub_stage: str = ""
    host: Input | None = None
    worker: Availability | None = None
    silent: bool = False
    limited: bool = False
    marks: bool = False
    looks: bool = False
    needs_bmc: bool = False


Table = dict[tuple[Any, Sign], Transition[Any, Move]]


@dataclass(frozen=True, kw_only=True)
class Procedure:
    """A machine, and what its stages do."""

    machine: Machine[Any, Sign, Move]
    entries: Mapping[Any, Entry]

    @property
    def name(self) -> str:
        """As frames store it."""
        return self.machine.name


def procedure(
    name: str, stages: type[enum.Enum], table: Table, entries: Mapping[Any, Entry]
) -> Procedure:
    """A procedure: what its table leaves out is ignored on purpose, for signs are facts.

    Raises IncompleteMachine, and KeyError for a stage without an entry.
    """
    ignored = frozenset(
        (stage, sign) for stage in stages for sign in Sign if (stage, sign) not in table
    )
    machine: Machine[Any, Sign, Move] = Machine(
        name=name, states=stages, inputs=Sign, table=table, ignored=ignored
    )
    return Procedure(machine=machine, entries={stage: entries[stage] for stage in stages})


def to(stage: enum.Enum, why: str, **more: Any) -> Transition[Any, Move]:
    """On to another stage."""
    return Transition(stage, Move(why=why, **more))


def done(why: str, **more: Any) -> Transition[Any, Move]:
    """The procedure ends well."""
    return Transition(None, Move(why=why, result=Result.DONE, **more))


def failed(why: str, **more: Any) -> Transition[Any, Move]:
    """The procedure ends without what it was to bring."""
    return Transition(None, Move(why=why, result=Result.FAILED, **more))
