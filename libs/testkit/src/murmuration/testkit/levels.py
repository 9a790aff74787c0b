"""Waiting for a level with a generous deadline: machines are shared and noisy."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_S = 30.0


async def reaches(
    read: Callable[[], T | Awaitable[T]], *, deadline_s: float = DEADLINE_S, what: str = ""
) -> T:
    """Read until the answer is true-like, and return it.

    Raises AssertionError with the last answer when the deadline passes.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + deadline_s
    while True:
        answer = read()
        value: T = await answer if isawaitable(answer) else answer  # type: ignore[assignment]
        if value:
            return value
        if loop.time() > deadline:
            raise AssertionError(f"{what or 'the level'} was not reached, last: {value!r}")
        await asyncio.sleep(0.02)
