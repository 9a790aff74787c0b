"""Active alarms: the list, and one in full."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.text import Text

from murmuration.cli.render import (
    SEVERITIES,
    STYLES,
    age,
    clean,
    counted,
    group,
    instant,
    is_one_line,
    plain,
    table,
    word,
)
from murmuration.cli.session import Session
from murmuration.proto.fm import Alarm

ID_LENGTH_MIN = 8
_PART = re.compile(r"([.,/])(?=[A-Za-z_-]+=)")


def alarm_table(
    alarms: Sequence[Alarm], *, now: datetime, filtered: bool
) -> Iterable[RenderableType]:
    """The list, its sum, or one sentence when there is nothing."""
    if not alarms:
        return [Text("No active alarm is like that." if filtered else "No active alarms.")]
    length = _id_length([alarm.uuid for alarm in alarms])
    rows = table(
        "SEVERITY", "ALARM", "ENTITY", "REASON", "AGE", "ID", flexible=("ENTITY", "REASON")
    )
    for alarm in alarms:
        rows.add_row(
            word(alarm.severity),
            plain(alarm.alarm_id),
            _entity(alarm.entity),
            plain(alarm.reason_text),
            plain(age(alarm.first_raised_at, now)),
            plain(alarm.uuid[:length], style="dim"),
        )
    return [rows] if is_one_line() else [rows, Text(), _sum(alarms)]


def alarm_view(alarm: Alarm, *, session: Session) -> Iterable[RenderableType]:
    """One alarm in full."""
    now = session.now()

    def moment(at: datetime) -> Text:
        return plain(f"{age(at, now)} ago, {instant(session.moment(at))}")

    title = Text.assemble(
        word(alarm.severity), "  ", (clean(alarm.alarm_id), "bold"), "  ", clean(alarm.entity)
    )
    what: list[tuple[str, RenderableType]] = [
        ("Reason", plain(alarm.reason_text)),
        ("What to do", plain(alarm.proposed_repair_action)),
        ("Service", plain("affected" if alarm.service_affecting else "not affected")),
        ("Type", plain(alarm.alarm_type)),
        ("Probable cause", plain(alarm.probable_cause)),
    ]
    when: list[tuple[str, RenderableType]] = [("First raised", moment(alarm.first_raised_at))]
    if alarm.raise_count > 1:
        when.append(("Last raised", moment(alarm.last_raised_at)))
        when.append(("Raised", plain(counted(alarm.raise_count, "time"))))
    when += [("By", plain(alarm.producer)), ("UUID", plain(alarm.uuid))]
    more = [(clean(key), plain(value)) for key, value in alarm.additional.items()]
    return [title, *group("What", what), *group("When and who", when), *group("Further", more)]


def _entity(entity: str) -> Text:
    """An entity, a line for each of its parts where lines are short."""
    shown = clean(entity)
    return Text(shown if is_one_line() else _PART.sub(r"\1\n", shown))


def _sum(alarms: Sequence[Alarm]) -> Text:
    parts = [
        Text(f"{count} {severity.value}", style=STYLES[severity.value])
        for severity in SEVERITIES
        if (count := sum(alarm.severity is severity for alarm in alarms))
    ]
    return Text.assemble(counted(len(alarms), "active alarm"), ": ", Text(", ").join(parts), ".")


def _id_length(uuids: Sequence[str]) -> int:
    """The fewest characters, at least 8, that tell all of these apart."""
    return next(
        (n for n in range(ID_LENGTH_MIN, 36) if len({uuid[:n] for uuid in uuids}) == len(uuids)),
        36,
    )
