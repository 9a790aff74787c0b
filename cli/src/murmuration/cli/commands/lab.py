"""`mur lab`: break hosts for real, and heal them. Speaks to the supervisor, not to HTTP.

The platform must find out by itself, so nothing here tells it.
"""

from typing import Literal

import msgspec

from murmuration.cli import control
from murmuration.cli.decoding import decode
from murmuration.cli.progress import waiting
from murmuration.cli.session import Session

Direction = Literal["both", "from", "to"]


class LabHost(msgspec.Struct, frozen=True, kw_only=True):
    """A host as the supervisor runs it; `faults` are the actions in force on it."""

    name: str
    origin: str = ""
    observe_only: bool = False
    faults: tuple[str, ...] = ()


class LabDone(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an action."""

    reason: str


class LabStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the supervisor's status that the lab shows."""

    hosts: tuple[LabHost, ...] = ()


def list_hosts(*, session: Session) -> None:
    """List the hosts that this site runs, and what is broken about each."""
    body = _ask({"op": "status"}, "Asking the supervisor", session)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.lab import lab_table

    session.print(*lab_table(decode(body, LabStatus).hosts))


def kill(host: str, /, *, session: Session) -> None:
    """Kill the agents of a host, as a power cut would, until it is healed.

    Args:
        host: The host's name; this machine itself cannot be broken.
    """
    _break("kill", host, session)


def freeze(host: str, /, *, session: Session) -> None:
    """Freeze the agents of a host: they stop in mid-step, until it is healed.

    Args:
        host: The host's name; this machine itself cannot be broken.
    """
    _break("freeze", host, session)


def link_down(host: str, /, *, session: Session) -> None:
    """Take a host's link down, as a pulled cable would, until it is healed.

    Args:
        host: The host's name; this machine itself cannot be broken.
    """
    _break("link-down", host, session)


def partition(host: str, /, *, direction: Direction = "both", session: Session) -> None:
    """Drop everything from and to a host while its link stays up, until it is healed.

    Args:
        host: The host's name; this machine itself cannot be broken.
        direction: Only what comes from the host, or only what goes to it; both if not given.
    """
    more = {} if direction == "both" else {"direction": direction}
    _break("partition", host, session, **more)


def heal(host: str, /, *, session: Session) -> None:
    """Undo everything that was broken about a host.

    Args:
        host: The host's name; this machine itself cannot be broken.
    """
    _act("heal", host, session)


def reboot(host: str, /, *, session: Session) -> None:
    """Boot a host anew, as its reboot button would: a blink, then another boot.

    Args:
        host: The host's name; this machine itself is never rebooted.
    """
    _act("reboot", host, session)


def _break(action: str, host: str, session: Session, **more: str) -> None:
    _act(action, host, session, **more)
    if not session.as_json:
        from murmuration.cli.render import plain

        session.print(plain(f"`mur lab heal {host}` heals it.", style="dim"))


def _act(action: str, host: str, session: Session, **more: str) -> None:
    request = {"op": "lab", "action": action, "host": host, **more}
    body = _ask(request, f"Lab: {action} {host}", session)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.render import plain

    session.print(plain(decode(body, LabDone).reason))


def _ask(request: dict[str, str], doing: str, session: Session) -> bytes:
    path = session.control_socket
    with waiting(doing):
        return control.ask(path, request, timeout_s=session.options.timeout_s)
