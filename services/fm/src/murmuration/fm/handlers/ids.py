"""Fresh ids: RFC 9562 version 7, so that what is new lies together in an index."""

import os
from datetime import datetime
from uuid import UUID

_VERSION = 7 << 76
_VARIANT = 2 << 62
_RANDOM = (1 << 128) - 1 - (((1 << 48) - 1) << 80) - (0xF << 76) - (3 << 62)


def fresh_uuids(count: int, now: datetime) -> list[str]:
    """So many new ids, with the time of now in front and 74 random bits behind."""
    milliseconds = int(now.timestamp() * 1_000) << 80
    dice = os.urandom(16 * count)
    return [
        str(
            UUID(
                int=milliseconds
                | _VERSION
                | _VARIANT
                | (int.from_bytes(dice[place : place + 16], "big") & _RANDOM)
            )
        )
        for place in range(0, 16 * count, 16)
    ]
