"""`mur bus held`: what may have happened or not since a database was put back; you decide."""

import re

from murmuration.cli.changes import chosen_operation_id, report
from murmuration.cli.decoding import decode
from murmuration.cli.errors import Usage
from murmuration.cli.session import Session
from murmuration.proto.api import ActionRequest, HeldList

HELD = "/api/v1/held"
NO_SUCH_EFFECT = "`mur bus held list` shows what is there."
_NAME = re.compile(r"([a-z]+):([1-9][0-9]{0,17})")


def list_held(*, session: Session) -> None:
    """List effects that must not happen twice, and of which nobody knows whether they happened.

    They are held since their service's database was put back to an older copy. What can be
    observed settles itself; the rest waits for you.
    """
    body = session.client.get(HELD)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.held import held_table

    session.print(*held_table(decode(body, HeldList), now=session.now()))


def confirm(effect: str, /, *, operation_id: str | None = None, session: Session) -> None:
    """Have a held effect done after all, once: you know that it did not happen, or wanted again.

    Args:
        effect: The effect as `mur bus held list` names it, for example mtce:3.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    request = ActionRequest(operation_id=chosen_operation_id(operation_id))
    path = f"{_path(effect)}/confirm"
    report(session.client.change("POST", path, request, hint=NO_SUCH_EFFECT), session)


def drop(effect: str, /, *, operation_id: str | None = None, session: Session) -> None:
    """Have a held effect not done: it counts as failed, with what follows from that.

    Args:
        effect: The effect as `mur bus held list` names it, for example mtce:3.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    request = ActionRequest(operation_id=chosen_operation_id(operation_id))
    report(session.client.change("DELETE", _path(effect), request, hint=NO_SUCH_EFFECT), session)


def _path(effect: str) -> str:
    found = _NAME.fullmatch(effect)
    if not found:
        raise Usage(f"{effect[:80]!r} is not a held effect: it is like mtce:3.", NO_SUCH_EFFECT)
    return f"{HELD}/{found[1]}/{found[2]}"
