"""pulse.json in the host's state folder, and the addresses that stand in it."""

import asyncio
import os
import socket
from pathlib import Path

import msgspec

from murmuration.kernel.errors import Unavailable
from murmuration.node.core.enrolment import PulseFile

NAME = "pulse.json"
RESOLVE_S = 5.0


def read(folder: Path) -> PulseFile | None:
    """The file as it is; None when it is not there or not one."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=PulseFile)
    except (OSError, msgspec.DecodeError):
        return None


def write(folder: Path, content: PulseFile) -> None:
    """Put the file in place in one step, readable by its owner only. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    passing = folder / f".{NAME}.{os.getpid()}"
    passing.unlink(missing_ok=True)
    fd = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(msgspec.json.encode(content))
        file.flush()
        os.fsync(file.fileno())
    passing.replace(folder / NAME)


async def numeric(host: str, port: int, *, datagram: bool = False) -> tuple[str, int]:
    """The first numeric address of `host`, which may be a name. Raises Unavailable.

    The sender is given numbers only, so that no heartbeat ever waits for a name server.
    """
    kind = socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM
    try:
        async with asyncio.timeout(RESOLVE_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=kind)
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"the address of {host} is not known: {error!r}") from error
    return str(found[0][4][0]), port
