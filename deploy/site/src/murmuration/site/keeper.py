"""One supervised process over its many lives: kept running, held, or stopped.

Phases: WAITING (for others) → STARTING (runs, not ready) → READY; death leads to BACKOFF and back,
or to HELD while a fault is injected, or to DONE when its work has ended well; STOPPED is the end.
Invariants: at most one life at a time; a held process is not started; after `stop` none is started.
"""

import asyncio
import contextlib
import enum
import os
import random
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from murmuration.kernel.backoff import Backoff
from murmuration.site.levels import Changes
from murmuration.site.logfile import Journal, LogFile, pipe_into
from murmuration.site.process import (
    ProcessSpec,
    SpawnError,
    describe_exit,
    spawn,
    wait_for_death,
)

RESTART_FIRST_S = 0.25  # at once for people, and short of a busy loop
RESTART_MOST_S = 15.0  # a part that cannot run must not heat the machine
STABLE_AFTER_S = 10.0  # a life this long ends a series of failures
PROBE_EVERY_S = 0.05
PROBE_TIMEOUT_S = 2.0


class Phase(enum.Enum):
    """Where a supervised process is."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"
    HELD = "held"
    DONE = "done"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """What all keepers of one supervisor share."""

    changes: Changes
    journal: Journal
    environment: Mapping[str, str]
    log_of: Callable[[str], LogFile]
    ready: Callable[[str], bool]


class Keeper:
    """Keeps one process as it should be."""

    def __init__(self, spec: ProcessSpec, ground: Ground) -> None:
        self.spec = spec
        self.phase = Phase.WAITING
        self.pid = 0
        self.restart_count = 0
        self.last_exit = ""
        self.last_code: int | None = None
        self.log = ground.log_of(spec.name)
        self._ground = ground
        self._backoff = Backoff(first_s=RESTART_FIRST_S, most_s=RESTART_MOST_S)
        self._held = False
        self._stopping = False
        self._wanted_at = 0.0  # loop time before which it is not started again

    @property
    def is_ready(self) -> bool:
        """Whether what comes after it may start."""
        return self.phase in (Phase.READY, Phase.DONE)

    @property
    def waits_for(self) -> list[str]:
        """The processes that must be ready first and are not."""
        return [name for name in self.spec.after if not self._ground.ready(name)]

    async def run(self) -> None:
        """Live after life, until stopped, or until its work is done."""
        loop = asyncio.get_running_loop()
        while not self._stopping:
            if not await self._may_start():
                continue
            born_at = loop.time()
            code = await self._live()
            if code == 0 and self.spec.once:
                self._enter(Phase.DONE)
                return
            self._after_death(code, lived_s=loop.time() - born_at)
        self._enter(Phase.STOPPED)

    async def _may_start(self) -> bool:
        """Wait for what keeps it from starting; False: look again at everything."""
        if self._held:
            self._enter(Phase.HELD)
            await self._ground.changes.until(lambda: not self._held or self._stopping)
            return False
        left_s = self._wanted_at - asyncio.get_running_loop().time()
        if left_s > 0:
            self._enter(Phase.BACKOFF)
            await self._ground.changes.until(lambda: self._held or self._stopping, at_most_s=left_s)
            return False
        if self.waits_for:
            self._enter(Phase.WAITING)
            await self._ground.changes.until(
                lambda: not self.waits_for or self._held or self._stopping
            )
            return False
        return True

    async def _live(self) -> int:
        """One life: start, become ready, die. The exit code."""
        self.log.write(b"")  # there from the first life on, for whoever wants to follow it
        output = pipe_into(self.log)
        try:
            self.pid = spawn(self.spec, output=output, base=self._ground.environment)
        except (SpawnError, OSError) as error:
            self._ground.journal.log("process.refused", process=self.spec.name, reason=str(error))
            self.last_exit = str(error)
            return 127
        finally:
            os.close(output)
        self._ground.journal.log("process.started", process=self.spec.name, pid=self.pid)
        self._enter(Phase.STARTING)
        try:
            async with asyncio.TaskGroup() as group:
                probing = group.create_task(self._become_ready(), name=f"{self.spec.name}.probe")
                code = await wait_for_death(self.pid)
                probing.cancel()
        except BaseException:
            self.kill()
            raise
        finally:
            pid, self.pid = self.pid, 0
            self._ground.changes.tell()
        self.last_code, self.last_exit = code, describe_exit(code)
        self._ground.journal.log(
            "process.ended", process=self.spec.name, pid=pid, exit=self.last_exit
        )
        return code

    async def _become_ready(self) -> None:
        if self.spec.once:
            return
        while self.spec.ready is not None:
            with contextlib.suppress(OSError, TimeoutError, EOFError, ValueError):
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    if await self.spec.ready():
                        break
            await asyncio.sleep(PROBE_EVERY_S)
        self._ground.journal.log("process.ready", process=self.spec.name, pid=self.pid)
        self._enter(Phase.READY)

    def _after_death(self, code: int, *, lived_s: float) -> None:
        if self._stopping or self._held:
            return
        self.restart_count += 1
        if lived_s >= STABLE_AFTER_S:
            self._backoff.reset()
        delay_s = self._backoff.next_s(random.random())  # noqa: S311 - spreads, guards nothing
        self._wanted_at = asyncio.get_running_loop().time() + delay_s
        self._ground.journal.log(
            "process.restarting",
            process=self.spec.name,
            exit_code=code,
            delay_s=round(delay_s, 3),
            count=self.restart_count,
        )

    def _enter(self, phase: Phase) -> None:
        if phase is not self.phase:
            self.phase = phase
            self._ground.changes.tell()

    def hold(self) -> None:
        """Do not start it until released; a life that is there goes on. Repeatable."""
        self._held = True
        self._ground.changes.tell()

    def release(self) -> None:
        """May be started again, at once. Repeatable."""
        if self._held:
            self._held = False
            self._backoff.reset()
            self._wanted_at = 0.0
            self._ground.changes.tell()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process; none when it does not run."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End the process and what it has left in its process group, at once."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def kill_and_wait(self) -> None:
        """As `kill`, and return when it is gone; for a process that is held."""
        self.kill()
        await self._ground.changes.until(lambda: not self.pid)

    async def stop(self, *, budget_s: float) -> None:
        """End it: its stop signal, and SIGKILL when `budget_s` has gone by. Repeatable."""
        self._stopping = True
        self._ground.changes.tell()
        self.signal(self.spec.stop_signal)
        self.signal(signal.SIGCONT)  # what is frozen cannot stop in an orderly way
        if not await self._ground.changes.until(self._is_over, at_most_s=budget_s):
            self._ground.journal.log("process.killed", process=self.spec.name, budget_s=budget_s)
            self.kill()
            await self._ground.changes.until(self._is_over)

    def _is_over(self) -> bool:
        return self.phase in (Phase.STOPPED, Phase.DONE)
