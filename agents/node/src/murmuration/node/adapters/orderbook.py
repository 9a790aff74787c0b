"""The book of orders on this host's disk, written before anything in it is done."""

from pathlib import Path

import msgspec
import structlog

from murmuration.node.core.orders import Book
from murmuration.runtime.files import read_private, write_private

NAME = "orders.json"
log = structlog.get_logger()


class OrderBook:
    """The file in one host's state folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME

    def read(self) -> Book:
        """The book; an empty one when there is none, or it cannot be read (said, once)."""
        raw = read_private(self._path)
        if not raw:
            return Book()
        try:
            return msgspec.json.decode(raw, type=Book)
        except msgspec.DecodeError as error:
            log.error("orders.unreadable", path=str(self._path), reason=str(error))
            return Book()

    def write(self, book: Book) -> None:
        """Replace it, durable when this returns. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_private(self._path, msgspec.json.encode(book))
