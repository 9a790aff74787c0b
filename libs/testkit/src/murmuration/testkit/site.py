"""A whole site for a test or a benchmark: `up --detach` in a state folder of its own."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from murmuration.testkit.ports import free_port, short_folder

UP_AGAIN_MAX = 3  # another test may have taken a port that was free a moment ago
UP_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Site:
    """A running site, as its site.json tells it."""

    state_dir: Path
    url: str
    token: str
    control: str
    environment: Mapping[str, str]

    @property
    def headers(self) -> dict[str, str]:
        """What opens the gateway's door."""
        return {"Authorization": f"Bearer {self.token}"}

    def ask(self, **request: object) -> dict[str, Any]:
        """One request to the supervisor. Raises RuntimeError with its sentence when refused."""
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(30)
            door.connect(self.control)
            door.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(door.makefile().readline())
        if not answer.get("ok"):
            raise RuntimeError(answer.get("error"))
        return answer

    def lab(self, action: str, host: str) -> None:
        """Break or heal a host: kill, freeze, link-down, partition, heal."""
        self.ask(op="lab", action=action, host=host)

    def processes(self) -> dict[str, int]:
        """Pids by process name, of those that run."""
        found = self.ask(op="status")["processes"]
        return {process["name"]: process["pid"] for process in found if process["pid"]}

    def mur(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `mur` against this site."""
        return subprocess.run(
            [sys.executable, "-m", "murmuration.cli", *arguments],
            env={**self.environment, "COLUMNS": "80"},
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def site(*arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Site]:
    """Bring a site up, wait until it is ready, and take it down with its state at the end.

    Raises RuntimeError with what `up` said when it does not come up.
    """
    with short_folder() as folder:
        state = folder / "state"
        env = {**os.environ, **(environment or {}), "MUR_STATE_DIR": str(state)}
        command = [sys.executable, "-m", "murmuration.site"]
        try:
            done = _up(command, env, *arguments)
            for _ in range(UP_AGAIN_MAX):
                if "is in use" in done.stderr:
                    done = _up(command, env, *arguments)
            if done.returncode != 0:
                raise RuntimeError(f"up: {done.stdout}{done.stderr}")
            told = json.loads((state / "site.json").read_text())
            yield Site(
                state_dir=state,
                url=told["url"],
                token=told["token"],
                control=told["control"],
                environment=env,
            )
        finally:
            subprocess.run([*command, "down", "--wipe"], env=env, capture_output=True, check=False)


def _up(
    command: list[str], env: dict[str, str], *arguments: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*command, "up", "--detach", "--port", str(free_ports()), *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=UP_S,
        check=False,
    )


def free_ports(count: int = 10) -> int:
    """The first of `count` consecutive free ports: the gateway's, and the others' behind it."""
    while True:
        first = free_port()
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One server-sent event, with the loop time at which it came."""

    name: str
    data: Any
    id: str | None
    at: float


async def sse(session: aiohttp.ClientSession, url: str) -> AsyncIterator[SseEvent]:
    """The events of a stream until it ends."""
    timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
    async with session.get(url, timeout=timeout) as response:
        response.raise_for_status()
        name, data, event_id = "message", list[str](), None
        async for raw in response.content:
            line = raw.decode().rstrip("\r\n")
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].strip())
            elif line.startswith("id:"):
                event_id = line[3:].strip()
            elif not line and data:
                at = asyncio.get_running_loop().time()
                yield SseEvent(name, json.loads("\n".join(data)), event_id, at)
                name, data, event_id = "message", [], None
