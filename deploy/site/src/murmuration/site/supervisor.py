"""Keeps a set of processes running, and stops them in order.

Every process has a Keeper, which runs as a task of one TaskGroup. Stopping goes by group: hosts,
services, tasks, bus, store; within a group all at once, each group with a budget of its own.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from murmuration.site.keeper import Ground, Keeper
from murmuration.site.levels import Changes
from murmuration.site.logfile import Journal, LogFile
from murmuration.site.process import Group, ProcessSpec

STOP_BUDGET_S: Mapping[Group, float] = {
    Group.HOSTS: 3.0,  # an agent says good-bye and goes
    Group.SERVICES: 8.0,  # a service finishes its transaction and its answers
    Group.TASKS: 1.0,  # work that can be done again
    Group.BUS: 8.0,  # JetStream writes what it holds
    Group.STORE: 15.0,  # PostgreSQL writes a checkpoint
}


class Supervisor:
    """The processes of one site. `run` lives as long as they shall."""

    def __init__(
        self,
        *,
        changes: Changes,
        journal: Journal,
        environment: Mapping[str, str],
        log_of: Callable[[str], LogFile],
    ) -> None:
        self.keepers: dict[str, Keeper] = {}
        self.changes = changes
        self._ground = Ground(
            changes=changes,
            journal=journal,
            environment=environment,
            log_of=log_of,
            ready=self._is_ready,
        )
        self._tasks: asyncio.TaskGroup | None = None
        self._stopped = False

    def _is_ready(self, name: str) -> bool:
        return name in self.keepers and self.keepers[name].is_ready

    def add(self, specs: Iterable[ProcessSpec]) -> None:
        """Take on processes; they start when what they come after is ready."""
        for spec in specs:
            if spec.name in self.keepers:
                raise ValueError(f"process {spec.name} is there twice")
            keeper = Keeper(spec, self._ground)
            self.keepers[spec.name] = keeper
            if self._tasks is not None:
                self._tasks.create_task(keeper.run(), name=spec.name)
        self.changes.tell()

    async def run(self) -> None:
        """Keep everything running until `stop` has stopped it all; cancelled, kill it all."""
        try:
            async with asyncio.TaskGroup() as group:
                self._tasks = group
                for keeper in self.keepers.values():
                    group.create_task(keeper.run(), name=keeper.spec.name)
                await self.changes.until(lambda: self._stopped)
        finally:
            self._tasks = None
            self.kill()

    async def stop(self, *, budget_scale: float = 1.0) -> None:
        """Stop every process in order; `run` returns then. Repeatable."""
        for group in Group:
            budget_s = STOP_BUDGET_S[group] * budget_scale
            members = [k for k in self.keepers.values() if k.spec.group is group]
            async with asyncio.TaskGroup() as tasks:
                for keeper in members:
                    tasks.create_task(
                        keeper.stop(budget_s=budget_s), name=f"stop {keeper.spec.name}"
                    )
        self._stopped = True
        self.changes.tell()

    def kill(self) -> None:
        """End every process at once."""
        for keeper in self.keepers.values():
            keeper.kill()
