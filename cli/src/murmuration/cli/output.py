"""Writing to stdout, where a closed pipe is an end and not an error."""

import select
import sys


def write_line(line: bytes) -> None:
    """One line of bytes, flushed, so that a reader behind a pipe sees it at once."""
    sys.stdout.flush()
    out = sys.stdout.buffer
    out.write(line.rstrip(b"\n") + b"\n")
    out.flush()


def write_text(text: str) -> None:
    """Text for people, flushed; what the terminal cannot show is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    write_line(text.encode(encoding, "backslashreplace"))


def reader_is_gone() -> bool:
    """Whether stdout is a pipe that nobody reads any more; False where that cannot be known."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError, ValueError):
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
