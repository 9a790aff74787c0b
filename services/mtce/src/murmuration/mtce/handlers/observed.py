"""What agents see of their hosts: kept, told onwards, and judged for the machines of the hosts.

Health is a level: of a host's messages only the newest counts, in order of (incarnation, n). Events
follow when conditions or processes differ; readings alone are told onwards every REFRESH_S.
"""

from datetime import timedelta

from murmuration.bus.follower import Received
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import NotFound, Stale
from murmuration.mtce.core.health import judge, names_of, sentence
from murmuration.mtce.store import observed
from murmuration.mtce.store.observed import StoredHealth
from murmuration.proto.node import (
    AskHealth,
    HostBooted,
    HostCameUp,
    HostEnding,
    HostHealth,
    HostHealthChanged,
    HostTested,
    PreviousEnd,
    ServicesSwitched,
)
from murmuration.proto.sysinv import HostRemoved
from murmuration.store.database import Database, Unit

BUCKET = "mtce_health"
REFRESH_S = 300.0
END_TEXT = {
    PreviousEnd.FIRST_BOOT: "nothing is known of an earlier boot",
    PreviousEnd.ORDERLY: "the boot before ended in order",
    PreviousEnd.PANIC: "the boot before ended in a kernel panic",
    PreviousEnd.WATCHDOG: "the boot before was ended by the watchdog",
    PreviousEnd.LOST: "the boot before ended without a trace: power, reset or a hang",
    PreviousEnd.UNKNOWN: "how the boot before ended is not known",
}


class ObservedHandlers:
    """Takes in the stream MTCE_OBSERVED."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def health(self, unit: Unit, received: Received) -> None:
        """The whole health of a host. Raises Stale for an older one, and for an unknown host."""
        message: HostHealth = received.payload
        await self._known(unit, message.host)
        before = await observed.load(unit.connection, message.host)
        if before is not None and (message.incarnation, message.n) <= before.place:
            raise Stale(f"health {message.n} of {message.host} is older than what is known")
        now = self._clock.now()
        tell = _differs(before, message) or (
            before is not None and now - before.told_at >= timedelta(seconds=REFRESH_S)
        )
        told_at = now if tell or before is None else before.told_at
        await observed.save(unit.connection, message, judge(message.conditions), told_at)
        if tell:
            _tell(unit, message, before.health if before else None)

    async def booted(self, unit: Unit, received: Received) -> None:
        """A host has come up. Raises Stale for an unknown host."""
        message: HostBooted = received.payload
        await self._known(unit, message.host)
        if not await observed.booted(unit.connection, message, self._clock.now()):
            return
        event = HostCameUp(
            host=message.host,
            boot_id=message.boot_id,
            previous_boot_id=message.previous_boot_id,
            previous_end=message.previous_end,
            record=message.record,
            reason=f"{message.host} has booted; {END_TEXT[message.previous_end]}",
        )
        unit.emit(event, entity=message.host, host=message.host)

    async def ending(self, unit: Unit, received: Received) -> None:
        """A host, or its agent, says that it ends. Raises Stale for an unknown host."""
        message: HostEnding = received.payload
        await self._known(unit, message.host)
        await observed.ending(unit.connection, message, self._clock.now())

    async def tested(self, unit: Unit, received: Received) -> None:
        """The tests of a host have ended. Raises Stale for an unknown host."""
        message: HostTested = received.payload
        await self._result(unit, message, "in-test", cached=message.cached)

    async def switched(self, unit: Unit, received: Received) -> None:
        """The scripts of a host's services have ended. Raises Stale for an unknown host."""
        message: ServicesSwitched = received.payload
        await self._result(unit, message, "services", cached=False)

    async def removed(self, unit: Unit, received: Received) -> None:
        """A host was deleted from the inventory: what was told of its health is taken back."""
        message: HostRemoved = received.payload
        if await observed.load(unit.connection, message.host) is None:
            return
        event = HostHealthChanged(
            health=HostHealth(
                host=message.host,
                incarnation=0,
                n=1,
                boot_id="",
                observed_at=self._clock.now(),
            ),
            reason=f"{message.host} was removed",
        )
        unit.emit(event, entity=message.host, bucket=BUCKET, host=message.host)

    async def answer(self, database: Database, request: AskHealth) -> HostHealth:
        """What a host's agent last said. Raises NotFound while it has said nothing."""
        async with database.connection() as connection:
            found = await observed.read(connection, request.host)
        if found is None:
            raise NotFound(f"no agent has told of the health of {request.host}")
        return found

    async def republish(self, unit: Unit) -> None:
        """Say all healths anew, after a new epoch or a refilled stream."""
        for health in await observed.every(unit.connection):
            _tell(unit, health, None)

    async def _result(
        self, unit: Unit, message: HostTested | ServicesSwitched, kind: str, *, cached: bool
    ) -> None:
        await self._known(unit, message.host)
        first = message.failures[0] if message.failures else None
        await observed.result(
            unit.connection,
            operation_id=message.operation_id,
            host=message.host,
            kind=kind,
            passed=message.passed,
            reason=first.reason if first else f"{message.script_count} scripts passed",
            cached=cached,
            now=self._clock.now(),
        )

    @staticmethod
    async def _known(unit: Unit, host: str) -> None:
        if not await observed.is_known(unit.connection, host):
            raise Stale(f"{host[:63]} is no host of this site")


def _differs(before: StoredHealth | None, after: HostHealth) -> bool:
    if before is None:
        return True
    known = before.health
    return (known.conditions, known.processes, known.boot_id) != (
        after.conditions,
        after.processes,
        after.boot_id,
    )


def _tell(unit: Unit, health: HostHealth, before: HostHealth | None) -> None:
    now, then = names_of(health.conditions), names_of(before.conditions if before else ())
    appeared, gone = tuple(sorted(now - then)), tuple(sorted(then - now))
    event = HostHealthChanged(
        health=health,
        appeared=appeared,
        gone=gone,
        reason=sentence(health.host, appeared, gone, len(now)),
    )
    unit.emit(event, entity=health.host, bucket=BUCKET, state=health, host=health.host)
