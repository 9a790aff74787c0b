"""Encoded pages, kept until anything shown changes: many clients ask for the same first page."""

from collections.abc import Callable, Hashable

PAGES_MAX = 64  # different questions remembered; at 100 kB a page that is a few MB


class PageCache:
    """Bodies by question, all of one revision of the model."""

    def __init__(self) -> None:
        self._revision = -1
        self._pages: dict[Hashable, bytes] = {}

    def get(self, revision: int, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """The body for `key` at `revision`, made when it is not there."""
        if revision != self._revision:
            self._revision = revision
            self._pages.clear()
        found = self._pages.get(key)
        if found is None:
            found = make()
            if len(self._pages) < PAGES_MAX:
                self._pages[key] = found
        return found
