"""`mur site`: one view of the site."""

from murmuration.cli.decoding import decode
from murmuration.cli.session import Session
from murmuration.proto.api import SiteView


def show(*, session: Session) -> None:
    """Show the site in one view: health, hosts and alarms."""
    body = session.client.get("/api/v1/site")
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.site import site_view

    site = decode(body, SiteView)
    session.print(*site_view(site, url=session.client.site.console, session=session))
