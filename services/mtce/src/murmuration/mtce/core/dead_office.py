"""Dead office recovery: the whole site lost its power, and everything boots at once.

It is recognised by the machine that mtce itself runs on: it has just booted too. While the window
is open, hosts that are missing are waited for instead of being restarted.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

YOUNG_S: Final = 1_200.0  # a controller up for less has just booted: twice the time of a slow boot


@dataclass(frozen=True, slots=True)
class DeadOffice:
    """The window, as instants; `until` None: there was no power cut that we know of."""

    until: datetime | None


def dead_office(*, uptime_s: float, now: datetime, window_s: float) -> DeadOffice:
    """The window as mtce sees it when it starts, counted from the boot.

    `uptime_s` is of the machine, not of the process: a restart of mtce alone opens no window.
    """
    if uptime_s >= YOUNG_S or window_s <= 0:
        return DeadOffice(until=None)
    return DeadOffice(until=now + timedelta(seconds=window_s - uptime_s))
