"""State machines as tables: what a machine is made of, and the check that its table is whole.

A machine governs one thing. Its present is a *state* (a member of an enum), what may happen to it
is an *input* (a member of another enum), and every pair of the two stands in exactly one of three
places:

- the table: a `Transition` says to which state it leads, what computes the rest, and why;
- `ignored`: the pair is expected and means nothing;
- `refused`: the sender should not have sent it; the sentence says why.

A `Transition` leads to one state. Where a choice is needed, the caller makes it before the step, by
sending another input: so the table alone tells what can happen. `to=None` ends the machine's life.

Nothing here runs anything: a service's `step` asks `find` for the pair, calls the action it finds
and returns a `Step`. Everything is immutable, so a table can be shared, walked and drawn.
"""

import enum
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from murmuration.kernel.errors import Bug, Rejected

S = TypeVar("S", bound=enum.Enum)
In = TypeVar("In", bound=enum.Enum)
A = TypeVar("A")
State = TypeVar("State")
Event = TypeVar("Event")
Effect = TypeVar("Effect")


@dataclass(frozen=True)
class Transition(Generic[S, A]):
    """Where an input leads, and the pure function that works out what comes with it.

    `to` is None when the machine ends; `label` is a few words for the diagram, may be empty.
    """

    to: S | None
    action: A
    label: str = ""


@dataclass(frozen=True)
class Step(Generic[State, Event, Effect]):
    """The outcome of one input: new state, what to tell, what to do, and why in one sentence.

    `reason` becomes the log line, the audit entry and what the operator reads. A step that changes
    nothing has neither events nor effects.
    """

    state: State
    events: tuple[Event, ...]
    effects: tuple[Effect, ...]
    reason: str


class IncompleteMachine(Bug):
    """A table that leaves a pair of state and input open, or answers it twice."""


class InputRefused(Rejected):
    """The machine's present state does not allow this input; the message says why."""

    code = "rejected"


@dataclass(frozen=True, kw_only=True)
class Machine(Generic[S, In, A]):
    """A table over the whole product of states and inputs; making one checks that it is whole.

    Raises IncompleteMachine, naming every pair that stands nowhere or in more than one place.
    """

    name: str
    states: type[S]
    inputs: type[In]
    table: Mapping[tuple[S, In], Transition[S, A]]
    ignored: Set[tuple[S, In]] = field(default_factory=frozenset[tuple[S, In]])
    refused: Mapping[tuple[S, In], str] = field(default_factory=dict[tuple[S, In], str])

    def __post_init__(self) -> None:
        wrong = [
            f"({state.name}, {given.name}) {'is answered twice' if places else 'is left open'}"
            for state in self.states
            for given in self.inputs
            if (places := self._places(state, given)) != 1
        ]
        if wrong:
            raise IncompleteMachine(f"machine {self.name}: {'; '.join(wrong)}")

    def _places(self, state: S, given: In) -> int:
        pair = (state, given)
        return (pair in self.table) + (pair in self.ignored) + (pair in self.refused)

    def find(self, state: S, given: In) -> Transition[S, A] | None:
        """The transition for this pair, None when it is ignored. Raises InputRefused."""
        pair = (state, given)
        found = self.table.get(pair)
        if found is None and pair in self.refused:
            raise InputRefused(self.refused[pair])
        return found

    def diagram(self) -> str:
        """The table as a Mermaid state diagram (text), in declared order of states and inputs.

        Several inputs that lead the same way share an arrow; a way back to the same state is left
        out unless it has a label, because it is mostly bookkeeping.
        """
        arrows: dict[tuple[str, str], list[str]] = {}
        for state in self.states:
            for given in self.inputs:
                found = self.table.get((state, given))
                if found is None or (found.to is state and not found.label):
                    continue
                target = "[*]" if found.to is None else _node(found.to)
                text = (
                    f"{given.name.lower()} ({found.label})" if found.label else given.name.lower()
                )
                arrows.setdefault((_node(state), target), []).append(text)
        lines = ["stateDiagram-v2"]
        lines += [f"    {_node(state)}: {_words(state)}" for state in self.states]
        lines += [
            f"    {source} --> {target}: {', '.join(texts)}"
            for (source, target), texts in arrows.items()
        ]
        return "\n".join(lines) + "\n"


def _node(state: enum.Enum) -> str:
    return state.name.lower()


def _words(state: enum.Enum) -> str:
    return state.name.lower().replace("_", " ")
