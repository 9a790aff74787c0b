"""How soon a process that died is started again.

A real agent (its own process, without a bus, as after a boot without a network) monitors 30
processes by pidfd. One after another is killed with SIGKILL, 500 times in all (60 with --quick).
`restart_p99_ms` and `restart_p50_ms`: from just before the kill until the program that starts the
process anew has said its first word to this benchmark by a FIFO, exec and its shell included.
"""

import asyncio
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.harness import Options, Row

TITLE = "pmon: from the death of a monitored process until its restart has begun, 30 processes"
ROWS = (
    Row(name="restart_p99_ms", unit="ms", target=20),
    Row(name="restart_p50_ms", unit="ms"),
)
PROCESSES = 30
PACE_S = 0.07  # each is killed every 2.1 s: beyond the least time between two starts
ANSWER_S = 20.0
CONFIG = """\
[host]
name = "bench"
state_dir = "{folder}/state"
[maintenance]
systemctl = ""
[processes]
dir = "{folder}/pmon.d"
active_port = 0
[telemetry]
log_level = "error"
"""
PROCESS = """\
[process]
process = p{number}
style = lsb
script = {folder}/p{number}
pidfile = {folder}/p{number}.pid
severity = minor
restarts = 1000
startuptime = 20
"""
SCRIPT = """\
#!/bin/sh
echo {number} >{folder}/fifo
sleep 1000 </dev/null >/dev/null 2>&1 &
echo $! >{folder}/p{number}.new
mv {folder}/p{number}.new {folder}/p{number}.pid
"""


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS."""
    count = 60 if options.quick else 500
    return await asyncio.to_thread(_measure, count, options)


def _measure(count: int, options: Options) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory(prefix="mur-bench-") as name, _monitored(Path(name)) as fifo:
        folder = Path(name)
        found = [_kill(folder, fifo, turn % PROCESSES) for turn in range(count)]
    for value in found:
        options.sample("restart_ms", value)
    return {
        "restart_p99_ms": statistics.quantiles(found, n=100)[98],
        "restart_p50_ms": statistics.median(found),
    }


def _kill(folder: Path, fifo: int, number: int) -> float:
    """Kill one process; the milliseconds until its restart began."""
    time.sleep(PACE_S)
    pid = _pid(folder, number)
    began = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    _word(fifo, number)
    took_ms = (time.perf_counter() - began) * 1_000
    _until(lambda: _pid(folder, number) not in (0, pid), f"process {number} is back")
    return took_ms


def _word(fifo: int, number: int) -> None:
    if not select.select([fifo], [], [], ANSWER_S)[0]:
        raise RuntimeError(f"process {number} was not started again within {ANSWER_S:g} s")
    said = os.read(fifo, 64).split()
    if said != [str(number).encode()]:
        raise RuntimeError(f"{said} was started, where {number} was killed")


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + ANSWER_S
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"it did not come to pass that {what}")
        time.sleep(0.002)


def _pid(folder: Path, number: int) -> int:
    try:
        return int((folder / f"p{number}.pid").read_text())
    except (FileNotFoundError, ValueError):
        return 0


@contextmanager
def _monitored(folder: Path) -> Iterator[int]:
    """The processes, each started, and the agent watching them; the FIFO's descriptor."""
    (folder / "pmon.d").mkdir()
    os.mkfifo(folder / "fifo")
    fifo = os.open(folder / "fifo", os.O_RDWR | os.O_NONBLOCK)
    (folder / "node.toml").write_text(CONFIG.format(folder=folder))
    for number in range(PROCESSES):
        script = folder / f"p{number}"
        script.write_text(SCRIPT.format(folder=folder, number=number))
        script.chmod(0o755)
        subprocess.run([script], check=True)
        _word(fifo, number)
        text = PROCESS.format(folder=folder, number=number)
        (folder / "pmon.d" / f"p{number}.conf").write_text(text)
    agent = subprocess.Popen(
        [sys.executable, "-m", "murmuration.node", "--config", str(folder / "node.toml")],
        stderr=subprocess.DEVNULL,
    )
    try:
        _until(lambda: _watched(agent.pid) >= PROCESSES, "all processes are watched")
        yield fifo
    finally:
        agent.kill()
        agent.wait()
        os.close(fifo)
        for number in range(PROCESSES):
            if pid := _pid(folder, number):
                os.kill(pid, signal.SIGKILL)


def _watched(agent: int) -> int:
    """How many pidfds the agent has open."""
    links = 0
    for entry in Path(f"/proc/{agent}/fd").iterdir():
        try:
            links += "pidfd" in str(entry.readlink())
        except FileNotFoundError:
            continue
    return links
