"""Log files that do not fill the disk, and the pipe from a child into one.

Lines are written as they come; at a line's end, once the file is over its size, it becomes `.1`,
`.1` becomes `.2`, and so on. A full disk loses lines (counted), never the process that wrote them.
"""

import asyncio
import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

CHUNK_BYTES_MAX = 65_536  # a pipe's usual capacity (pipe(7)): what one read can find


class LogFile:
    """Append-only, rotated; `size_bytes_max` per file, `older_count` files kept besides."""

    def __init__(self, path: Path, *, size_bytes_max: int, older_count: int) -> None:
        self.path = path
        self.lost_count = 0
        self._size_bytes_max = size_bytes_max
        self._older_count = older_count
        self._descriptor = -1
        self._size_bytes = 0

    def write(self, data: bytes) -> None:
        """Append `data`; never raises for a disk that is full or gone."""
        try:
            self._write(data)
        except OSError:
            self.lost_count += 1
            self.close()

    def _write(self, data: bytes) -> None:
        if self._descriptor < 0:
            self._open()
        os.write(self._descriptor, data)
        self._size_bytes += len(data)
        if self._size_bytes >= self._size_bytes_max and data.endswith(b"\n"):
            self._rotate()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o600)
        self._size_bytes = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        self.close()
        for n in range(self._older_count - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._older(n).replace(self._older(n + 1))
        self.path.replace(self._older(1))

    def _older(self, n: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{n}")

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def last_line(self) -> str:
        """The last line that says something, shortened; empty when there is none."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 4096))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


class Journal:
    """The supervisor's own log: JSON lines, one event name each, ids as fields."""

    def __init__(self, file: LogFile) -> None:
        self._file = file

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._file.path

    def log(self, event: str, **fields: object) -> None:
        """Write one event."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"timestamp": at, "event": event, **fields}, default=str)
        self._file.write(line.encode() + b"\n")


def pipe_into(log: LogFile) -> int:
    """A pipe that the running loop empties into `log`; its write end, the caller's to close.

    It is let go when the last writer has closed its end, which may be a grandchild's.
    """
    loop = asyncio.get_running_loop()
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)

    def move() -> None:
        try:
            data = os.read(read_end, CHUNK_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            log.write(data)
            return
        loop.remove_reader(read_end)
        os.close(read_end)

    loop.add_reader(read_end, move)
    return write_end
