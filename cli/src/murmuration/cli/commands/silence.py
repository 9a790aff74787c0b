"""`mur silence`: who fits is told to nobody for a time."""

from urllib.parse import quote

from murmuration.cli.changes import author, chosen_operation_id, report
from murmuration.cli.decoding import decode
from murmuration.cli.errors import Usage
from murmuration.cli.moments import parse_span
from murmuration.cli.session import Session
from murmuration.proto.api import OperatorRequest, SilenceRequest
from murmuration.proto.fm_notify import Matcher, MatchOperator, Silences

SILENCES = "/api/v1/silences"
OPERATORS = ("=~", "!~", "!=", "=")  # the longer ones first: `=` is in all of them
NO_SUCH = "`mur silence list` shows those there are."


def list_silences(*, expired: bool = False, session: Session) -> None:
    """List silences: what is told to nobody, until when, by whom and why.

    Args:
        expired: Also those that ended within the last day.
    """
    body = session.client.get(SILENCES, {"expired": "true" if expired else None})
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.notification import silence_table

    session.print(*silence_table(decode(body, Silences).items, now=session.now()))


def add(
    alarms: str,
    /,
    *,
    lasting: str = "1h",
    comment: str = "",
    operation_id: str | None = None,
    session: Session,
) -> None:
    """Tell nobody of the alarms that fit, for a time; they stay in lists.

    Args:
        alarms: Conditions on labels, divided by commas: host=worker-1,severity!=critical. With =~
            and !~ the value is patterns divided by |, with * for anything.
        lasting: For so long: 30min, 2h, 7d.
        comment: Why, for those who wonder.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    request = SilenceRequest(
        operation_id=chosen_operation_id(operation_id),
        matchers=tuple(_matcher(text) for text in alarms.split(",")),
        ends_at=session.now() + parse_span(lasting, "--lasting"),
        author=author(),
        comment=comment,
    )
    report(session.client.change("POST", SILENCES, request), session)


def end(silence: str, /, *, operation_id: str | None = None, session: Session) -> None:
    """End a silence now.

    Args:
        silence: Its id in `mur silence list`, or the end of it.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    found = decode(session.client.get(SILENCES), Silences).items
    ids = [each.id for each in found if each.id.endswith(silence)]
    if len(ids) > 1:
        raise Usage(f"{len(ids)} silences' ids end with {silence}.", "Write more of it.")
    chosen = ids[0] if ids else silence
    request = OperatorRequest(operation_id=chosen_operation_id(operation_id), author=author())
    path = f"{SILENCES}/{quote(chosen, safe='')}"
    report(session.client.change("DELETE", path, request, hint=NO_SUCH), session)


def _matcher(text: str) -> Matcher:
    places = {operator: text.find(operator) for operator in OPERATORS}
    found = [operator for operator, place in places.items() if place > 0]
    if not found:
        raise Usage(
            f"{text[:40]!r} is no condition.", "Write label=value, for example host=worker-1."
        )
    operator = min(found, key=lambda each: (places[each], -len(each)))
    label, _, value = text.partition(operator)
    return Matcher(label=label.strip(), operator=MatchOperator(operator), value=value.strip())
