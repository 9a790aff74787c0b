"""`mur alarm suppress` and its kin: what operators do not want to see for now."""

from urllib.parse import quote

from murmuration.cli.changes import author, chosen_operation_id, report
from murmuration.cli.commands.alarm import SeverityWord
from murmuration.cli.decoding import decode
from murmuration.cli.errors import Usage
from murmuration.cli.moments import parse_span
from murmuration.cli.session import Session
from murmuration.proto.api import OperatorRequest, SuppressionList, SuppressionRequest
from murmuration.proto.fm_vocabulary import Severity

SUPPRESSIONS = "/api/v1/suppressions"
NO_SUCH = "`mur alarm suppressions` shows what is in force."


def suppressions(*, session: Session) -> None:
    """List what is suppressed, by whom, why and until when."""
    body = session.client.get(SUPPRESSIONS)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.suppression import suppression_table

    session.print(*suppression_table(decode(body, SuppressionList).items, now=session.now()))


def suppress(
    *,
    alarm_id: str | None = None,
    entity: str | None = None,
    severity: SeverityWord | None = None,
    lasting: str | None = None,
    comment: str = "",
    operation_id: str | None = None,
    session: Session,
) -> None:
    """Hide alarms from lists and notifications; they are recorded as ever.

    What is given must all fit; at least one of --alarm-id, --entity and --severity.

    Args:
        alarm_id: Alarms of this id, for example 100.101.
        entity: Alarms of this entity and of what is below it; * stands for a part of a component.
        severity: Alarms of this severity.
        lasting: For so long: 30min, 2h, 7d; else until `unsuppress`.
        comment: Why, for those who wonder.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    if not (alarm_id or entity or severity):
        raise Usage("Say what to suppress: --alarm-id, --entity or --severity.")
    request = SuppressionRequest(
        operation_id=chosen_operation_id(operation_id),
        alarm_id=alarm_id or "",
        entity=entity or "",
        severities=(Severity(severity),) if severity else (),
        author=author(),
        comment=comment,
        expires_at=session.now() + parse_span(lasting, "--lasting") if lasting else None,
    )
    report(session.client.change("POST", SUPPRESSIONS, request), session)


def unsuppress(suppression: str, /, *, operation_id: str | None = None, session: Session) -> None:
    """Show again what a suppression hides.

    Args:
        suppression: Its id in `mur alarm suppressions`, or the beginning of it.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    found = decode(session.client.get(SUPPRESSIONS), SuppressionList).items
    ids = [each.id for each in found if each.id.startswith(suppression)]
    if len(ids) > 1 and suppression not in ids:
        raise Usage(f"{len(ids)} suppressions' ids begin with {suppression}.", "Write more of it.")
    chosen = ids[0] if len(ids) == 1 else suppression
    request = OperatorRequest(operation_id=chosen_operation_id(operation_id), author=author())
    path = f"{SUPPRESSIONS}/{quote(chosen, safe='')}"
    report(session.client.change("DELETE", path, request, hint=NO_SUCH), session)
