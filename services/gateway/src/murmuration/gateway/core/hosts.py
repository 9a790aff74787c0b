"""Hosts as one thing: what sysinv declares, what mtce sees, and how many alarms name them.

A host is shown once sysinv knows it; until mtce speaks, its states are `unknown`.
"""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from datetime import datetime, timedelta

import msgspec

from murmuration.proto.api import AlarmCounts, HostView
from murmuration.proto.mtce import (
    TASK_TEXT,
    Availability,
    HeartbeatState,
    HostState,
    HostTask,
    Operational,
)
from murmuration.proto.sysinv import Administrative, Admission, Host

HEARD = timedelta(seconds=1)


def host_view(host: Host, state: HostState | None, alarms: AlarmCounts) -> HostView:
    """A host with the states mtce gives it (None: it has said nothing yet)."""
    return HostView(
        name=host.name,
        index=host.index,
        personality=host.personality,
        origin=host.origin,
        observe_only=host.observe_only,
        admission=host.admission,
        intended_administrative=host.intended_administrative,
        administrative=state.administrative if state else Administrative.UNKNOWN,
        operational=state.operational if state else Operational.UNKNOWN,
        availability=state.availability if state else Availability.UNKNOWN,
        subfunction_operational=state.subfunction_operational if state else Operational.UNKNOWN,
        subfunction_availability=state.subfunction_availability if state else Availability.UNKNOWN,
        task=state.task if state else HostTask.NONE,
        task_text=TASK_TEXT[state.task] if state else "",
        operation_id=state.operation_id if state else "",
        deadline_at=state.deadline_at if state else None,
        health=state.health if state else (),
        gave_up=state.gave_up if state else None,
        heartbeat=state.heartbeat if state else HeartbeatState.UNKNOWN,
        reason=state.reason if state else _unwatched(host),
        address=host.address,
        boot_id=(state.boot_id if state else "") or host.boot_id,
        pulse_period_ms=host.pulse_period_ms,
        changed_at=state.changed_at if state else None,
        last_heard_at=state.last_heard_at if state else None,
        reported_at=host.reported_at,
        alarms=alarms,
        labels=host.labels,
        facts=host.facts,
        links=host.links,
    )


def _unwatched(host: Host) -> str:
    if host.admission is Admission.DISCOVERED:
        return "It has enrolled and waits to be accepted."
    return "Maintenance has not reported on it yet."


class HostTable:
    """The views by name, in the order of names."""

    def __init__(self) -> None:
        self._views: dict[str, HostView] = {}
        self._names: list[str] = []
        self._availability: Counter[str] = Counter()
        self._modelled = 0

    def __len__(self) -> int:
        return len(self._views)

    def get(self, name: str) -> HostView | None:
        """The view of one host."""
        return self._views.get(name)

    def put(self, view: HostView) -> None:
        """Take a view; it replaces one of the same name."""
        if view.name not in self._views:
            insort(self._names, view.name)
        else:
            self._count(self._views[view.name], -1)
        self._views[view.name] = view
        self._count(view, 1)

    def hear(self, name: str, at: datetime) -> None:
        """Note that a host's heart beat then; kept to HEARD, for a digest comes twice a second.

        mtce says only in events when it last heard a host, so that a well host would look unheard.
        """
        view = self._views.get(name)
        if view is None:
            return
        last = view.last_heard_at
        if last is None or at - last >= HEARD:
            self._views[name] = msgspec.structs.replace(view, last_heard_at=at)

    def discard(self, name: str) -> bool:
        """Let a host go; False when it is not there."""
        view = self._views.pop(name, None)
        if view is None:
            return False
        self._count(view, -1)
        del self._names[bisect_left(self._names, name)]
        return True

    def _count(self, view: HostView, by: int) -> None:
        self._availability[view.availability.value] += by
        self._modelled += by * (view.origin.value == "simulated")

    @property
    def by_availability(self) -> dict[str, int]:
        """How many hosts stand in each availability; states without a host are left out."""
        return {key: count for key, count in sorted(self._availability.items()) if count}

    @property
    def has_modelled(self) -> bool:
        """Whether some hosts are only modelled by the simulator."""
        return self._modelled > 0

    def page(self, *, after: str | None, limit: int) -> tuple[list[HostView], str | None]:
        """Up to `limit` hosts behind the name `after`, and the name to go on from."""
        start = bisect_right(self._names, after) if after is not None else 0
        names = self._names[start : start + limit]
        more = start + limit < len(self._names)
        return [self._views[name] for name in names], names[-1] if more and names else None
