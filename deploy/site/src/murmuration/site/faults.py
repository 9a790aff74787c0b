"""Faults put into hosts on purpose, and kept there until healed.

| action | a namespace host | what others see |
|---|---|---|
| kill | its agents get SIGKILL and are not started again | silence, then a new boot |
| freeze | its agents get SIGSTOP | silence, then the same boot goes on |
| link-down | its cable is pulled: the bridge's end goes down | silence; its eth0 has no carrier |
| partition | the bridge drops its frames (both ways, or one) | silence; its link stays up |
| heal | all of that is undone; a killed host comes with a new boot id | |
| reboot | its agents are killed and started again with a new boot id | a blink, then a new boot |

A fault outlives the processes it hits, and not the supervisor: after `down` and `up` all is whole.
A simulated host has the same faults in its model. This machine has none: it is observe-only.
"""

import asyncio
import enum
import signal
from collections.abc import Awaitable, Callable, Mapping

from murmuration.site.errors import Refused
from murmuration.site.hosts import MACHINE, HostPlan
from murmuration.site.keeper import Keeper
from murmuration.site.logfile import Journal
from murmuration.site.readiness import explain

Wire = Callable[[HostPlan, "frozenset[Fault]", str], Awaitable[None]]
Reboot = Callable[[HostPlan], None]
Model = Callable[[dict[str, str]], Awaitable[None]]


class Fault(enum.Enum):
    """One kind of fault."""

    KILL = "kill"
    FREEZE = "freeze"
    LINK_DOWN = "link-down"
    PARTITION = "partition"


HEAL = "heal"
REBOOT = "reboot"
ACTIONS = (*(fault.value for fault in Fault), HEAL, REBOOT)
DIRECTIONS = ("both", "from", "to")
ON_THE_WIRE = frozenset({Fault.LINK_DOWN, Fault.PARTITION})
DONE = {
    Fault.KILL: "{} is dead until healed.",
    Fault.FREEZE: "{} is frozen until healed.",
    Fault.LINK_DOWN: "The link of {} is down until healed.",
    Fault.PARTITION: "{} is cut off until healed.",
}


class Lab:
    """The faults of every host; one change at a time.

    `wire` makes a host's link as a set of faults wants it, `reboot` lets it be as after a power-on,
    `model` tells the simulator.
    """

    def __init__(
        self,
        hosts: Mapping[str, HostPlan],
        *,
        keepers: Mapping[str, Keeper],
        journal: Journal,
        wire: Wire,
        reboot: Reboot,
        model: Model,
    ) -> None:
        self._hosts = hosts
        self._keepers = keepers
        self._journal = journal
        self._wire = wire
        self._reboot = reboot
        self._model = model
        self._faults: dict[str, frozenset[Fault]] = {}
        self._direction: dict[str, str] = {}
        self._one_at_a_time = asyncio.Lock()

    def faults_of(self, host: str) -> list[str]:
        """The faults a host has now."""
        return sorted(fault.value for fault in self._faults.get(host, frozenset()))

    def all_faults(self) -> list[tuple[str, str]]:
        """(host, action) of everything that is broken now."""
        return [(host, fault) for host in self._faults for fault in self.faults_of(host)]

    async def act(self, action: str, host: str, *, direction: str = "both") -> str:
        """Do `action` to `host`, repeatable; one sentence of what holds now. Raises Refused."""
        plan = self._hosts.get(host)
        if plan is None:
            known = [name for name, each in self._hosts.items() if each.origin != MACHINE]
            raise Refused(f"There is no host {host!r}.", f"There are {explain(known) or 'none'}.")
        if action not in ACTIONS:
            raise Refused(f"There is no fault {action!r}.", f"Known are {', '.join(ACTIONS)}.")
        if direction not in DIRECTIONS:
            raise Refused(f"{direction!r} is no direction.", f"Known: {', '.join(DIRECTIONS)}.")
        if plan.origin == MACHINE:
            raise Refused(f"{host} is this machine, which is only observed.", "Choose another.")
        async with self._one_at_a_time:
            sentence = await self._act(plan, action, direction)
        self._journal.log("lab.done", host=host, action=action, reason=sentence)
        return sentence

    async def _act(self, plan: HostPlan, action: str, direction: str) -> str:
        before = self._faults.get(plan.name, frozenset())
        if action == REBOOT:
            return await self._boot_anew(plan, before)
        if action == HEAL:
            wanted: frozenset[Fault] = frozenset()
            sentence = f"{plan.name} is whole again." if before else f"{plan.name} had no fault."
        else:
            wanted = before | {Fault(action)}
            if Fault(action) is Fault.PARTITION:
                self._direction[plan.name] = direction
            sentence = DONE[Fault(action)].format(plan.name)
        if plan.network is None:
            await self._model({"op": action, "host": plan.name})
        else:
            await self._make_so(plan, before, wanted)
        self._faults[plan.name] = wanted
        return sentence

    async def _boot_anew(self, plan: HostPlan, faults: frozenset[Fault]) -> str:
        """What a reboot of the machine itself would do: what is broken stays so."""
        if plan.network is None:
            raise Refused(f"{plan.name} is simulated.", "Only a namespace host can be rebooted.")
        if faults & {Fault.KILL, Fault.FREEZE}:
            raise Refused(f"{plan.name} does not run.", f"`mur lab heal {plan.name}` first.")
        agents = [self._keepers[plan.node], self._keepers[plan.pulse]]
        for agent in agents:
            agent.hold()
        for agent in agents:
            await agent.kill_and_wait()
        self._reboot(plan)
        for agent in agents:
            agent.release()
        return f"{plan.name} boots anew."

    async def _make_so(
        self, plan: HostPlan, before: frozenset[Fault], wanted: frozenset[Fault]
    ) -> None:
        if (before | wanted) & ON_THE_WIRE:
            await self._wire(plan, wanted, self._direction.get(plan.name, "both"))
        agents = [self._keepers[plan.node], self._keepers[plan.pulse]]
        if wanted & {Fault.KILL, Fault.FREEZE}:
            for agent in agents:
                agent.hold()
        for agent in agents:
            if Fault.KILL in wanted:
                await agent.kill_and_wait()
            elif Fault.FREEZE in wanted:
                agent.signal(signal.SIGSTOP)
        if not wanted:
            if Fault.KILL in before:
                self._reboot(plan)
            for agent in agents:
                agent.signal(signal.SIGCONT)
                agent.release()
