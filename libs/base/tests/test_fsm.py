import enum
from collections.abc import Callable

import pytest

from murmuration.kernel.fsm import IncompleteMachine, InputRefused, Machine, Step, Transition


class Door(enum.Enum):
    OPEN = "open"
    SHUT = "shut"


class Hand(enum.Enum):
    PUSH = "push"
    PULL = "pull"
    BURN = "burn"


def creak() -> str:
    return "creak"


TABLE: dict[tuple[Door, Hand], Transition[Door, Callable[[], str]]] = {
    (Door.OPEN, Hand.PUSH): Transition(Door.SHUT, creak, "gently"),
    (Door.SHUT, Hand.PULL): Transition(Door.OPEN, creak),
    (Door.OPEN, Hand.BURN): Transition(None, creak),
}
IGNORED = {(Door.OPEN, Hand.PULL), (Door.SHUT, Hand.PUSH)}
REFUSED = {(Door.SHUT, Hand.BURN): "a shut door is not burnt"}


def door() -> Machine[Door, Hand, Callable[[], str]]:
    return Machine(
        name="door", states=Door, inputs=Hand, table=TABLE, ignored=IGNORED, refused=REFUSED
    )


def test_machine_is_made_when_every_pair_stands_in_one_place():
    machine = door()
    found = machine.find(Door.OPEN, Hand.PUSH)
    assert found is not None
    assert found.to is Door.SHUT
    assert machine.find(Door.OPEN, Hand.PULL) is None


def test_find_raises_the_sentence_when_the_pair_is_refused():
    with pytest.raises(InputRefused, match="a shut door is not burnt"):
        door().find(Door.SHUT, Hand.BURN)


def test_machine_is_refused_and_names_the_pair_when_a_pair_is_left_open():
    with pytest.raises(IncompleteMachine, match=r"\(SHUT, BURN\) is left open"):
        Machine(name="door", states=Door, inputs=Hand, table=TABLE, ignored=IGNORED)


def test_machine_is_refused_and_names_the_pair_when_a_pair_is_answered_twice():
    with pytest.raises(IncompleteMachine, match=r"\(OPEN, PUSH\) is answered twice"):
        Machine(
            name="door",
            states=Door,
            inputs=Hand,
            table=TABLE,
            ignored={*IGNORED, (Door.OPEN, Hand.PUSH)},
            refused=REFUSED,
        )


def test_diagram_draws_every_transition_of_the_table():
    assert door().diagram() == (
        "stateDiagram-v2\n"
        "    open: open\n"
        "    shut: shut\n"
        "    open --> shut: push (gently)\n"
        "    open --> [*]: burn\n"
        "    shut --> open: pull\n"
    )


def test_diagram_merges_inputs_that_lead_the_same_way_and_omits_plain_loops():
    machine = Machine(
        name="door",
        states=Door,
        inputs=Hand,
        table={
            (Door.OPEN, Hand.PUSH): Transition(Door.SHUT, creak),
            (Door.OPEN, Hand.BURN): Transition(Door.SHUT, creak),
            (Door.OPEN, Hand.PULL): Transition(Door.OPEN, creak),
            (Door.SHUT, Hand.PUSH): Transition(Door.SHUT, creak, "again"),
        },
        ignored={(Door.SHUT, Hand.PULL), (Door.SHUT, Hand.BURN)},
    )
    assert machine.diagram().splitlines()[3:] == [
        "    open --> shut: push, burn",
        "    shut --> shut: push (again)",
    ]


def test_steps_compare_by_value():
    first = Step(state=Door.OPEN, events=("a",), effects=(), reason="it was pulled")
    assert first == Step(state=Door.OPEN, events=("a",), effects=(), reason="it was pulled")
