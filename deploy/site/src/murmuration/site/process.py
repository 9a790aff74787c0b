"""One child process: what it is (ProcessSpec) and how it is started (spawn).

Started by an own fork and exec, because a child needs at once what subprocess gives only in part:
another network namespace, another user, sockets at fixed descriptors, a new session, and a signal
when its parent dies. Invariant: the parent has one thread, so that the forked child may run Python
until exec.
"""

import asyncio
import contextlib
import enum
import fcntl
import os
import signal
import sys
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Protocol

from murmuration.site import syscalls

FIRST_INHERITED = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)
MARK = "MUR_SUPERVISED"  # in the environment of every child: the state folder it belongs to


class Group(enum.IntEnum):
    """What stops together; groups stop in this order, each before the next is asked."""

    HOSTS = 0
    SERVICES = 1
    TASKS = 2
    BUS = 3
    STORE = 4


class RunAs(enum.Enum):
    """Which user a child is."""

    SELF = "self"  # the supervisor's own
    MAPPED = "mapped"  # nobody in a user namespace of its own; on disk still the supervisor's
    NOBODY = "nobody"  # nobody


class Probe(Protocol):
    """Whether a process that runs is ready; False or OSError: not yet."""

    def __call__(self) -> Awaitable[bool]:
        """Ask once; whoever asks sets the deadline."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessSpec:
    """What one child process is to be.

    `sockets` are (name, descriptor) pairs of the supervisor, handed on as LISTEN_FDS says;
    `network` is the path of a network namespace, None the supervisor's own; `after` names processes
    that must be ready before each start; `once` is work that ends: exit code 0 makes it ready;
    `nice` is added to the scheduling priority, 0 to 19.
    """

    name: str
    argv: tuple[str, ...]
    group: Group
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    network: str | None = None
    run_as: RunAs = RunAs.SELF
    sockets: tuple[tuple[str, int], ...] = ()
    after: tuple[str, ...] = ()
    ready: Probe | None = None
    once: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    folder: str = "/"
    nice: int = 0


class SpawnError(OSError):
    """The child could not become what its spec says; the message is from the child."""


def environment_of(spec: ProcessSpec, base: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a child: `base` without sockets meant for others, and its own."""
    inherited = {key: value for key, value in base.items() if not key.startswith("LISTEN_")}
    listening: dict[str, str] = {}
    if spec.sockets:
        names = ":".join(name for name, _ in spec.sockets)
        listening = {"LISTEN_FDS": str(len(spec.sockets)), "LISTEN_FDNAMES": names}
    return {**inherited, **listening, **spec.environment}


def spawn(spec: ProcessSpec, *, output: int, base: Mapping[str, str]) -> int:
    """Start the process with stdout and stderr at `output`; its pid. Raises SpawnError.

    Returns when the program runs (exec has succeeded): a few milliseconds, during which the loop
    stands still.
    """
    environment = environment_of(spec, base)
    failure_read, failure_write = os.pipe()
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    blocked = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _become(spec, output, environment, failure_write, parent)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    os.close(failure_write)
    with os.fdopen(failure_read, "rb") as pipe:
        failure = pipe.read().decode(errors="replace")
    if failure:
        os.waitpid(pid, 0)
        raise SpawnError(f"{spec.name} cannot be started: {failure}")
    return pid


def _become(
    spec: ProcessSpec, output: int, environment: dict[str, str], failure: int, parent: int
) -> NoReturn:
    """In the child: take on what the spec says and exec; never returns, never raises."""
    try:
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        failure = _place_descriptors(spec, output, failure)
        if spec.network is not None:
            syscalls.enter_network(spec.network)
        if spec.run_as is RunAs.MAPPED:
            syscalls.become_mapped_user(syscalls.NOBODY, syscalls.NOBODY)
        elif spec.run_as is RunAs.NOBODY:
            syscalls.become_user(syscalls.NOBODY, syscalls.NOBODY)
        syscalls.die_with_parent(spec.orphan_signal)
        if os.getppid() != parent:
            os._exit(127)  # the parent died before the kernel knew whom to tell
        os.chdir(spec.folder)
        if spec.nice:
            _be_nice(spec.nice)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.execve(spec.argv[0], spec.argv, environment)  # noqa: S606 - no shell is wanted
    except BaseException as error:
        os.write(failure, str(error).encode()[:4096] or b"unknown error")
    finally:
        os._exit(127)


def _be_nice(nice: int) -> None:
    """Give way to others; each session is a scheduling group of its own where the kernel has them.

    There a process' own niceness counts only within its session (sched(7), autogroup).
    """
    os.nice(nice)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(nice))


def _place_descriptors(spec: ProcessSpec, output: int, failure: int) -> int:
    """stdin from nothing, stdout and stderr to `output`, sockets from 3; where `failure` went."""
    top = FIRST_INHERITED + len(spec.sockets)
    high = [_above(top, descriptor) for _, descriptor in spec.sockets]
    failure, output = _above(top, failure), _above(top, output)
    nothing = _above(top, os.open(os.devnull, os.O_RDONLY))
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for place, descriptor in enumerate(high, FIRST_INHERITED):
        os.dup2(descriptor, place)  # inheritable, as dup2 makes them
    return failure


def _above(top: int, descriptor: int) -> int:
    """A copy of `descriptor` numbered `top` or more, closed by exec."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, top)


async def wait_for_death(pid: int) -> int:
    """Reap the child; its exit code, negative when a signal ended it. Noticed by pidfd.

    What it left in its process group dies with it: while it is not reaped, no other group can have
    its number.
    """
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(pid)
    died: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _settle, died)
    try:
        await died
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return _reap(pid)


def _reap(pid: int) -> int:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def describe_exit(code: int) -> str:
    """An exit code in words: `exit code 3`, `killed by SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
