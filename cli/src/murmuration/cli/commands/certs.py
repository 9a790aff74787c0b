"""`mur site certs`: the certificates of the site's servers, and who vouches for them.

Speaks to the supervisor, not to HTTP: who may open its socket runs the site.
"""

from datetime import datetime
from pathlib import Path

import msgspec

from murmuration.cli import control
from murmuration.cli.decoding import decode
from murmuration.cli.errors import Failed
from murmuration.cli.progress import waiting
from murmuration.cli.session import Session

ROTATE_S = 90.0  # three stages, of which each waits until every server shows its certificate


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate; an authority's name is `ca`."""

    name: str
    serial: str
    issuer: str
    names: tuple[str, ...] = ()
    starts_at: datetime
    expires_at: datetime
    sha256: str = ""


class Certificates(msgspec.Struct, frozen=True, kw_only=True):
    """All of them; `stage` is steady, announced or retiring, `since` its beginning."""

    stage: str
    since: datetime
    certificates: tuple[Certificate, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor says."""

    summary: Certificates


def list_certificates(*, session: Session) -> None:
    """List the site's certificates: whose each is, and when it ends."""
    _show(_ask({"action": "list"}, "Asking the supervisor", session), session)


def renew(*, session: Session) -> None:
    """Make every server's certificate anew now; connections that are there stay.

    This happens by itself ten days before one ends.
    """
    _show(_ask({"action": "renew"}, "Renewing", session), session)


def rotate(*, now: bool = False, session: Session) -> None:
    """Replace the authority that vouches for the servers; connections that are there stay.

    First the new one is made known beside the old (30 minutes), then it signs, then (30 minutes
    later, and when every server shows its new certificate) the old one is dropped.

    Args:
        now: Without waiting. A host that is away meanwhile has to be told of the new authority.
    """
    request = {"action": "rotate"} | ({"now": "1"} if now else {})
    _show(_ask(request, "Replacing the authority", session), session)


def authorities(*, session: Session) -> None:
    """Print the authorities to trust (PEM), for browsers and programs elsewhere."""
    from murmuration.cli.output import write_text

    path = session.authorities
    try:
        write_text(Path(path).read_text(encoding="ascii").rstrip("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"Cannot read {path}: {error}.") from error


def _show(body: bytes, session: Session) -> None:
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.certs import certificate_table

    session.print(*certificate_table(decode(body, Answer).summary, session=session))


def _ask(request: dict[str, str], doing: str, session: Session) -> bytes:
    path = session.control_socket
    timeout_s = max(session.options.timeout_s, ROTATE_S if "now" in request else 0.0)
    with waiting(doing):
        return control.ask(path, {"op": "certs", **request}, timeout_s=timeout_s)
