"""`mur alarm`: what was, why it is, what the ids mean and shall mean, and files of all that."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from murmuration.cli.changes import author, chosen_operation_id, report
from murmuration.cli.commands.alarm import (
    ALARMS,
    NO_SUCH_ALARM,
    SeverityWord,
    alarm_path,
    resolve,
)
from murmuration.cli.decoding import decode
from murmuration.cli.errors import Failed, Usage
from murmuration.cli.http import Query
from murmuration.cli.moments import parse_moment, query_text
from murmuration.cli.session import Session
from murmuration.proto.api import ProfileRequest
from murmuration.proto.fm_operators import CatalogueEntry, CataloguePage, HistoryPage, Reach, Why
from murmuration.proto.fm_vocabulary import Severity

HISTORY = "/api/v1/alarm-history"
CATALOGUE = "/api/v1/alarm-catalogue"
NO_SUCH_ID = "`mur alarm catalogue` lists them."
ReachWord = Literal["none", "warning", "minor", "major", "critical"]
LIMIT = 30  # a screen
LIMIT_MAX = 200  # what the site gives at once
KindWord = Literal["raised", "changed", "cleared", "logged"]
FormatWord = Literal["jsonl", "csv"]


def history(
    *,
    since: str | None = None,
    until: str | None = None,
    kind: KindWord | None = None,
    severity: SeverityWord | None = None,
    entity: str | None = None,
    alarm_id: str | None = None,
    limit: int = LIMIT,
    session: Session,
) -> None:
    """List what happened to alarms, and log entries, newest last.

    Args:
        since: From then on: 14:03, 2026-01-31 14:03, or 2h for two hours ago.
        until: Up to then.
        kind: Only raised, changed, cleared or logged.
        severity: Only of this severity.
        entity: Only of this entity and of what is below it, for example host=worker-1.
        alarm_id: Only of this id, for example 200.004.
        limit: How many, if not 30.
    """
    if not 1 <= limit <= LIMIT_MAX:
        raise Usage(f"--limit must be from 1 to {LIMIT_MAX}.", "`mur alarm export` gives all.")
    query: Query = {
        "since": query_text(parse_moment(since, "--since", session)),
        "until": query_text(parse_moment(until, "--until", session)),
        "kind": kind,
        "severity": severity,
        "entity": entity,
        "alarm_id": alarm_id,
        "limit": limit,
    }
    body = session.client.get(HISTORY, query)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.alarm_history import history_table

    page = decode(body, HistoryPage)
    session.print(*history_table(page.items[::-1], session=session, has_more=bool(page.next)))


def timeline(alarm: str, /, *, session: Session) -> None:
    """Show what happened to one alarm, oldest first; by its whole UUID also after it was cleared.

    Args:
        alarm: The alarm's id in `mur alarm list`, or its whole UUID.
    """
    path = f"{alarm_path(resolve(alarm, session))}/timeline"
    body = session.client.get_all(path, {"limit": LIMIT_MAX})
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.alarm_history import timeline_view

    session.print(*timeline_view(decode(body, HistoryPage).items, session=session))


def why(alarm: str, /, *, session: Session) -> None:
    """Show why an alarm is there: the chain to its root cause, with the evidence.

    Args:
        alarm: The alarm's id in `mur alarm list`, or its whole UUID.
    """
    body = session.client.get(f"{alarm_path(resolve(alarm, session))}/why", hint=NO_SUCH_ALARM)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.alarm_history import why_view

    session.print(*why_view(decode(body, Why), session=session))


def catalogue(*, id: str | None = None, session: Session) -> None:
    """List what each alarm and log id means, or show one in full: what to do about it.

    Args:
        id: One id in full, for example 200.004.
    """
    if id is not None:
        body = session.client.get(f"{CATALOGUE}/{id}", hint=NO_SUCH_ID)
    else:
        body = session.client.get_all(CATALOGUE, {"limit": LIMIT_MAX})
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.alarm_history import catalogue_table, catalogue_view

    if id is not None:
        session.print(*catalogue_view(decode(body, CatalogueEntry)))
    else:
        session.print(*catalogue_table(decode(body, CataloguePage).items))


def profile(
    alarm_id: str,
    /,
    *,
    severity: SeverityWord | None = None,
    blocks_from: ReachWord | None = None,
    degrades_from: ReachWord | None = None,
    reset: bool = False,
    comment: str = "",
    operation_id: str | None = None,
    session: Session,
) -> None:
    """Say otherwise than the catalogue about one id; active alarms are judged anew.

    What is not given is as the catalogue has it: one profile takes the place of another.

    Args:
        alarm_id: The id, for example 100.101.
        severity: Given to every alarm of the id, whatever its producer says.
        blocks_from: From which severity on it blocks orchestrated changes.
        degrades_from: From which severity on it degrades its host.
        reset: As the catalogue has it, in all.
        comment: Why, for those who wonder.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    if reset == any((severity, blocks_from, degrades_from)):
        raise Usage(
            "Say what is otherwise: --severity, --blocks-from, --degrades-from; or --reset."
        )
    request = ProfileRequest(
        operation_id=chosen_operation_id(operation_id),
        severity=Severity(severity) if severity else None,
        management_reach=Reach(blocks_from) if blocks_from else None,
        degrade_reach=Reach(degrades_from) if degrades_from else None,
        author=author(),
        comment=comment,
    )
    path = f"{CATALOGUE}/{quote(alarm_id, safe='')}/profile"
    report(session.client.change("PUT", path, request, hint=NO_SUCH_ID), session)


def export(
    *,
    format: FormatWord = "jsonl",
    history: bool = False,
    since: str | None = None,
    until: str | None = None,
    output: Path | None = None,
    session: Session,
) -> None:
    """Write active alarms, or with --history all that happened, as JSON Lines or CSV.

    Args:
        format: jsonl (a record a line) or csv (for a spreadsheet).
        history: What happened, newest first, instead of what is active.
        since: History from then on: 14:03, 2026-01-31 14:03, or 2h for two hours ago.
        until: History up to then.
        output: The file to write; else stdout.
    """
    if not history and (since or until):
        raise Usage("--since and --until go with --history.")
    query: Query = {
        "format": format,
        "since": query_text(parse_moment(since, "--since", session)),
        "until": query_text(parse_moment(until, "--until", session)),
    }
    path = HISTORY if history else ALARMS
    try:
        opened = nullcontext(sys.stdout.buffer) if output is None else output.open("wb")
    except OSError as error:
        raise Failed(f"{output} cannot be written: {error.strerror}.") from error
    with opened as file:
        session.client.download(f"{path}/export", query, file.write)
        file.flush()
