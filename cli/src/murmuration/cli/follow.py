"""Following the site's stream for as long as somebody reads it.

Invariants: after a break the stream is resumed after the last whole message, so nothing is missed
and nothing is shown twice; a break and the return are each said once, on stderr; a refusal ends it.
"""

import http.client
import time
from collections.abc import Iterator

from murmuration.cli.errors import Failed, NotReachable
from murmuration.cli.http import Client
from murmuration.cli.output import reader_is_gone
from murmuration.cli.progress import say
from murmuration.cli.sse import Message, Parser

STREAM = "/api/v1/stream"
SILENCE_S = 45.0  # the gateway writes at least every 15 s: three times that is a dead connection
WAIT_FIRST_S = 0.5
WAIT_MAX_S = 10.0
LINE_BYTES_MAX = 64 * 2**20  # a snapshot is one line: every host and alarm of the site


class Follower:
    """The messages of one site's stream, over as many connections as it takes."""

    def __init__(self, client: Client, *, after: str = "", silence_s: float = SILENCE_S) -> None:
        self._client = client
        self._silence_s = silence_s
        self._cursor = after
        self._wait_s = WAIT_FIRST_S

    def messages(self) -> Iterator[Message]:
        """Every message, for ever. Raises Failed or NotReachable when it cannot begin or go on."""
        response = self._open()
        while True:
            reason = yield from self._read(response)
            broken_at = time.monotonic()
            say(f"mur: {reason}; connecting again …")
            response = self._open_again()
            say(f"mur: connected again after {time.monotonic() - broken_at:.1f} s.")

    def _open(self) -> http.client.HTTPResponse:
        headers = {"Accept": "text/event-stream"}
        if self._cursor:
            headers["Last-Event-ID"] = self._cursor
        return self._client.open_stream(STREAM, headers=headers, silence_s=self._silence_s)

    def _open_again(self) -> http.client.HTTPResponse:
        while True:
            _end_without_reader()
            time.sleep(self._wait_s)
            self._wait_s = min(self._wait_s * 2, WAIT_MAX_S)
            try:
                return self._open()
            except NotReachable:
                continue
            except Failed as failed:
                if failed.problem.status < 500:
                    raise

    def _read(self, response: http.client.HTTPResponse) -> Iterator[Message]:
        """The messages of one connection; returns why it ended."""
        parser = Parser()
        with response:
            while True:
                try:
                    line = response.readline(LINE_BYTES_MAX)
                except TimeoutError:
                    return f"nothing heard from the site for {self._silence_s:g} s"
                except (OSError, http.client.HTTPException):
                    return "the connection to the site broke"
                if not line.endswith(b"\n"):
                    return "the site closed the stream"
                _end_without_reader()
                message = parser.feed(line)
                if message is None:
                    continue
                self._wait_s = WAIT_FIRST_S
                if parser.retry_ms is not None:
                    self._wait_s = min(parser.retry_ms / 1_000, WAIT_MAX_S)
                self._cursor = message.id or self._cursor
                yield message


def _end_without_reader() -> None:
    """Stop as soon as nobody reads stdout, not only at the next event."""
    if reader_is_gone():
        raise BrokenPipeError
