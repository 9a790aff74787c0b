"""Many messages in one write: the NATS protocol's HPUB lines, put together by hand.

nats-py encodes and checks each header of each message and awaits each; for a window of hundreds
that is most of the cost. What is written here is ours alone (encoded subjects, our own headers), so
it is checked once, where it is made. The client's buffer, its bound and its reconnection are used
as they are; they are reached by two methods that nats-py keeps private, pinned by the lock file
and by a test.
"""

from collections.abc import Iterable

import nats.errors
from nats.aio.client import Client

from murmuration.kernel.errors import Unavailable

VERSION_LINE = b"NATS/1.0\r\n"


def header_block(headers: Iterable[tuple[str, str]]) -> bytes:
    """The header lines of one message. Raises ValueError for a value that would end its line."""
    lines = [f"{key}: {value}\r\n" for key, value in headers]
    return header_lines("".join(lines), len(lines))


def header_lines(lines: str, count: int) -> bytes:
    """As `header_block`, of `count` lines put together already. Raises ValueError likewise."""
    if lines.count("\n") != count or lines.count("\r") != count:
        raise ValueError("a header value holds a line break")
    return b"".join((VERSION_LINE, lines.encode(), b"\r\n"))


def hpub(subject: str, reply: str, block: bytes, body: bytes) -> bytes:
    """One message as it goes over the wire."""
    size = len(block)
    line = f"HPUB {subject} {reply} {size} {size + len(body)}\r\n".encode()
    return b"".join((line, block, body, b"\r\n"))


async def send(client: Client, commands: list[bytes]) -> None:
    """Write them in one go. Raises Unavailable when the broker is away or its buffer is full."""
    if client.is_closed or not client.is_connected:
        raise Unavailable("NATS is away")
    try:
        await client._send_command(b"".join(commands))
        await client._flush_pending()
    except (nats.errors.Error, OSError) as error:
        raise Unavailable(f"cannot publish: {error or type(error).__name__}") from error
