"""What a receiver is sent: the bodies of webhooks, of Alertmanager's API v2, and traps.

A delivery is made once, when a group is told, and kept as it is until it is delivered: a retry
sends the same bytes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice

import msgspec

from murmuration.fm.core.routing import labels_of
from murmuration.fm.core.snmp import Field, date_and_time, trap
from murmuration.proto.envelope import encode
from murmuration.proto.fm import Alarm
from murmuration.proto.fm_notify import Notification, Notified, Receiver, ReceiverKind

LISTED_MAX = 100  # alarms in one webhook: about 100 kB; the rest is counted
ALERTS_MAX = 500  # alerts in one POST to an Alertmanager, which has no limit of its own
REFRESH_S = 60.0  # Alertmanager is told again so often what is firing
RESOLVE_S = 4 * REFRESH_S  # and takes for resolved by itself what it was not told for so long
TRAP_RAISED, TRAP_CLEARED, TRAP_TEST = 1, 2, 3
_RANK = {"critical": 0, "major": 1, "minor": 2, "warning": 3}
_SNMP_SEVERITY = {"indeterminate": 2, "critical": 3, "major": 4, "minor": 5, "warning": 6}
_CLEARED = 1
_YES, _NO = 1, 2


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm to be told of; `cleared_at` None: it is firing."""

    alarm: Alarm
    cleared_at: datetime | None = None
    explains: int = 0


class Trap(msgspec.Struct, frozen=True, kw_only=True):
    """A trap to be sent; its time of agent and community are added when it is."""

    kind: int
    fields: tuple[Field, ...]

    def datagram(self, *, community: bytes, request_id: int, uptime_s: float) -> bytes:
        """The bytes on the wire."""
        return trap(
            community=community,
            request_id=request_id,
            uptime_s=uptime_s,
            kind=self.kind,
            fields=self.fields,
        )


def bodies(
    receiver: Receiver,
    tellings: Sequence[Telling],
    *,
    group: Mapping[str, str],
    left_out: int,
    site: str,
    now: datetime,
) -> list[bytes]:
    """The deliveries that tell a receiver of these alarms, in order.

    `left_out`: how many more alarms the group has.
    """
    ordered = sorted(tellings, key=_worst_first)
    match receiver.kind:
        case ReceiverKind.WEBHOOK:
            return [
                encode(_notification(receiver, ordered, group=group, left_out=left_out, now=now))
            ]
        case ReceiverKind.ALERTMANAGER:
            alerts = (_alert(one, site=site, now=now) for one in ordered)
            return [encode(chunk) for chunk in _chunks(alerts, ALERTS_MAX)]
        case ReceiverKind.SNMP:
            return [encode(_trap(one)) for one in ordered]
        case _:
            return []


def trial_bodies(receiver: Receiver, *, site: str, now: datetime) -> list[bytes]:
    """The delivery that tries a receiver."""
    text = f"Murmuration at {site} tries whether notifications arrive"
    match receiver.kind:
        case ReceiverKind.WEBHOOK:
            note = Notification(
                receiver=receiver.name,
                status="test",
                group_labels={"test": text},
                alarms=(),
                sent_at=now,
            )
            return [encode(note)]
        case ReceiverKind.ALERTMANAGER:
            alert: dict[str, object] = {
                "labels": {"alertname": "MurmurationTest", "site": site, "severity": "none"},
                "annotations": {"summary": text},
                "startsAt": now,
                "endsAt": now + timedelta(seconds=REFRESH_S),
            }
            return [encode([alert])]
        case ReceiverKind.SNMP:
            fields = (Field(5, text), Field(10, date_and_time(now)))
            return [encode(Trap(kind=TRAP_TEST, fields=fields))]
        case _:
            return []


def _notification(
    receiver: Receiver,
    ordered: Sequence[Telling],
    *,
    group: Mapping[str, str],
    left_out: int,
    now: datetime,
) -> Notification:
    firing = any(one.cleared_at is None for one in ordered) or left_out
    return Notification(
        receiver=receiver.name,
        status="firing" if firing else "resolved",
        group_labels=dict(group),
        alarms=tuple(_notified(one) for one in ordered[:LISTED_MAX]),
        truncated=left_out + max(0, len(ordered) - LISTED_MAX),
        sent_at=now,
    )


def _notified(one: Telling) -> Notified:
    alarm = one.alarm
    return Notified(
        status="firing" if one.cleared_at is None else "resolved",
        labels=labels_of(alarm),
        uuid=alarm.uuid,
        reason_text=alarm.reason_text,
        proposed_repair_action=alarm.proposed_repair_action,
        explains=one.explains,
        starts_at=alarm.first_raised_at,
        ends_at=one.cleared_at,
    )


def _alert(one: Telling, *, site: str, now: datetime) -> dict[str, object]:
    """One postable alert of Alertmanager's API v2; labels name it, so only what stays is one."""
    alarm = one.alarm
    labels = labels_of(alarm)
    return {
        "labels": {"alertname": f"alarm {alarm.alarm_id}", "site": site, **labels},
        "annotations": {
            "summary": alarm.reason_text,
            "repair": alarm.proposed_repair_action,
            "uuid": alarm.uuid,
            "explains": str(one.explains),
        },
        "startsAt": alarm.first_raised_at,
        "endsAt": one.cleared_at or now + timedelta(seconds=RESOLVE_S),
    }


def _trap(one: Telling) -> Trap:
    alarm, cleared = one.alarm, one.cleared_at is not None
    severity = _SNMP_SEVERITY.get(alarm.severity.value, _SNMP_SEVERITY["indeterminate"])
    return Trap(
        kind=TRAP_CLEARED if cleared else TRAP_RAISED,
        fields=(
            Field(1, alarm.uuid),
            Field(2, alarm.alarm_id),
            Field(3, alarm.entity),
            Field(4, _CLEARED if cleared else severity),
            Field(5, alarm.reason_text),
            Field(6, alarm.alarm_type.value),
            Field(7, alarm.probable_cause),
            Field(8, alarm.proposed_repair_action),
            Field(9, _YES if alarm.service_affecting else _NO),
            Field(10, date_and_time(one.cleared_at or alarm.first_raised_at)),
            Field(11, one.explains),
        ),
    )


def _worst_first(one: Telling) -> tuple[bool, int, datetime, str]:
    rank = _RANK.get(one.alarm.severity.value, len(_RANK))
    return one.cleared_at is not None, rank, one.alarm.first_raised_at, one.alarm.uuid


def _chunks(items: Iterable[object], size: int) -> Iterator[list[object]]:
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk
