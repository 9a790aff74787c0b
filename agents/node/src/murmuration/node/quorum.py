"""The quorum of monitored processes as a condition of the watchdog.

Held as a lease, so that an agent that hangs is as good as a quorum that is lost. A process of the
quorum that cannot be kept running is said at once: the host is then left to be reset.
"""

import asyncio
from collections.abc import Callable

import structlog

from murmuration.kernel.errors import Unavailable
from murmuration.node.adapters import watchdog
from murmuration.node.config import WatchdogSection

NAME = "pmon"
RENEWALS_PER_LEASE = 4
LOOK_S = 1.0
log = structlog.get_logger()


async def keep(section: WatchdogSection, lost: Callable[[], str]) -> None:
    """Vouch for the quorum for ever; `lost` says why it is lost, empty while it is there."""
    loop = asyncio.get_running_loop()
    said, renew_at = "", 0.0
    while True:
        reason = lost()
        try:
            if reason:  # held first: a keeper that was started anew knows of no condition
                await watchdog.tell(section.socket, f"hold {NAME} {section.lease_s:g}")
                await watchdog.tell(section.socket, f"fail {NAME} {reason}")
            elif loop.time() >= renew_at:
                await watchdog.tell(section.socket, f"hold {NAME} {section.lease_s:g}")
                renew_at = loop.time() + section.lease_s / RENEWALS_PER_LEASE
            said = ""
        except Unavailable as error:
            if str(error) != said:
                said = str(error)
                log.warning("watchdog.away", reason=said)
        await asyncio.sleep(LOOK_S)


async def leave(section: WatchdogSection) -> None:
    """The agent ends in order: its word is not waited for any more."""
    try:
        await watchdog.tell(section.socket, f"drop {NAME}")
    except Unavailable as error:
        log.warning("watchdog.away", reason=str(error))
