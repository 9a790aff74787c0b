"""TLS on a real NATS server and a real HTTP server: who is trusted, and while they rotate."""

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import msgspec
import nats
import nats.errors
import pytest
from aiohttp import web

from murmuration.bus.connection import Bus, open_bus
from murmuration.kernel.errors import Rejected, Unavailable
from murmuration.runtime.config import BusSection
from murmuration.security.certificates import keep
from murmuration.security.login import authorities_of, login_options
from murmuration.security.tls import BUNDLE, folder_of, pair_of, server_context, trusting
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import short_folder
from murmuration.web.guard import GuardPolicy
from murmuration.web.server import listening_socket, make_app, serve


@pytest.fixture
def secure() -> Iterator[NatsServer]:
    """A NATS server as a site has it."""
    with short_folder() as folder:
        server = NatsServer(folder, tls=True)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@pytest.fixture
async def fm(secure: NatsServer) -> AsyncIterator[Bus]:
    async with open_bus(secure.section, secure.login("fm"), identity="fm") as bus:
        yield bus


async def refused(section: BusSection, server: NatsServer, why: str) -> None:
    with pytest.raises(Unavailable, match=why):
        async with open_bus(section, server.login("fm"), identity="fm", wait_s=0.5):
            pass


async def test_client_with_authorities_never_speaks_plain(nats_server: NatsServer) -> None:
    heard: list[bytes] = []

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"X","auth_required":true,"nonce":"abc"}\r\n')
        heard.append(await reader.read(4096))
        writer.close()

    keep(nats_server.credentials_dir, {}, now=datetime.now(UTC))
    door = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = door.sockets[0].getsockname()[1]
    for number in (port, nats_server.port):
        section = BusSection(url=f"nats://127.0.0.1:{number}", ca=str(nats_server.bundle))
        await refused(section, nats_server, "does not answer")
    door.close()
    assert heard and all(not said.startswith(b"CONNECT") and b"eyJ" not in said for said in heard)


async def test_stranger_and_wrong_name_are_not_trusted(secure: NatsServer, tmp_path: Path) -> None:
    keep(tmp_path, {}, now=datetime.now(UTC))
    other = msgspec.structs.replace(secure.section, ca=str(folder_of(tmp_path) / BUNDLE))
    await refused(other, secure, "certificate verify failed")
    elsewhere = secure.section.url.replace("127.0.0.1", "localhost")
    await refused(msgspec.structs.replace(secure.section, url=elsewhere), secure, "mismatch")


def test_url_that_wants_tls_needs_authorities(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="names no authorities"):
        authorities_of(BusSection(url="tls://127.0.0.1:1"))
    with pytest.raises(Rejected, match="cannot use the authorities"):
        authorities_of(BusSection(url="tls://127.0.0.1:1", ca=str(tmp_path / "none")))


@pytest.mark.filterwarnings("ignore:parameter 'timeout':DeprecationWarning")  # nats-py's
async def test_server_speaks_plain_to_nobody_but_heartbeats(secure: NatsServer) -> None:
    with pytest.raises((nats.errors.Error, OSError, TimeoutError)):
        await nats.connect(
            f"nats://127.0.0.1:{secure.port}",
            allow_reconnect=False,
            connect_timeout=1,
            **login_options(secure.login("fm"), "fm"),
        )
    door = f"ws://127.0.0.1:{secure.pulse_port}"
    for identity in ("fm", "gateway", "provisioner", "tool", "node@w", "reader@r", "join@w"):
        with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
            await nats.connect(
                door,
                allow_reconnect=False,
                connect_timeout=5,
                **login_options(secure.login(identity), identity),
            )
    login = login_options(secure.login("pulse@w", index=1), "pulse@w")
    client = await nats.connect(door, allow_reconnect=False, **login)
    await client.close()


async def test_rotation_keeps_connections_and_lets_who_was_there_come_back(
    secure: NatsServer, fm: Bus
) -> None:
    first = secure.bundle.read_bytes()
    connects = fm.connects
    secure.certify(asked=True)
    secure.certify(hurry=True)
    secure.signal(signal.SIGHUP)

    async def shows_new() -> bool:
        context = ssl.create_default_context(cadata=secure.bundle.read_text()[len(first) :])
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", secure.port, ssl=context)
        except ssl.SSLError:
            return False
        writer.close()
        return True

    await reaches(shows_new)
    assert secure.certify(hurry=True) == ["ca"]
    assert first not in secure.bundle.read_bytes()
    await fm.nc.flush(5)
    assert fm.connects == connects, "nobody was cut off"
    secure.kill()
    secure.start()
    await reaches(lambda: fm.connected and fm.connects > connects)


@pytest.fixture
async def https(tmp_path: Path) -> AsyncIterator[tuple[Path, str]]:
    """(credentials, URL) of an HTTP server that also speaks TLS."""
    keep(tmp_path, {"gateway": ["127.0.0.1"]}, now=datetime.now(UTC))
    app = make_app(GuardPolicy(token="x" * 32))

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app.router.add_get("/hello", hello)
    plain = listening_socket("a.http", "127.0.0.1:0", authenticated=True)
    door = listening_socket("a.https", "127.0.0.1:0", authenticated=True, secured=True)
    port = door.getsockname()[1]
    async with serve(app, plain, secure=(door, server_context(pair_of(tmp_path, "gateway")))):
        yield tmp_path, f"https://127.0.0.1:{port}/hello"


async def test_http_server_shows_a_new_certificate_and_keeps_old_connections(
    https: tuple[Path, str],
) -> None:
    folder, url = https
    bearer = {"Authorization": f"Bearer {'x' * 32}"}
    trust = trusting(folder_of(folder) / BUNDLE)
    old = trust.context()
    leaves, now = {"gateway": ["127.0.0.1"]}, datetime.now(UTC)
    async with aiohttp.ClientSession(headers=bearer) as early:
        async with early.get(url, ssl=old) as answer:
            assert await answer.text() == "hello"
        for _ in range(3):
            keep(folder, leaves, now=now, asked=True, hurry=True)
        assert trust.context() is not old
        async with early.get(url, ssl=old) as answer:
            assert answer.status == 200, "on the connection that is there"
        async with aiohttp.ClientSession(headers=bearer) as late:
            async with late.get(url, ssl=trust.context()) as answer:
                assert answer.status == 200
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await late.get(url.replace("/hello", "/healthz"), ssl=old)


async def test_plain_http_listens_on_loopback_alone() -> None:
    with pytest.raises(Rejected, match="without authentication and TLS only loopback"):
        listening_socket("x.http", "0.0.0.0:0", authenticated=True)
    listening_socket("x.https", "0.0.0.0:0", authenticated=True, secured=True).close()
