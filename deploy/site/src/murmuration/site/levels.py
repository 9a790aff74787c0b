"""Waiting for a level: one place where everything that may have changed is told, many that look.

Whoever changes something tells; whoever waits looks at the level itself and never at the edge, so
that no change can be missed between looking and waiting.
"""

import asyncio
from collections.abc import Callable


class Changes:
    """Tell and wait, within one event loop."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def tell(self) -> None:
        """Something may have changed: everyone who waits looks again."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, holds: Callable[[], bool], *, at_most_s: float | None = None) -> bool:
        """Return True once `holds()`; False when `at_most_s` seconds went by before it did."""
        loop = asyncio.get_running_loop()
        deadline = None if at_most_s is None else loop.time() + at_most_s
        while not holds():
            left_s = None if deadline is None else deadline - loop.time()
            if left_s is not None and left_s <= 0:
                return False
            future: asyncio.Future[None] = loop.create_future()
            self._waiting.add(future)
            try:
                await asyncio.wait((future,), timeout=left_s)
            finally:
                self._waiting.discard(future)
        return True
