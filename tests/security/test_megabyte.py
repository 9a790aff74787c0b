"""A token of a megabyte at every door: refused, and memory stays bounded."""

import asyncio
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from murmuration.fm import app
from murmuration.kernel.errors import Rejected
from murmuration.security import jwt
from murmuration.security.proof import PREFIX, parse_token
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import running, service_config
from murmuration.web.guard import GuardPolicy
from murmuration.web.server import listening_socket, make_app, serve

MEGABYTE = 2**20
PEAK_BYTES_MAX = 16 * MEGABYTE  # copies of it while it is looked at
RSS_GROWTH_KB_MAX = 32 * 1_024


def parse_after_prefix(text: str) -> object:
    return parse_token(PREFIX + text)


@pytest.mark.parametrize(
    "text",
    ["x" * MEGABYTE, f"{'x' * MEGABYTE}.e30.x", "." * MEGABYTE, "\u00fc" * (MEGABYTE // 2)],
    ids=["plain", "header", "dots", "letters"],
)
@pytest.mark.parametrize("read", [jwt.decode, parse_token, parse_after_prefix])
def test_reader_of_tokens_refuses_it(read: Callable[[str], object], text: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Rejected):
            read(text)
        assert tracemalloc.get_traced_memory()[1] < PEAK_BYTES_MAX
    finally:
        tracemalloc.stop()


async def exchange(port: int, *parts: bytes) -> bytes:
    """Send the parts after the first line of the server, if it greets; all that it says."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2 * MEGABYTE)
    said = b""
    try:
        async with asyncio.timeout(20):
            for part in parts:
                writer.write(part)
                await writer.drain()
            said = await reader.read(-1)
    except OSError:  # it hung up while we spoke
        pass
    finally:
        writer.transport.abort()
    return said


def server_rss_kb(server: NatsServer) -> int:
    assert server.process is not None
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


async def test_bus_hangs_up_on_it_and_serves_everybody_else(
    connect: Connect, site_nats: NatsServer, postgres: Postgres
) -> None:
    token = b"x" * MEGABYTE
    gateway = await connect("gateway")
    async with running(app.run, service_config("fm", site_nats, postgres)):

        async def served() -> bool:
            try:
                await gateway.nc.request("fm.query.status", b"{}", timeout=2)
            except Exception:
                return False
            return True

        await reaches(served)
        before = server_rss_kb(site_nats)
        for line in (
            b'CONNECT {"verbose":false,"jwt":"' + token + b'"}\r\nPING\r\n',
            b"PUB fm.intake." + token + b".raise 2\r\n{}\r\n",
            b"SUB " + token + b" 1\r\n",
        ):
            said = await asyncio.gather(*(exchange(site_nats.port, line) for _ in range(5)))
            assert all(b"PONG" not in each for each in said)
        answer = await gateway.nc.request("fm.cmd.alarm.clear", token[:-2_048], timeout=20)
        assert (answer.headers or {})["Mur-Error"] in ("rejected", "too-large")
        assert gateway.connected and await served()
        assert server_rss_kb(site_nats) - before < RSS_GROWTH_KB_MAX


async def test_http_door_refuses_it_and_opens_to_the_next() -> None:
    secret = "s" * 32
    door = make_app(GuardPolicy(token=secret))

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    door.router.add_get("/hello", hello)
    token = b"x" * MEGABYTE
    listener = listening_socket("x.http", "127.0.0.1:0", authenticated=True)
    async with serve(door, listener) as port:
        host = f"Host: 127.0.0.1:{port}\r\n".encode()
        for request in (
            b"GET /hello HTTP/1.0\r\n" + host + b"Authorization: Bearer " + token + b"\r\n\r\n",
            b"GET /?token=" + token + b" HTTP/1.0\r\n" + host + b"\r\n",
            b"GET /hello HTTP/1.0\r\n" + host + b"Cookie: mur_session=" + token + b"\r\n\r\n",
        ):
            said = await exchange(port, request)
            assert not said or said.split(b" ")[1] in (b"400", b"401", b"414", b"431")
            assert b"hello" not in said and len(said) < 16_384, "it is not said back"
        bearer = f"Authorization: Bearer {secret}\r\n".encode()
        fine = await exchange(port, b"GET /hello HTTP/1.0\r\n" + host + bearer + b"\r\n")
        assert fine.endswith(b"hello")
