"""The simulator's control socket: one JSON object per line in, one out.

`{"op":"kill|freeze|link-down|partition|heal","host":"worker-1"}` breaks or heals a host, where a
partition may have a `"direction":"both|from|to"`, seen from the host. `{"op":"status"}` tells what
is wrong with each. The answer is `{"ok":true,…}` or `{"ok":false,"error":"one sentence"}`. Only the
owner of the socket may connect (0600).
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from murmuration.kernel.errors import MurmurationError, Rejected
from murmuration.sim.core.host import Action, Cut

NAME = "sim.sock"
LINE_BYTES_MAX = 4_096
CLIENT_COUNT_MAX = 16  # a supervisor and a few people

Act = Callable[[Action, str, Cut], str]
Conditions = Callable[[], Mapping[str, str]]


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One line in."""

    op: str
    host: str = ""
    direction: str = Cut.BOTH.value


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line out."""

    ok: bool
    error: str = ""
    host: str = ""
    condition: str = ""
    hosts: Mapping[str, str] | None = None


class _Control:
    def __init__(self, act: Act, conditions: Conditions) -> None:
        self._act = act
        self._conditions = conditions
        self._clients = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client until it leaves."""
        self._clients += 1
        try:
            if self._clients > CLIENT_COUNT_MAX:
                await _write(writer, Answer(ok=False, error="too many clients at once"))
                return
            while line := await reader.readline():
                await _write(writer, self._answer(line))
        except (ValueError, OSError):
            return  # a line beyond the limit, or the client is gone
        finally:
            self._clients -= 1
            writer.close()

    def _answer(self, line: bytes) -> Answer:
        try:
            command = msgspec.json.decode(line, type=Command)
            if command.op == "status":
                return Answer(ok=True, hosts=self._conditions())
            action, cut = _action(command.op), _cut(command.direction)
            condition = self._act(action, command.host, cut)
            return Answer(ok=True, host=command.host, condition=condition)
        except msgspec.DecodeError as error:
            return Answer(ok=False, error=f"the command does not decode: {error}")
        except MurmurationError as error:
            return Answer(ok=False, error=str(error))


def _action(op: str) -> Action:
    try:
        return Action(op)
    except ValueError as error:
        known = ", ".join(action.value for action in Action)
        raise Rejected(f"{op[:80]!r} is none of {known}, status") from error


def _cut(direction: str) -> Cut:
    try:
        return {cut.value: cut for cut in (Cut.BOTH, Cut.FROM, Cut.TO)}[direction]
    except KeyError as error:
        raise Rejected(f"{direction[:80]!r} is none of both, from, to") from error


async def _write(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(msgspec.json.encode(answer) + b"\n")
    await writer.drain()


def _free_path(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    path.unlink(missing_ok=True)
    return path


@asynccontextmanager
async def control(folder: Path, act: Act, conditions: Conditions) -> AsyncGenerator[Path]:
    """Serve the socket until the end of the block. Raises Rejected when it cannot be made."""
    path = _free_path(folder)
    mask = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(
            _Control(act, conditions).serve, path, limit=LINE_BYTES_MAX
        )
    except OSError as error:
        raise Rejected(f"cannot make the socket {path}: {error}") from error
    finally:
        os.umask(mask)
    try:
        yield path
    finally:
        server.close()
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
