"""The site in one answer, and all that a listener is given first."""

from datetime import datetime

from murmuration.gateway.core.paging import alarm_cursor, host_cursor
from murmuration.gateway.core.projection import ReadModel
from murmuration.proto.api import EventView, HealthView, HostView, SiteView
from murmuration.proto.envelope import Payload
from murmuration.proto.fm import Alarm

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
    alarms: tuple[Alarm, ...]
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
    """All that is shown now, worst alarms first, up to the maxima above."""
    hosts, next_host = model.hosts.page(after=None, limit=HOSTS_MAX)
    alarms, next_alarm = model.alarms.page(after=None, limit=ALARMS_MAX)
    return Snapshot(
        site=site,
        hosts=tuple(hosts),
        alarms=tuple(alarms),
        events=tuple(entry.view for entry in model.ring.last(EVENTS_MAX)),
        cursor=str(model.vector),
        hosts_next=host_cursor(next_host),
        alarms_next=alarm_cursor(next_alarm),
    )
