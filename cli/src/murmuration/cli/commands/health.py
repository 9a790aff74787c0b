"""`mur health`: the platform's own health, which does not need fm."""

from murmuration.cli.decoding import decode
from murmuration.cli.errors import FAILED, OK
from murmuration.cli.session import Session
from murmuration.proto.api import HealthView


def show(*, session: Session) -> int:
    """Show the health of the platform's own parts; exits 1 unless all are well.

    RELAY LAG counts changes that are not yet on the bus, READ LAG messages that are not yet taken
    in. Only the active replica of a service reads: one that stands by has a read lag of 0.
    """
    body = session.client.get("/api/v1/health")
    health = decode(body, HealthView)
    if session.as_json:
        session.print_json(body)
    else:
        from murmuration.cli.views.health import health_view

        session.print(*health_view(health))
    return OK if health.status == "ok" else FAILED
