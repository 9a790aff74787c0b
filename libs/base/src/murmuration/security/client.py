"""The NATS client that cannot be talked out of TLS, and that ends when it is told to.

nats-py goes on in plain text where a server does not ask for TLS, also when it was given a context;
only a handshake before the first line is never left out. Its context is one for life; ours is the
file's at each handshake, so that a rotation of authorities reaches who only reconnects.

Its PING, by which `flush` knows what the server has, overtakes what is not written yet.

It waits with `asyncio.wait_for`, which before Python 3.12 forgets a cancellation that comes with
the answer: a task that is stopped just then would go on for ever.
"""

import asyncio
import ssl
from collections.abc import Awaitable
from typing import Any, TypeVar

from nats.aio.client import DEFAULT_FLUSH_TIMEOUT, PING_PROTO, Client
from nats.aio.msg import Msg

from murmuration.security.tls import Contexts

T = TypeVar("T")


async def _heeding(answer: Awaitable[T]) -> T:
    """The answer. Raises CancelledError when the task was cancelled meanwhile, whatever came."""
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    found = await answer
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
    return found


class QuickClient(Client):
    """A client that heeds cancellation and reads headers in a quarter of the time.

    Headers are most of what a message costs; it asks the library where one is not plain ASCII with
    one word for a name.
    """

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,
        old_style: bool = False,  # noqa: FBT001, FBT002 - likewise
        headers: dict[str, Any] | None = None,
    ) -> Msg:
        """As the library's."""
        return await _heeding(super().request(subject, payload, timeout, old_style, headers))

    async def flush(self, timeout: int = DEFAULT_FLUSH_TIMEOUT) -> None:
        """As the library's: the server has taken in all that was said before."""
        await _heeding(super().flush(timeout))

    async def _flush_pending(self, force_flush: bool = False) -> None:  # noqa: FBT001, FBT002
        """As the library's, which forgets a cancellation that comes meanwhile."""
        await _heeding(super()._flush_pending(force_flush))

    async def _send_ping(self, future: asyncio.Future[bool] | None = None) -> None:
        """The library's overtakes what is still to be written, so that its answer says nothing."""
        self._pongs.append(asyncio.Future() if future is None else future)
        self._pending.append(PING_PROTO)
        self._pending_data_size += len(PING_PROTO)
        await self._flush_pending()

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        if not raw.isascii():
            return Client._parse_header_lines(raw)
        found: dict[str, str] = {}
        for line in raw.decode("ascii").split("\r\n"):
            name, colon, value = line.partition(":")
            if not colon:
                continue
            if not name or not name.isprintable() or " " in name:
                return Client._parse_header_lines(raw)
            found[name] = value.strip()
        return found


class TlsClient(QuickClient):
    """A client that trusts what `authorities` has at each handshake."""

    def __init__(self, authorities: Contexts) -> None:
        super().__init__()
        self._authorities = authorities

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """What the library asks for at each connection."""
        return self._authorities.context()


def new_client(authorities: Contexts | None) -> tuple[Client, dict[str, Any]]:
    """A client, and what `connect` must be told for it; None: without TLS."""
    if authorities is None:
        return QuickClient(), {}
    return TlsClient(authorities), {"tls": authorities.context(), "tls_handshake_first": True}
