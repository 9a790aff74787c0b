"""The power-off that a release waits for, when the host is heard again while its BMC is asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from murmuration.bmc.errors import BmcRefused
from murmuration.bmc.model import PowerAction, PowerState
from murmuration.mtce.adapters.bmc_effects import FencePerformer
from murmuration.mtce.handlers.fences import FENCE_OFF
from murmuration.runtime.clock import SystemClock
from murmuration.store.effects import Effect

EFFECT = Effect(1, "fence-1", FENCE_OFF, "fence/worker-1", False, b'{"host":"worker-1"}', "open")


class World:
    """A host, its BMC, and whether it is still to be switched off."""

    def __init__(self) -> None:
        self.still = True
        self.actions: list[PowerAction] = []

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[None]:
        yield

    async def wanted(self, unit: object, effect: Effect) -> bool:
        del unit, effect
        return self.still

    async def of(self, name: str) -> "World":
        del name
        return self

    async def power_state(self) -> PowerState:
        self.still = False  # a slow BMC: meanwhile the host is heard again
        return PowerState.OFF if self.actions else PowerState.ON

    async def power(self, action: PowerAction) -> None:
        self.actions.append(action)


async def test_host_that_is_heard_while_its_bmc_is_asked_is_not_switched_off() -> None:
    world = World()
    given: Any = cast(Any, world)
    performer = FencePerformer(given, given, given, SystemClock())
    with pytest.raises(BmcRefused, match="heard again"):
        await performer.perform(EFFECT)
    assert world.actions == []
