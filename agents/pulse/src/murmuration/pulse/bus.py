"""The sender's own few lines of NATS: log in, publish, answer PING, notice a dead or frozen server.

Invariants: no call ever blocks; nothing is buffered here, so a frame is on the wire now or dropped;
what the kernel still holds of a lost connection is thrown away with it, so that no heartbeat leaves
late. What the server says beyond INFO, PING, PONG and -ERR is passed over.
"""

import _json
import _socket
import _struct
import posix

from murmuration.pulse.login import connect_options
from murmuration.pulse.web import Frames, framed, request

PING_INTERVAL_NS = 200_000_000
SILENCE_NS_MAX = 600_000_000  # with the interval and one step: frozen is noticed within a second
CONNECT_NS_MAX = 1_000_000_000
BACKOFF_NS_MIN = 100_000_000
BACKOFF_NS_MAX = 1_600_000_000  # short: until then only UDP vouches for this host
INPUT_BYTES_MAX = 65_536  # an INFO with many cluster members has a few thousand
READS_MAX = 16  # per call, so that a flooding server cannot hold the heartbeat up

_RESET = _struct.pack("ii", 1, 0)  # linger on, for 0 s: closing resets, nothing leaves late
_DOWN, _CONNECTING, _LOGIN, _READY = range(4)


def login(info: bytes, *, jwt: str, seed: str, name: str) -> bytes:
    """The answer to the server's INFO: who we are, proven by the seed's signature of its nonce."""
    quote = _json.encode_basestring_ascii
    connect = (
        '{"verbose":false,"pedantic":false,"echo":false,"protocol":0,"lang":"python","version":"1"'
        f',"name":{quote(name)},{connect_options(seed, jwt, info)}}}'
    )
    return b"CONNECT " + connect.encode() + b"\r\nPING\r\n"


class Bus:
    """One connection that heals itself; call `tick` often, `send` when there is something."""

    def __init__(
        self, host: str, port: int, *, jwt: str, seed: str, name: str, web: bool = False
    ) -> None:
        """`host` is a numeric address; `name` is what the server's lists show.

        `web`: it is a door of WebSocket, as a site has for heartbeats.
        """
        self.reason = ""
        self._address = (host, port)
        self._login = (jwt, seed, name)
        self._web = web
        self._frames: Frames | None = None
        self._socket: _socket.socket | None = None
        self._state = _DOWN
        self._input = b""
        self._retry_at = 0
        self._deadline = 0
        self._pinged_at = 0
        self._unanswered_since = 0
        self._backoff = BACKOFF_NS_MIN
        self._flushing = False

    @property
    def ready(self) -> bool:
        """Whether the server has accepted us and answers."""
        return self._state == _READY

    @property
    def connecting(self) -> bool:
        """Whether an answer is awaited that a heartbeat should not have to wait for."""
        return self._state in (_CONNECTING, _LOGIN)

    def tick(self, now: int) -> None:
        """Read what came, keep the connection alive, connect again when it is time. Never raises.

        What came is read before silence is judged: after a stall of our own the answers are here.
        """
        if self._socket is None:
            if now >= self._retry_at:
                self._connect(now)
            return
        if self._web and self._frames is None:
            self._greet()
        if not self._read():
            self._drop(now, self.reason)
        elif self._state == _READY:
            self._keep_alive(now)
        elif now > self._deadline:
            self._drop(now, "no answer to the login")

    def send(self, data: bytes, now: int) -> bool:
        """Put whole protocol lines on the wire now, or drop them. Whether they went. Never raises.

        A part that went leaves the stream broken in the middle of a frame: the connection is lost.
        """
        if self._state != _READY or self._socket is None:
            return False
        if self._web:
            data = framed(data)
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            return False
        except OSError as error:
            self._drop(now, _sentence(error))
            return False
        if sent != len(data):
            self._drop(now, "the server does not take what is sent")
            return False
        return True

    def flush(self, now: int) -> bool:
        """Whether the server has taken all that was sent, or is gone; ask again until it has."""
        if self._state == _READY and not self._flushing:
            self._flushing = True
            self._unanswered_since = now
            self._write(b"PING\r\n")
        self.tick(now)
        return self._state != _READY or not self._unanswered_since

    def close(self) -> None:
        """End the connection in order, so that what was sent still arrives. May be repeated."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._state = _DOWN

    def _connect(self, now: int) -> None:
        family = _socket.AF_INET6 if ":" in self._address[0] else _socket.AF_INET
        self._input = b""
        self._unanswered_since = 0
        self._frames = None
        self._deadline = now + CONNECT_NS_MAX
        try:
            self._socket = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
            self._socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            self._socket.connect(self._address)
        except BlockingIOError:
            pass
        except OSError as error:
            self._drop(now, _sentence(error))
            return
        self._state = _CONNECTING

    def _greet(self) -> None:
        """Ask for WebSocket as soon as the connection is made."""
        try:
            if self._socket is not None:
                self._socket.send(request(*self._address))
                self._frames = Frames()
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(_sentence(error))

    def _keep_alive(self, now: int) -> None:
        if self._unanswered_since and now - self._unanswered_since > SILENCE_NS_MAX:
            self._drop(now, "the server is silent")
        elif now - self._pinged_at >= PING_INTERVAL_NS:
            self._pinged_at = now
            if self.send(b"PING\r\n", now) and not self._unanswered_since:
                self._unanswered_since = now

    def _read(self) -> bool:
        """Take what the server has said; whether the connection is still there."""
        for _ in range(READS_MAX):
            if self._socket is None:
                return False
            try:
                data = self._socket.recv(INPUT_BYTES_MAX)
            except BlockingIOError:
                return True
            except OSError as error:
                self._lose(self.reason or _sentence(error))
                return False
            if not data:
                self._lose(self.reason or "the server closed the connection")
                return False
            self._unanswered_since = 0  # whatever it says, it lives
            self._take(data)
        return self._socket is not None

    def _take(self, data: bytes) -> None:
        if self._frames is not None:
            try:
                data = self._frames.feed(data)
            except ValueError as error:
                self._lose(str(error))
                return
            if self._frames.waiting > INPUT_BYTES_MAX:
                self._lose("the server does not speak NATS")
                return
        *lines, self._input = (self._input + data).split(b"\r\n")
        for line in lines:
            self._obey(line)
        if len(self._input) > INPUT_BYTES_MAX:
            self._lose("the server does not speak NATS")

    def _obey(self, line: bytes) -> None:
        word = line[:5].upper()
        if word == b"INFO " and self._state == _CONNECTING:
            jwt, seed, name = self._login
            self._state = _LOGIN
            self._write(login(line[5:], jwt=jwt, seed=seed, name=name))
        elif word == b"PONG":
            if self._state == _LOGIN:
                self._state = _READY
                self.reason = ""
                self._backoff = BACKOFF_NS_MIN
        elif word == b"PING":
            self._write(b"PONG\r\n")
        elif word.startswith(b"-ERR"):
            self.reason = line[5:200].decode("utf-8", "replace").strip("' ")

    def _write(self, data: bytes) -> None:
        """Send in answer to what was read; a server that cannot take these few bytes is lost."""
        if self._web:
            data = framed(data)
        try:
            if self._socket is not None and self._socket.send(data) != len(data):
                self._lose("the server does not take what is sent")
        except OSError as error:
            self._lose(_sentence(error))

    def _lose(self, reason: str) -> None:
        """Throw the connection away, unsent bytes included; `tick` sets the time of the next."""
        self.reason = reason
        lost, self._socket = self._socket, None
        if lost is None:
            return
        try:
            lost.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _RESET)
        finally:
            lost.close()

    def _drop(self, now: int, reason: str) -> None:
        self._lose(reason)
        self._state = _DOWN
        chance = posix.urandom(1)[0] / 256
        self._retry_at = now + int(self._backoff * (0.5 + chance / 2))
        self._backoff = min(self._backoff * 2, BACKOFF_NS_MAX)


def _sentence(error: OSError) -> str:
    return error.strerror or str(error)
