"""Faults of the ways of pulses, carried out: alarms, and hosts that are degraded by them."""

from collections.abc import Mapping
from datetime import datetime

from murmuration.kernel.clock import Clock
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.model import HostStep
from murmuration.mtce.core.paths import PathFault, PathKey, degraded
from murmuration.mtce.handlers.steps import carry_out, emit_alarm
from murmuration.mtce.ports import Observer
from murmuration.mtce.store import hosts, paths
from murmuration.proto.fm import AlarmType, ClearAlarm, RaiseAlarm
from murmuration.proto.ids import HostName
from murmuration.proto.mtce import HealthCause
from murmuration.store.database import Unit


class PathHandlers:
    """Brings alarms and hosts to what the monitor notes; repeating it changes nothing more."""

    def __init__(self, clock: Clock, observer: Observer, machines: Machines) -> None:
        self._clock = clock
        self._observer = observer
        self._machines = machines

    async def settle(self, unit: Unit, found: Mapping[PathKey, PathFault]) -> list[HostStep]:
        """Have exactly these faults raised."""
        await hosts.lock(unit.connection)
        known = {key: fault for key, (fault, _) in (await paths.every(unit.connection)).items()}
        now = self._clock.now()
        for key, fault in found.items():
            if key not in known or known[key].severity is not fault.severity:
                await paths.save(unit.connection, fault, now)
                emit_alarm(unit, _raise(fault, now))
        gone = known.keys() - found.keys()
        for key in sorted(gone):
            reason = "pulses come on this way again"
            emit_alarm(
                unit,
                ClearAlarm(alarm_id=key.alarm_id, entity=key.entity, cleared_at=now, reason=reason),
            )
        await paths.remove(unit.connection, gone)
        return await self._degrade(unit, degraded(known.values()), found, now)

    async def assert_alarms(self, unit: Unit) -> None:
        """Raise again what still holds: a count at fm, not history."""
        for fault, raised_at in (await paths.every(unit.connection)).values():
            emit_alarm(unit, _raise(fault, raised_at))

    async def _degrade(
        self,
        unit: Unit,
        before: set[HostName],
        found: Mapping[PathKey, PathFault],
        now: datetime,
    ) -> list[HostStep]:
        ill = {fault.host: fault.reason for fault in found.values() if fault.host is not None}
        steps: list[HostStep] = []
        names = sorted(before | ill.keys())
        for name, host in (await hosts.load(unit.connection, names)).items() if names else ():
            if host.accepted and host.record is not None:
                steps += self._machines.ailing(
                    host.record,
                    host.declared,
                    self._observer.observe(name),
                    now,
                    about=(HealthCause.CLUSTER_HEARTBEAT,),
                    ill=(HealthCause.CLUSTER_HEARTBEAT,) if name in ill else (),
                    reason=ill.get(name, "its pulses come on every way"),
                )
        await carry_out(unit, steps)
        return steps


def _raise(fault: PathFault, raised_at: datetime) -> RaiseAlarm:
    return RaiseAlarm(
        alarm_id=fault.key.alarm_id,
        entity=fault.key.entity,
        severity=fault.severity,
        reason_text=fault.reason[:1_024],
        alarm_type=AlarmType.COMMUNICATION,
        probable_cause="communication-subsystem-failure",
        proposed_repair_action=(
            "Check the way of its pulses: addresses and firewalls for UDP, the servers for NATS."
        ),
        service_affecting=True,
        raised_at=raised_at,
    )
