"""What `up` tells the person who started it, directly or over a pipe from a detached supervisor."""

import contextlib
import json
import os
import sys
from typing import Any, Protocol


class Report(Protocol):
    """Where progress goes."""

    def say(self, line: str) -> None:
        """One line of progress."""
        ...

    def ready(self, url: str, seconds: float) -> None:
        """The site is ready."""
        ...

    def failed(self, sentence: str, exit_code: int) -> None:
        """The site does not run."""
        ...


class Terminal:
    """Straight to this process' own output."""

    def __init__(self, *, detached: bool) -> None:
        self._detached = detached

    def say(self, line: str) -> None:
        """One line of progress."""
        _write(sys.stdout, f"  {line}")

    def ready(self, url: str, seconds: float) -> None:
        """The site is ready: its URL, alone on a line."""
        _write(sys.stdout, f"Ready in {seconds:.1f} s. The console is at")
        _write(sys.stdout, url)
        if not self._detached:
            _write(sys.stdout, "Ctrl-C stops the site.")

    def failed(self, sentence: str, exit_code: int) -> None:
        """What is wrong, on stderr."""
        _write(sys.stderr, f"murmuration: {sentence}")


class Pipe:
    """To the command that started this supervisor; it may have gone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def _send(self, message: dict[str, Any]) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.write(self._descriptor, json.dumps(message).encode() + b"\n")

    def say(self, line: str) -> None:
        """One line of progress."""
        self._send({"say": line})

    def ready(self, url: str, seconds: float) -> None:
        """The site is ready; the pipe has done its work."""
        self._send({"ready": url, "seconds": seconds})
        self._close()

    def failed(self, sentence: str, exit_code: int) -> None:
        """The site does not run; the pipe has done its work."""
        self._send({"failed": sentence, "exit_code": exit_code})
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _write(stream: Any, line: str) -> None:
    with contextlib.suppress(OSError):  # who reads may have gone: no reason to stop a site
        stream.write(line + "\n")
        stream.flush()
