"""What benchmarks of the monitor share: swarms of hosts, and a monitor in a process of its own.

`python -m bench.monitoring MODE …` is that process. `full` is the monitor as mtce runs it, tick for
tick, without a database: both paths, attendance, judgement. `drain` reads the same subscription at
the same ticks and throws the bytes away: what no monitor could do without. CPU is user and system
time of the process, over a window that begins when every host is heard.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from murmuration.mtce.adapters.own_link import OwnLink
from murmuration.mtce.adapters.pulse_bus import PulseBus
from murmuration.mtce.adapters.pulses import PulsePaths, boottime_ns
from murmuration.mtce.core.attendance import Attendance
from murmuration.mtce.monitor import TICK_MS
from murmuration.proto import registry
from murmuration.proto.ids import HostName
from murmuration.runtime import logs
from murmuration.runtime.config import BusSection, read_credentials
from murmuration.runtime.service import new_event_loop
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import short_folder
from murmuration.testkit.swarm import Plan

START_S = 60.0


@contextmanager
def server() -> Iterator[NatsServer]:
    """A real nats-server with the site's identities, gone at the end."""
    registry.load()
    with short_folder() as folder:
        nats = NatsServer(folder)
        nats.start()
        try:
            yield nats
        finally:
            nats.kill()


class Child:
    """A process that is told things by lines and answers by lines."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def ask(self, line: str) -> list[str]:
        """Say a line, and wait for the answer's words."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        return self.answer()

    def answer(self) -> list[str]:
        """The next line. Raises RuntimeError when the process has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended")
        return line.split()

    def end(self) -> None:
        """Close its input, which ends it, and wait."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def swarms(
    nats: NatsServer, *, hosts: int, period_ms: int, processes: int, connections: int = 1
) -> Iterator[list[Child]]:
    """So many hosts, beating, spread over publisher processes with `connections` each."""
    share = -(-hosts // processes)
    children: list[Child] = []
    try:
        for first in range(0, hosts, share):
            plan = Plan(
                host="127.0.0.1",
                port=nats.port,
                credentials_dir=str(nats.credentials_dir),
                first=first,
                count=min(share, hosts - first),
                connections=connections,
                period_ms=period_ms,
            )
            children.append(Child(["murmuration.testkit.swarm", json.dumps(asdict(plan))]))
        for child in children:
            child.answer()
        yield children
    finally:
        for child in children:
            child.end()


@contextmanager
def monitor(nats: NatsServer, mode: str, *, hosts: int, period_ms: int) -> Iterator[Child]:
    """A monitor process that hears every host when this begins."""
    plan = {
        **{"mode": mode, "hosts": hosts, "period_ms": period_ms},
        **{"url": nats.section.url, "credentials_dir": str(nats.credentials_dir)},
    }
    child = Child(["bench.monitoring", json.dumps(plan)])
    try:
        child.answer()
        yield child
    finally:
        child.end()


def measure(child: Child, seconds: float) -> dict[str, float]:
    """CPU in percent of a core, and messages and bytes a second, of a monitor over a window."""
    before = json.loads(" ".join(child.ask("figures")))
    time.sleep(seconds)
    after = json.loads(" ".join(child.ask("figures")))
    spent = {name: after[name] - before[name] for name in before}
    wall = spent["wall_s"]
    return {
        "cpu_pct": 100 * spent["cpu_s"] / wall,
        "frames_s": spent["frames"] / wall,
        "bytes_s": spent["bytes"] / wall,
    }


class _Drain(PulseBus):
    """Reads what the subscription brings, and looks at none of it."""

    bytes = 0

    def _fill(self, opened: socket.socket) -> bool:
        room = self._inbox.room
        try:
            count = opened.recv_into(room)
        except BlockingIOError:
            return False
        self.bytes += count
        self._heard_at = asyncio.get_running_loop().time()
        return count == len(room)


class _Keys:
    def key_of(self, index: int) -> None:
        return None


@asynccontextmanager
async def _full(plan: dict[str, Any]) -> AsyncGenerator[tuple[Any, Any]]:
    attendance = Attendance(boottime_ns(), tick_ms=TICK_MS)
    for index in range(plan["hosts"]):
        attendance.watch(
            index,
            HostName(f"host-{index}"),
            period_ms=plan["period_ms"],
            boot_id="",
            expected=True,
            now_ns=boottime_ns(),
        )
    section = BusSection(url=plan["url"])
    login = read_credentials(Path(plan["credentials_dir"]), "mtce").bus
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        paths = PulsePaths(section, login, udp, OwnLink("127.0.0.1", udp))
        async with paths.feed(attendance, _Keys()):

            def tick() -> list[int]:
                paths.drain()
                return attendance.judge(boottime_ns())

            def frames() -> tuple[int, int]:
                return sum(attendance.counts.values()), 0

            heard = plan["hosts"]
            while True:
                tick()
                if int(attendance.bits(boottime_ns())[0].sum()) >= heard:
                    break
                await asyncio.sleep(TICK_MS / 1_000)
            yield tick, frames


@asynccontextmanager
async def _drain(plan: dict[str, Any]) -> AsyncGenerator[tuple[Any, Any]]:
    bus = _Drain(
        BusSection(url=plan["url"]),
        read_credentials(Path(plan["credentials_dir"]), "mtce").bus,
        name="drain",
        subject="mtce.pulse.*.*",
        take=lambda _taken: None,
    )
    task = asyncio.create_task(bus.run())
    while not bus.bytes:
        bus.drain()
        await asyncio.sleep(TICK_MS / 1_000)
    try:
        yield bus.drain, lambda: (0, bus.bytes)
    finally:
        task.cancel()


async def _serve(plan: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    asked: asyncio.Queue[bytes] = asyncio.Queue()
    loop.add_reader(0, lambda: asked.put_nowait(os.read(0, 4_096)))
    async with (_full if plan["mode"] == "full" else _drain)(plan) as (tick, figures):
        os.write(1, b"ready\n")
        due = loop.time()
        while True:
            due = max(due + TICK_MS / 1_000, loop.time())
            await asyncio.sleep(due - loop.time())
            tick()
            if asked.empty():
                continue
            if not asked.get_nowait():
                return
            frames, count = figures()
            said = {
                **{"cpu_s": time.process_time(), "wall_s": time.monotonic()},
                **{"frames": frames, "bytes": count},
            }
            os.write(1, json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    logs.configure(level="error", style="json", service="bench")
    registry.load()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(json.loads(sys.argv[1])))
