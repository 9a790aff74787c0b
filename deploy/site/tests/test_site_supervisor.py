"""The supervisor with real, very small processes: restart, order, faults, and its own death."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from murmuration.site import keeper as keeper_module
from murmuration.site.keeper import Keeper, Phase
from murmuration.site.levels import Changes
from murmuration.site.logfile import Journal, LogFile
from murmuration.site.process import Group, ProcessSpec
from murmuration.site.supervisor import Supervisor
from murmuration.testkit.levels import reaches

SLEEP = ("/bin/sleep", "300")


@dataclass
class Bench:
    supervisor: Supervisor
    folder: Path

    def keeper(self, name: str) -> Keeper:
        return self.supervisor.keepers[name]

    def text(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    async def phase(self, name: str, phase: Phase) -> Keeper:
        keeper = self.keeper(name)
        await reaches(lambda: keeper.phase is phase, what=f"{name} {phase.value}")
        return keeper


@asynccontextmanager
async def running(folder: Path, *specs: ProcessSpec, scale: float = 1.0) -> AsyncIterator[Bench]:
    def log_of(name: str) -> LogFile:
        return LogFile(folder / f"{name}.log", size_bytes_max=100_000, older_count=2)

    supervisor = Supervisor(
        changes=Changes(),
        journal=Journal(log_of("supervisor")),
        environment=dict(os.environ),
        log_of=log_of,
    )
    supervisor.add(specs)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await asyncio.sleep(0)
        try:
            yield Bench(supervisor, folder)
        finally:
            await supervisor.stop(budget_scale=scale)


def shell(name: str, script: str, group: Group = Group.SERVICES, **more: object) -> ProcessSpec:
    return ProcessSpec(name=name, argv=("/bin/sh", "-c", script), group=group, **more)  # type: ignore[arg-type]


async def test_process_comes_back_when_it_is_killed(tmp_path: Path) -> None:
    async with running(tmp_path, ProcessSpec(name="a", argv=SLEEP, group=Group.HOSTS)) as bench:
        first = (await bench.phase("a", Phase.READY)).pid
        os.kill(first, signal.SIGKILL)
        a = bench.keeper("a")
        await reaches(lambda: a.phase is Phase.READY and a.pid != first, what="a second life")
        assert a.restart_count == 1
        assert a.last_exit == "killed by SIGKILL"


async def test_delays_grow_when_a_process_fails_again_and_again(tmp_path: Path) -> None:
    async with running(tmp_path, shell("bad", "echo trying; exit 3")) as bench:
        await reaches(lambda: bench.keeper("bad").restart_count >= 4, what="four failures")
        journal = bench.text("supervisor")
        delays = [
            float(line.partition('"delay_s": ')[2].partition(",")[0])
            for line in journal.splitlines()
            if "process.restarting" in line
        ]
        for n, delay_s in enumerate(delays[:4]):
            nominal = keeper_module.RESTART_FIRST_S * 2**n
            assert nominal / 2 <= delay_s <= nominal
        assert bench.keeper("bad").last_exit == "exit code 3"
        assert bench.text("bad").count("trying") >= 4


async def test_process_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    program = tmp_path / "late"
    spec = ProcessSpec(name="late", argv=(str(program),), group=Group.SERVICES)
    async with running(tmp_path, spec) as bench:
        await bench.phase("late", Phase.BACKOFF)
        program.symlink_to("/bin/cat")
        keeper = bench.keeper("late")
        await reaches(lambda: keeper.restart_count >= 1)
        assert "No such file" in bench.text("supervisor")


async def test_process_waits_until_what_it_comes_after_is_ready(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def open_gate() -> bool:
        return gate.exists()

    specs = (
        shell("second", "echo here; exec sleep 300", after=("first",)),
        shell("first", "exec sleep 300", ready=open_gate),
    )
    async with running(tmp_path, *specs) as bench:
        await bench.phase("first", Phase.STARTING)
        second = await bench.phase("second", Phase.WAITING)
        assert second.waits_for == ["first"]
        assert second.pid == 0
        gate.touch()
        await bench.phase("second", Phase.READY)


async def test_work_that_ends_well_is_done_and_lets_others_start(tmp_path: Path) -> None:
    counter = tmp_path / "count"
    twice = f"echo x >> {counter}; test $(wc -l < {counter}) -ge 2"
    specs = (
        shell("work", twice, Group.TASKS, once=True),
        shell("after", "exec sleep 300", after=("work",)),
    )
    async with running(tmp_path, *specs) as bench:
        await bench.phase("after", Phase.READY)
        assert bench.keeper("work").phase is Phase.DONE
        assert bench.keeper("work").restart_count == 1


async def test_held_process_stays_dead_until_released(tmp_path: Path) -> None:
    async with running(tmp_path, ProcessSpec(name="a", argv=SLEEP, group=Group.HOSTS)) as bench:
        a = await bench.phase("a", Phase.READY)
        a.hold()
        a.kill()
        await bench.phase("a", Phase.HELD)
        assert a.pid == 0
        a.release()
        await bench.phase("a", Phase.READY)
        assert a.restart_count == 0


def ends_with(folder: Path, name: str, group: Group, script: str = "") -> ProcessSpec:
    order = folder / "order"
    trap = f"trap 'echo {name} >> {order}; exit 0' TERM; {script}"
    return shell(name, f"{trap} echo up; while :; do sleep 0.02; done", group)


async def test_groups_stop_in_order_hosts_first_and_store_last(tmp_path: Path) -> None:
    groups = [Group.STORE, Group.HOSTS, Group.BUS, Group.SERVICES]
    specs = [ends_with(tmp_path, group.name, group) for group in groups]
    async with running(tmp_path, *specs) as bench:
        for group in groups:
            await reaches(lambda name=group.name: "up" in bench.text(name))
    assert (tmp_path / "order").read_text().split() == ["HOSTS", "SERVICES", "BUS", "STORE"]


@pytest.mark.parametrize("ailment", ["deaf", "frozen"])
async def test_process_that_does_not_end_in_its_budget_is_killed(
    tmp_path: Path, ailment: str
) -> None:
    script = "trap '' TERM; echo up; while :; do sleep 0.02; done"
    async with running(tmp_path, shell("stubborn", script), scale=0.05) as bench:
        await reaches(lambda: "up" in bench.text("stubborn"))
        if ailment == "frozen":
            bench.keeper("stubborn").signal(signal.SIGSTOP)
    assert bench.keeper("stubborn").phase is Phase.STOPPED
    assert bench.keeper("stubborn").last_exit == "killed by SIGKILL"


async def test_stopping_ends_processes_that_wait_or_back_off(tmp_path: Path) -> None:
    specs = (
        shell("bad", "exit 1"),
        shell("waiting", "exec sleep 300", after=("nobody",)),
        ProcessSpec(name="held", argv=SLEEP, group=Group.HOSTS),
    )
    async with running(tmp_path, *specs) as bench:
        held = await bench.phase("held", Phase.READY)
        held.hold()
        held.kill()
        await bench.phase("held", Phase.HELD)
        await bench.phase("bad", Phase.BACKOFF)
    assert {k.phase for k in bench.supervisor.keepers.values()} == {Phase.STOPPED}


async def test_output_of_a_process_goes_to_its_log_and_rotates(tmp_path: Path) -> None:
    filler = "0123456789" * 5
    loop = f"while [ $i -lt 8000 ]; do echo line-$i-{filler}; i=$((i+1)); done"

    def written() -> list[int]:
        files = (tmp_path / name for name in ("loud.log.2", "loud.log.1", "loud.log"))
        text = "".join(path.read_text() for path in files if path.exists())
        return [int(line.split("-")[1]) for line in text.splitlines()]

    async with running(tmp_path, shell("loud", f"i=0; {loop}; exec sleep 300")):
        await reaches(lambda: written()[-1:] == [7999], what="the last line")
        numbers = written()
        assert numbers == list(range(numbers[0], 8000))  # rotation loses and tears no line
        assert numbers[0] > 0  # the oldest are gone
        assert len(list(tmp_path.glob("loud.log.*"))) == 2


async def test_two_processes_of_one_name_are_refused(tmp_path: Path) -> None:
    spec = ProcessSpec(name="a", argv=SLEEP, group=Group.HOSTS)
    async with running(tmp_path, spec) as bench:
        with pytest.raises(ValueError, match="there twice"):
            bench.supervisor.add([spec])


async def test_changes_wake_who_waits_and_time_ends_the_waiting() -> None:
    changes = Changes()
    level = [0]

    async def wait(holds: Callable[[], bool], at_most_s: float | None = None) -> bool:
        return await changes.until(holds, at_most_s=at_most_s)

    waiting = asyncio.ensure_future(wait(lambda: level == [2]))
    for n in (1, 2):
        level[0] = n
        changes.tell()
        await asyncio.sleep(0)
    assert await waiting
    assert not await wait(lambda: level == [3], at_most_s=0.01)


def test_supervisor_stays_small() -> None:
    """What the supervisor imports: no client library, and not more than 25 MB of its own."""
    code = (
        "import sys\n"
        "import murmuration.site.cli\n"
        "big = {'nats','asyncpg','aiohttp','msgspec','pyroute2','structlog','opentelemetry'}\n"
        "print(sorted(big & set(sys.modules)))\n"
        "pss = [l for l in open('/proc/self/smaps_rollup') if l.startswith('Pss:')][0]\n"
        "print(pss.split()[1])\n"
    )
    import subprocess

    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    assert said[0] == "[]"
    assert int(said[1]) < 25_000
