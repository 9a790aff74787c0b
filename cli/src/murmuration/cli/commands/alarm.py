"""`mur alarm`: what is wrong now."""

import re
from typing import Literal
from urllib.parse import quote

from murmuration.cli.changes import chosen_operation_id, report
from murmuration.cli.decoding import decode
from murmuration.cli.errors import Failed, Usage
from murmuration.cli.session import Session
from murmuration.proto.api import ActionRequest, AlarmList
from murmuration.proto.fm import Alarm

NO_SUCH_ALARM = "It may have been cleared; `mur alarm list` shows what is active."
UUID_LENGTH = 36
_UUID_START = re.compile(r"[0-9a-fA-F-]{4,36}")

SeverityWord = Literal["critical", "major", "minor", "warning", "indeterminate"]


def list_alarms(
    *, severity: SeverityWord | None = None, entity: str | None = None, session: Session
) -> None:
    """List active alarms, worst first.

    Args:
        severity: Only alarms of this severity.
        entity: Only alarms of this entity, for example host=worker-1.
    """
    query = {"severity": severity, "entity": entity}
    body = session.client.get_all("/api/v1/alarms", {**query})
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.alarm import alarm_table

    filtered = severity is not None or entity is not None
    alarms = decode(body, AlarmList).items
    session.print(*alarm_table(alarms, now=session.now(), filtered=filtered))


def show(alarm: str, /, *, session: Session) -> None:
    """Show one active alarm: what it means, and what to do about it.

    Args:
        alarm: The alarm's id in `mur alarm list`, or its whole UUID.
    """
    uuid = _resolve(alarm, session)
    body = session.client.get(_path(uuid), hint=NO_SUCH_ALARM)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.alarm import alarm_view

    session.print(*alarm_view(decode(body, Alarm), session=session))


def clear(alarm: str, /, *, operation_id: str | None = None, session: Session) -> None:
    """Clear an active alarm by hand; it comes back if its cause is still seen.

    Args:
        alarm: The alarm's id in `mur alarm list`, or its whole UUID.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    uuid = _resolve(alarm, session)
    request = ActionRequest(operation_id=chosen_operation_id(operation_id))
    report(session.client.change("DELETE", _path(uuid), request, hint=NO_SUCH_ALARM), session)


def _resolve(start: str, session: Session) -> str:
    """The UUID that begins with `start`. Raises Usage when more than one does."""
    if not _UUID_START.fullmatch(start):
        raise Usage(
            f"{start[:80]!r} is not an alarm's id: at least 4 of its hex digits.",
            "The last column of `mur alarm list` holds it.",
        )
    if len(start) == UUID_LENGTH:
        return start
    alarms = decode(session.client.get_all("/api/v1/alarms"), AlarmList).items
    found = [alarm.uuid for alarm in alarms if alarm.uuid.startswith(start.lower())]
    if not found:
        raise Failed(f"No active alarm's id begins with {start}.", NO_SUCH_ALARM)
    if len(found) > 1:
        raise Usage(f"{len(found)} alarms' ids begin with {start}.", "Write more of it.")
    return found[0]


def _path(uuid: str) -> str:
    return f"/api/v1/alarms/{quote(uuid, safe='')}"
