"""The site's certificates: whose they are, who signed them, and how long they are good."""

from collections.abc import Iterable

from rich.console import RenderableType
from rich.text import Text

from murmuration.cli.commands.certs import Certificate, Certificates
from murmuration.cli.render import clean, instant, plain, table
from murmuration.cli.session import Session

SOON_DAYS = 7  # renewing begins three days earlier: then it has failed
STAGES = {
    "steady": "",
    "announced": "A new authority is made known; it signs 30 minutes after",
    "retiring": "The new authority signs; the old one is dropped 30 minutes after",
}


def certificate_table(found: Certificates, *, session: Session) -> Iterable[RenderableType]:
    """The list, and a sentence while an authority is being replaced."""
    rows = table("CERTIFICATE", "DAYS", "EXPIRES", "SIGNED BY", "FOR", flexible=("FOR",))
    for each in found.certificates:
        days = (each.expires_at - session.now()).days
        rows.add_row(
            plain("authority" if each.name == "ca" else each.name),
            Text(str(days), style="bold red" if days < SOON_DAYS else ""),
            plain(instant(session.moment(each.expires_at))),
            plain(_signer(each)),
            plain(", ".join(clean(name) for name in each.names)),
        )
    stage = STAGES.get(found.stage, found.stage)
    if not stage:
        return [rows]
    return [rows, Text(), plain(f"{stage} {instant(session.moment(found.since))}.")]


def _signer(each: Certificate) -> str:
    """An authority's own number is the end of its name."""
    number = each.issuer.rpartition(" ")[2]
    return f"itself ({number})" if each.name == "ca" else number
