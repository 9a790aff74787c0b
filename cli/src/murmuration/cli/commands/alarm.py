"""`mur alarm`: what is wrong now, and what operators do about it."""

import re
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import msgspec

from murmuration.cli.changes import author, chosen_operation_id, report
from murmuration.cli.decoding import decode
from murmuration.cli.errors import Failed, Usage
from murmuration.cli.http import Query
from murmuration.cli.moments import parse_moment, query_text
from murmuration.cli.session import Session
from murmuration.proto.api import (
    AlarmList,
    AlarmSummary,
    AlarmView,
    CommentRequest,
    DegradeList,
    GateList,
    OperatorRequest,
)

if TYPE_CHECKING:
    from murmuration.cli.views.alarm import Listed

ALARMS = "/api/v1/alarms"
NO_SUCH_ALARM = "It may have been cleared; `mur alarm list` shows what is active."
UUID_LENGTH = 36
PAGE = 1_000  # alarms asked for at once: what the site gives at most
SHOWN_MAX = 200  # alarms on a list for people, unless --all
BELOW_MAX = 3  # of what a root explains, unless --all
ROOTS_ASKED_MAX = 20  # roots whose impacted alarms are looked up for a list
_UUID_START = re.compile(r"[0-9a-f-]{4,36}")

SeverityWord = Literal["critical", "major", "minor", "warning", "indeterminate"]


def list_alarms(
    *,
    severity: SeverityWord | None = None,
    entity: str | None = None,
    alarm_id: str | None = None,
    root: str | None = None,
    unacknowledged: bool = False,
    masked: bool = False,
    suppressed: bool = False,
    at: str | None = None,
    all: bool = False,
    session: Session,
) -> None:
    """List active alarms: root causes first, what they explain below them.

    Args:
        severity: Only alarms of this severity.
        entity: Only alarms of this entity, for example host=worker-1.
        alarm_id: Only alarms of this id, for example 200.004.
        root: Only alarms that this one explains; its id as in the list.
        unacknowledged: Only alarms that nobody has acknowledged.
        masked: Masked ones too: an inhibiting alarm, as of a locked host, stands above them.
        suppressed: Suppressed ones too: an operator hid them.
        at: As the list was then: 14:03, 2026-01-31 14:03, or 2h for two hours ago.
        all: All of them, however many, as always in a pipe; else the first 200, and 3 below
            each root.
    """
    moment = parse_moment(at, "--at", session)
    query: Query = {
        "severity": severity,
        "entity": entity,
        "alarm_id": alarm_id,
        "root": resolve(root, session) if root else None,
        "acknowledged": "false" if unacknowledged else None,
        "masked": "true" if masked else None,
        "suppressed": "true" if suppressed else None,
        "at": query_text(moment),
    }
    is_filtered = any((severity, entity, alarm_id, root, unacknowledged))
    path = f"{ALARMS}/at" if moment else ALARMS
    if session.as_json:
        session.print_json(session.client.get_all(path, query | {"limit": PAGE}))
        return
    from murmuration.cli.render import is_one_line
    from murmuration.cli.views.alarm import Listed, alarm_table

    everything = all or is_one_line()
    if everything or moment or is_filtered:
        found = decode(session.client.get_all(path, query | {"limit": PAGE}), AlarmList)
        listed = Listed.grouped(found.items, at=moment, is_filtered=is_filtered)
        shown = listed if everything else listed.cut(SHOWN_MAX)
    else:
        shown = _overview(query, session)
    session.print(*alarm_table(shown, now=moment or session.now()))


def _overview(query: Query, session: Session) -> "Listed":
    """The first of what nothing explains, some of what that explains, and how many there are."""
    from murmuration.cli.views.alarm import Listed

    client = session.client
    page = decode(client.get(ALARMS, query | {"roots": "true", "limit": SHOWN_MAX}), AlarmList)
    tops = page.items
    below: dict[str, tuple[AlarmView, ...]] = {}
    for root in [top for top in tops if top.impacted_count][:ROOTS_ASKED_MAX]:
        asked = query | {"root": root.uuid, "limit": BELOW_MAX}
        below[root.uuid] = decode(client.get(ALARMS, asked), AlarmList).items
    summary = decode(client.get(f"{ALARMS}/summary"), AlarmSummary)
    return Listed(tops=tops, below=below, summary=summary, has_more=page.next is not None)


def show(alarm: str, /, *, session: Session) -> None:
    """Show one active alarm: what it means, and what to do about it.

    Args:
        alarm: The alarm's id in `mur alarm list`, or its whole UUID.
    """
    uuid = resolve(alarm, session)
    body = session.client.get(alarm_path(uuid), hint=NO_SUCH_ALARM)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.alarm import alarm_view

    session.print(*alarm_view(decode(body, AlarmView), session=session))


def summary(*, session: Session) -> None:
    """Count active alarms by severity, and what stands behind them."""
    body = session.client.get(f"{ALARMS}/summary")
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.alarm import summary_view

    session.print(*summary_view(decode(body, AlarmSummary)))


def gates(*, session: Session) -> None:
    """Show whether alarms block orchestrated changes, and which hosts they degrade."""
    bodies = [session.client.get(f"/api/v1/{noun}") for noun in ("gates", "degrades")]
    if session.as_json:
        both = {"gates": msgspec.Raw(bodies[0]), "degrades": msgspec.Raw(bodies[1])}
        session.print_json(msgspec.json.encode(both))
        return
    from murmuration.cli.views.alarm import gates_view

    found, degraded = decode(bodies[0], GateList), decode(bodies[1], DegradeList)
    session.print(*gates_view(found.items, degraded.items, session=session))


def clear(
    alarm: str, /, *, reason: str = "", operation_id: str | None = None, session: Session
) -> None:
    """Clear an active alarm by hand; it comes back if its cause is still seen.

    Args:
        alarm: The alarm's id in `mur alarm list`, or its whole UUID.
        reason: Why, for the history.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    path = alarm_path(resolve(alarm, session))
    _act("DELETE", path, reason=reason, operation_id=operation_id, session=session)


def ack(alarm: str, /, *, operation_id: str | None = None, session: Session) -> None:
    """Acknowledge an alarm: you look after it, and others see that you do.

    Args:
        alarm: The alarm's id in `mur alarm list`, or its whole UUID.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    path = f"{alarm_path(resolve(alarm, session))}/acknowledgement"
    _act("PUT", path, reason="", operation_id=operation_id, session=session)


def unack(alarm: str, /, *, operation_id: str | None = None, session: Session) -> None:
    """Take an acknowledgement back.

    Args:
        alarm: The alarm's id in `mur alarm list`, or its whole UUID.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    path = f"{alarm_path(resolve(alarm, session))}/acknowledgement"
    _act("DELETE", path, reason="", operation_id=operation_id, session=session)


def comment(alarm: str, text: str, /, *, operation_id: str | None = None, session: Session) -> None:
    """Note something on an alarm, for whoever looks at it next.

    Args:
        alarm: The alarm's id in `mur alarm list`, or its whole UUID.
        text: What to note, in quotes.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    if not text.strip():
        raise Usage("The comment is empty.")
    path = f"{alarm_path(resolve(alarm, session))}/comments"
    request = CommentRequest(
        operation_id=chosen_operation_id(operation_id), author=author(), text=text
    )
    report(session.client.change("POST", path, request, hint=NO_SUCH_ALARM), session)


def _act(
    method: str, path: str, *, reason: str, operation_id: str | None, session: Session
) -> None:
    request = OperatorRequest(
        operation_id=chosen_operation_id(operation_id), author=author(), reason=reason
    )
    report(session.client.change(method, path, request, hint=NO_SUCH_ALARM), session)


def resolve(start: str, session: Session) -> str:
    """The UUID of the active alarm that begins with `start`. Raises Usage, Failed."""
    lowered = start.lower()
    if not _UUID_START.fullmatch(lowered):
        raise Usage(
            f"{start[:80]!r} is not an alarm's id: at least 4 of its hex digits.",
            "The last column of `mur alarm list` holds it.",
        )
    if len(lowered) == UUID_LENGTH:
        return lowered
    query: Query = {"uuid": lowered, "masked": "true", "suppressed": "true", "limit": 2}
    found = decode(session.client.get(ALARMS, query), AlarmList).items
    if len(found) > 1:
        raise Usage(f"More than one alarm's id begins with {start}.", "Write more of it.")
    for alarm in found:
        return alarm.uuid
    raise Failed(f"No active alarm's id begins with {start}.", NO_SUCH_ALARM)


def alarm_path(uuid: str) -> str:
    """Where an alarm is."""
    return f"{ALARMS}/{quote(uuid, safe='')}"
