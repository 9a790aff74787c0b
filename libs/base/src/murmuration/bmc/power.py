"""Switching power, and believing it only when it was seen.

Off is proven when the BMC says off twice, `CONFIRM_S` apart, and after the action if one was
needed: one answer may be a BMC that has just started, or one that echoes what it was asked.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from murmuration.bmc.errors import BmcAway, BmcSilent, BmcUnreadable
from murmuration.bmc.model import PowerAction, PowerState
from murmuration.bmc.ports import Bmc
from murmuration.kernel.clock import Clock

CONFIRM_S: Final = 0.3  # between two answers that must agree
POLL_S: Final = 0.3
SETTLE_S: Final = 20.0  # emulators take 11 s, slow BMCs about as long


@dataclass(frozen=True, slots=True)
class OffProof:
    """A machine was off: the BMC's two answers in a row, at these instants."""

    first_at: datetime
    confirmed_at: datetime
    switched: bool  # False: it was off before anything was asked


async def prove_off(
    bmc: Bmc,
    clock: Clock,
    *,
    settle_s: float = SETTLE_S,
    sure: Callable[[], Awaitable[None]] | None = None,
) -> OffProof:
    """Switch off without asking the operating system, and see that it is off. May be repeated.

    `sure` is the last look before anything is switched: it raises when that is wanted no more.
    Raises BmcSilent when it was not seen off within `settle_s`, and whatever the BMC's last failure
    was when it did not answer once.
    """
    deadline = clock.monotonic() + settle_s
    switched = False
    if await bmc.power_state() is not PowerState.OFF:
        if sure is not None:
            await sure()
        await bmc.power(PowerAction.FORCE_OFF)
        switched = True
    first_at: datetime | None = None
    while True:
        found = await _look(bmc)
        if found is not PowerState.OFF:
            first_at = None
        elif first_at is not None:
            return OffProof(first_at, clock.now(), switched)
        else:
            first_at = clock.now()
        if clock.monotonic() > deadline:
            raise BmcSilent(f"it was asked to power off and is not seen off after {settle_s:g} s")
        await asyncio.sleep(CONFIRM_S if found is PowerState.OFF else POLL_S)


async def reach_on(bmc: Bmc, clock: Clock, *, settle_s: float = SETTLE_S) -> bool:
    """Switch on and see that it is on; False when it was on before. May be repeated.

    Raises as `prove_off`.
    """
    deadline = clock.monotonic() + settle_s
    if await bmc.power_state() is PowerState.ON:
        return False
    await bmc.power(PowerAction.ON)
    while await _look(bmc) is not PowerState.ON:
        if clock.monotonic() > deadline:
            raise BmcSilent(f"it was asked to power on and is not seen on after {settle_s:g} s")
        await asyncio.sleep(POLL_S)
    return True


async def _look(bmc: Bmc) -> PowerState:
    """One look after an action: a BMC that stumbles over its own switching is asked again."""
    try:
        return await bmc.power_state()
    except (BmcAway, BmcSilent, BmcUnreadable):
        return PowerState.CHANGING
