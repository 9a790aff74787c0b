"""`mur nats-user`: programs outside that hear a site's events, and hosts that may join.

Speaks to the supervisor, not to HTTP: who may open its socket runs the site.
"""

import os
from pathlib import Path
from typing import Literal

import msgspec

from murmuration.cli import control
from murmuration.cli.decoding import decode
from murmuration.cli.errors import Failed, Usage
from murmuration.cli.progress import waiting
from murmuration.cli.session import Session

Role = Literal["reader", "join"]


class NatsUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user as the site knows it; instants in seconds of Unix time, 0: never."""

    name: str
    role: str
    public: str
    created_at: int = 0
    expires_at: int = 0
    revoked_at: int = 0


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What the new user logs in with."""

    text: str


class Users(msgspec.Struct, frozen=True, kw_only=True):
    """Every user that was made."""

    users: tuple[NatsUser, ...] = ()


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it."""

    reason: str


def create(
    *,
    name: str = "",
    role: Role = "reader",
    days: int = 0,
    output: Path | None = None,
    session: Session,
) -> None:
    """Make a NATS user: a reader of events, or a host that may join.

    Args:
        name: Who it is: lower-case letters, digits and hyphens. Of a host that joins: its name.
        role: What it may do: reader hears every event, join lets a host in once.
        days: When it ends by itself; without it a reader stays, a join token lasts an hour.
        output: Write its credentials there (0600) instead of printing them.
    """
    if not name:
        raise Usage("Who is it? Say --name.", "For example: mur nats-user create --name billing")
    request = {"action": "create", "role": role, "name": name, "days": str(days)}
    body = _ask(request, f"Making {role} {name}", session)
    if output is not None:
        _write(output, decode(body, Made).text)
        from murmuration.cli.render import plain

        session.print(plain(f"Wrote {output}."))
    elif session.as_json:
        session.print_json(body)
    else:
        from murmuration.cli.output import write_text

        write_text(decode(body, Made).text)


def list_users(*, session: Session) -> None:
    """List the users that were made."""
    body = _ask({"action": "list"}, "Asking the supervisor", session)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.nats_user import user_table

    session.print(*user_table(decode(body, Users).users, session=session))


def revoke(name: str, /, *, session: Session) -> None:
    """Refuse a user from now on: its connections end, nobody else's.

    Args:
        name: The user's name, or the public key of an agent (U…).
    """
    body = _ask({"action": "revoke", "name": name}, f"Revoking {name}", session)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.render import plain

    session.print(plain(decode(body, Done).reason))


def _write(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise Usage(f"{path} is there already: name another file.") from error
    except OSError as error:
        raise Failed(f"Cannot write {path}: {error.strerror}.") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)


def _ask(request: dict[str, str], doing: str, session: Session) -> bytes:
    path = session.control_socket
    with waiting(doing):
        return control.ask(
            path, {"op": "nats-user", **request}, timeout_s=session.options.timeout_s
        )
