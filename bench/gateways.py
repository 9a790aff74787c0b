"""A gateway in a process of its own, and what wrk and the kernel say of it."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import free_port

READY_S = 120.0
CONNECTIONS = 4
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_P99 = re.compile(r"^\s+99%\s+([0-9.]+)(us|ms|s)\s*$", re.M)
_RATE = re.compile(r"^Requests/sec:\s+([0-9.]+)", re.M)


@dataclass(frozen=True, kw_only=True)
class GatewayProcess:
    """Where it listens, the token that opens it, and its process."""

    url: str
    token: str
    pid: int

    @property
    def headers(self) -> dict[str, str]:
        """What every request bears."""
        return {"Authorization": f"Bearer {self.token}"}

    async def get(self, path: str) -> bytes:
        """The body that a path answers. Raises aiohttp's error where it is not 2xx."""
        async with (
            aiohttp.ClientSession(headers=self.headers, raise_for_status=True) as web,
            web.get(self.url + path) as response,
        ):
            return await response.read()

    def status_mb(self, field: str) -> float:
        """`VmRSS` or `VmHWM` (the most so far), in units of 10^6 bytes."""
        return status_mb(self.pid, field)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What wrk measured: the 99th percentile of latency, and requests per second."""

    p99_ms: float
    rate_per_s: float


def status_mb(pid: int, field: str) -> float:
    """A field of /proc/<pid>/status, in units of 10^6 bytes."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    assert found is not None, f"{pid} has no {field}"
    return int(found[1]) * 1024 / 1e6


@asynccontextmanager
async def gateway_process(nats: NatsServer, folder: Path) -> AsyncGenerator[GatewayProcess, None]:
    """Start a gateway on this bus, wait until it is ready, and stop it at the end."""
    port = free_port()
    config = folder / "gateway.toml"
    config.write_text(
        f'[site]\nname = "bench"\ncredentials_dir = "{nats.credentials_dir}"\n'
        f'[bus]\nurl = "{nats.section.url}"\n[gateway]\nlisten = "127.0.0.1:{port}"\n'
    )
    process = _start(config, folder / "gateway.log")
    try:
        token = (nats.credentials_dir / "gateway.token").read_text().strip()
        made = GatewayProcess(url=f"http://127.0.0.1:{port}", token=token, pid=process.pid)
        await _ready(made, process)
        yield made
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start(config: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "murmuration.gateway"],
            env=os.environ | {"MUR_CONFIG": str(config)},
            stdout=output,
            stderr=output,
        )


async def _ready(made: GatewayProcess, process: subprocess.Popen[bytes]) -> None:
    async with aiohttp.ClientSession() as web, asyncio.timeout(READY_S):
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"the gateway ended with {process.returncode}")
            try:
                async with web.get(f"{made.url}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


async def wrk(gateway: GatewayProcess, path: str, *, seconds: int) -> Load:
    """Load `path` with CONNECTIONS connections, each asking again as soon as it is answered.

    Raises RuntimeError when an answer was not 2xx or did not come.
    """
    process = await asyncio.create_subprocess_exec(
        "wrk",
        f"-c{CONNECTIONS}",
        "-t1",
        f"-d{seconds}s",
        "--latency",
        "-H",
        f"Authorization: Bearer {gateway.token}",
        gateway.url + path,
        stdout=asyncio.subprocess.PIPE,
    )
    output = (await process.communicate())[0].decode()
    found, rate = _P99.search(output), _RATE.search(output)
    if "Non-2xx" in output or "Socket errors" in output or found is None or rate is None:
        raise RuntimeError(f"wrk on {path}: {output[-600:]}")
    return Load(p99_ms=float(found[1]) * _UNITS[found[2]], rate_per_s=float(rate[1]))
