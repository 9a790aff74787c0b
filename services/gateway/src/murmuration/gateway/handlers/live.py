"""The one read model of this replica, and everybody who waits for it to move.

All methods run to their end without awaiting, so that a listener that joins gets a snapshot and
then every later delta, without gap or overlap.
"""

import asyncio
import gc
import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from murmuration.gateway.core.model import (
    SENDERS,
    Delta,
    Missed,
    Occurred,
    Position,
    Restarted,
    Vector,
)
from murmuration.gateway.core.projection import Loaded, ReadModel
from murmuration.gateway.core.ring import EVENTS_MAX
from murmuration.gateway.core.snapshot import site_view, snapshot
from murmuration.gateway.handlers.frames import (
    alarm_summary_frame,
    delta_frame,
    health_frame,
    pulse_frame,
    reset_frame,
    snapshot_frame,
)
from murmuration.gateway.ports import Batch
from murmuration.kernel.errors import DeadlineExceeded, Unavailable
from murmuration.proto.api import HealthView, PulseFrame, SiteView
from murmuration.proto.mtce import PulseDigest
from murmuration.web.sse import Hub

WAITERS_MAX = 1_000  # requests that wait for a change to become visible, all together
log = structlog.get_logger()


@dataclass
class FeedCounts:
    """What was taken in from one sender."""

    applied: int = 0
    ignored: int = 0
    behind: int = 0


@dataclass
class _Opening:
    """The first events of each sender, kept back until they can be merged by time."""

    kept: dict[str, list[Occurred]] = field(
        default_factory=lambda: {sender: [] for sender in SENDERS}
    )
    awaited: set[str] = field(default_factory=lambda: set(SENDERS))


class LiveSite:
    """Read model, listeners and waiters."""

    def __init__(
        self, *, name: str, version: str, started_at: datetime, health: HealthView
    ) -> None:
        self.name = name
        self.version = version
        self.started_at = started_at
        self.health = health
        self.model = ReadModel()
        self.hub = Hub()
        self.loaded = asyncio.Event()
        self.stale = asyncio.Event()  # some sender's state must be loaded again
        self.stale_senders: set[str] = set()
        self.loading: set[str] = set()  # senders whose state is being loaded now
        self.counts = {sender: FeedCounts() for sender in SENDERS}
        self._states: dict[str, Mapping[str, Loaded]] = {}
        self._opening: _Opening | None = _Opening()
        self._snapshot_frame: tuple[tuple[int, HealthView], bytes] | None = None
        self._said_summary = self.model.alarms.summary
        self._waiters: set[tuple[Vector, asyncio.Future[None]]] = set()

    # ------------------------------------------------------------------ taking in

    def merge(self, sender: str, values: Mapping[str, Loaded]) -> None:
        """Take in a sender's loaded state."""
        if self._opening is not None:
            self._states[sender] = values
        self._publish(self.model.load(sender, values))
        self._publish(self.model.take_moved_roots())

    def take(self, sender: str, batch: Batch) -> None:
        """Take in events of one sender."""
        self.counts[sender].behind = batch.behind
        opening = self._opening
        if opening is None:
            self._apply(batch.events)
            return
        kept = opening.kept[sender]
        kept.extend(batch.events)
        del kept[:-EVENTS_MAX]
        if batch.empty:
            self.model.settle(sender, self._states.get(sender, {}).values())
        if batch.caught_up:
            opening.awaited.discard(sender)
        if not opening.awaited:
            self.open()

    def open(self) -> None:
        """Merge what was kept back by time, and let everybody in. May be repeated."""
        opening = self._opening
        if opening is None:
            return
        self._opening = None
        self._states.clear()
        self._apply(heapq.merge(*opening.kept.values(), key=lambda event: event.time))
        gc.freeze()  # 100,000 alarms that stay need not be looked through again and again
        self.loaded.set()
        log.info(
            "model.loaded",
            hosts=len(self.model.hosts),
            alarms=len(self.model.alarms),
            events=len(self.model.ring),
            without=sorted(opening.awaited),
        )

    def _apply(self, events: Iterable[Occurred]) -> None:
        for event in events:
            deltas = self.model.apply(event)
            counts = self.counts[event.sender]
            if deltas:
                counts.applied += 1
                self._publish(deltas)
            else:
                counts.ignored += 1
        self._publish(self.model.take_moved_roots())
        self._wake_waiters()

    def _publish(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            if isinstance(delta, Missed | Restarted):
                self._say_stale(delta)
            elif self.hub.client_count:
                self.hub.publish(delta_frame(delta))

    def _say_stale(self, delta: Missed | Restarted) -> None:
        log.warning("model.stale", sender=delta.sender, reason=delta.reason)
        self.stale_senders.add(delta.sender)
        self.stale.set()
        if isinstance(delta, Restarted) and self.hub.client_count:
            self.hub.publish(reset_frame(delta.reason) + self._snapshot())

    def take_pulses(self, digest: PulseDigest) -> None:
        """Pass a heartbeat digest on; who is not there misses it."""
        for sample in digest.hosts:
            if sample.received or sample.received_udp:
                silent = timedelta(milliseconds=sample.silent_ms)
                self.model.hosts.hear(sample.host, digest.at - silent)
        if self.hub.client_count:
            frame = PulseFrame(at=digest.at, window_ms=digest.window_ms, hosts=digest.hosts)
            self.hub.publish(pulse_frame(frame))

    def set_health(self, health: HealthView) -> None:
        """Show another health, and say so to everybody."""
        self.health = health
        if self.hub.client_count:
            self.hub.publish(health_frame(health))

    def say_alarm_summary(self) -> None:
        """Tell listeners the figures of alarms when they have changed since they were last told."""
        summary = self.model.alarms.summary
        if summary != self._said_summary:
            self._said_summary = summary
            if self.hub.client_count:
                self.hub.publish(alarm_summary_frame(summary))

    # ------------------------------------------------------------------ showing

    def site(self) -> SiteView:
        """The site in one answer."""
        return site_view(
            self.model,
            self.health,
            name=self.name,
            version=self.version,
            started_at=self.started_at,
        )

    def opening(self, vector: Vector | None, reason: str) -> bytes:
        """What a listener is given first: what it missed since `vector`, or everything.

        `reason` says why there is no vector although there was to be one; empty: a first visit.
        """
        if vector is None:
            return (reset_frame(reason) if reason else b"") + self._snapshot()
        missed = self.model.missed_since(vector)
        if missed is None:
            why = "what happened since then is no longer kept here"
            return reset_frame(why) + self._snapshot()
        figures = alarm_summary_frame(self.model.alarms.summary)
        return health_frame(self.health) + figures + b"".join(map(delta_frame, missed))

    def _snapshot(self) -> bytes:
        known = (self.model.revision, self.health)
        if self._snapshot_frame is None or self._snapshot_frame[0] != known:
            frame = snapshot_frame(snapshot(self.model, self.site()))
            self._snapshot_frame = (known, frame)
        return self._snapshot_frame[1]

    # ------------------------------------------------------------------ waiting

    async def wait_loaded(self, *, timeout_s: float) -> None:
        """Return when there is something to show. Raises Unavailable."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.loaded.wait()
        except TimeoutError as error:
            raise Unavailable("the gateway is still loading the state of the site") from error

    async def wait_for(self, position: Position, *, timeout_s: float) -> None:
        """Return when the model has this change of this sender. Raises DeadlineExceeded."""
        await self.wait_until(Vector().moved(*position), timeout_s=timeout_s)

    async def wait_until(self, vector: Vector, *, timeout_s: float) -> None:
        """Return when the model covers `vector`. Raises DeadlineExceeded, Unavailable."""
        if self.model.vector.covers(vector):
            return
        if len(self._waiters) >= WAITERS_MAX:
            raise Unavailable(f"{WAITERS_MAX} requests wait for changes already")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (vector, future)
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"the change is not visible here after {timeout_s:g} s; it may still come"
            ) from error
        finally:
            self._waiters.discard(waiter)

    def _wake_waiters(self) -> None:
        for vector, future in self._waiters:
            if not future.done() and self.model.vector.covers(vector):
                future.set_result(None)
