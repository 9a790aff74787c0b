"""The monitor's own connection to NATS: one subscription, read in bulk.

The client library spends a Python call per message; here what came is read into one buffer and
taken as a table (`core/wire.py`). The connection is a task (`run`): connect, TLS where it is
configured, log in, subscribe, and again with another server of the list when it is lost. `drain` is
called by the tick: it reads what is there, and never waits.

A frozen server is noticed as the library would: whoever says nothing for two ping intervals, though
pinged, is lost. With TLS nothing is ever said in plain: the handshake comes first.
"""

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import structlog

from murmuration.kernel.backoff import Backoff
from murmuration.mtce.core.frames import SID, Ints, Mask
from murmuration.mtce.core.wire import Inbox, NotNats, Taken, nothing
from murmuration.runtime.config import BusCredentials, BusSection
from murmuration.runtime.dice import dice
from murmuration.security.login import login_callbacks
from murmuration.security.tls import Contexts

CONNECT_S: Final = 2.0  # to be connected and logged in
WAIT_S: Final = 0.005  # between two looks while it is being set up: sockets are not waited for
FILLS_MAX: Final = 16  # buffers per drain, so that a flood cannot keep the tick waiting
RECORD_BYTES: Final = 16_384  # of TLS: room for one more, or the buffer is full
DEFAULT_PORT: Final = 4222
_FAILED = (OSError, ssl.SSLError, TimeoutError, NotNats)

log = structlog.get_logger()


class Refused(Exception):
    """The server said -ERR to the login or to the subscription."""


class PulseBus:
    """One subscription to `subject`. `follow` is offered what came, `take` given the rest of it."""

    def __init__(
        self,
        section: BusSection,
        credentials: BusCredentials,
        *,
        name: str,
        subject: str,
        take: Callable[[Taken], None],
        follow: Callable[[Ints], Mask] = nothing,
        tls: Contexts | None = None,
    ) -> None:
        self.connects = 0
        self._section = section
        self._login = login_callbacks(credentials)
        self._name = name
        self._subject = subject
        self._take = take
        self._tls = tls
        self._socket: socket.socket | None = None  # while the subscription stands
        self._follow = follow
        self._inbox = Inbox(follow)
        self._lost = asyncio.Event()
        self._reason = ""
        self._heard_at = 0.0
        self._pinged_at = 0.0

    @property
    def up(self) -> bool:
        """Whether the subscription stands, as far as the last ping knows."""
        return self._socket is not None

    async def run(self) -> None:
        """Keep the subscription until cancelled."""
        backoff = Backoff(first_s=self._section.reconnect_wait_s / 2, most_s=2.0)
        urls = self._section.url.split(",")
        said = False
        while True:
            url = urls[0]
            urls = [*urls[1:], url]
            try:
                async with asyncio.timeout(CONNECT_S):
                    opened = await self._open(url)
            except (*_FAILED, Refused) as error:
                self._reason = str(error) or type(error).__name__
            else:
                backoff.reset()
                said = False
                log.info("pulses.connected", url=url)
                try:
                    await self._while_it_stands(opened)
                finally:
                    self._socket = None
                    opened.close()
            if not said:
                said = True
                log.warning("pulses.disconnected", url=url, reason=self._reason)
            await asyncio.sleep(backoff.next_s(dice()))

    def drain(self) -> None:
        """Take what has come; a connection that is broken is given up. Never waits, never raises.

        What has come is read before silence is judged: after a stall of our own it is here.
        """
        opened = self._socket
        if opened is None:
            return
        try:
            for _ in range(FILLS_MAX):
                if not self._fill(opened):
                    break
            self._keep_alive(opened)
        except (*_FAILED, Refused) as error:
            self._reason = str(error) or type(error).__name__
            self._socket = None
            self._lost.set()

    async def _while_it_stands(self, opened: socket.socket) -> None:
        self._lost.clear()
        self.connects += 1
        self._heard_at = asyncio.get_running_loop().time()
        self._socket = opened
        await self._lost.wait()

    def _fill(self, opened: socket.socket) -> bool:
        """Fill the buffer with what is there, and take it; whether there may be more."""
        more = True
        while more and len(self._inbox.room) > RECORD_BYTES:
            more = self._read(opened, self._inbox)
        taken = self._inbox.take()
        if taken.pulses or any(taken.refused.values()):
            self._take(taken)
        for line in taken.lines:
            self._obey(opened, line)
        return more

    def _read(self, opened: socket.socket, inbox: Inbox) -> bool:
        """Read once; whether there may be more. With TLS a read gives one record at most."""
        room = inbox.room
        try:
            count = opened.recv_into(room)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        if count == 0:
            raise ConnectionResetError("the server closed the connection")
        self._heard_at = asyncio.get_running_loop().time()
        inbox.put(count)
        return count == len(room) or self._tls is not None

    def _obey(self, opened: socket.socket, line: bytes) -> None:
        word = line[:5].upper()
        if word.startswith(b"PING"):
            self._say(opened, b"PONG\r\n")
        elif word.startswith(b"-ERR"):
            reason = line[5:200].decode("utf-8", "replace").strip("' ")
            if "permissions violation" in reason.lower():
                log.error("bus.refused", identity=self._name, reason=reason)
                return
            raise Refused(f"the server says: {reason}")

    def _keep_alive(self, opened: socket.socket) -> None:
        now = asyncio.get_running_loop().time()
        interval_s = self._section.ping_interval_s
        if now - self._heard_at > 2 * interval_s and self._pinged_at > self._heard_at:
            raise TimeoutError("the server is silent")
        if now - self._pinged_at >= interval_s:
            self._pinged_at = now
            self._say(opened, b"PING\r\n")

    def _say(self, opened: socket.socket, text: bytes) -> None:
        """A few bytes; a server that cannot take them is lost."""
        if opened.send(text) != len(text):
            raise ConnectionResetError("the server does not take what is sent")

    async def _open(self, url: str) -> socket.socket:
        """Connect, log in and subscribe. Raises OSError, Refused, NotNats; closes after them."""
        loop = asyncio.get_running_loop()
        parts = urlsplit(url.strip())
        found = await loop.getaddrinfo(
            parts.hostname or "", parts.port or DEFAULT_PORT, type=socket.SOCK_STREAM
        )
        family, kind, proto, _, address = found[0]
        opened = socket.socket(family, kind, proto)
        try:
            opened.setblocking(False)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(opened, address)
            if self._tls is not None:
                opened = await _handshake(opened, self._tls.context(), parts.hostname or "")
            self._inbox = Inbox(self._follow)
            await self._log_in(opened)
        except BaseException:
            opened.close()
            raise
        return opened

    async def _log_in(self, opened: socket.socket) -> None:
        info = json.loads((await self._line(opened, b"INFO "))[5:])
        user_jwt, signature = self._login
        connect = {
            **{"verbose": False, "pedantic": False, "echo": False, "headers": False},
            **{"lang": "python", "version": "1", "protocol": 1, "name": self._name},
            "jwt": user_jwt().decode(),
            "sig": signature(str(info.get("nonce", ""))).decode(),
        }
        if self._tls is not None:
            connect["tls_required"] = True
        text = f"CONNECT {json.dumps(connect)}\r\nSUB {self._subject} {SID}\r\nPING\r\n"
        await self._say_all(opened, text.encode())
        await self._line(opened, b"PONG")

    async def _line(self, opened: socket.socket, wanted: bytes) -> bytes:
        """The next line that begins so. Raises Refused for -ERR."""
        while True:
            if not self._read(opened, self._inbox):
                await asyncio.sleep(WAIT_S)
            taken = self._inbox.take()
            if taken.pulses:
                self._take(taken)
            found = b""
            for line in taken.lines:
                self._obey(opened, line)
                found = found or (line if line.startswith(wanted) else b"")
            if found:
                return found

    async def _say_all(self, opened: socket.socket, text: bytes) -> None:
        while text:
            try:
                text = text[opened.send(text) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                await asyncio.sleep(WAIT_S)


async def _handshake(plain: socket.socket, tls: ssl.SSLContext, name: str) -> ssl.SSLSocket:
    """TLS before anything is said; the certificate must be the host's. Raises ssl.SSLError."""
    wrapped = tls.wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False)
    while True:
        try:
            wrapped.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            await asyncio.sleep(WAIT_S)
        except BaseException:
            with contextlib.suppress(OSError):
                wrapped.close()
            raise
        else:
            return wrapped
