"""Running programs of the host: argument lists only, each in a session of its own, with a deadline.

The end of a program is heard by pidfd. What still runs of it when its deadline passes gets SIGKILL,
its whole process group. There is never a shell between.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from murmuration.node.core.scripts import (
    FileMode,
    ScriptResult,
    distrust,
    distrust_folder,
)

OUTPUT_BYTES_MAX = 2_000  # of what a program said at its end
PARALLEL_MAX = 20  # go-enabled tests at once: as many as operators of this field know
SCRIPTS_MAX = 200  # in one folder; beyond it the folder is refused
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
KEPT = ("LANG", "TZ", "MUR_SUPERVISED")  # of our own; by the last a supervisor knows its children
KILL_WAIT_S = 5.0


@asynccontextmanager
async def death_of(pid: int) -> AsyncGenerator[asyncio.Future[None]]:
    """A future that is done when process `pid` has ended. Raises ProcessLookupError."""
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(pid)
    ended: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        loop.remove_reader(descriptor)
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(descriptor, settle)
    try:
        yield ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def spawn(
    argv: Sequence[str], *, output: int | None = None, extra: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a program; what it says goes to the descriptor `output`, or nowhere. Raises OSError."""
    sink = subprocess.DEVNULL if output is None else output
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=sink,
        start_new_session=True,
        env={
            **ENVIRONMENT,
            **{name: os.environ[name] for name in KEPT if name in os.environ},
            **(extra or {}),
        },
        cwd="/",
    )


async def finish(process: "subprocess.Popen[bytes]", *, deadline_s: float) -> int | None:
    """The exit code of a started program; None when its deadline passed, and it was killed."""
    try:
        async with asyncio.timeout(deadline_s), death_of(process.pid) as ended:
            await ended
        return process.wait()
    except TimeoutError:
        return None
    except ProcessLookupError:  # reaped by nobody but us: it cannot be, but a wait settles it
        return process.wait()
    finally:
        if process.returncode is None:
            await _kill(process)


async def _kill(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, TimeoutError):
        async with asyncio.timeout(KILL_WAIT_S), death_of(process.pid) as ended:
            await ended
        process.wait()


async def run(
    argv: Sequence[str], *, deadline_s: float, extra: Mapping[str, str] | None = None
) -> str:
    """Run a program to its end; "" when it succeeded, else one sentence that says why not."""
    name = Path(argv[0]).name
    output = os.memfd_create(name[:32])
    try:
        code = await finish(spawn(argv, output=output, extra=extra), deadline_s=deadline_s)
        said = _last_line(output) if code != 0 else ""
    except OSError as error:
        return f"{name} cannot be started: {error.strerror or error}"
    finally:
        os.close(output)
    if code is None:
        return f"{name} did not end within {deadline_s:g} s and was killed"
    return "" if code == 0 else f"{name} ended with {describe(code)}{': ' if said else ''}{said}"


async def output_of(argv: Sequence[str], *, deadline_s: float) -> str | None:
    """What a program printed, at most OUTPUT_BYTES_MAX of it; None when it did not succeed."""
    output = os.memfd_create("output")
    try:
        if await finish(spawn(argv, output=output), deadline_s=deadline_s) != 0:
            return None
        return os.pread(output, OUTPUT_BYTES_MAX, 0).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(output)


def describe(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def _last_line(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    text = os.pread(descriptor, OUTPUT_BYTES_MAX, max(0, size - OUTPUT_BYTES_MAX))
    lines = text.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:500] if lines else ""


def mode_of(path: Path) -> FileMode | None:
    """What the kernel says of a file; None when it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return FileMode(mode=found.st_mode, owner=found.st_uid)


def distrusted(path: Path, owners: Sequence[int]) -> str:
    """Why the program `path` must not be run; "" when it may be."""
    return distrust(str(path), mode_of(path), owners=owners) or distrust_folder(
        str(path.parent), mode_of(path.parent), owners=owners
    )


async def run_folder(
    folder: Path, arguments: Sequence[str], *, deadline_s: float, owners: Sequence[int]
) -> list[ScriptResult]:
    """Run every executable of a folder, PARALLEL_MAX at once; a folder that is not there is empty.

    A file that is not executable is passed over; one that must not be trusted fails without being
    run.
    """
    if mode_of(folder) is None:
        return []
    if reason := distrust_folder(str(folder), mode_of(folder), owners=owners):
        return [ScriptResult(script=folder.name, reason=reason)]
    paths = _programs(folder)
    if len(paths) > SCRIPTS_MAX:
        return [ScriptResult(script=folder.name, reason=f"{len(paths)} scripts are too many")]
    slots = asyncio.Semaphore(PARALLEL_MAX)
    deadline = asyncio.get_running_loop().time() + deadline_s

    async def one(path: Path) -> ScriptResult:
        reason = distrust(str(path), mode_of(path), owners=owners)
        if not reason:
            async with slots:
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    reason = f"{path.name} was not begun within {deadline_s:g} s"
                else:
                    reason = await run([str(path), *arguments], deadline_s=left)
        return ScriptResult(script=path.name, reason=reason)

    return list(await asyncio.gather(*(one(path) for path in paths)))


def _programs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _is_program(path))


def _is_program(path: Path) -> bool:
    found = mode_of(path)
    return (
        found is not None
        and not path.name.startswith(".")
        and bool(found.mode & 0o111)
        and (not path.is_dir())
    )


def trusted_owners() -> tuple[int, ...]:
    """Whose files may be run: root's, and those of the user that the agent runs as."""
    return (0, os.geteuid())
