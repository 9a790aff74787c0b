"""What a ledger came to becomes rows: active alarms, history, and what is told the site.

Each alarm is encoded once for all three. Everything is written in bulk, whatever its number.
"""

import msgspec

from murmuration.fm.core.model import Ledger, Transition
from murmuration.fm.store import alarms, history
from murmuration.proto.envelope import encode
from murmuration.proto.fm import Alarm, LogEntry
from murmuration.proto.fm_operators import HistoryKind, Suppression, SuppressionChanged
from murmuration.proto.ids import token
from murmuration.store.database import Unit
from murmuration.store.outgoing import Outgoing

BUCKET = "fm_alarms"
STREAM = "FM"
_SLASH = token("/")  # the token of a whole is the tokens of its parts
_EVENTS = {
    HistoryKind.RAISED: ("fm.alarm.raised.v1", "fm.event.alarm.raised"),
    HistoryKind.CHANGED: ("fm.alarm.changed.v1", "fm.event.alarm.changed"),
    HistoryKind.CLEARED: ("fm.alarm.cleared.v1", "fm.event.alarm.cleared"),
    HistoryKind.LOGGED: ("fm.log.recorded.v1", "fm.event.log.recorded"),
}


class Records:
    """Alarms and log entries as JSON, each encoded once."""

    def __init__(self) -> None:
        self._known: dict[int, bytes] = {}

    def of(self, subject: Alarm | LogEntry) -> bytes:
        """The JSON of a subject that outlives this object."""
        found = self._known.get(id(subject))
        if found is None:
            found = self._known[id(subject)] = encode(subject)
        return found


async def write(unit: Unit, ledger: Ledger) -> None:
    """Write what the ledger came to; its transitions are published with this transaction."""
    records = Records()
    actives = [
        (active, records.of(active.alarm))
        for active in ledger.touched.values()
        if active is not None
    ]
    gone = [key for key, active in ledger.touched.items() if active is None]
    await alarms.save(unit.connection, actives, gone)
    rows = [
        history.row(transition, records.of(transition.subject), ledger.now)
        for transition in ledger.transitions
        if not transition.quiet
    ]
    await history.append(unit.connection, rows)
    for transition in ledger.transitions:
        unit.say(outgoing(transition, records.of(transition.subject)))
    if ledger.ticked_s:
        await unit.connection.execute(alarms.SET_CLOCK, ledger.clock_s)


def outgoing(transition: Transition, record: bytes) -> Outgoing:
    """The event of a transition, with the state it leaves behind."""
    subject = transition.subject
    kind, prefix = _EVENTS[transition.kind]
    is_alarm = isinstance(subject, Alarm)
    event_id = subject.alarm_id if is_alarm else subject.log_id
    id_token, entity_token = event_id.replace(".", "_2E"), token(subject.entity)
    return Outgoing(
        stream=STREAM,
        subject=f"{prefix}.{id_token}.{entity_token}",
        type=kind,
        entity=f"{event_id}/{subject.entity}",
        traceparent=transition.traceparent,
        body=_body(transition, msgspec.Raw(record)),
        bucket=BUCKET if is_alarm else None,
        key=f"{id_token}{_SLASH}{entity_token}" if is_alarm else None,
        state=record if is_alarm and transition.kind is not HistoryKind.CLEARED else None,
    )


def told_afresh(alarm_id: str, entity: str, record: bytes) -> Outgoing:
    """An active alarm, told whole without a change."""
    key = f"{alarm_id}/{entity}"
    return Outgoing(
        stream=STREAM,
        subject=f"fm.event.alarm.changed.{alarm_id.replace('.', '_2E')}.{token(entity)}",
        type="fm.alarm.changed.v1",
        entity=key,
        traceparent=None,
        body=encode({"alarm": msgspec.Raw(record), "changed": ()}),
        bucket=BUCKET,
        key=token(key),
        state=record,
    )


def say_suppression(unit: Unit, suppression: Suppression, *, active: bool, reason: str) -> None:
    """Tell that a suppression is there, or no more."""
    unit.emit(
        SuppressionChanged(suppression=suppression, active=active, reason=reason),
        entity=suppression.id,
        bucket="fm_suppressions",
        state=suppression if active else None,
        id=suppression.id,
    )


def _body(transition: Transition, record: msgspec.Raw) -> bytes:
    match transition.kind:
        case HistoryKind.CHANGED:
            return encode(
                {"alarm": record, "changed": transition.changed, "author": transition.author}
            )
        case HistoryKind.CLEARED:
            return encode(
                {
                    "alarm": record,
                    "cleared_at": transition.at,
                    "reason": transition.reason,
                    "author": transition.author,
                }
            )
        case HistoryKind.LOGGED:
            return encode({"log": record})
        case _:
            return encode({"alarm": record})
