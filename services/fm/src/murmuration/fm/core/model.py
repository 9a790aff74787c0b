"""What becomes of an alarm when its producer raises or clears it, or an operator clears it.

Invariants: an alarm is known by (alarm id, entity), exactly; its uuid stays from first raise to
clear; an identical raise is a count and not history; a raise that differs is one change.
"""

import enum
from dataclasses import dataclass

import msgspec

from murmuration.proto.fm import Alarm, RaiseAlarm

SAID = (
    "severity",
    "reason_text",
    "alarm_type",
    "probable_cause",
    "proposed_repair_action",
    "service_affecting",
    "additional",
)


class Outcome(enum.Enum):
    """What a raise came to."""

    RAISED = "raised"
    CHANGED = "changed"
    COUNTED = "counted"


@dataclass(frozen=True, slots=True)
class Decision:
    """The alarm as it is now, and what differs from before."""

    outcome: Outcome
    alarm: Alarm
    changed: tuple[str, ...] = ()


def raise_alarm(known: Alarm | None, request: RaiseAlarm, *, producer: str, uuid: str) -> Decision:
    """Raise, change or count; `uuid` is used for an alarm not yet known."""
    said = {field: getattr(request, field) for field in SAID}
    if known is None:
        alarm = Alarm(
            uuid=uuid,
            alarm_id=request.alarm_id,
            entity=request.entity,
            producer=producer,
            raise_count=1,
            first_raised_at=request.raised_at,
            last_raised_at=request.raised_at,
            **said,
        )
        return Decision(Outcome.RAISED, alarm)
    changed = tuple(field for field in SAID if getattr(known, field) != said[field])
    alarm = msgspec.structs.replace(
        known,
        **said,
        producer=producer,
        raise_count=known.raise_count + 1,
        last_raised_at=max(known.last_raised_at, request.raised_at),
    )
    return Decision(Outcome.CHANGED if changed else Outcome.COUNTED, alarm, changed)
