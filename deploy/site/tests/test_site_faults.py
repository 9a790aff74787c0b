"""Which faults a host has, and what is done to its agents: real processes, a recorded wire."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from murmuration.site.errors import Refused
from murmuration.site.faults import Fault, Lab
from murmuration.site.hosts import MACHINE, NAMESPACE, SIMULATED, HostPlan
from murmuration.site.keeper import Phase
from murmuration.site.levels import Changes
from murmuration.site.logfile import Journal, LogFile
from murmuration.site.process import Group, ProcessSpec
from murmuration.site.supervisor import Supervisor
from murmuration.testkit.levels import reaches

PLANS = {
    plan.name: plan
    for plan in (
        HostPlan(name="worker-1", personality="worker", origin=NAMESPACE, network="/x"),
        HostPlan(name="model-1", personality="worker", origin=SIMULATED),
        HostPlan(name="here", personality="worker", origin=MACHINE),
    )
}


@dataclass
class World:
    supervisor: Supervisor
    lab: Lab | None = None
    wires: list[tuple[str, frozenset[Fault], str]] = field(default_factory=list)
    boots: list[str] = field(default_factory=list)
    told: list[dict[str, str]] = field(default_factory=list)

    @property
    def agents(self) -> list[Phase]:
        return [self.supervisor.keepers[f"worker-1.{n}"].phase for n in ("node", "pulse")]

    def states(self) -> set[str]:
        """The kernel's word for each agent: S sleeps, T is stopped."""
        pids = [self.supervisor.keepers[f"worker-1.{n}"].pid for n in ("node", "pulse")]
        stats = [Path(f"/proc/{pid}/stat").read_text() for pid in pids if pid]
        return {stat.rpartition(")")[2].split()[0] for stat in stats}

    async def act(self, action: str, host: str = "worker-1", direction: str = "both") -> str:
        assert self.lab is not None
        return await self.lab.act(action, host, direction=direction)

    async def wire(self, plan: HostPlan, faults: frozenset[Fault], direction: str) -> None:
        self.wires.append((plan.name, faults, direction))

    async def model(self, request: dict[str, str]) -> None:
        self.told.append(request)


@asynccontextmanager
async def world(tmp_path: Path) -> AsyncIterator[World]:
    def log_of(name: str) -> LogFile:
        return LogFile(tmp_path / f"{name}.log", size_bytes_max=100_000, older_count=1)

    journal = Journal(log_of("supervisor"))
    supervisor = Supervisor(
        changes=Changes(), journal=journal, environment=dict(os.environ), log_of=log_of
    )
    supervisor.add(
        ProcessSpec(name=f"worker-1.{n}", argv=("/bin/sleep", "300"), group=Group.HOSTS)
        for n in ("node", "pulse")
    )
    found = World(supervisor)
    found.lab = Lab(
        PLANS,
        keepers=supervisor.keepers,
        journal=journal,
        wire=found.wire,
        reboot=lambda plan: found.boots.append(plan.name),
        model=found.model,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await reaches(lambda: found.agents == [Phase.READY, Phase.READY])
        try:
            yield found
        finally:
            await supervisor.stop()


async def test_killed_host_is_dead_until_healed_and_boots_anew(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for _ in range(2):  # repeatable
            assert await w.act("kill") == "worker-1 is dead until healed."
            assert w.states() == set()
        await reaches(lambda: w.agents == [Phase.HELD, Phase.HELD])
        assert w.boots == []
        assert await w.act("heal") == "worker-1 is whole again."
        await reaches(lambda: w.agents == [Phase.READY, Phase.READY])
        assert w.boots == ["worker-1"]
        assert w.wires == []


async def test_rebooted_host_comes_with_other_processes_and_a_new_boot(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        before = {keeper.pid for keeper in w.supervisor.keepers.values()}
        assert await w.act("reboot") == "worker-1 boots anew."
        await reaches(lambda: w.agents == [Phase.READY, Phase.READY])
        assert not before & {keeper.pid for keeper in w.supervisor.keepers.values()}
        assert (w.boots, w.wires) == (["worker-1"], [])
        await w.act("kill")
        for name, says in (("worker-1", "does not run"), ("model-1", "is simulated")):
            with pytest.raises(Refused, match=says):
                await w.act("reboot", name)


async def test_frozen_host_goes_on_where_it_was(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        before = [keeper.pid for keeper in w.supervisor.keepers.values()]
        await w.act("freeze")
        await reaches(lambda: w.states() == {"T"})
        await w.act("heal")
        await reaches(lambda: w.states() == {"S"})
        assert [keeper.pid for keeper in w.supervisor.keepers.values()] == before
        assert w.boots == []


async def test_frozen_host_whose_agent_dies_stays_silent_until_healed(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.act("freeze")
        w.supervisor.keepers["worker-1.pulse"].kill()
        await reaches(lambda: w.agents[1] is Phase.HELD)
        await w.act("heal")
        await reaches(lambda: w.agents == [Phase.READY, Phase.READY])


async def test_faults_add_up_and_are_healed_together(tmp_path: Path) -> None:
    both = frozenset({Fault.LINK_DOWN, Fault.PARTITION})
    async with world(tmp_path) as w:
        assert w.lab is not None
        await w.act("partition", direction="from")
        await w.act("link-down")
        await w.act("kill")
        assert w.lab.faults_of("worker-1") == ["kill", "link-down", "partition"]
        assert w.lab.all_faults() == [("worker-1", f) for f in ("kill", "link-down", "partition")]
        assert w.wires == [
            ("worker-1", frozenset({Fault.PARTITION}), "from"),
            ("worker-1", both, "from"),
            ("worker-1", both | {Fault.KILL}, "from"),
        ]
        await w.act("heal")
        assert w.lab.faults_of("worker-1") == []
        assert w.wires[-1] == ("worker-1", frozenset(), "from")
        assert await w.act("heal") == "worker-1 had no fault."


async def test_simulated_host_is_broken_in_its_model(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.act("partition", "model-1")
        await w.act("heal", "model-1")
        assert w.told == [
            {"op": "partition", "host": "model-1"},
            {"op": "heal", "host": "model-1"},
        ]
        assert w.wires == []


@pytest.mark.parametrize(
    ("action", "host", "direction", "said"),
    [
        ("kill", "here", "both", "only observed"),
        ("kill", "nobody", "both", "There are worker-1, model-1"),
        ("tickle", "worker-1", "both", "Known are kill, freeze, link-down, partition, heal"),
        ("partition", "worker-1", "up", "is no direction"),
    ],
)
async def test_what_cannot_be_broken_is_refused(
    tmp_path: Path, action: str, host: str, direction: str, said: str
) -> None:
    async with world(tmp_path) as w:
        with pytest.raises(Refused, match=said):
            await w.act(action, host, direction)
        assert w.agents == [Phase.READY, Phase.READY]
