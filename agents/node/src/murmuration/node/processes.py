"""The process monitor: keeps the processes of pmon.d alive, and says which it cannot.

Each process is one task that does what its machine's phase says (core.process_fsm) and feeds back
what it saw. A death is heard by pidfd, so that nothing is polled while all is well. The files are
looked at every RESCAN_S: a new, changed or removed one takes effect without a restart.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog

from murmuration.node.adapters import programs
from murmuration.node.adapters.processes import (
    Pings,
    find,
    folder_signature,
    open_pings,
    read_folder,
)
from murmuration.node.board import Board, Finding
from murmuration.node.config import ProcessesSection
from murmuration.node.core.process_fsm import (
    RESTART_S_MAX,
    Input,
    Phase,
    ProcessStep,
    Watch,
    failure,
    step,
    watch_of,
)
from murmuration.node.core.process_spec import Mode, ProcessSpec, restart_commands
from murmuration.proto.fm import Severity
from murmuration.proto.node import ConditionKind, ProcessState, ProcessView

LOOK_EVERY_S = 0.2  # while a process is awaited
DOWN_EVERY_S = 1.0  # while one is down that is not ours to start
RESCAN_S = 5.0  # a look at the folder; its files are read again only when one differs
STATUS_S_MAX = 30.0
ACTIVE_FIRST_S = 180.0  # for the first answer of a process that has never answered
KINDS = (ConditionKind.PROCESS, ConditionKind.MONITOR)
STATES = {
    Phase.WAITING: ProcessState.WAITING,
    Phase.LOOKING: ProcessState.STARTING,
    Phase.RUNNING: ProcessState.RUNNING,
    Phase.PAUSING: ProcessState.RESTARTING,
    Phase.RESTARTING: ProcessState.RESTARTING,
    Phase.DOWN: ProcessState.FAILED,
    Phase.SUSPENDED: ProcessState.WAITING,
    Phase.IGNORED: ProcessState.IGNORED,
}
log = structlog.get_logger()


class Keeper:
    """One process: does what its phase says."""

    def __init__(
        self,
        spec: ProcessSpec,
        section: ProcessesSection,
        pings: Pings | None,
        *,
        systemctl: str,
        changed: Callable[[], None],
        begin_at: float,
    ) -> None:
        self.watch: Watch = watch_of(spec)
        self.reason = ""
        self._section = section
        self._pings = pings
        self._systemctl = systemctl
        self._changed = changed
        self._begin_at = begin_at
        self._nudged = asyncio.Event()

    def take(self, given: Input, *, pid: int = 0, why: str = "") -> None:
        """One input of the machine."""
        before = self.watch
        following: ProcessStep = step(before, given, time.monotonic(), pid=pid, why=why)
        self.watch = following.state
        if self.watch == before:
            return
        if self.watch.alarmed and not before.alarmed:
            self.reason = following.reason
        log.info("process.step", process=before.spec.name, reason=following.reason)
        self._nudged.set()
        self._changed()

    async def run(self) -> None:
        """Keep the process until cancelled."""
        while True:
            self._nudged.clear()
            phase = self.watch.phase
            if phase is Phase.RESTARTING:
                await self._restart()  # never given up half-way: what starts a process ends first
            else:
                await self._unless_nudged(self._work(phase))

    async def _unless_nudged(self, work: Coroutine[Any, Any, None]) -> None:
        doing = asyncio.create_task(work)
        nudge = asyncio.create_task(self._nudged.wait())
        try:
            await asyncio.wait((doing, nudge), return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                doing.result()
        finally:
            for each in (doing, nudge):
                each.cancel()
            await asyncio.gather(doing, nudge, return_exceptions=True)

    async def _work(self, phase: Phase) -> None:
        if phase is Phase.WAITING:
            await self._await_turn()
        elif phase is Phase.LOOKING:
            await self._look()
        elif phase is Phase.RUNNING:
            await self._watch_it()
        elif phase is Phase.PAUSING:
            await self._until(self.watch.due)
            self.take(Input.DUE)
        elif phase is Phase.DOWN:
            await asyncio.sleep(DOWN_EVERY_S)
            await self._appears()
        else:
            await asyncio.Event().wait()

    async def _await_turn(self) -> None:
        await self._until(self._begin_at)
        while self.watch.spec.full_init and self._section.init_file:
            if programs.mode_of(Path(self._section.init_file)) is not None:
                break
            await asyncio.sleep(DOWN_EVERY_S)
        self.take(Input.BEGIN)

    async def _appears(self) -> bool:
        spec = self.watch.spec
        if spec.mode is Mode.STATUS:
            found, pid = not await self._status(), 0
        else:
            pid = await find(spec, systemctl=self._systemctl)
            found = bool(pid)
        if found:
            self.take(Input.APPEARED, pid=pid)
        return found

    async def _look(self) -> None:
        due = self.watch.due or 0.0
        while not await self._appears():
            if time.monotonic() >= due:
                self._fail(f"it is not there {self.watch.spec.startup_s:g} s after its start")
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def _watch_it(self) -> None:
        watch = self.watch
        async with asyncio.TaskGroup() as group:
            if watch.due is not None:
                group.create_task(self._debounce(watch.due))
            if watch.pid:
                group.create_task(self._await_death(watch.pid))
            if watch.spec.mode is Mode.ACTIVE:
                group.create_task(self._ask_again_and_again())
            if watch.spec.mode is Mode.STATUS:
                group.create_task(self._check_again_and_again())

    async def _debounce(self, due: float) -> None:
        await self._until(due)
        self.take(Input.DUE)

    async def _await_death(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            async with programs.death_of(pid) as ended:
                await ended
        self._fail(f"process {pid} has ended")

    async def _ask_again_and_again(self) -> None:
        spec, misses, answered = self.watch.spec, 0, False
        if self._pings is None:
            return
        began = time.monotonic()
        while misses < spec.threshold:
            await asyncio.sleep(spec.period_s)
            if await self._pings.ask(spec.name, spec.port, timeout_s=spec.timeout_s):
                misses, answered = 0, True
            elif answered or time.monotonic() - began > ACTIVE_FIRST_S:
                misses += 1
        self._fail(f"it did not answer {misses} times on port {spec.port}")

    async def _check_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(self.watch.spec.period_s)
            if reason := await self._status():
                self._fail(self.watch.spec.status_failure_text or reason)
                return

    async def _status(self) -> str:
        spec = self.watch.spec
        limit = min(spec.timeout_s or STATUS_S_MAX, STATUS_S_MAX)
        return await programs.run((spec.script, spec.status_arg), deadline_s=limit)

    async def _restart(self) -> None:
        for argv in restart_commands(self.watch.spec, systemctl=self._systemctl):
            if reason := programs.distrusted(Path(argv[0]), programs.trusted_owners()):
                self._fail(reason)
                return
            try:
                code = await programs.finish(programs.spawn(argv), deadline_s=RESTART_S_MAX)
                reason = (
                    ""
                    if code == 0
                    else f"{argv[0]} "
                    + ("took too long" if code is None else f"ended with {programs.describe(code)}")
                )
            except OSError as error:
                reason = f"{argv[0]} cannot be started: {error.strerror}"
            stopping = argv[-1] == "stop"
            if reason and not stopping:
                self._fail(reason)
                return
        self.take(Input.RESTARTED)

    def _fail(self, why: str) -> None:
        self.take(failure(self.watch, time.monotonic()), why=why)

    @staticmethod
    async def _until(due: float | None) -> None:
        await asyncio.sleep(max(0.0, (due or 0.0) - time.monotonic()))


class ProcessMonitor:
    """All monitored processes of the host."""

    def __init__(self, section: ProcessesSection, board: Board, *, systemctl: str) -> None:
        self._section = section
        self._systemctl = systemctl
        self._board = board
        self._keepers: dict[str, tuple[Keeper, asyncio.Task[None]]] = {}
        self._faults: list[str] = []
        self._changed = asyncio.Event()
        self._suspended = False
        self._owners = programs.trusted_owners()

    def suspend(self, *, suspended: bool) -> None:
        """Leave the processes alone while the host's services are stopped, or keep them again."""
        self._suspended = suspended
        for keeper, _ in self._keepers.values():
            keeper.take(Input.SUSPEND if suspended else Input.RESUME)

    @property
    def quorum_lost(self) -> str:
        """Why the quorum is lost, one clause; empty while it is there."""
        lost = [
            keeper.watch.spec.name
            for keeper, _ in self._keepers.values()
            if keeper.watch.alarmed and keeper.watch.spec.quorum
        ]
        return f"{', '.join(lost)} cannot be kept running" if lost else ""

    async def run(self) -> None:
        """Monitor until cancelled."""
        begin_at = time.monotonic() + self._section.start_delay_s
        self._keepers.clear()  # of a run that has ended: their tasks ended with it
        async with contextlib.AsyncExitStack() as stack:
            pings: Pings | None = None
            try:
                pings = await stack.enter_async_context(open_pings(self._section.active_port))
            except OSError as error:
                log.warning("pmon.no_pings", port=self._section.active_port, reason=str(error))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._show(), name="show")
                seen: object = None
                while True:
                    now = folder_signature(Path(self._section.dir))
                    if now != seen or self._faults:  # a script may have been mended
                        seen = now
                        self._rescan(group, pings, begin_at)
                    await asyncio.sleep(RESCAN_S)

    def _rescan(self, group: asyncio.TaskGroup, pings: Pings | None, begin_at: float) -> None:
        specs, faults = read_folder(Path(self._section.dir), self._owners)
        for fault in faults:
            if fault not in self._faults:
                log.warning("pmon.file_refused", reason=fault)
        self._faults = faults
        wanted = {spec.name: spec for spec in specs}
        for name, (keeper, task) in list(self._keepers.items()):
            if wanted.get(name) != keeper.watch.spec:
                task.cancel()
                del self._keepers[name]
        for name, spec in wanted.items():
            if name not in self._keepers:
                keeper = Keeper(
                    spec,
                    self._section,
                    pings,
                    systemctl=self._systemctl,
                    changed=self._changed.set,
                    begin_at=begin_at,
                )
                if self._suspended:
                    keeper.take(Input.SUSPEND)
                self._keepers[name] = (keeper, group.create_task(keeper.run(), name=f"pmon {name}"))
        self._changed.set()

    async def _show(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            keepers = [keeper for keeper, _ in self._keepers.values()]
            findings = [
                Finding(
                    ConditionKind.PROCESS,
                    keeper.watch.spec.name,
                    keeper.watch.spec.severity,
                    keeper.reason or f"{keeper.watch.spec.name} has failed",
                )
                for keeper in keepers
                if keeper.watch.alarmed
            ]
            if self._faults:
                findings.append(
                    Finding(ConditionKind.MONITOR, "pmon", Severity.MAJOR, self._faults[0])
                )
            await self._board.put("processes", KINDS, findings)
            await self._board.put_processes(_view(keeper.watch) for keeper in keepers)


def _view(watch: Watch) -> ProcessView:
    state = ProcessState.FAILED if watch.alarmed and not watch.pid else STATES[watch.phase]
    return ProcessView(
        name=watch.spec.name,
        state=state,
        severity=watch.spec.severity,
        pid=watch.pid,
        restart_count=watch.restart_count,
        quorum=watch.spec.quorum,
    )
