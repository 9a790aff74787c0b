"""Server-sent events: bytes to messages (WHATWG HTML, "Server-sent events"). No I/O.

Invariant: a message exists only once its empty line has come, so a broken connection never yields
half of one, and the last id is that of a message which was whole.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One event of the stream; `id` is empty when it cannot be resumed after."""

    event: str
    data: str
    id: str = ""


class Parser:
    """Turns lines into messages. One per connection."""

    def __init__(self) -> None:
        self.retry_ms: int | None = None
        self._event = ""
        self._id = ""
        self._data: list[str] = []

    def feed(self, line: bytes) -> Message | None:
        """Take one line, with or without its end; the message that it completes, if any."""
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if not text:
            return self._finish()
        if text.startswith(":"):
            return None
        field, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._event = value
        elif field == "id" and "\0" not in value:
            self._id = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value)
        return None

    def _finish(self) -> Message | None:
        event, data, resume_after = self._event or "message", self._data, self._id
        self._event, self._data, self._id = "", [], ""
        return Message(event=event, data="\n".join(data), id=resume_after) if data else None
