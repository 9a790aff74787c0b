"""Short-lived children that do one piece of work and answer: run, wait, read the answer."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from murmuration.site.errors import Refused
from murmuration.site.logfile import LogFile
from murmuration.site.process import Group, ProcessSpec, describe_exit, spawn, wait_for_death

TIMEOUT_S = 120.0  # initdb syncs to disk, and a disk can be slow
ATTEMPTS_MAX = 3  # somebody may kill a helper; work that may be repeated is


class Helper:
    """Runs helpers with one environment; their output goes into a log as well."""

    def __init__(self, *, environment: Mapping[str, str], log: LogFile) -> None:
        self._environment = environment
        self._log = log

    async def ask(self, module: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of `python -m module REQUEST`. Raises Refused with what it said."""
        spec = ProcessSpec(
            name=module.rpartition(".")[2],
            argv=(sys.executable, "-m", module, json.dumps(request)),
            group=Group.TASKS,
        )
        text = await self.run(spec)
        answer: dict[str, Any] = json.loads(text.splitlines()[-1])
        if "error" in answer:
            raise Refused(answer["error"], answer.get("remedy", ""))
        return answer

    async def run(self, spec: ProcessSpec) -> str:
        """Run to the end and return what it printed; work that was killed is begun again.

        Raises Refused when it fails: exit codes 0 and 2 (an answered refusal) are good.
        """
        code, text = await self._once(spec)
        for _ in range(ATTEMPTS_MAX - 1):
            if code >= 0:
                break
            code, text = await self._once(spec)
        if code not in (0, 2):
            last = text.strip().splitlines()[-1:] or [describe_exit(code)]
            raise Refused(f"{spec.name} failed: {last[0]}.", f"Its output is in {self._log.path}.")
        return text

    async def _once(self, spec: ProcessSpec) -> tuple[int, str]:
        read_end, write_end = os.pipe()
        try:
            pid = spawn(spec, output=write_end, base=self._environment)
        finally:
            os.close(write_end)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                data = await _read_all(read_end)
                code = await wait_for_death(pid)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            if isinstance(error, TimeoutError):
                raise Refused(f"{spec.name} did not end in {TIMEOUT_S:.0f} s.") from error
            raise
        finally:
            os.close(read_end)
        if code != 0:
            self._log.write(data)
        return code, data.decode(errors="replace")


async def _read_all(descriptor: int) -> bytes:
    """Everything until the last writer has closed its end."""
    loop = asyncio.get_running_loop()
    os.set_blocking(descriptor, False)
    chunks: list[bytes] = []
    ended: asyncio.Future[None] = loop.create_future()

    def read() -> None:
        chunk = os.read(descriptor, 65_536)
        chunks.append(chunk)
        if not chunk and not ended.done():
            ended.set_result(None)

    loop.add_reader(descriptor, read)
    try:
        await ended
    finally:
        loop.remove_reader(descriptor)
    return b"".join(chunks)
