"""`mur host bmc`: where a host's BMC is, what it tells, and whether the host's workload may move.

A password is asked for at the terminal or read from standard input, never from the command line:
there everybody on the machine could see it.
"""

import getpass
import sys
from typing import Literal

import msgspec

from murmuration.cli.changes import chosen_operation_id, report
from murmuration.cli.commands.host import NO_SUCH_HOST, host_path
from murmuration.cli.decoding import decode
from murmuration.cli.errors import Usage
from murmuration.cli.session import Session
from murmuration.proto.api import ActionRequest, BmcRequest, LabelRequest
from murmuration.proto.mtce_bmc import BmcView
from murmuration.proto.sysinv import BmcProtocol, BmcTrust, HostBmc

Protocol = Literal["dynamic", "redfish", "ipmi"]
Trust = Literal["pin", "ca", "insecure", "plaintext"]


def show(host: str, /, *, session: Session) -> None:
    """Show the BMC of a host: access, power, sensors, and whether its workload may move.

    Args:
        host: The host's name.
    """
    body = session.client.get(f"{host_path(host)}/bmc", hint=NO_SUCH_HOST)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.bmc import bmc_view

    session.print(*bmc_view(decode(body, BmcView), session=session))


def declare(
    host: str,
    /,
    *,
    address: str = "",
    user: str = "",
    protocol: Protocol = "dynamic",
    trust: Trust = "pin",
    pin: str = "",
    redfish_port: int = 443,
    ipmi_port: int = 623,
    system: str = "",
    password_stdin: bool = False,
    keep_password: bool = False,
    operation_id: str | None = None,
    session: Session,
) -> None:
    """Say where the BMC of a host is; its password is asked for and kept secret.

    Args:
        host: The host's name.
        address: Host name or address of the BMC.
        user: The BMC's user.
        protocol: How it is spoken to; dynamic tries Redfish, then IPMI.
        trust: How its certificate is checked: by pin, by the system's authorities, or not.
        pin: SHA-256 of its certificate, hex, with or without colons; for trust pin.
        redfish_port: TCP port, if not 443.
        ipmi_port: UDP port, if not 623.
        system: Redfish id or UUID of the host, where one BMC has several systems.
        password_stdin: Read the password from standard input instead of the terminal.
        keep_password: Keep the password that is stored.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    if not address or not user:
        raise Usage("A BMC has an address and a user.", "Say --address and --user.")
    declared = {
        "protocol": BmcProtocol(protocol),
        "address": address,
        "user": user,
        "redfish_port": redfish_port,
        "ipmi_port": ipmi_port,
        "trust": BmcTrust(trust),
        "pin": pin.replace(":", "").lower(),
        "system": system,
    }
    try:
        bmc = msgspec.convert(declared, HostBmc)
    except msgspec.ValidationError as error:
        raise Usage(f"This is no BMC: {error}.") from error
    request = BmcRequest(
        operation_id=chosen_operation_id(operation_id),
        bmc=bmc,
        password=None if keep_password else _password(host, from_stdin=password_stdin),
    )
    path = f"{host_path(host)}/bmc"
    report(session.client.change("PUT", path, request, hint=NO_SUCH_HOST), session)


def clear(host: str, /, *, operation_id: str | None = None, session: Session) -> None:
    """Say that a host has no BMC, and forget its password.

    Args:
        host: The host's name.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    request = ActionRequest(operation_id=chosen_operation_id(operation_id))
    path = f"{host_path(host)}/bmc"
    report(session.client.change("DELETE", path, request, hint=NO_SUCH_HOST), session)


def label(host: str, labels: str, /, *, operation_id: str | None = None, session: Session) -> None:
    """Label a host: `fence=fast` lets its workload move as soon as its end is proven.

    Args:
        host: The host's name.
        labels: Comma between: key=value sets a label, key- removes it.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    wanted: dict[str, str] = {}
    removed: list[str] = []
    for word in labels.split(","):
        key, equals, value = word.partition("=")
        if equals:
            wanted[key] = value
        elif word.endswith("-") and len(word) > 1:
            removed.append(word[:-1])
        else:
            raise Usage(f"{word[:80]!r} is no label.", "Say key=value, or key- to remove it.")
    request = LabelRequest(
        operation_id=chosen_operation_id(operation_id), labels=wanted, removed=tuple(removed)
    )
    path = f"{host_path(host)}/labels"
    report(session.client.change("PATCH", path, request, hint=NO_SUCH_HOST), session)


def _password(host: str, *, from_stdin: bool) -> str:
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        password = getpass.getpass(f"Password of the BMC of {host}: ")
    else:
        raise Usage("There is no terminal to ask for the password.", "Say --password-stdin.")
    if not password:
        raise Usage("The password is empty.", "Say --keep-password to keep the stored one.")
    return password
