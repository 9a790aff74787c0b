"""What follows from a host's sensors: debounced states, what is done about each severity, alarms.

Invariants: a sensor's state counts once it was read twice in a row, so that one bad reading is
nothing; a sensor has at most one alarm; one that is no longer told clears its own.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from murmuration.kernel.errors import Rejected
from murmuration.mtce.core.model import AlarmOrder
from murmuration.proto.fm import AlarmType, ClearAlarm, RaiseAlarm, Severity
from murmuration.proto.ids import HostName
from murmuration.proto.mtce_bmc import BmcSensor, BmcSensorState
from murmuration.proto.node import AskedAction

SENSOR_ALARM = "200.007"
SETUP_ALARM = "200.014"  # sensors could not be read once since the BMC was declared
READ_ALARM = "200.015"  # they could, and now cannot
WORSE = (BmcSensorState.MINOR, BmcSensorState.MAJOR, BmcSensorState.CRITICAL)
SEVERITIES = {
    BmcSensorState.MINOR: Severity.MINOR,
    BmcSensorState.MAJOR: Severity.MAJOR,
    BmcSensorState.CRITICAL: Severity.CRITICAL,
}


class SensorAction(enum.StrEnum):
    """What is done when a sensor reaches a severity."""

    IGNORE = "ignore"
    LOG = "log"  # an event, no alarm
    ALARM = "alarm"
    RESET = "reset"  # an alarm, and the host is reset; critical ones alone
    POWER_CYCLE = "power-cycle"  # likewise


_ASKS = {
    SensorAction.RESET: AskedAction.RESET,
    SensorAction.POWER_CYCLE: AskedAction.POWER_CYCLE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorPolicy:
    """The action for each severity, as StarlingX ships them. Raises Rejected."""

    minor: SensorAction = SensorAction.IGNORE
    major: SensorAction = SensorAction.LOG
    critical: SensorAction = SensorAction.ALARM

    def __post_init__(self) -> None:
        if self.minor in _ASKS or self.major in _ASKS:
            raise Rejected("only a critical sensor may ask for a reset or a power-cycle")

    def alarms(self, state: BmcSensorState) -> bool:
        """Whether a state has an alarm."""
        return self.action(state) is SensorAction.ALARM or self.asks(state) is not None

    def asks(self, state: BmcSensorState) -> AskedAction | None:
        """What a state asks of the host's machine."""
        return _ASKS.get(self.action(state))

    def action(self, state: BmcSensorState) -> SensorAction:
        """What is done about a state."""
        return {
            BmcSensorState.MINOR: self.minor,
            BmcSensorState.MAJOR: self.major,
            BmcSensorState.CRITICAL: self.critical,
        }.get(state, SensorAction.IGNORE)


@dataclass(frozen=True, slots=True)
class Sensed:
    """One reading: sensors that were in the same state the time before, and all that were told."""

    twice: Mapping[str, BmcSensor]
    told: frozenset[str]


@dataclass(frozen=True, slots=True)
class Settled:
    """Sensors to keep, those whose state changed, and what fm is told."""

    kept: tuple[BmcSensor, ...]
    changed: tuple[BmcSensor, ...]
    orders: tuple[AlarmOrder, ...]
    gone: tuple[str, ...] = ()

    @property
    def quiet(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.kept or self.gone)


def settle(
    host: HostName,
    known: Mapping[str, BmcSensor],
    read: Sensed,
    policy: SensorPolicy,
    now: datetime,
) -> Settled:
    """What follows from a reading, against what is `known`; a state read once changes nothing."""
    changed = tuple(
        sensor
        for name, sensor in read.twice.items()
        if name not in known or known[name].state is not sensor.state
    )
    gone = tuple(sorted(known.keys() - read.told))
    orders: list[AlarmOrder] = []
    for sensor in changed:
        before = known.get(sensor.name)
        had = before is not None and policy.alarms(before.state)
        if policy.alarms(sensor.state):
            orders.append(sensor_alarm(host, sensor, now))
        elif had:
            orders.append(_clear(host, sensor.name, f"{sensor.name} is {sensor.state.value}", now))
    orders += [
        _clear(host, name, f"{name} is no longer told by the BMC", now)
        for name in gone
        if policy.alarms(known[name].state)
    ]
    return Settled(changed, changed, tuple(orders), gone)


def alarms_now(
    host: HostName, known: Iterable[BmcSensor], policy: SensorPolicy, now: datetime
) -> tuple[RaiseAlarm, ...]:
    """Every alarm that the settled sensors of a host have."""
    return tuple(sensor_alarm(host, sensor, now) for sensor in known if policy.alarms(sensor.state))


def sensor_alarm(host: HostName, sensor: BmcSensor, now: datetime) -> RaiseAlarm:
    """200.007 as operators know it."""
    value = "" if sensor.value is None else f" at {sensor.value:g} {sensor.unit}".rstrip()
    return RaiseAlarm(
        alarm_id=SENSOR_ALARM,
        entity=entity(host, sensor.name),
        severity=SEVERITIES[sensor.state],
        reason_text=f"Sensor {sensor.name} of {host} is {sensor.state.value}{value}",
        alarm_type=AlarmType.EQUIPMENT,
        probable_cause="equipment-malfunction",
        proposed_repair_action="Check the part that the sensor watches, and its cooling or supply.",
        service_affecting=True,
        raised_at=now,
    )


def unread_alarm(host: HostName, alarm_id: str, reason: str, now: datetime) -> RaiseAlarm:
    """200.014 or 200.015 as operators know them."""
    what = "set up" if alarm_id == SETUP_ALARM else "read"
    return RaiseAlarm(
        alarm_id=alarm_id,
        entity=f"host={host}",
        severity=Severity.MINOR if alarm_id == SETUP_ALARM else Severity.MAJOR,
        reason_text=f"Sensors of {host} cannot be {what}: {reason}"[:1_024],
        alarm_type=AlarmType.OPERATIONAL_VIOLATION,
        probable_cause="unknown",
        proposed_repair_action=f"Check the BMC: `mur host bmc show {host}`; perhaps reset it.",
        service_affecting=False,
        raised_at=now,
    )


def entity(host: HostName, sensor: str) -> str:
    """Where the alarm of a sensor stands: what cannot be part of an entity becomes a dash."""
    name = "".join(each if each.isalnum() or each in "_-" else "-" for each in sensor)
    return f"host={host}.sensor={name[:100]}"


def _clear(host: HostName, sensor: str, reason: str, now: datetime) -> ClearAlarm:
    return ClearAlarm(
        alarm_id=SENSOR_ALARM, entity=entity(host, sensor), cleared_at=now, reason=reason
    )
