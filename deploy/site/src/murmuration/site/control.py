"""The supervisor's control socket: one JSON object per line in, one per line out (unix, 0600).

{"op": "status"} · {"op": "stop"} · {"op": "lab", "action": …, "host": …} · {"op": "nats-user",
"action": "create|list|revoke", "role": …, "name": …, "days": …} · {"op": "certs",
"action": "list|renew|rotate", "now": …}; every answer has `ok`,
and `error`, one sentence, when that is false. Who may open the socket, may do all of it.
"""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from murmuration.site.errors import NotRunning, SiteError

LINE_BYTES_MAX = 65_536  # a request; an answer may be longer, it lists every host
ANSWER_S = 60.0

Answer = dict[str, Any]
Handler = Callable[[dict[str, Any]], Awaitable[Answer]]


async def serve(path: Path, handle: Handler) -> asyncio.Server:
    """Listen at `path`, replacing what a dead supervisor has left there."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await _answer(line, handle)).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            pass  # the caller has gone, or its line is over the limit: its loss
        finally:
            writer.close()

    return await asyncio.start_unix_server(converse, sock=_bind(path), limit=LINE_BYTES_MAX)


def _bind(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    path.chmod(0o600)
    return listening


async def _answer(line: bytes, handle: Handler) -> Answer:
    try:
        request: Any = json.loads(line)
    except ValueError:
        return {"ok": False, "error": "That is not JSON."}
    if not isinstance(request, dict):
        return {"ok": False, "error": "A request is a JSON object."}
    try:
        return {"ok": True, **await handle(request)}
    except SiteError as error:
        return {"ok": False, "error": str(error)}


def ask(path: Path, request: dict[str, Any], *, timeout_s: float = ANSWER_S) -> Answer:
    """Send one request and return the answer. Raises NotRunning when nobody answers."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline()
        return dict(json.loads(line))
    except (OSError, ValueError) as error:
        raise NotRunning(f"The supervisor does not answer at {path}.", "") from error
