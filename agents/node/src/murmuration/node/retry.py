"""Trying until it succeeds: for what a host wants and a part that is away cannot give yet."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from murmuration.kernel.backoff import Backoff
from murmuration.kernel.errors import MurmurationError
from murmuration.runtime.dice import dice

RETRY_FIRST_S = 0.2
RETRY_MOST_S = 2.0  # nobody there answers at once: asking is cheap, waiting is not

T = TypeVar("T")
log = structlog.get_logger()


async def until_done(attempt: Callable[[], Awaitable[T]], event: str, **ids: str) -> T:
    """Attempt until it succeeds, waiting longer each time. Says each new reason once."""
    backoff = Backoff(first_s=RETRY_FIRST_S, most_s=RETRY_MOST_S)
    said = ""
    while True:
        try:
            done = await attempt()
        except (MurmurationError, OSError) as error:
            if str(error) != said:
                said = str(error)
                log.warning(f"{event}_failed", **ids, reason=said)
            await asyncio.sleep(backoff.next_s(dice()))
        else:
            if said:
                log.info(f"{event}_recovered", **ids)
            return done
