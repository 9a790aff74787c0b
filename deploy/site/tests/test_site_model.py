"""What is told to the simulator when it comes back, and what people say meanwhile."""

import asyncio
import json
from pathlib import Path

from murmuration.site.model import Simulator
from murmuration.testkit.levels import reaches


async def test_host_healed_while_a_new_simulator_learns_what_is_broken_stays_whole(
    tmp_path: Path,
) -> None:
    told, go_on = list[str](), asyncio.Event()
    broken = [("worker-1", "kill")]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(json.loads(await reader.readline())["op"])
        if told[-1] == "status":
            await go_on.wait()
        writer.write(b'{"ok":true}\n')
        writer.close()

    async def heal(simulator: Simulator) -> None:
        await simulator.tell({"op": "heal", "host": "worker-1"})
        broken.clear()

    path = tmp_path / "sim.sock"
    async with await asyncio.start_unix_server(serve, path):
        simulator = Simulator(path, lambda: broken)
        learning = asyncio.create_task(simulator())
        await reaches(lambda: told == ["status"])
        healing = asyncio.create_task(heal(simulator))
        await asyncio.sleep(0)
        go_on.set()
        assert await learning
        await healing
        assert told == ["status", "kill", "heal"]
        assert await simulator()
    assert told == ["status", "kill", "heal", "status"]
