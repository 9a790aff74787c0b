"""Heartbeats of many hosts from one cheap process: `python -m murmuration.testkit.swarm`.

The frames of all hosts lie in one table at a fixed stride; a slot's numbers are set by column and
its bytes leave in one write for each connection, so that a publisher is never the bottleneck of a
benchmark. The identity is the simulator's, which may publish for every host. On NATS a frame's MAC
is not looked at, so it is left empty; with `udp`, whoever needs it must not listen.

Commands on standard input, a line each: `mute FIRST COUNT`, `unmute FIRST COUNT`; each is answered
on standard output with the moment (CLOCK_BOOTTIME, ns) at which it took hold.
"""

import json
import os
import select
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from murmuration.proto import pulse
from murmuration.runtime.config import BusCredentials, read_credentials
from murmuration.security.login import login_callbacks

SLOTS = 10  # a period is sent in as many parts, so that hosts do not beat all at once
_HEAD = b"PUB mtce.pulse.00.00000 64\r\n"
_STRIDE = len(_HEAD) + pulse.FRAME_BYTES + 2
_AT = len(_HEAD)
LINE = np.dtype(
    {
        "names": ["line", "sequence", "sent_ns"],
        "formats": [f"V{_STRIDE}", "<u8", "<u8"],
        "offsets": [0, _AT + 16, _AT + 24],
        "itemsize": _STRIDE,
    }
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to send: `count` hosts from index `first`, over so many connections."""

    host: str
    port: int
    credentials_dir: str
    first: int
    count: int
    connections: int
    period_ms: int


def connect(host: str, port: int, credentials: BusCredentials) -> socket.socket:
    """A connection that is logged in; blocking. Raises OSError."""
    opened = socket.create_connection((host, port))
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    info = json.loads(_line(opened)[5:])
    user_jwt, signature = login_callbacks(credentials)
    hello = {
        **{"verbose": False, "pedantic": False, "echo": False, "lang": "python", "version": "1"},
        **{"name": "swarm", "jwt": user_jwt().decode()},
        "sig": signature(info["nonce"]).decode(),
    }
    opened.sendall(f"CONNECT {json.dumps(hello)}\r\nPING\r\n".encode())
    while True:
        said = _line(opened)
        if said.startswith(b"PONG"):
            return opened
        if said.startswith(b"-ERR"):
            raise ConnectionError(said.decode())


def _line(opened: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"\r\n"):
        one = opened.recv(1)
        if not one:
            raise ConnectionError("the server closed the connection")
        found += one
    return found


class Swarm:
    """The table of all frames, and who is silent."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        lines = b"".join(_message(plan, index) for index in range(plan.count))
        self.table: Any = np.frombuffer(bytearray(lines), LINE)
        self.beats = np.ones(plan.count, np.bool_)
        login = read_credentials(Path(plan.credentials_dir), "sim").bus
        self.sockets = [connect(plan.host, plan.port, login) for _ in range(plan.connections)]

    def send(self, slot: int) -> None:
        """One part of a period, on all connections."""
        rows = np.arange(slot, self.plan.count, SLOTS)
        rows = rows[self.beats[rows]]
        self.table["sequence"][rows] += 1
        self.table["sent_ns"][rows] = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if len(self.sockets) == 1:
            self.sockets[0].sendall(self.table[rows].tobytes())
            return
        for row in rows.tolist():
            self.sockets[row % len(self.sockets)].sendall(self.table[row].tobytes())

    def obey(self, command: str) -> None:
        """One command; what it did takes hold at the next slot."""
        verb, first, count = command.split()
        start = int(first) - self.plan.first
        self.beats[max(0, start) : max(0, start + int(count))] = verb == "unmute"
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        os.write(1, f"{verb} {now_ns}\n".encode())

    def run(self) -> None:
        """Send until standard input ends; the server's words are read and passed over."""
        step_s = self.plan.period_ms / 1_000 / SLOTS
        due = time.monotonic()
        slot, text = 0, ""
        os.write(1, b"ready\n")
        while True:
            due = max(due + step_s, time.monotonic() - 1)
            while (left := due - time.monotonic()) > 0:
                ready, _, _ = select.select([0], [], [], left)
                if not ready:
                    break
                given = os.read(0, 4_096).decode()
                if not given:
                    return
                *whole, text = (text + given).split("\n")
                for command in whole:
                    self.obey(command)
            self.send(slot)
            slot = (slot + 1) % SLOTS
            if slot == 0:
                self._answer()

    def _answer(self) -> None:
        for opened in self.sockets:
            try:
                if b"PING" in opened.recv(65_536, socket.MSG_DONTWAIT):
                    opened.sendall(b"PONG\r\n")
            except BlockingIOError:
                continue


def _message(plan: Plan, number: int) -> bytes:
    sent = pulse.Pulse(
        flags=0,
        period_ms=plan.period_ms,
        index=plan.first + number,
        load_percent=100,
        sequence=0,
        sent_ns=0,
        boot_id=(plan.first + number + 1).to_bytes(16, "big"),
    )
    subject = pulse.subject(0, plan.first + number)
    return f"PUB {subject} 64\r\n".encode() + pulse.pack(sent, b"swarm") + b"\r\n"


def main(given: list[str]) -> int:
    """Run the plan that is given as JSON; ends with standard input."""
    try:
        Swarm(Plan(**json.loads(given[0]))).run()
    except (BrokenPipeError, ConnectionError, KeyboardInterrupt):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
