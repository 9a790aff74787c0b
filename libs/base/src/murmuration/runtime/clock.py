"""The machine's own clock, as murmuration.kernel.clock.Clock."""

import time
from datetime import UTC, datetime


class SystemClock:
    """Wall time from CLOCK_REALTIME, durations from CLOCK_MONOTONIC."""

    def now(self) -> datetime:
        """The present instant, aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since an arbitrary point; never steps back."""
        return time.monotonic()
