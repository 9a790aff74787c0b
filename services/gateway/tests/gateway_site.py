"""A site for the gateway's tests: builders of facts and events, and a port without a bus."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from murmuration.gateway.core.model import SENDERS, Occurred
from murmuration.gateway.core.projection import Loaded
from murmuration.gateway.ports import Batch
from murmuration.kernel.errors import MurmurationError, NotFound, Unavailable
from murmuration.proto.envelope import Version, encode
from murmuration.proto.fm import (
    Alarm,
    AlarmChanged,
    AlarmCleared,
    AlarmRaised,
    IntakeRejected,
    LogRecorded,
)
from murmuration.proto.fm_derived import DegradeAsserted, DegradeCleared, GateBlocked, GateFreed
from murmuration.proto.fm_operators import SuppressionChanged
from murmuration.proto.fm_vocabulary import AlarmType, Severity
from murmuration.proto.mtce import (
    Availability,
    HeartbeatState,
    HostForgotten,
    HostState,
    HostStateChanged,
    Operational,
    PulseDigest,
)
from murmuration.proto.platform import (
    EpochStarted,
    GetParked,
    ParkedMessage,
    ParkedMessages,
    ServiceStatus,
)
from murmuration.proto.sysinv import (
    Accepted,
    Administrative,
    Admission,
    Host,
    HostChanged,
    HostDiscovered,
    HostRemoved,
    Origin,
    Personality,
)

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
TYPES: dict[type[msgspec.Struct], str] = {
    AlarmChanged: "fm.alarm.changed.v1",
    AlarmCleared: "fm.alarm.cleared.v1",
    AlarmRaised: "fm.alarm.raised.v1",
    DegradeAsserted: "fm.degrade.asserted.v1",
    DegradeCleared: "fm.degrade.cleared.v1",
    GateBlocked: "fm.gate.blocked.v1",
    GateFreed: "fm.gate.freed.v1",
    IntakeRejected: "fm.intake.rejected.v1",
    LogRecorded: "fm.log.recorded.v1",
    SuppressionChanged: "fm.suppression.changed.v1",
    HostChanged: "sysinv.host.changed.v1",
    HostDiscovered: "sysinv.host.discovered.v1",
    HostForgotten: "mtce.host.forgotten.v1",
    HostRemoved: "sysinv.host.removed.v1",
    HostStateChanged: "mtce.host.state_changed.v1",
}

R = TypeVar("R", bound=msgspec.Struct)


def a_host(name: str, **fields: object) -> Host:
    host = Host(
        name=name,
        index=1,
        shard=0,
        personality=Personality.WORKER,
        origin=Origin.NAMESPACE,
        observe_only=False,
        admission=Admission.ACCEPTED,
        intended_administrative=Administrative.UNLOCKED,
    )
    return msgspec.structs.replace(host, **fields)


def a_state(name: str, **fields: object) -> HostState:
    state = HostState(
        host=name,
        index=1,
        administrative=Administrative.UNLOCKED,
        operational=Operational.ENABLED,
        availability=Availability.AVAILABLE,
        heartbeat=HeartbeatState.WELL,
        episode=1,
        changed_at=BEGIN,
        reason="Its heartbeat is well.",
    )
    return msgspec.structs.replace(state, **fields)


def an_alarm(
    uuid: str,
    *,
    entity: str = "host=worker-1",
    severity: Severity = Severity.CRITICAL,
    alarm_id: str = "200.004",
    minute: int = 0,
) -> Alarm:
    return Alarm(
        uuid=uuid,
        alarm_id=alarm_id,
        entity=entity,
        severity=severity,
        alarm_type=AlarmType.COMMUNICATION,
        probable_cause="communication-subsystem-failure",
        reason_text=f"{entity} is not heard",
        producer="mtce",
        raise_count=1,
        first_raised_at=BEGIN + timedelta(minutes=minute),
        last_raised_at=BEGIN + timedelta(minutes=minute),
    )


def an_event(
    payload: msgspec.Struct, change: int, *, epoch: int = 1, previous: int | None = None
) -> Occurred:
    """An event as the relay would number it: by default nothing lies between it and the last."""
    if isinstance(payload, EpochStarted):
        kind = f"{payload.service}.epoch.started.v1"
    else:
        kind = TYPES[type(payload)]
    return Occurred(
        sender=kind.partition(".")[0],
        version=Version(epoch, change),
        previous=change - 1 if previous is None else previous,
        type=kind,
        entity="",
        time=BEGIN + timedelta(seconds=change),
        payload=payload,
        data=msgspec.Raw(encode(payload)),
    )


def declared(host: Host, change: int, *, epoch: int = 1) -> Occurred:
    return an_event(HostChanged(host=host, changed=("facts",), reason=""), change, epoch=epoch)


def observed(state: HostState, change: int, *, epoch: int = 1) -> Occurred:
    return an_event(HostStateChanged(state=state, previous="", evidence={}), change, epoch=epoch)


def raised(alarm: Alarm, change: int, *, epoch: int = 1) -> Occurred:
    return an_event(AlarmRaised(alarm=alarm), change, epoch=epoch)


def cleared(alarm: Alarm, change: int, *, epoch: int = 1) -> Occurred:
    payload = AlarmCleared(alarm=alarm, cleared_at=BEGIN, reason="it is heard again")
    return an_event(payload, change, epoch=epoch)


def restarted(service: str, change: int, *, epoch: int) -> Occurred:
    payload = EpochStarted(service=service, epoch=epoch, reason="it was put back")
    return an_event(payload, change, epoch=epoch)


class FakeSite:
    """A site held in memory: tests put states and events, and answer commands as they like."""

    def __init__(self) -> None:
        self.connected = True
        self.states: dict[str, dict[str, Loaded]] = {sender: {} for sender in SENDERS}
        self.history: dict[str, list[Occurred]] = {sender: [] for sender in SENDERS}
        self.away: set[str] = set()
        self.commands: list[msgspec.Struct] = []
        self.answer: msgspec.Struct | MurmurationError = Accepted(
            operation_id="operation", service="sysinv", epoch=1, change=7, reason="It was done."
        )
        self.queries: dict[type[msgspec.Struct], Callable[[Any], msgspec.Struct]] = {}
        self.asked: list[msgspec.Struct] = []
        self.undecodable = 0
        self.asked_as: str | None = None
        self.parked: dict[str, tuple[ParkedMessage, ...]] = {}
        self._moved = asyncio.Condition()

    async def put(self, *events: Occurred) -> None:
        """Something happens at the senders."""
        async with self._moved:
            for event in events:
                self.history[event.sender].append(event)
            self._moved.notify_all()

    async def load(self, sender: str) -> Mapping[str, Loaded]:
        return dict(self.states[sender])

    async def follow(self, sender: str, count: int) -> AsyncIterator[Batch]:
        history = self.history[sender]
        done = max(0, len(history) - count)
        yield Batch(history[done:], caught_up=True, empty=not history, behind=0)
        done = len(history)
        while True:
            async with self._moved:
                while len(history) <= done:
                    await self._moved.wait()
                events = history[done:]
            done += len(events)
            yield Batch(events, caught_up=True, empty=False, behind=0)

    async def listen_pulses(self, listener: Callable[[PulseDigest], None]) -> None:
        await asyncio.Event().wait()

    async def ask_status(self, service: str, *, timeout_s: float) -> ServiceStatus:
        if service in self.away:
            raise Unavailable(f"{service} is away")
        return ServiceStatus(service=service, instance="1", ready=True)

    async def count_instances(self, *, timeout_s: float) -> Mapping[str, int]:
        return dict.fromkeys(SENDERS, 2)

    async def request(
        self,
        payload: msgspec.Struct,
        reply: type[R],
        *,
        timeout_s: float | None = None,
        as_type: str | None = None,
    ) -> R:
        if isinstance(payload, GetParked):
            return self._parked(payload, reply, str(as_type).partition(".")[0])
        if type(payload) in self.queries:
            self.asked.append(payload)
            found = self.queries[type(payload)](payload)
            assert isinstance(found, reply)
            return found
        self.commands.append(payload)
        self.asked_as = as_type
        if isinstance(self.answer, MurmurationError):
            raise self.answer
        assert isinstance(self.answer, reply)
        return self.answer

    def _parked(self, ask: GetParked, reply: type[R], service: str) -> R:
        if service in self.away:
            raise Unavailable(f"{service} is away")
        found = tuple(m for m in self.parked.get(service, ()) if ask.id in (0, m.id))
        if ask.id and not found:
            raise NotFound(f"{service} has no parked message {ask.id}")
        answer = ParkedMessages(service=service, messages=found)
        assert isinstance(answer, reply)
        return answer
