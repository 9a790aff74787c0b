"""Speaks to the simulator: faults of simulated hosts are its business, to remember them is ours."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from murmuration.site.errors import Refused

ANSWER_S = 10.0

Faults = Callable[[], Iterable[tuple[str, str]]]


class Simulator:
    """The simulator behind its socket; `faults` lists (host, action) of what is broken now."""

    def __init__(self, path: Path, faults: Faults) -> None:
        self._path = path
        self._faults = faults
        self._one_at_a_time = asyncio.Lock()  # what was healed meanwhile is not broken again

    async def __call__(self) -> bool:
        """Whether it is ready: it answers, and knows what is broken (it may be a new process)."""
        async with self._one_at_a_time:
            await self._ask({"op": "status"})
            for host, action in self._faults():
                await self._ask({"op": action, "host": host})
        return True

    async def tell(self, request: Mapping[str, str]) -> None:
        """Do something to a host. Raises Refused when it refuses or is away."""
        try:
            async with asyncio.timeout(ANSWER_S), self._one_at_a_time:
                answer = await self._ask(request)
        except (OSError, ValueError, TimeoutError) as error:
            raise Refused("The simulator does not answer.", "See its log: `logs sim`.") from error
        if not answer.get("ok"):
            raise Refused(str(answer.get("error", "The simulator refused.")))

    async def _ask(self, request: Mapping[str, str]) -> Mapping[str, Any]:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            return dict(json.loads(await reader.readline()))
        finally:
            writer.close()
