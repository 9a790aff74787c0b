"""NATS over WebSocket (RFC 6455), as far as a heartbeat goes: the greeting and binary frames.

The site's door for senders without TLS is a WebSocket one, for there the server tells them from
everybody else. Frames are masked with zeros: a mask guards proxies from scripts in browsers, and
here are neither.
"""

BINARY = 0x82  # a whole message in one frame
_GREETING = b"HTTP/1.1 101 "
_CONTINUATION, _TEXT, _BINARY = 0, 1, 2


def request(host: str, port: int) -> bytes:
    """The first bytes: ask to speak WebSocket."""
    name = f"[{host}]" if ":" in host else host
    return (
        f"GET / HTTP/1.1\r\nHost: {name}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def framed(data: bytes) -> bytes:
    """`data` as one frame from a client."""
    size = len(data)
    if size < 126:
        head = bytes((BINARY, 0x80 | size))
    elif size < 65_536:
        head = bytes((BINARY, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((BINARY, 0xFF)) + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + data


class Frames:
    """Takes the greeting and the frames of a server apart."""

    def __init__(self) -> None:
        self._input = b""
        self._greeted = False

    def feed(self, data: bytes) -> bytes:
        """What the whole frames so far hold. Raises ValueError when it is none, or a farewell."""
        self._input += data
        if not self._greeted:
            head, found, rest = self._input.partition(b"\r\n\r\n")
            if not found:
                return b""
            if not head.startswith(_GREETING):
                raise ValueError("the server does not speak WebSocket")
            self._greeted, self._input = True, rest
        said = b""
        while (frame := self._next()) is not None:
            said += frame
        return said

    @property
    def waiting(self) -> int:
        """Bytes that wait for the rest of their frame."""
        return len(self._input)

    def _next(self) -> bytes | None:
        """What the first frame holds, nothing for one of control; None before it is whole."""
        found = self._input
        if len(found) < 2:
            return None
        kind, size, start = found[0] & 0x0F, found[1], 2
        if kind == 8:
            raise ValueError("the server closed the connection")
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(found[2:start], "big")
        if len(found) < start + size:
            return None
        self._input = found[start + size :]
        return found[start : start + size] if kind in (_CONTINUATION, _TEXT, _BINARY) else b""
