"""Where the monitors put what they see, and where whoever tells it onwards looks.

Invariant: a condition keeps its first instant and sentence as long as it stands at one severity, so
that a value that wavers over its threshold is one fact and not many.
"""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from murmuration.node.core.health import worst_first
from murmuration.proto.fm import Severity
from murmuration.proto.node import (
    PROCESSES_MAX,
    READINGS_MAX,
    AskedAction,
    Condition,
    ConditionKind,
    ProcessView,
    Reading,
)


class Finding(NamedTuple):
    """Something that is wrong now, as a monitor sees it; `reason` is one sentence."""

    kind: ConditionKind
    name: str
    severity: Severity
    reason: str
    asked: AskedAction = AskedAction.NONE


class Board:
    """The health of the host, by the monitor that says it."""

    def __init__(self) -> None:
        self.version = 0  # counted up when conditions or processes differ; readings do not count
        self._changed = asyncio.Condition()
        self._conditions: dict[str, tuple[Condition, ...]] = {}
        self._readings: dict[str, tuple[Reading, ...]] = {}
        self._processes: tuple[ProcessView, ...] = ()
        self._spoken: set[ConditionKind] = set()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All that is wrong, worst first."""
        return worst_first(c for each in self._conditions.values() for c in each)

    @property
    def processes(self) -> tuple[ProcessView, ...]:
        """The monitored processes."""
        return self._processes

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What was measured last."""
        return tuple(r for each in self._readings.values() for r in each)[:READINGS_MAX]

    @property
    def spoken(self) -> frozenset[ConditionKind]:
        """The kinds of which a monitor has spoken since the agent started."""
        return frozenset(self._spoken)

    async def put(
        self, monitor: str, kinds: Iterable[ConditionKind], findings: Iterable[Finding]
    ) -> None:
        """All that `monitor` finds wrong, in place of what it said before."""
        before = {(c.kind, c.name, c.severity, c.asked): c for c in self._of(monitor)}
        now = datetime.now(UTC)
        after = tuple(
            before.get((f.kind, f.name, f.severity, f.asked)) or _condition(f, now)
            for f in findings
        )
        fresh = not self._spoken.issuperset(kinds)
        self._spoken.update(kinds)
        if fresh or after != self._of(monitor):
            self._conditions[monitor] = after
            await self._wake()

    async def put_processes(self, views: Iterable[ProcessView]) -> None:
        """The monitored processes as they are now."""
        after = tuple(views)[:PROCESSES_MAX]
        if after != self._processes:
            self._processes = after
            await self._wake()

    def put_readings(self, monitor: str, readings: Iterable[Reading]) -> None:
        """What `monitor` has just measured; told with the next health, and wakes nobody."""
        self._readings[monitor] = tuple(readings)

    async def beyond(self, version: int) -> None:
        """Return when there is something newer than `version`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.version != version)

    def _of(self, monitor: str) -> tuple[Condition, ...]:
        return self._conditions.get(monitor, ())

    async def _wake(self) -> None:
        async with self._changed:
            self.version += 1
            self._changed.notify_all()


def _condition(finding: Finding, now: datetime) -> Condition:
    return Condition(
        kind=finding.kind,
        name=finding.name[:128],
        severity=finding.severity,
        asked=finding.asked,
        reason=finding.reason[:1_024],
        since=now,
    )
