"""The watchdog of this host (murmuration-watchdog), as one of those whose word it takes."""

import asyncio
import socket

from murmuration.kernel.errors import Unavailable

ANSWER_S = 2.0
ANSWER_BYTES_MAX = 4_096


async def tell(path: str, request: str) -> str:
    """Send one request; the answer. Raises Unavailable when nobody answers, or it is refused."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as found:
        found.setblocking(False)
        try:
            async with asyncio.timeout(ANSWER_S):
                await loop.sock_connect(found, path)
                await loop.sock_sendall(found, request.encode())
                answer = (await loop.sock_recv(found, ANSWER_BYTES_MAX)).decode("utf-8", "replace")
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"the watchdog at {path} does not answer: {error!r}") from error
    if not answer.startswith("ok"):
        raise Unavailable(f"the watchdog says: {answer or 'nothing'}")
    return answer
