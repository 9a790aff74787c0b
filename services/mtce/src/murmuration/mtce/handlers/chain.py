"""Two handlers of one message."""

from collections.abc import Awaitable, Callable
from typing import ParamSpec

P = ParamSpec("P")


def one_after_another(
    first: Callable[P, Awaitable[None]], second: Callable[P, Awaitable[None]]
) -> Callable[P, Awaitable[None]]:
    """Both handlers of one message, in one transaction."""

    async def both(*arguments: P.args, **named: P.kwargs) -> None:
        await first(*arguments, **named)
        await second(*arguments, **named)

    return both
