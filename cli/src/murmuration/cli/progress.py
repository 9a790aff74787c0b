"""Telling a person what mur is doing, on stderr only.

Nothing is shown for what takes less than a second, and no spinner where nobody sits.
"""

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

SHOW_AFTER_S = 1.0
_shown: ContextVar[bool] = ContextVar("shown", default=False)


def say(sentence: str) -> None:
    """One line to the person at the terminal, or to the log of the script."""
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def waiting(text: str) -> Generator[None]:
    """Show a spinner with `text` once the block has taken a second, if stderr is a terminal.

    Inside another such block nothing is added: the outer text says what is done.
    """
    if _shown.get() or not sys.stderr.isatty():
        yield
        return
    before = _shown.set(True)
    spinner = _Spinner(text)
    timer = threading.Timer(SHOW_AFTER_S, spinner.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        spinner.stop()
        _shown.reset(before)


class _Spinner:
    """A spinner that may be stopped before, while or after it starts."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lock = threading.Lock()
        self._done = False
        self._stop: Callable[[], None] | None = None

    def start(self) -> None:
        from rich.console import Console  # a person waits by now: the import is not felt

        status = Console(stderr=True).status(f"{self._text} …", spinner="dots")
        with self._lock:
            if not self._done:
                status.start()
                self._stop = status.stop

    def stop(self) -> None:
        with self._lock:
            self._done = True
            if self._stop is not None:
                self._stop()
