"""Server-sent events to many clients: encoded once, written to each, nobody waits for the slowest.

Invariants:
- every client that is not dropped gets every chunk in the order it was published;
- a client more than BEHIND_BYTES_MAX behind is cut off (it comes back and resumes), so that memory
  stays bounded; what it was given at the start is not counted until it has caught up once;
- while it is quiet a chunk leaves at once; above about 300 chunks a second they are gathered for
  TICK_S, which costs that much delay and halves the work.

Chunks go straight to the transport, framed for HTTP/1.1's chunked coding once for all clients
(RFC 9112 7.1); event stream format: WHATWG HTML, server-sent events.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from aiohttp import web
from aiohttp.http import HttpVersion11

from murmuration.kernel.errors import Unavailable

BEHIND_BYTES_MAX = 2**20  # what one slow client may hold in memory
CLIENTS_MAX = 500  # about 0.5 GB at the very worst; a site has a handful
COMMENT_PERIOD_S = 15.0  # keeps proxies and the client's own patience awake
TICK_S = 0.010
WINDOW_S = 0.1
WINDOW_COUNT_MAX = 30  # 300 a second
RETRY_MS = 1_000  # how soon a browser comes back

log = structlog.get_logger()


def event(name: str, data: bytes, *, id: str | None = None) -> bytes:
    """One event in wire form. `data` is JSON; `id` becomes the client's Last-Event-ID."""
    head = f"id: {id}\nevent: {name}\n" if id is not None else f"event: {name}\n"
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines())
    return b"%bdata: %b\n\n" % (head.encode(), data)


@dataclass(eq=False, slots=True)
class Client:
    """One open answer."""

    transport: asyncio.Transport
    chunked: bool
    behind_bytes_max: int = BEHIND_BYTES_MAX
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def write(self, chunk: bytes, framed: bytes) -> bool:
        """Hand a chunk to the transport; False when the client is gone or too far behind."""
        if self.transport.is_closing():
            return False
        waiting = self.transport.get_write_buffer_size()
        if waiting > self.behind_bytes_max:
            return False
        if waiting < BEHIND_BYTES_MAX:
            self.behind_bytes_max = BEHIND_BYTES_MAX
        self.transport.write(framed if self.chunked else chunk)
        return True


@dataclass
class HubCounts:
    """What the hub counts, for metrics."""

    chunks: int = 0
    flushes: int = 0
    dropped: int = 0


class Hub:
    """The clients of one stream."""

    def __init__(self, *, clients_max: int = CLIENTS_MAX) -> None:
        self._clients: set[Client] = set()
        self._clients_max = clients_max
        self._pending: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._window_at = 0.0
        self._window_count = 0
        self._closed = False
        self.counts = HubCounts()

    @property
    def client_count(self) -> int:
        """Clients connected now."""
        return len(self._clients)

    def publish(self, chunk: bytes) -> None:
        """Send a chunk (one or more whole events) to every client."""
        if not self._clients:
            return
        self.counts.chunks += 1
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - self._window_at >= WINDOW_S:
            self._window_at, self._window_count = now, 0
        self._window_count += 1
        self._pending.append(chunk)
        if self._timer is None and self._window_count <= WINDOW_COUNT_MAX:
            self.flush()
        elif self._timer is None:
            self._timer = loop.call_later(TICK_S, self.flush)

    def flush(self) -> None:
        """Write what is gathered now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._pending:
            return
        chunk = b"".join(self._pending)
        self._pending.clear()
        self.counts.flushes += 1
        framed = frame(chunk)
        for client in [c for c in self._clients if not c.write(chunk, framed)]:
            self._drop(client)

    def _drop(self, client: Client) -> None:
        self._clients.discard(client)
        client.done.set()
        if not client.transport.is_closing():
            self.counts.dropped += 1
            log.info(
                "sse.dropped",
                reason="too far behind",
                behind_bytes=client.transport.get_write_buffer_size(),
            )
            client.transport.abort()

    async def serve(self, request: web.Request, first: Callable[[], bytes]) -> web.StreamResponse:
        """Answer a request with the stream until either side ends it.

        `first` is called in the very moment the client joins: what it returns and what is
        published afterwards fit together without gap or overlap. Raises Unavailable when there
        are too many clients or the server is stopping.
        """
        if self._closed:
            raise Unavailable("the server is stopping")
        if len(self._clients) >= self._clients_max:
            raise Unavailable(f"{self._clients_max} clients listen already: no more are served")
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            }
        )
        await response.prepare(request)
        await response.write(b"retry: %d\n\n" % RETRY_MS)
        client = self._join(request, first)
        if client is not None:
            try:
                await client.done.wait()
            finally:
                self._clients.discard(client)
        return response

    def _join(self, request: web.Request, first: Callable[[], bytes]) -> Client | None:
        transport = request.transport
        if transport is None or self._closed:
            return None
        self.flush()
        opening = first()
        client = Client(transport=transport, chunked=request.version >= HttpVersion11)
        if not client.write(opening, frame(opening)):
            return None
        client.behind_bytes_max = BEHIND_BYTES_MAX + len(opening)
        self._clients.add(client)
        return client

    async def keep_awake(self) -> None:
        """Send a comment line now and then, for ever."""
        while True:
            await asyncio.sleep(COMMENT_PERIOD_S)
            self.publish(b":\n\n")

    def close(self) -> None:
        """End every answer in good order; further clients are refused."""
        self._closed = True
        self.flush()
        for client in self._clients:
            client.done.set()
        self._clients.clear()


def frame(chunk: bytes) -> bytes:
    """`chunk` as one chunk of HTTP/1.1's chunked transfer coding; empty stays empty."""
    return b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunk else b""
