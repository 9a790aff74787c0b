"""`mur bus`: what goes over the bus, and what could not."""

import re

from murmuration.cli.changes import chosen_operation_id, report
from murmuration.cli.decoding import decode
from murmuration.cli.errors import Usage
from murmuration.cli.session import Session
from murmuration.proto.api import ActionRequest, ParkedList, ParkedView

PARKED = "/api/v1/parked"
NO_SUCH_MESSAGE = "`mur bus parked list` shows what is there."
_NAME = re.compile(r"([a-z]+):([1-9][0-9]{0,17})")


def list_parked(*, session: Session) -> None:
    """List what services set aside because they could not decode or apply it."""
    body = session.client.get(PARKED)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.bus import parked_table

    session.print(*parked_table(decode(body, ParkedList), now=session.now()))


def show(message: str, /, *, session: Session) -> None:
    """Show one message that was set aside: why, its headers and its body.

    Args:
        message: The message as `mur bus parked list` names it, for example fm:3.
    """
    body = session.client.get(_path(message), hint=NO_SUCH_MESSAGE)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.bus import parked_view

    session.print(*parked_view(decode(body, ParkedView), session=session))


def retry(message: str, /, *, operation_id: str | None = None, session: Session) -> None:
    """Apply a message that was set aside, unless something newer of its entity has been.

    Args:
        message: The message as `mur bus parked list` names it, for example fm:3.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    request = ActionRequest(operation_id=chosen_operation_id(operation_id))
    path = f"{_path(message)}/retry"
    report(session.client.change("POST", path, request, hint=NO_SUCH_MESSAGE), session)


def drop(message: str, /, *, operation_id: str | None = None, session: Session) -> None:
    """Forget a message that was set aside, for good.

    Args:
        message: The message as `mur bus parked list` names it, for example fm:3.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    request = ActionRequest(operation_id=chosen_operation_id(operation_id))
    report(session.client.change("DELETE", _path(message), request, hint=NO_SUCH_MESSAGE), session)


def _path(message: str) -> str:
    found = _NAME.fullmatch(message)
    if not found:
        raise Usage(f"{message[:80]!r} is not a parked message: it is like fm:3.", NO_SUCH_MESSAGE)
    return f"{PARKED}/{found[1]}/{found[2]}"
