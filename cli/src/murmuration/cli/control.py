"""The supervisor's control socket: one JSON object per line, there and back."""

import socket
import time

import msgspec

from murmuration.cli.decoding import decode
from murmuration.cli.errors import Failed, NotReachable

ANSWER_BYTES_MAX = 4 * 2**20  # the status of hundreds of hosts


class _Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The part that every answer has."""

    ok: bool
    error: str = ""


def ask(path: str, request: dict[str, str], *, timeout_s: float) -> bytes:
    """The supervisor's answer to `request`, one line without its end.

    Raises Failed with the supervisor's sentence when it refuses, NotReachable without an answer.
    """
    deadline = time.monotonic() + timeout_s
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(path)
            connection.sendall(msgspec.json.encode(request) + b"\n")
            line = _read_line(connection, deadline)
    except TimeoutError as error:
        raise NotReachable(
            f"The site's supervisor did not answer within {timeout_s:g} s.",
            "`mur lab list` shows what was done; wait longer with --timeout.",
        ) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise NotReachable(
            f"The site's supervisor cannot be reached at {path}: {reason}.",
            "Start the site with `./just up`.",
        ) from error
    if not line.endswith(b"\n"):
        raise NotReachable("The site's supervisor hung up before it had answered.")
    outcome = decode(line, _Outcome)
    if not outcome.ok:
        raise Failed(outcome.error or "The site's supervisor refused, and gave no reason.")
    return line.rstrip(b"\n")


def _read_line(connection: socket.socket, deadline: float) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        connection.settimeout(left_s)
        chunk = connection.recv(1 << 16)
        if not chunk:
            break
        line += chunk
        if len(line) > ANSWER_BYTES_MAX:
            raise Failed(f"The supervisor's answer is larger than {ANSWER_BYTES_MAX >> 20} MiB.")
    return bytes(line)
