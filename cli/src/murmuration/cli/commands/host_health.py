"""`mur host health`: what a host's own agent says of it."""

from murmuration.cli.decoding import decode
from murmuration.cli.session import Session
from murmuration.proto.ids import parse_host_name
from murmuration.proto.node import HostHealth

HINT = "`mur host list` names every host; one without an agent says nothing of its health."


def show(host: str, /, *, session: Session) -> None:
    """Show what is wrong on a host, its monitored processes and what is measured.

    Args:
        host: The host's name.
    """
    body = session.client.get(f"/api/v1/hosts/{parse_host_name(host)}/health", hint=HINT)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.host_health import health_view

    session.print(*health_view(decode(body, HostHealth), now=session.now()))
