"""Speaks to the simulator: faults of simulated hosts are its business."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from murmuration.site.errors import Refused

ANSWER_S = 10.0


async def tell_model(path: Path, request: Mapping[str, str]) -> Mapping[str, Any]:
    """Send one request to the simulator; its answer. Raises Refused when it refuses or is away."""
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(json.dumps(request).encode() + b"\n")
                answer = json.loads(await reader.readline())
            finally:
                writer.close()
    except (OSError, ValueError, TimeoutError) as error:
        raise Refused("The simulator does not answer.", "See its log: `logs sim`.") from error
    if not answer.get("ok"):
        raise Refused(str(answer.get("error", "The simulator refused.")))
    return answer
