"""What the make-believe gateway answers about messages and effects that were set aside."""

import msgspec

from murmuration.proto.api import HeldList, HeldView, ParkedList, ParkedView
from murmuration.proto.platform import HeldEffect, ParkedMessage

from .alarm_answers import before


def parked(number: int, **changes: object) -> ParkedView:
    """A message that fm set aside."""
    message = ParkedMessage(
        id=number,
        stream="FM_INTAKE",
        sequence=8_000 + number,
        subject="fm.intake.node-worker-1.raise",
        type="fm.alarm.raise.v1",
        entity="200.004/host=worker-1",
        epoch=1_763_820_000,
        change=number,
        reason="fm.alarm.raise.v1: Expected `str`, got `int` - at `$.reason_text`",
        parked_at=before(minutes=7),
        headers={"ce-type": "fm.alarm.raise.v1", "Mur-N": str(number)},
        body='{"reason_text":7}',
    )
    return ParkedView(service="fm", message=msgspec.structs.replace(message, **changes))


PARKED = ParkedList(items=(parked(3), parked(4, superseded=True)), away=("mtce",))
HELD = HeldList(
    items=(
        HeldView(
            service="mtce",
            effect=HeldEffect(
                id=7,
                operation_id="reset-worker-3-1",
                kind="host.reset",
                entity="worker-3",
                decided_at=before(minutes=90),
                held_at=before(minutes=7),
            ),
        ),
    ),
    away=("fm",),
)
