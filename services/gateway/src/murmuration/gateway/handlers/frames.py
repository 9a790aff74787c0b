"""Deltas as server-sent events, in wire form; only `log` bears an id, for it is what resumes."""

from typing import assert_never

from murmuration.gateway.core.alarms import encode_view
from murmuration.gateway.core.model import (
    AlarmGone,
    AlarmPut,
    HostGone,
    HostPut,
    Logged,
    Shown,
)
from murmuration.gateway.core.snapshot import Snapshot
from murmuration.proto.api import AlarmSummary, HealthView, PulseFrame
from murmuration.proto.envelope import encode
from murmuration.web.sse import event


def delta_frame(delta: Shown) -> bytes:
    """One delta as one event."""
    match delta:
        case HostPut(view=view):
            return event("host", encode(view))
        case HostGone(name=name):
            return event("host_removed", encode({"name": name}))
        case AlarmPut(alarm=alarm, impacted_count=count):
            return event("alarm", encode_view(alarm, count))
        case AlarmGone(uuid=uuid, reason=reason):
            return event("alarm_cleared", encode({"uuid": uuid, "reason": reason}))
        case Logged():
            return event("log", delta.body, id=str(delta.cursor))
        case _:
            assert_never(delta)


def snapshot_frame(snapshot: Snapshot) -> bytes:
    """Everything; its id resumes right behind it, should nothing follow."""
    return event("snapshot", encode(snapshot), id=snapshot.cursor)


def reset_frame(reason: str) -> bytes:
    """What was shown so far is void; a snapshot follows."""
    return event("reset", encode({"reason": reason}))


def health_frame(health: HealthView) -> bytes:
    """The site's health."""
    return event("health", encode(health))


def alarm_summary_frame(summary: AlarmSummary) -> bytes:
    """The alarms in figures."""
    return event("alarm_summary", encode(summary))


def pulse_frame(frame: PulseFrame) -> bytes:
    """The heartbeat trace; never resumed."""
    return event("pulse", encode(frame))
