"""How the supervisor sees that a part is ready: each asks once, over the part's own protocol."""

import asyncio
import hashlib
import json
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

BODY_BYTES_MAX = 16 * 2**20  # an answer of the site itself: a page of hosts with their links
SHOW_S = 5.0  # until a server shows its certificate
POSTGRES_SSL = 80_877_103  # SSLRequest, likewise
POSTGRES_PROTOCOL = 196_608  # version 3.0 (PostgreSQL documentation, "Message Formats")


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.transport.abort()


async def http_get(
    host: str, port: int, path: str, *, token: str | None = None
) -> tuple[int, bytes]:
    """(status, body) of a GET by HTTP/1.0, so that the body ends with the connection. OSError."""
    reader, writer = await asyncio.open_connection(host, port, limit=BODY_BYTES_MAX)
    async with _closing(writer):
        bearer = f"Authorization: Bearer {token}\r\n" if token else ""
        head = f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\nConnection: close\r\n{bearer}\r\n"
        writer.write(head.encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        status = int(answer.split(b" ", 2)[1])
        return status, await reader.read(-1)


class HttpReady:
    """GET /readyz answers 200; `reason` is what the service said when it did not."""

    def __init__(self, host: str, port: int, path: str = "/readyz") -> None:
        self.reason = ""
        self._address = (host, port, path)

    async def __call__(self) -> bool:
        """Ask once."""
        status, body = await http_get(*self._address)
        self.reason = "" if status == 200 else _reason_in(body)
        return status == 200


def _reason_in(body: bytes) -> str:
    try:
        found: Any = json.loads(body)
    except ValueError:
        return ""
    return str(found.get("reason") or found.get("detail") or "") if isinstance(found, dict) else ""


class Door:
    """Where a server shows its certificate: TLS from the first byte, or after PostgreSQL's ask."""

    def __init__(self, host: str, port: int, *, postgres: bool = False) -> None:
        self._address = (host, port)
        self._postgres = postgres

    async def shown(self) -> str:
        """The SHA-256 of its certificate, hex; who signed it is not asked. OSError, EOFError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(*self._address)
        async with _closing(writer):
            if self._postgres:
                writer.write(struct.pack("!ii", 8, POSTGRES_SSL))
                if await reader.readexactly(1) != b"S":
                    return ""
            await writer.start_tls(context)
            found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            return hashlib.sha256(found).hexdigest()


class NatsReady:
    """The server greets: its first line is INFO (NATS client protocol), within TLS."""

    def __init__(self, host: str, port: int, bundle: Path) -> None:
        self._address = (host, port)
        self._bundle = bundle

    async def __call__(self) -> bool:
        """Ask once."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self._bundle)
        reader, writer = await asyncio.open_connection(*self._address, ssl=context)
        async with _closing(writer):
            return (await reader.readline()).startswith(b"INFO ")


class PostgresReady:
    """The server asks for authentication; while it starts or recovers it answers an error."""

    def __init__(self, socket_path: Path) -> None:
        self._path = str(socket_path)

    async def __call__(self) -> bool:
        """Ask once."""
        reader, writer = await asyncio.open_unix_connection(self._path)
        async with _closing(writer):
            body = struct.pack("!i", POSTGRES_PROTOCOL) + b"user\0postgres\0database\0postgres\0\0"
            writer.write(struct.pack("!i", len(body) + 4) + body)
            return await reader.readexactly(1) == b"R"
