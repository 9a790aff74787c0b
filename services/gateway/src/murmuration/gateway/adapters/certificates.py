"""When the site's certificates end, as their keeper last published it."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from murmuration.kernel.clock import Clock
from murmuration.security.tls import read_summary

READ_EVERY_S = 10.0  # they change every few weeks; health is judged four times a second


class CertificateFile:
    """Reads the summary now and then; called, it gives each one's end by name."""

    def __init__(self, credentials: Path, clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock
        self._read_at = float("-inf")
        self._ends: Mapping[str, datetime] = {}

    def __call__(self) -> Mapping[str, datetime]:
        """The end of each certificate; of several authorities the one that ends first."""
        now = self._clock.monotonic()
        if now - self._read_at >= READ_EVERY_S:
            self._read_at = now
            summary = read_summary(self._credentials)
            found: dict[str, datetime] = {}
            for each in summary.certificates if summary else ():
                found[each.name] = min(each.expires_at, found.get(each.name, each.expires_at))
            self._ends = found
        return self._ends
