"""The site in one view."""

from collections.abc import Iterable

from rich.console import RenderableType
from rich.text import Text

from murmuration.cli.render import (
    age,
    availability_sum,
    clean,
    count_texts,
    group,
    instant,
    plain,
    word,
)
from murmuration.cli.session import Session
from murmuration.proto.api import SiteView


def site_view(site: SiteView, *, url: str, session: Session) -> Iterable[RenderableType]:
    """Name and version, then health, hosts and alarms, aligned."""
    name = Text(clean(site.name), style="bold")
    name.append(f"  version {clean(site.version)}", style="dim")
    started = f"{age(site.started_at, session.now())}, since "
    started += instant(session.moment(site.started_at))
    health = word(site.health.status)
    if site.health.summary:
        health = Text.assemble(health, ": ", clean(site.health.summary))
    rows: list[tuple[str, RenderableType]] = [
        ("Health", health),
        ("Hosts", availability_sum(site.host_count, site.hosts_by_availability)),
        ("Alarms", Text(", ").join(count_texts(site.alarms)) or plain("none active")),
        ("Running", plain(started)),
        ("Console", plain(f"{url}/")),
    ]
    if site.simulated:
        rows.insert(2, ("", Text("Some of these hosts are simulated.", style="yellow")))
    return [name, *group("", rows)[1:]]
