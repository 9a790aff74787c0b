"""What is asked of a stream itself: its tail, and one message by its number."""

from typing import NamedTuple

import nats.errors
import nats.js.errors

from murmuration.bus.connection import Bus
from murmuration.bus.message import Delivery
from murmuration.kernel.errors import Unavailable


class Tail(NamedTuple):
    """The end of a stream: its last sequence, and the last message if it is still kept."""

    sequence: int
    last: Delivery | None


async def read_message(bus: Bus, stream: str, sequence: int) -> Delivery | None:
    """One stored message, or None where there is none. Raises Unavailable."""
    try:
        raw = await bus.js.get_msg(stream, seq=sequence, direct=True)
    except nats.js.errors.NotFoundError:
        return None
    except (nats.errors.Error, nats.js.errors.APIError, OSError, TimeoutError) as error:
        raise Unavailable(f"stream {stream}: {error or type(error).__name__}") from error
    return Delivery(stream, sequence, raw.subject or "", dict(raw.headers or {}), raw.data or b"")


async def read_tail(bus: Bus, stream: str) -> Tail:
    """The end of a stream. Raises Unavailable, also when the stream is not there (yet)."""
    try:
        info = await bus.js.stream_info(stream)
    except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
        raise Unavailable(f"stream {stream}: {error or type(error).__name__}") from error
    sequence = info.state.last_seq
    return Tail(sequence, await read_message(bus, stream, sequence) if sequence else None)
