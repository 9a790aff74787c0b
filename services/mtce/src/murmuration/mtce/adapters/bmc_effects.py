"""Effects on a host by its BMC: power, reset, network boot.

Power is looked at first and believed only when it was seen (murmuration.bmc.power). A reset or a
power-cycle is asked for once; whether it happened is told by the host itself, which then beats
under another boot id, or by power that is off.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import msgspec

from murmuration.bmc.errors import BmcRefused
from murmuration.bmc.model import PowerAction, PowerState
from murmuration.bmc.ports import Bmc
from murmuration.bmc.power import prove_off, reach_on
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import Unavailable
from murmuration.mtce.adapters.silence import refuse_returned
from murmuration.mtce.handlers.fences import FENCE_OFF, FenceHandlers
from murmuration.mtce.ports import BmcSource, Observer
from murmuration.mtce.store import hosts
from murmuration.proto.ids import HostName
from murmuration.runtime.effects import Performer
from murmuration.store.database import Database
from murmuration.store.effects import Effect

POWER_OFF, POWER_ON = "bmc.power_off", "bmc.power_on"
INRUSH_MAX = 20  # machines that are switched on at once
RESET, POWER_CYCLE, NETBOOT = "bmc.reset", "bmc.power_cycle", "bmc.netboot"


class BmcOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of an effect's body; `boot_id` is the boot that a reset is to end.

    `silent`: as HostEffect has it.
    """

    host: str
    reason: str = ""
    boot_id: str = ""
    silent: bool = False


Sure = Callable[[], None]  # raises Unavailable when the host is heard again
_ORDERS = msgspec.json.Decoder(BmcOrder)


class BmcPerformer:
    """Implements Performer for one kind of effect."""

    def __init__(
        self,
        source: BmcSource,
        database: Database,
        observer: Observer,
        do: Callable[[Bmc, Sure], Awaitable[str]],
        *,
        fences: FenceHandlers,
    ) -> None:
        self._source = source
        self._database = database
        self._observer = observer
        self._do = do
        self._fences = fences

    async def perform(self, effect: Effect) -> str:
        """Do it. Raises as murmuration.runtime.effects.Performer."""
        order = _ORDERS.decode(effect.body)
        name = HostName(order.host)
        if effect.kind == POWER_ON:
            async with self._database.unit() as unit:
                if await self._fences.at_stake(unit, name):
                    raise Unavailable(
                        f"{name} is being switched off, so that its workload may move"
                    )
        bmc = await self._source.of(name)
        return await self._do(bmc, partial(refuse_returned, self._observer, order))

    async def observe(self, effect: Effect) -> bool | None:
        """Whether the boot that was to end has ended; None while nothing tells."""
        order = _ORDERS.decode(effect.body)
        name = HostName(order.host)
        async with self._database.connection() as connection:
            found = (await hosts.load(connection, [name])).get(name)
        record = found.record if found is not None else None
        if record is not None and order.boot_id and record.boot_id not in ("", order.boot_id):
            return True
        return None


def host_of(effect: Effect) -> HostName:
    """The host that an effect is about."""
    return HostName(_ORDERS.decode(effect.body).host)


def performers(
    source: BmcSource,
    database: Database,
    observer: Observer,
    fences: FenceHandlers,
    clock: Clock,
) -> Mapping[str, Performer]:
    """A performer for every kind of effect by BMC."""
    inrush = asyncio.Semaphore(INRUSH_MAX)

    async def power_off(bmc: Bmc, sure: Sure) -> str:
        async def really() -> None:
            sure()

        proof = await prove_off(bmc, clock, sure=really)
        how = "was switched off" if proof.switched else "was off already"
        return f"it {how}; its BMC said off twice, last at {proof.confirmed_at.isoformat()}"

    async def power_on(bmc: Bmc, _: Sure) -> str:
        async with inrush:
            return "it was switched on" if await reach_on(bmc, clock) else "it was on already"

    async def reset(bmc: Bmc, sure: Sure) -> str:
        if await bmc.power_state() is PowerState.OFF:
            raise BmcRefused("it is powered off: there is nothing to reset")
        sure()
        await bmc.power(PowerAction.RESET)
        return "its BMC accepted the reset"

    async def power_cycle(bmc: Bmc, sure: Sure) -> str:
        if await bmc.power_state() is PowerState.OFF:
            raise BmcRefused("it is powered off: power it on instead")
        sure()
        await bmc.power(PowerAction.POWER_CYCLE)
        return "its BMC accepted the power-cycle"

    async def netboot(bmc: Bmc, _: Sure) -> str:
        await bmc.boot_network_once()
        return "the next boot, and only that, is from the network"

    work = {
        POWER_OFF: power_off,
        POWER_ON: power_on,
        RESET: reset,
        POWER_CYCLE: power_cycle,
        NETBOOT: netboot,
    }
    found: dict[str, Performer] = {
        kind: BmcPerformer(source, database, observer, do, fences=fences)
        for kind, do in work.items()
    }
    return found | {FENCE_OFF: FencePerformer(source, database, fences, clock)}


class FencePerformer:
    """Implements Performer for the power-offs that a release waits for."""

    def __init__(
        self, source: BmcSource, database: Database, handlers: FenceHandlers, clock: Clock
    ) -> None:
        self._source = source
        self._database = database
        self._handlers = handlers
        self._clock = clock

    async def perform(self, effect: Effect) -> str:
        """Prove power off, unless the host is heard again. Raises as Performer."""

        async def wanted() -> None:
            async with self._database.unit() as unit:
                if not await self._handlers.wanted(unit, effect):
                    raise BmcRefused("the host is heard again: it is not switched off")

        await wanted()
        bmc = await self._source.of(host_of(effect))
        proof = await prove_off(bmc, self._clock, sure=wanted)  # a BMC may take seconds until then
        how = "was switched off" if proof.switched else "was off already"
        return f"it {how}; its BMC said off twice, last at {proof.confirmed_at.isoformat()}"

    async def observe(self, effect: Effect) -> bool | None:
        """Power-offs are repeated, never observed."""
        del effect
        return None
