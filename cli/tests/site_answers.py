"""What happened, and how the platform is, as the gateway answers it."""

import msgspec

from murmuration.proto.api import EventView, HealthItem, HealthView
from murmuration.proto.fm_vocabulary import Severity

from .alarm_answers import NOW, before


def event(change: int, type: str, subject: str, summary: str, **more: object) -> EventView:
    """One event, `change` in the life 1 of its sender."""
    made = EventView(
        id=f"{type.partition('.')[0]}:1:{change}",
        cursor=f"c{change}",
        type=type,
        subject=subject,
        time=before(seconds=200 - change),
        summary=summary,
        data={"change": change},
    )
    return msgspec.structs.replace(made, **more)


EVENTS = (
    event(
        1,
        "sysinv.host.discovered.v1",
        "worker-1",
        "worker-1 enrolled for the first time.",
        time=before(days=1),
    ),
    event(2, "sysinv.host.accepted.v1", "worker-1", "worker-1 was accepted: accept is automatic."),
    event(
        128,
        "mtce.host.state_changed.v1",
        "worker-1",
        "worker-1 went from unlocked-enabled-available to unlocked-disabled-failed: "
        "no pulse was heard for 1.0 s.",
    ),
    event(
        129,
        "fm.alarm.raised.v1",
        "200.005/host=worker-1",
        "Alarm 200.005 on host=worker-1: no pulse was heard for 1.0 s.",
        severity=Severity.CRITICAL,
    ),
)
HEALTH = HealthView(
    status="degraded",
    summary="fm is behind: 1204 changes are not on the bus yet.",
    items=(
        HealthItem(name="nats", status="ok", instances=1),
        HealthItem(name="sysinv", status="ok", instances=1),
        HealthItem(name="mtce", status="ok", instances=2),
        HealthItem(
            name="fm",
            status="degraded",
            instances=1,
            relay_lag=1204,
            consumer_lag=17,
            parked=2,
            reason="Its relay is behind by 1204 changes, and 2 messages are parked.",
        ),
        HealthItem(name="gateway", status="ok", instances=1),
    ),
    at=NOW,
)
