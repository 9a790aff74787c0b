"""Fan-out of live events to real sockets."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from murmuration.web import sse
from murmuration.web.guard import GuardPolicy
from murmuration.web.server import listening_socket, make_app, serve
from murmuration.web.sse import Hub


@asynccontextmanager
async def a_stream(hub: Hub, opening: bytes = b"") -> AsyncGenerator[int, None]:
    app = make_app(GuardPolicy())

    async def stream(request: web.Request) -> web.StreamResponse:
        return await hub.serve(request, lambda: opening)

    async def end(_app: web.Application) -> None:
        hub.close()

    app.router.add_get("/stream", stream)
    app.on_shutdown.append(end)
    listener = listening_socket("test.http", "127.0.0.1:0", authenticated=False)
    async with serve(app, listener, stop_budget_s=2) as port:
        yield port


async def level(reached: Callable[[], bool], deadline_s: float = 20) -> None:
    async with asyncio.timeout(deadline_s):
        while not reached():
            await asyncio.sleep(0.005)


async def open_raw(
    port: int, version: str = "1.1"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**16)
    writer.write(f"GET /stream HTTP/{version}\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


def test_an_event_is_written_as_the_standard_says() -> None:
    assert sse.event("log", b"{}", id="a.1.2") == b"id: a.1.2\nevent: log\ndata: {}\n\n"
    assert sse.event("x", b"{\n}\r\n") == b"event: x\ndata: {\ndata: }\n\n"
    assert sse.frame(b"") == b""
    assert sse.frame(b"x" * 16) == b"10\r\n" + b"x" * 16 + b"\r\n"


async def test_every_client_gets_everything_in_order_when_quiet_and_when_busy() -> None:
    hub = Hub()
    total = 3_000
    async with a_stream(hub, b"event: first\ndata: 0\n\n") as port, aiohttp.ClientSession() as web_:

        async def listen() -> list[str]:
            found: list[str] = []
            async with web_.get(f"http://127.0.0.1:{port}/stream") as response:
                assert response.headers["Content-Type"].startswith("text/event-stream")
                async for line in response.content:
                    text = line.decode().strip()
                    if text.startswith("data:"):
                        found.append(text[6:])
                    if len(found) == total + 1:
                        return found
            return found

        listeners = [asyncio.create_task(listen()) for _ in range(5)]
        await level(lambda: hub.client_count == 5)
        for n in range(1, total + 1):
            hub.publish(sse.event("n", str(n).encode()))
            if n % 100 == 0:
                await asyncio.sleep(0)
        async with asyncio.timeout(30):
            for task in listeners:
                assert await task == [str(n) for n in range(total + 1)]
        assert hub.counts.chunks == total
        assert hub.counts.flushes < total  # gathered when busy
        await level(lambda: hub.client_count == 0)  # gone clients leave without a publish


async def test_a_slow_client_is_cut_off_and_the_others_are_not() -> None:
    hub = Hub()
    async with a_stream(hub) as port:
        slow_reader, slow_writer = await open_raw(port)
        await slow_reader.readuntil(b"retry")
        quick_reader, quick_writer = await open_raw(port)
        await level(lambda: hub.client_count == 2)
        chunk = sse.event("big", b'"' + b"x" * 60_000 + b'"')
        received = 0

        async def drink() -> None:
            nonlocal received
            while data := await quick_reader.read(2**20):
                received += len(data)

        async def send_and_wait() -> None:
            wanted = received + len(chunk)
            hub.publish(chunk)
            hub.flush()
            await level(lambda: received >= wanted)

        drinker = asyncio.create_task(drink())
        async with asyncio.timeout(30):
            while hub.counts.dropped == 0:
                await send_and_wait()
        assert hub.client_count == 1
        await send_and_wait()
        quick_writer.close()
        slow_writer.close()
        await drinker


async def test_a_large_opening_is_not_counted_as_being_behind() -> None:
    hub = Hub()
    opening = sse.event("snapshot", b"x" * (8 * sse.BEHIND_BYTES_MAX))
    async with a_stream(hub, opening) as port:
        reader, writer = await open_raw(port)
        await level(lambda: hub.client_count == 1)
        hub.publish(sse.event("n", b"1"))
        assert hub.client_count == 1
        received = 0
        async with asyncio.timeout(30):
            while received < len(opening) + 8:
                received += len(await reader.read(2**20))
        assert hub.counts.dropped == 0
        writer.close()


async def test_an_http_1_0_client_gets_the_plain_stream() -> None:
    hub = Hub()
    async with a_stream(hub, b"event: first\ndata: 0\n\n") as port:
        reader, writer = await open_raw(port, "1.0")
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"chunked" not in head.lower()
            body = await reader.readuntil(b"data: 0\n\n")
            assert body == b"retry: 1000\n\nevent: first\ndata: 0\n\n"
        writer.close()


async def test_streams_end_in_good_order_when_the_server_stops() -> None:
    hub = Hub()
    async with aiohttp.ClientSession() as web_:
        async with a_stream(hub) as port:
            response = await web_.get(f"http://127.0.0.1:{port}/stream")
            await level(lambda: hub.client_count == 1)
            hub.publish(sse.event("last", b"1"))
        async with asyncio.timeout(20):
            assert b"event: last" in await response.content.read()  # complete, not cut
        response.close()


async def test_clients_over_the_limit_are_refused() -> None:
    hub = Hub(clients_max=1)
    async with a_stream(hub) as port, aiohttp.ClientSession() as web_:
        first = await web_.get(f"http://127.0.0.1:{port}/stream")
        await level(lambda: hub.client_count == 1)
        async with web_.get(f"http://127.0.0.1:{port}/stream") as second:
            assert second.status == 503
        first.close()
