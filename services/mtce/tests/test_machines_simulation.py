"""Random histories around the machines: nothing illegal, nobody stuck, nothing without proof."""

import pytest
from services.mtce.tests.machine_world import World, tell

HISTORIES, SOAK_HISTORIES = 3_000, 100_000
STEPS, SOAK_STEPS = 40, 80  # of a history, before peace


def play(seeds: range, steps: int) -> None:
    for seed in seeds:
        world = World(seed)
        try:
            world.play(steps)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{tell(world)}") from error


@pytest.mark.timeout(600)  # ten seconds of an idle core; pure, so nothing can hang
def test_host_is_never_in_an_illegal_state_stuck_or_restarted_without_proof() -> None:
    play(range(HISTORIES), STEPS)


@pytest.mark.soak
def test_soak_machines() -> None:
    play(range(1_000_000, 1_000_000 + SOAK_HISTORIES), SOAK_STEPS)
