"""Watching the platform's health: every service is asked, nobody is waited for."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from murmuration.gateway.core.health import Answer, Own, assess, is_same
from murmuration.gateway.core.model import SENDERS
from murmuration.gateway.handlers.live import LiveSite
from murmuration.gateway.ports import SitePort
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import MurmurationError
from murmuration.proto.api import HealthView
from murmuration.proto.platform import ServiceStatus

ASK_EVERY_S = 2.0
ASK_TIMEOUT_S = 1.5
PING_TIMEOUT_S = 0.5
STARTING_S = 3.0  # until then, who has not answered yet is not called away
LOOK_EVERY_S = 0.25  # how soon a lost bus is shown
REPEAT_EVERY_S = 10.0  # health is said again though nothing changed: a page knows it is current
log = structlog.get_logger()


class HealthWatch:
    """Asks, judges, and tells the live site."""

    def __init__(
        self,
        site: SitePort,
        live: LiveSite,
        clock: Clock,
        *,
        undecodable: Callable[[], int],
        certificates: Callable[[], Mapping[str, datetime]] = dict,
    ) -> None:
        self._site = site
        self._live = live
        self._clock = clock
        self._undecodable = undecodable
        self._certificates = certificates
        self._answers = {service: Answer() for service in SENDERS}
        self._lost_at: datetime | None = None
        self._asked = False
        self._started = clock.monotonic()
        self._said: HealthView | None = None
        self._said_at = float("-inf")

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask_again_and_again(), name="ask")
            group.create_task(self._look_again_and_again(), name="look")

    def own(self) -> Own:
        """How the gateway itself stands."""
        return Own(
            bus_connected=self._site.connected,
            bus_lost_at=self._lost_at,
            loaded=self._live.loaded.is_set(),
            reader_lag=max(counts.behind for counts in self._live.counts.values()),
            undecodable=self._undecodable(),
            certificates=self._certificates(),
        )

    def look(self) -> None:
        """Judge from what is known, and say what changed or is due to be repeated."""
        if not self._asked and self._clock.monotonic() - self._started < STARTING_S:
            return
        if self._site.connected:
            self._lost_at = None
        elif self._lost_at is None:
            self._lost_at = self._clock.now()
        found = assess(self._answers, self.own(), self._clock.now())
        moved = not is_same(self._said, found)
        if moved:
            log.info("health.changed", status=found.status, summary=found.summary)
        now = self._clock.monotonic()
        if moved or now - self._said_at >= REPEAT_EVERY_S:
            self._said, self._said_at = found, now
            self._live.set_health(found)

    async def _look_again_and_again(self) -> None:
        while True:
            self.look()
            self._live.say_alarm_summary()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _ask_again_and_again(self) -> None:
        while True:
            began = self._clock.monotonic()
            if self._site.connected:
                await self.ask()
                self.look()
            took = self._clock.monotonic() - began
            await asyncio.sleep(max(ASK_EVERY_S - took, LOOK_EVERY_S))

    async def ask(self) -> None:
        """One round: all services at the same time."""
        async with asyncio.TaskGroup() as group:
            counting = group.create_task(self._count(), name="ping")
            asking = [
                group.create_task(self._ask(service), name=f"ask {service}")
                for service in self._answers
            ]
        instances = counting.result()
        answers = [task.result() for task in asking]
        self._asked = True
        for service, status in zip(self._answers, answers, strict=True):
            before = self._answers[service]
            self._answers[service] = (
                before.missed()
                if status is None
                else before.answered(status, self._clock.now(), instances=instances.get(service, 1))
            )

    async def _ask(self, service: str) -> ServiceStatus | None:
        try:
            return await self._site.ask_status(service, timeout_s=ASK_TIMEOUT_S)
        except MurmurationError as error:
            log.debug("health.unanswered", asked=service, reason=str(error))
            return None

    async def _count(self) -> Mapping[str, int]:
        try:
            return await self._site.count_instances(timeout_s=PING_TIMEOUT_S)
        except MurmurationError:
            return {}
