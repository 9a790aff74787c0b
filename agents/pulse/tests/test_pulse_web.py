"""Heartbeats through the WebSocket door: framing, and a real server that has one."""

import time
from collections.abc import Iterator

import pytest

from murmuration.bus.connection import open_bus
from murmuration.pulse.bus import Bus
from murmuration.pulse.web import Frames, framed
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import short_folder

pytest_plugins = ["murmuration.testkit.plugin"]

GREETING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


@pytest.fixture
def secure() -> Iterator[NatsServer]:
    with short_folder() as folder:
        server = NatsServer(folder, tls=True)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
def test_frame_says_its_size_as_the_standard_has_it(size: int) -> None:
    frame = framed(b"x" * size)
    assert frame[0] == 0x82 and frame[1] & 0x80
    short = frame[1] & 0x7F
    more = {126: 2, 127: 8}.get(short, 0)
    told = int.from_bytes(frame[2 : 2 + more], "big") if more else short
    assert told == size
    assert frame[2 + more : 6 + more] == b"\0\0\0\0"
    assert frame[6 + more :] == b"x" * size


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1_000])
def test_what_a_server_says_is_put_together_however_it_comes(step: int) -> None:
    said = (
        GREETING
        + b"\x82\x05INFO "
        + b"\x89\x02hi"
        + b"\x02\x7e\x00\x80" + b"a" * 128
        + b"\x80\x7f" + (70_000).to_bytes(8, "big") + b"b" * 70_000
    )  # fmt: skip
    frames, heard = Frames(), b""
    for start in range(0, len(said), step):
        heard += frames.feed(said[start : start + step])
    assert heard == b"INFO " + b"a" * 128 + b"b" * 70_000
    assert frames.waiting == 0


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad\r\n\r\n", b"INFO {}\r\n\r\n"])
def test_server_that_does_not_speak_websocket_is_told_by_its_greeting(said: bytes) -> None:
    with pytest.raises(ValueError, match="does not speak WebSocket"):
        Frames().feed(said)


def test_farewell_of_the_server_ends_the_connection() -> None:
    frames = Frames()
    with pytest.raises(ValueError, match="closed"):
        frames.feed(GREETING + b"\x88\x02\x03\xe8")


async def test_heartbeat_passes_the_plain_door_and_is_heard_behind_tls(secure: NatsServer) -> None:
    login = secure.login("pulse@worker-1", index=7)
    assert secure.pulse_port is not None
    sender = Bus("127.0.0.1", secure.pulse_port, jwt=login.jwt, seed=login.seed, name="p", web=True)
    heard: list[bytes] = []
    async with open_bus(secure.section, secure.login("mtce"), identity="mtce") as mtce:

        async def on_message(message: object) -> None:
            heard.append(bytes(getattr(message, "data", b"")))

        await mtce.nc.subscribe("mtce.pulse.*.*", cb=on_message)
        await mtce.nc.flush()

        def tick() -> bool:
            sender.tick(time.monotonic_ns())
            return sender.ready

        await reaches(tick)
        assert sender.send(b"PUB mtce.pulse.00.00007 4\r\nbeat\r\n", time.monotonic_ns())
        await reaches(lambda: heard == [b"beat"])
        secure.kill()
        await reaches(lambda: not tick())
        secure.start()
        await reaches(lambda: tick() and mtce.connected)
    sender.close()
