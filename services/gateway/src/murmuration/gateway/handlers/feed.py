"""Keeping the read model fed: states, streams, pulses. Each function runs until cancelled."""

import asyncio
import contextlib

import structlog

from murmuration.gateway.core.model import SENDERS
from murmuration.gateway.core.ring import EVENTS_MAX
from murmuration.gateway.handlers.live import LiveSite
from murmuration.gateway.ports import SitePort
from murmuration.kernel.backoff import Backoff
from murmuration.kernel.errors import Unavailable
from murmuration.runtime.dice import dice

OPEN_AFTER_S = 5.0  # a stream that is not there by then is shown as missing, the others are shown
LOOK_EVERY_S = 0.25
RELOAD_EVERY_S = 600.0  # repairs what no event tells, such as the count of repeated raises
log = structlog.get_logger()


async def follow(site: SitePort, live: LiveSite, sender: str) -> None:
    """Load a sender's state once, then take in its events."""
    await load(site, live, sender)
    async for batch in site.follow(sender, EVENTS_MAX):
        live.take(sender, batch)
        await asyncio.sleep(0)  # requests come between, also in a storm


async def load(site: SitePort, live: LiveSite, sender: str) -> None:
    """Load a sender's state, however long it takes to be there."""
    backoff = Backoff(first_s=0.05, most_s=2.0)
    while True:
        live.loading.add(sender)
        try:
            live.merge(sender, await site.load(sender))
            return
        except Unavailable as error:
            log.info("state.awaited", sender=sender, reason=str(error))
        finally:
            live.loading.discard(sender)
        await asyncio.sleep(backoff.next_s(dice()))


async def open_in_time(live: LiveSite) -> None:
    """Let everybody in even when a stream stays away, but not while a state is coming in.

    A state of 100,000 alarms takes seconds; to show a site without its alarms meanwhile would be a
    lie. A load that gets no answer ends by itself, in LOAD_TIMEOUT_S of the bus.
    """
    await _loaded_within(live, OPEN_AFTER_S)
    while live.loading:
        await _loaded_within(live, LOOK_EVERY_S)
    live.open()


async def _loaded_within(live: LiveSite, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await live.loaded.wait()


async def reload(site: SitePort, live: LiveSite) -> None:
    """Load again what may have been missed, and everything now and then."""
    while True:
        try:
            async with asyncio.timeout(RELOAD_EVERY_S):
                await live.stale.wait()
            senders = sorted(live.stale_senders)
        except TimeoutError:
            senders = list(SENDERS)
        live.stale.clear()
        live.stale_senders.clear()
        for sender in senders:
            await load(site, live, sender)


async def pass_pulses(site: SitePort, live: LiveSite) -> None:
    """Pass heartbeat digests on to listeners; after a broken connection, again."""
    while True:
        try:
            await site.listen_pulses(live.take_pulses)
        except Unavailable as error:
            log.info("pulses.awaited", reason=str(error))
            await asyncio.sleep(1.0)
