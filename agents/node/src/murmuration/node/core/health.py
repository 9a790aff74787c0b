"""What is wrong on a host now, as its monitors say, and the alarms that follow.

Level-triggered: a monitor hands over all conditions of its kinds whenever it has looked; what is
told to mtce and to fm follows from the whole. Kinds that no monitor has spoken of since the agent
started are left as they are, so that a restart of the agent clears nothing that may still hold.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from murmuration.proto.fm import AlarmType, ClearAlarm, RaiseAlarm, Severity
from murmuration.proto.node import CONDITIONS_MAX, Condition, ConditionKind

WORST_FIRST = (Severity.CRITICAL, Severity.MAJOR, Severity.MINOR, Severity.WARNING)
AUTO = "Wait: it is recovered by itself. If it stays, look at the host's log and lock the host."
MONITOR = "Watch it; reduce the load, or plan for a larger host."
REDUCE = "Remove what is not needed, or enlarge the filesystem."
CABLE = "Check the cable, the port and the switch it leads to."
LINK_ALARMS = {  # role of the network: alarm of a port, alarm of the interface
    "oam": ("100.106", "100.107"),
    "management": ("100.108", "100.109"),
    "cluster-host": ("100.110", "100.111"),
}
RESOURCE_ALARMS = {"cpu": "100.101", "memory": "100.103"}


@dataclass(frozen=True, slots=True)
class AlarmKey:
    """What an alarm is about; `str` is how the alarm client's spool names it."""

    alarm_id: str
    entity: str

    def __str__(self) -> str:
        return f"{self.alarm_id}/{self.entity}"


@dataclass(frozen=True, kw_only=True, slots=True)
class AlarmText:
    """The parts of an alarm that follow from the kind of its condition."""

    alarm_type: AlarmType
    cause: str
    repair: str
    affects_service: bool


_THRESHOLD = AlarmText(
    alarm_type=AlarmType.OPERATIONAL_VIOLATION,
    cause="threshold-crossed",
    repair=MONITOR,
    affects_service=False,
)
_TEXTS = {
    ConditionKind.PROCESS: AlarmText(
        alarm_type=AlarmType.OPERATIONAL_VIOLATION,
        cause="unknown",
        repair=AUTO,
        affects_service=True,
    ),
    ConditionKind.RESOURCE: _THRESHOLD,
    ConditionKind.FILESYSTEM: AlarmText(
        alarm_type=AlarmType.OPERATIONAL_VIOLATION,
        cause="threshold-crossed",
        repair=REDUCE,
        affects_service=False,
    ),
    ConditionKind.STALL: AlarmText(
        alarm_type=AlarmType.EQUIPMENT,
        cause="underlying-resource-unavailable",
        repair="Check the disk and its controller; writes of this host hang.",
        affects_service=True,
    ),
    ConditionKind.SENSOR: AlarmText(
        alarm_type=AlarmType.OPERATIONAL_VIOLATION,
        cause="unspecified-reason",
        repair=AUTO,
        affects_service=False,
    ),
    ConditionKind.LINK: AlarmText(
        alarm_type=AlarmType.OPERATIONAL_VIOLATION,
        cause="unknown",
        repair=CABLE,
        affects_service=True,
    ),
    ConditionKind.MONITOR: AlarmText(
        alarm_type=AlarmType.OPERATIONAL_VIOLATION,
        cause="unknown",
        repair="Mend the monitor's configuration: the reason names the file.",
        affects_service=False,
    ),
}


def alarm_key(host: str, condition: Condition) -> AlarmKey | None:
    """Which alarm a condition is; None for what is told to mtce alone."""
    kind, name = condition.kind, condition.name
    entity = f"host={host}"
    if kind is ConditionKind.PROCESS:
        return AlarmKey("200.006", f"{entity}.process={name}")
    if kind is ConditionKind.MONITOR:
        return AlarmKey("200.006", f"{entity}.process=pmon")
    if kind is ConditionKind.RESOURCE:
        resource, _, part = name.partition(":")
        number = RESOURCE_ALARMS.get(resource)
        detail = f".memory={part}" if part and resource == "memory" else ""
        return AlarmKey(number, entity + detail) if number else None
    if kind is ConditionKind.FILESYSTEM:
        return AlarmKey("100.104", f"{entity}.filesystem={name}")
    if kind is ConditionKind.STALL:
        return AlarmKey("100.104", f"{entity}.filesystem={name}.state=stalled")
    if kind is ConditionKind.SENSOR:
        return AlarmKey("200.007", f"{entity}.sensor={name}")
    if kind is ConditionKind.LINK:
        role, what, link = (*name.split(":", 2), "", "")[:3]
        numbers = LINK_ALARMS.get(role)
        if numbers is not None and what in ("port", "interface"):
            return AlarmKey(numbers[what == "interface"], f"{entity}.{what}={link}")
    return None


def kind_of_key(key: str) -> ConditionKind | None:
    """The kind of condition behind an alarm that an earlier life of the agent raised."""
    alarm_id, _, entity = key.partition("/")
    if alarm_id == "200.006":
        return ConditionKind.MONITOR if entity.endswith("process=pmon") else ConditionKind.PROCESS
    if alarm_id == "200.007":
        return ConditionKind.SENSOR
    if alarm_id == "100.104":
        return ConditionKind.STALL if entity.endswith("state=stalled") else ConditionKind.FILESYSTEM
    if alarm_id in RESOURCE_ALARMS.values():
        return ConditionKind.RESOURCE
    if any(alarm_id in numbers for numbers in LINK_ALARMS.values()):
        return ConditionKind.LINK
    return None


def raised_of(host: str, condition: Condition) -> RaiseAlarm | None:
    """The alarm of one condition."""
    key = alarm_key(host, condition)
    if key is None:
        return None
    text = _TEXTS[condition.kind]
    return RaiseAlarm(
        alarm_id=key.alarm_id,
        entity=key.entity,
        severity=condition.severity,
        reason_text=condition.reason,
        alarm_type=text.alarm_type,
        probable_cause=text.cause,
        proposed_repair_action=text.repair,
        service_affecting=text.affects_service and condition.severity is not Severity.MINOR,
        raised_at=condition.since,
    )


def alarm_changes(
    held: Mapping[str, RaiseAlarm | None],
    conditions: Iterable[Condition],
    spoken: frozenset[ConditionKind],
    *,
    host: str,
    now: datetime,
) -> tuple[RaiseAlarm | ClearAlarm, ...]:
    """What turns the alarms that are `held` into those of `conditions`.

    `held` maps keys to what was raised, None where only the key is known. Alarms of kinds that are
    not `spoken` of yet stay as they are.
    """
    wanted = {
        f"{alarm.alarm_id}/{alarm.entity}": alarm
        for condition in conditions
        if (alarm := raised_of(host, condition)) is not None
    }
    changes: list[RaiseAlarm | ClearAlarm] = [
        alarm for key, alarm in wanted.items() if held.get(key) != alarm
    ]
    for key in held:
        if key not in wanted and kind_of_key(key) in spoken:
            alarm_id, _, entity = key.partition("/")
            changes.append(
                ClearAlarm(
                    alarm_id=alarm_id, entity=entity, cleared_at=now, reason="it is well again"
                )
            )
    return tuple(changes)


def worst_first(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """The conditions to tell, worst first, at most CONDITIONS_MAX of them."""
    rank = {severity: place for place, severity in enumerate(WORST_FIRST)}
    ordered = sorted(conditions, key=lambda c: (rank.get(c.severity, 9), c.kind, c.name))
    return tuple(ordered[:CONDITIONS_MAX])
