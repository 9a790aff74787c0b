"""Alarms, events and suppressions in the shape that the `fm` client and its users read.

Keys and types are StarlingX's: "True" and "False" as strings where they have strings, times in UTC
with microseconds and without a zone, `qos` for quality of service.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from murmuration.proto.entities import components
from murmuration.proto.fm import Alarm
from murmuration.proto.fm_operators import CatalogueEntry, HistoryEntry, HistoryKind, Suppression
from murmuration.proto.fm_vocabulary import AlarmType

Item = dict[str, object]

SUPPRESSED, UNSUPPRESSED = "suppressed", "unsuppressed"
STATES = {
    HistoryKind.RAISED: "set",
    HistoryKind.CHANGED: "set",
    HistoryKind.CLEARED: "clear",
    HistoryKind.LOGGED: "log",
}
TYPE_WORDS = {
    AlarmType.QUALITY_OF_SERVICE: "qos",
    AlarmType.DEPLOYMENT_IN_PROGRESS: "deployment in progress",
}
TYPES = {word: kind for kind, word in TYPE_WORDS.items()}
ALARM_KEYS = (
    "uuid",
    "alarm_id",
    "alarm_state",
    "entity_type_id",
    "entity_instance_id",
    "timestamp",
    "severity",
    "reason_text",
    "alarm_type",
    "probable_cause",
    "proposed_repair_action",
    "service_affecting",
    "suppression",
    "suppression_status",
    "mgmt_affecting",
    "degrade_affecting",
)
EVENT_KEYS = (
    "uuid",
    "event_log_id",
    "state",
    "entity_type_id",
    "entity_instance_id",
    "timestamp",
    "severity",
    "reason_text",
    "event_log_type",
    "probable_cause",
    "proposed_repair_action",
    "service_affecting",
    "suppression",
    "suppression_status",
)
SHORT_ALARM = (
    "uuid",
    "alarm_id",
    "entity_instance_id",
    "severity",
    "timestamp",
    "reason_text",
    "suppression_status",
    "mgmt_affecting",
    "degrade_affecting",
)
SHORT_EVENT = (
    "uuid",
    "event_log_id",
    "state",
    "entity_instance_id",
    "timestamp",
    "severity",
    "reason_text",
    "suppression_status",
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NUMBER_MAX = 10**18  # what a cursor of fm may hold


def alarm_item(alarm: Alarm) -> Item:
    """An active alarm in full."""
    return {
        "uuid": alarm.uuid,
        "alarm_id": alarm.alarm_id,
        "alarm_state": "set",
        "entity_type_id": entity_type(alarm.entity),
        "entity_instance_id": alarm.entity,
        "timestamp": timestamp(alarm.changed_at or alarm.first_raised_at),
        "severity": alarm.severity.value,
        "reason_text": alarm.reason_text,
        "alarm_type": type_word(alarm.alarm_type),
        "probable_cause": alarm.probable_cause,
        "proposed_repair_action": alarm.proposed_repair_action,
        "service_affecting": alarm.service_affecting,
        "suppression": alarm.suppressible,
        "suppression_status": SUPPRESSED if alarm.suppressed else UNSUPPRESSED,
        "mgmt_affecting": str(alarm.management_affecting),
        "degrade_affecting": str(alarm.degrade_affecting),
    }


def event_item(entry: HistoryEntry) -> Item | None:
    """One entry of the event log in full; None for one that says nothing of an alarm or log."""
    alarm, log = entry.alarm, entry.log
    if alarm is not None:
        kind, suppression = alarm.alarm_type, alarm.suppressible
        status = SUPPRESSED if alarm.suppressed else UNSUPPRESSED
        what, event_id = alarm, alarm.alarm_id
    elif log is not None:
        kind, suppression, status = log.event_type, False, "None"
        what, event_id = log, log.log_id
    else:
        return None
    return {
        "uuid": event_uuid(entry),
        "event_log_id": event_id,
        "state": STATES.get(entry.kind, "set"),
        "entity_type_id": entity_type(what.entity),
        "entity_instance_id": what.entity,
        "timestamp": timestamp(entry.at),
        "severity": what.severity.value,
        "reason_text": what.reason_text,
        "event_log_type": type_word(kind),
        "probable_cause": what.probable_cause,
        "proposed_repair_action": what.proposed_repair_action,
        "service_affecting": what.service_affecting,
        "suppression": suppression,
        "suppression_status": status,
    }


def short(item: Item, keys: tuple[str, ...]) -> Item:
    """The few keys of an item that lists show."""
    return {key: item[key] for key in keys}


def event_uuid(entry: HistoryEntry) -> str:
    """The number of an entry in the form of a uuid, so that no index of uuids is needed."""
    digits = f"{entry.id:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def event_number(text: str) -> int | None:
    """The number that `event_uuid` wrote; None for what it cannot have written."""
    if not _UUID.fullmatch(text):
        return None
    number = int(text.replace("-", ""), 16)
    return number if 1 <= number < _NUMBER_MAX else None


def suppression_items(
    catalogue: Iterable[CatalogueEntry], suppressions: Iterable[Suppression], *, root: str
) -> list[Item]:
    """A row for every alarm id that is known or suppressed; `root` is the API's own URL.

    A suppression of narrower scope than a whole id has no row here: this API cannot tell of it.
    """
    hidden = {each.alarm_id for each in suppressions if is_whole_id(each)}
    known = {each.id: each.summary for each in catalogue if each.kind == "alarm"}
    rows: list[Item] = []
    for alarm_id in sorted({*known, *hidden}):
        uuid = suppression_uuid(alarm_id)
        rows.append(
            {
                "uuid": uuid,
                "alarm_id": alarm_id,
                "description": known.get(alarm_id, ""),
                "suppression_status": SUPPRESSED if alarm_id in hidden else UNSUPPRESSED,
                "links": [
                    {"href": f"{root}/v1/event_suppression/{uuid}", "rel": "self"},
                    {"href": f"{root}/event_suppression/{uuid}", "rel": "bookmark"},
                ],
            }
        )
    return rows


def suppression_uuid(alarm_id: str) -> str:
    """The uuid of an id's row: always the same, its last digits are the id's."""
    return f"00000000-0000-4000-8000-{alarm_id.replace('.', ''):0>12}"


def is_whole_id(suppression: Suppression) -> bool:
    """Whether it hides an alarm id everywhere and at every severity."""
    return bool(suppression.alarm_id) and not suppression.entity and not suppression.severities


def entity_type(path: str) -> str:
    """The types along an entity path: `host=a.interface=b` is a `host.interface`."""
    return ".".join(component.partition("=")[0] for component in components(path))


def timestamp(at: datetime) -> str:
    """`2026-11-22T06:11:34.011758`: UTC, microseconds, no zone."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def type_word(kind: AlarmType) -> str:
    """An alarm type in StarlingX's word."""
    return TYPE_WORDS.get(kind, kind.value)


def alarm_type(text: str) -> AlarmType:
    """An alarm type from StarlingX's word or ours; UNKNOWN for any other."""
    return TYPES.get(text) or AlarmType(text)
