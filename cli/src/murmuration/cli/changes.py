"""What change commands share: the operation id, and telling what became of the request."""

import os
import secrets

from murmuration.cli.decoding import decode
from murmuration.cli.errors import Usage
from murmuration.cli.session import Session
from murmuration.proto.api import ActionReply
from murmuration.proto.ids import OPERATION_ID

AUTHOR_LENGTH_MAX = 64


def chosen_operation_id(given: str | None) -> str:
    """`given`, or an id nobody else has: 128 random bits, hex. Raises Usage when it is not one."""
    if given is None:
        return secrets.token_hex(16)
    if not OPERATION_ID.fullmatch(given):
        raise Usage("--operation-id must be 8 to 64 of A-Z, a-z, 0-9, _ and -.")
    return given


def author() -> str:
    """Who is at the keyboard, as the machine knows; `operator` where it does not."""
    name = os.environ.get("USER") or os.environ.get("LOGNAME") or ""
    return name[:AUTHOR_LENGTH_MAX] if name.isprintable() and name else "operator"


def report(body: bytes, session: Session) -> ActionReply:
    """Print what became of a change: the API's answer, or its sentence."""
    reply = decode(body, ActionReply)
    if session.as_json:
        session.print_json(body)
    else:
        from murmuration.cli.render import plain

        session.print(plain(reply.reason))
    return reply
