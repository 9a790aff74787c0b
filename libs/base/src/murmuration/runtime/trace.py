"""A file of what a service decides on, a line each, so that a decision can be replayed later.

Off unless it is configured. It is for looking into a decision and for making a test of it; nothing
relies on it.
"""

import errno
import os
from pathlib import Path
from typing import Final

import structlog

from murmuration.kernel.errors import Rejected

FILE_BYTES_MAX: Final = 64 * 2**20
log = structlog.get_logger()


class TraceFile:
    """Lines in `path`, made readable for its owner; a full file becomes `path.1`: two at most.

    For one process alone. A disk that fails ends the trace, said once in the log, and never the
    service; what could not be written whole is not left behind.
    """

    def __init__(self, path: Path, *, bytes_max: int = FILE_BYTES_MAX) -> None:
        """Goes on behind what is there. Raises Rejected where the file cannot be written."""
        self._path = path
        self._bytes_max = bytes_max
        try:
            self._open()
        except OSError as error:
            raise Rejected(f"cannot write the trace {path}: {error.strerror}") from error

    def write(self, line: bytes) -> None:
        """Append a line, which ends with its newline."""
        if self._file.closed:
            return
        try:
            if self._file.tell() + len(line) > self._bytes_max:
                self._file.close()
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                self._open()
            self._append(line)
        except OSError as error:
            self._file.close()
            log.warning("trace.ended", file=str(self._path), reason=str(error))

    def _append(self, line: bytes) -> None:
        written = self._file.write(line)
        if written != len(line):
            os.truncate(self._file.fileno(), self._file.tell() - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._path, flags, 0o600), "ab", buffering=0)
