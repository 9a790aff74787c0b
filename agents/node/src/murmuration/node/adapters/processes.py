"""Finding processes, and asking them and their scripts how they are."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from murmuration.kernel.errors import Rejected
from murmuration.node.adapters import programs
from murmuration.node.core.process_spec import ProcessSpec, Style, parse, programs_of
from murmuration.proto.node import PROCESSES_MAX

FILE_BYTES_MAX = 16_384
PIDFILE_SLACK_S = 2.0  # a process that began so long after its pidfile was written is another one
SYSTEMCTL_S = 10.0
MAGIC = 0xA5A5_5A5A
ALL_BITS = 0xFFFF_FFFF
ANSWER_BYTES_MAX = 256
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def folder_signature(folder: Path) -> tuple[tuple[str, int, int, int, int], ...]:
    """What differs when a file of the folder does: name, inode, size, mode and instant of each."""
    found: list[tuple[str, int, int, int, int]] = []
    try:
        for entry in os.scandir(folder):
            info = entry.stat()
            found.append((entry.name, info.st_ino, info.st_size, info.st_mode, info.st_mtime_ns))
    except OSError:
        return ()
    return tuple(sorted(found))


def read_folder(folder: Path, owners: Sequence[int]) -> tuple[list[ProcessSpec], list[str]]:
    """The processes of a pmon.d folder by name, and what is wrong with its other files."""
    specs: dict[str, ProcessSpec] = {}
    faults: list[str] = []
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".conf")
    except OSError as error:
        return [], [f"{folder} cannot be read: {error.strerror}"]
    for path in paths:
        try:
            spec = _read(path, owners)
        except Rejected as error:
            faults.append(str(error))
            continue
        if spec.name in specs:
            faults.append(f"{path.name}: {spec.name} is monitored by another file already")
        elif len(specs) >= PROCESSES_MAX:
            faults.append(f"{path.name}: more than {PROCESSES_MAX} processes")
        else:
            specs[spec.name] = spec
    return list(specs.values()), faults


def _read(path: Path, owners: Sequence[int]) -> ProcessSpec:
    found = programs.mode_of(path)
    if found is None or found.owner not in owners or found.mode & 0o022:
        raise Rejected(f"{path.name} is not root's alone to write")
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX).decode("utf-8", "replace")
    except OSError as error:
        raise Rejected(f"{path.name} cannot be read: {error.strerror}") from error
    spec = parse(text, file=path.name)
    for program in programs_of(spec):
        if reason := programs.distrusted(Path(program), owners):
            raise Rejected(f"{path.name}: {reason}")
    return spec


async def find(spec: ProcessSpec, *, systemctl: str) -> int:
    """The pid of the living process; 0 when there is none."""
    if spec.pidfile:
        return pid_in(Path(spec.pidfile), name=spec.name)
    if spec.style is not Style.SYSTEMD:
        return 0
    said = await programs.output_of(
        (systemctl, "show", "--property=MainPID", "--value", "--", spec.unit),
        deadline_s=SYSTEMCTL_S,
    )
    text = (said or "").strip()
    return int(text) if text.isdecimal() else 0


def pid_in(path: Path, *, name: str) -> int:
    """The pid in a pidfile, if that process lives and is the one that the file was written for.

    One that began after its file was written is another one, unless it is called `name`: the wall
    clock, which dates the file, steps when a host that has just booted learns the time.
    """
    try:
        with path.open("rb") as file:
            text = file.read(32).decode("ascii", "replace").strip()
            written_at = os.fstat(file.fileno()).st_mtime
        pid = int(text) if text.isdecimal() else 0
        began_at = _began_at(pid) if pid else 0.0
        same = began_at <= written_at + PIDFILE_SLACK_S or name in _called(pid)
    except (OSError, ValueError, IndexError):
        return 0
    return pid if pid and same else 0


def _called(pid: int) -> set[str]:
    """What a process is called: by the kernel, by its program, by the script it interprets."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:2]
    names = {word.rpartition(b"/")[2].decode("utf-8", "replace") for word in words}
    return names | {Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()}


def _began_at(pid: int) -> float:
    """When a process began, by the wall clock (proc(5): field 22 of stat, btime)."""
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    fields = stat.rpartition(b")")[2].split()
    if fields[0] in (b"Z", b"X"):
        raise ValueError(f"{pid} has ended")
    lines = Path("/proc/stat").read_bytes().splitlines()
    boot = next(int(line.split()[1]) for line in lines if line.startswith(b"btime "))
    return boot + int(fields[19]) / _TICKS_PER_S


class Pings:
    """Asks active processes on the loopback, as StarlingX's library for them answers.

    A request is `<name> <magic, hex> <sequence>` to the process' port, the answer the same with the
    magic's bits inverted, to ours.
    """

    def __init__(self, found: socket.socket) -> None:
        self._socket = found
        self._sequence = 0
        self._waiting: dict[str, tuple[int, asyncio.Future[None]]] = {}

    async def ask(self, name: str, port: int, *, timeout_s: float) -> bool:
        """Whether the process answers in time."""
        self._sequence += 1
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[name] = (self._sequence, answered)
        request = f"{name} {MAGIC:8x} {self._sequence}"
        try:
            self._socket.sendto(request.encode() + b"\0", ("127.0.0.1", port))
            async with asyncio.timeout(timeout_s):
                await answered
        except (OSError, TimeoutError):
            return False
        finally:
            self._waiting.pop(name, None)
        return True

    def receive(self) -> None:
        """Take in what has come."""
        with contextlib.suppress(BlockingIOError):
            while True:
                data, _ = self._socket.recvfrom(ANSWER_BYTES_MAX)
                self._take(data.rstrip(b"\0 \n").decode("utf-8", "replace"))

    def _take(self, text: str) -> None:
        try:
            name, magic, sequence = text.rsplit(None, 2)
            asked, answered = self._waiting[name]
            good = int(magic, 16) == MAGIC ^ ALL_BITS and int(sequence) == asked
        except (KeyError, ValueError):
            return
        if good and not answered.done():
            answered.set_result(None)


@asynccontextmanager
async def open_pings(port: int) -> AsyncGenerator[Pings]:
    """A socket on the loopback for the answers. Raises OSError when its port is taken."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.setblocking(False)
        found.bind(("127.0.0.1", port))
        pings = Pings(found)
        loop.add_reader(found, pings.receive)
        try:
            yield pings
        finally:
            loop.remove_reader(found)
