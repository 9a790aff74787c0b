"""`mur host`: what hosts are, how they are, and what an operator wants of them."""

import time

from murmuration.cli.changes import chosen_operation_id, report
from murmuration.cli.decoding import decode
from murmuration.cli.errors import Failed, Usage
from murmuration.cli.progress import waiting
from murmuration.cli.session import Session
from murmuration.proto.api import (
    ActionReply,
    ActionRequest,
    HostList,
    HostView,
)
from murmuration.proto.ids import parse_host_name
from murmuration.proto.sysinv import Admission

NO_SUCH_HOST = "`mur host list` names every host."
WAIT_LIMIT_S = 120.0
WAIT_STEP_S = 0.5
BUSY = (503, 504)  # the site lags or is starting: it will show the change later


def list_hosts(*, session: Session) -> None:
    """List the hosts of the site and the state of each."""
    body = session.client.get_all("/api/v1/hosts")
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.host import host_table

    session.print(*host_table(decode(body, HostList).items, now=session.now()))


def show(host: str, /, *, session: Session) -> None:
    """Show one host: its states and why, what it is made of, its links.

    Args:
        host: The host's name.
    """
    body = session.client.get(host_path(host), hint=NO_SUCH_HOST)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.host import host_view

    session.print(*host_view(decode(body, HostView), session=session))


def accept(
    host: str,
    /,
    *,
    wait: bool = False,
    wait_limit: float = WAIT_LIMIT_S,
    operation_id: str | None = None,
    session: Session,
) -> None:
    """Accept a discovered host into the site.

    Args:
        host: The host's name.
        wait: Wait until the host is part of the site.
        wait_limit: Seconds to wait at most, if not 120.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    request = ActionRequest(operation_id=chosen_operation_id(operation_id))
    body = session.client.change("POST", f"{host_path(host)}/accept", request, hint=NO_SUCH_HOST)
    reply = report(body, session)
    if wait:
        _wait_for(host, reply, wait_limit, session)


def _wait_for(host: str, reply: ActionReply, limit_s: float, session: Session) -> None:
    """Wait until the host is accepted. Raises Failed, saying how it is, after `limit_s`."""
    deadline = time.monotonic() + limit_s
    with waiting(f"Waiting until {host} is accepted"):
        while True:
            view = _look(host, reply, session)
            if view is not None and view.admission is Admission.ACCEPTED:
                break
            if time.monotonic() > deadline:
                raise Failed(
                    f"{host} is not accepted after {limit_s:g} s: {_stands(view)}.",
                    f"The request stands; `mur host show {host}` shows how it goes on.",
                )
            time.sleep(WAIT_STEP_S)
    if not session.as_json:
        from murmuration.cli.render import plain

        session.print(plain(f"{host} is accepted."))


def _look(host: str, reply: ActionReply, session: Session) -> HostView | None:
    """The host once the site shows the change; None while it cannot."""
    try:
        body = session.client.get(host_path(host), {"wait": reply.after}, hint=NO_SUCH_HOST)
    except Failed as failed:
        if failed.problem.status in BUSY:
            return None
        raise
    return decode(body, HostView)


def _stands(view: HostView | None) -> str:
    if view is None:
        return "the site does not show the change yet"
    axes = f"it is {view.administrative}, {view.operational}, {view.availability}"
    return f"{axes}, task {view.task}" if view.task else axes


def host_path(host: str) -> str:
    """Where the API has a host. Raises Usage for what is no name of one."""
    try:
        return f"/api/v1/hosts/{parse_host_name(host)}"
    except ValueError as error:
        raise Usage(f"{error}.", NO_SUCH_HOST) from error
