"""The sender's own NATS connection against servers that are away, deaf or rude."""

import base64
import json
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from murmuration.pulse.bus import Bus
from murmuration.security import jwt
from murmuration.security.ed25519 import fresh_user_seed, public_of

SEED = fresh_user_seed(bytes(range(32)))
JWT = "eyJ0.eyJq.c2ln"
INFO = b'INFO {"server_id":"x","nonce":"n0nce_-","max_payload":1048576}\r\n'
DEADLINE_S = 30.0


@pytest.fixture
def door() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE_S)
        yield server


def a_bus(door: socket.socket) -> Bus:
    return Bus("127.0.0.1", door.getsockname()[1], jwt=JWT, seed=SEED, name='p"\\')


def tick_until(bus: Bus, level: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not level():
        assert time.monotonic() < deadline, bus.reason
        bus.tick(time.monotonic_ns())
        time.sleep(0.005)


def log_in(bus: Bus, door: socket.socket) -> socket.socket:
    bus.tick(time.monotonic_ns())
    peer, _ = door.accept()
    peer.settimeout(DEADLINE_S)
    peer.sendall(INFO)
    tick_until(bus, lambda: bus.connecting)
    read_until(bus, peer, b"PING\r\n")
    peer.sendall(b"PONG\r\n")
    tick_until(bus, lambda: bus.ready)
    return peer


def read_until(bus: Bus, peer: socket.socket, end: bytes) -> bytes:
    data = b""
    peer.setblocking(False)
    deadline = time.monotonic() + DEADLINE_S
    while end not in data:
        assert time.monotonic() < deadline, data
        bus.tick(time.monotonic_ns())
        try:
            data += peer.recv(65_536)
        except BlockingIOError:
            time.sleep(0.005)
    peer.settimeout(DEADLINE_S)
    return data


def test_login_sends_the_credentials_as_json_when_the_server_greets(door: socket.socket) -> None:
    bus = a_bus(door)
    bus.tick(time.monotonic_ns())
    peer, _ = door.accept()
    peer.sendall(INFO[:7])
    bus.tick(time.monotonic_ns())
    peer.sendall(INFO[7:])
    said = read_until(bus, peer, b"PING\r\n")

    assert said.startswith(b"CONNECT {")
    sent = json.loads(said.removeprefix(b"CONNECT ").split(b"\r\n")[0])
    assert (sent["name"], sent["jwt"]) == ('p"\\', JWT)
    signature = base64.urlsafe_b64decode(sent["sig"] + "==")
    assert jwt.verify(public_of(SEED), b"n0nce_-", signature)
    assert not bus.ready
    peer.close()
    bus.close()


def test_ping_is_answered_and_other_talk_is_passed_over(door: socket.socket) -> None:
    bus = a_bus(door)
    peer = log_in(bus, door)
    peer.sendall(b"+OK\r\nINFO {}\r\nMSG what 1 3\r\nPI\r\nPING\r\n")

    assert b"PONG\r\n" in read_until(bus, peer, b"PONG\r\n")
    assert bus.ready
    peer.close()
    bus.close()


def test_connection_is_dropped_when_the_server_goes_silent(door: socket.socket) -> None:
    bus = a_bus(door)
    peer = log_in(bus, door)

    tick_until(bus, lambda: not bus.ready)

    assert bus.reason == "the server is silent"
    assert not bus.send(b"PUB a 0\r\n\r\n", time.monotonic_ns())
    peer.close()
    bus.close()


def test_silence_is_not_judged_before_what_came_during_a_stall_is_read(
    door: socket.socket,
) -> None:
    bus = a_bus(door)
    peer = log_in(bus, door)
    now = time.monotonic_ns()
    bus.tick(now + 300_000_000)  # its PING is out
    peer.sendall(b"PONG\r\n")
    tick_until(bus, lambda: _readable(bus))

    bus.tick(now + 60_000_000_000)

    assert bus.ready
    peer.close()
    bus.close()


def _readable(bus: Bus) -> bool:
    """Whether the PONG has arrived at our side; looked at without taking it."""
    assert bus._socket is not None
    try:
        return bool(bus._socket.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


def test_send_drops_what_does_not_fit_and_never_waits(door: socket.socket) -> None:
    bus = a_bus(door)
    peer = log_in(bus, door)
    line = b"PUB a 60000\r\n" + bytes(60_000) + b"\r\n"
    deadline = time.monotonic() + DEADLINE_S

    while bus.send(line, time.monotonic_ns()):
        assert time.monotonic() < deadline

    assert not bus.send(line, time.monotonic_ns())
    peer.close()
    bus.close()


def test_another_connection_is_made_when_the_server_closes(door: socket.socket) -> None:
    bus = a_bus(door)
    peer = log_in(bus, door)
    peer.sendall(b"-ERR 'Stale Connection'\r\n")
    peer.close()

    tick_until(bus, lambda: not bus.ready)
    assert bus.reason == "Stale Connection"
    door.settimeout(0.01)
    accepted: list[socket.socket] = []

    def accept() -> bool:
        try:
            accepted.append(door.accept()[0])
        except TimeoutError:
            return False
        return True

    tick_until(bus, accept)
    accepted[0].close()
    bus.close()


def test_flooding_and_foreign_servers_are_left(door: socket.socket) -> None:
    bus = a_bus(door)
    bus.tick(time.monotonic_ns())
    peer, _ = door.accept()
    peer.setblocking(False)

    def flood() -> bool:
        try:
            peer.send(b"x" * 65_536)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return not bus.connecting

    tick_until(bus, flood)
    assert bus.reason == "the server does not speak NATS"
    peer.close()
    bus.close()
