"""The site in one answer, and all that a listener is given first."""

from datetime import datetime

from murmuration.gateway.core.alarms import AlarmQuery, alarm_view
from murmuration.gateway.core.paging import alarm_cursor, host_cursor
from murmuration.gateway.core.projection import ReadModel
from murmuration.proto.api import (
    AlarmSummary,
    AlarmView,
    EventView,
    HealthView,
    HostView,
    SiteView,
)
from murmuration.proto.envelope import Payload

HOSTS_MAX = 1_000  # more are fetched by page: a snapshot stays under a few MB
ALARMS_MAX = 1_000
EVENTS_MAX = 50


class Snapshot(Payload, frozen=True, kw_only=True):
    """SSE event `snapshot`: all that is shown at one moment; what follows changes it.

    `hosts_next` and `alarms_next` are cursors for the lists' `?after=` where there are more than
    fit here. `cursor` resumes the stream after this snapshot.
    """

    site: SiteView
    hosts: tuple[HostView, ...]
    alarms: tuple[AlarmView, ...]
    alarm_summary: AlarmSummary
    events: tuple[EventView, ...]
    cursor: str
    hosts_next: str | None = None
    alarms_next: str | None = None


def site_view(
    model: ReadModel, health: HealthView, *, name: str, version: str, started_at: datetime
) -> SiteView:
    """The site in one answer."""
    return SiteView(
        name=name,
        version=version,
        started_at=started_at,
        health=health,
        host_count=len(model.hosts),
        hosts_by_availability=model.hosts.by_availability,
        alarms=model.alarms.counts,
        simulated=model.hosts.has_modelled,
    )


def snapshot(model: ReadModel, site: SiteView) -> Snapshot:
    """All that is shown now, alarms in the order of their list, up to the maxima above."""
    hosts, next_host = model.hosts.page(after=None, limit=HOSTS_MAX)
    index = model.alarms
    alarms, next_alarm = index.page(AlarmQuery(), after=None, limit=ALARMS_MAX)
    return Snapshot(
        site=site,
        hosts=tuple(hosts),
        alarms=tuple(alarm_view(each, index.impacted_count(each.uuid)) for each in alarms),
        alarm_summary=index.summary,
        events=tuple(entry.view for entry in model.ring.last(EVENTS_MAX)),
        cursor=str(model.vector),
        hosts_next=host_cursor(next_host),
        alarms_next=alarm_cursor(next_alarm),
    )
