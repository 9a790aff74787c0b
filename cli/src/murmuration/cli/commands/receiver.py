"""`mur receiver`: who is told of alarms, by which routes, and how it goes."""

from pathlib import Path
from typing import Literal
from urllib.parse import quote

import msgspec

from murmuration.cli.changes import author, chosen_operation_id, report
from murmuration.cli.decoding import decode
from murmuration.cli.errors import Usage
from murmuration.cli.session import Session
from murmuration.proto.api import OperatorRequest, ReceiverRequest, RoutingRequest
from murmuration.proto.fm_notify import ReceiverKind, Receivers, Routing

RECEIVERS = "/api/v1/receivers"
ROUTING = "/api/v1/routing"
NO_SUCH = "`mur receiver list` shows those there are."

KindWord = Literal["webhook", "alertmanager", "snmp"]


def list_receivers(*, session: Session) -> None:
    """List who is told of alarms, what waits for them, and why it does."""
    body = session.client.get(RECEIVERS)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.notification import receiver_table

    session.print(*receiver_table(decode(body, Receivers).items, now=session.now()))


def set_receiver(
    name: str,
    url: str,
    /,
    *,
    kind: KindWord = "webhook",
    secret: str = "",
    only_firing: bool = False,
    comment: str = "",
    operation_id: str | None = None,
    session: Session,
) -> None:
    """Add a receiver, or change it; routes say what it is told.

    Args:
        name: Its name: a-z, 0-9 and dashes.
        url: Where: http://, https://, or snmp://host:port.
        kind: How it is told.
        secret: File `receiver-<secret>` among fm's credentials: key of the signature, bearer
            token, or community.
        only_firing: Do not tell it when alarms clear.
        comment: What it is, for those who wonder.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    request = ReceiverRequest(
        operation_id=chosen_operation_id(operation_id),
        kind=ReceiverKind(kind),
        url=url,
        secret=secret,
        send_resolved=not only_firing,
        comment=comment,
        author=author(),
    )
    report(session.client.change("PUT", _path(name), request), session)


def remove(name: str, /, *, operation_id: str | None = None, session: Session) -> None:
    """Remove a receiver with what waits for it; refused while a route names it.

    Args:
        name: Its name in `mur receiver list`.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    _change("DELETE", _path(name), operation_id, session)


def try_receiver(name: str, /, *, operation_id: str | None = None, session: Session) -> None:
    """Send a test notification; `mur receiver list` shows how it went.

    Args:
        name: Its name in `mur receiver list`.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    _change("POST", f"{_path(name)}/try", operation_id, session)


def retry(name: str, /, *, operation_id: str | None = None, session: Session) -> None:
    """Send again what was given up after a day without success.

    Args:
        name: Its name in `mur receiver list`.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    _change("POST", f"{_path(name)}/retry", operation_id, session)


def routes(*, file: str | None = None, operation_id: str | None = None, session: Session) -> None:
    """Show the routes and mute times, or replace them all.

    Args:
        file: TOML or JSON in the form that `mur receiver routes --json` shows.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    if file is not None:
        request = RoutingRequest(
            operation_id=chosen_operation_id(operation_id), routing=_read(file), author=author()
        )
        report(session.client.change("PUT", ROUTING, request), session)
        return
    body = session.client.get(ROUTING)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.notification import routing_table

    session.print(*routing_table(decode(body, Routing)))


def _read(file: str) -> Routing:
    try:
        content = Path(file).read_bytes()
        if file.endswith(".json"):
            return msgspec.json.decode(content, type=Routing)
        return msgspec.toml.decode(content, type=Routing)
    except OSError as error:
        raise Usage(f"Cannot read {file}: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Usage(f"{file} is no routing: {error}.") from error


def _change(method: str, path: str, operation_id: str | None, session: Session) -> None:
    request = OperatorRequest(operation_id=chosen_operation_id(operation_id), author=author())
    report(session.client.change(method, path, request, hint=NO_SUCH), session)


def _path(name: str) -> str:
    return f"{RECEIVERS}/{quote(name, safe='')}"
