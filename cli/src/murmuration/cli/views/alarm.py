"""Active alarms: the list with its roots, one in full, figures, gates."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from murmuration.cli.render import (
    SEVERITIES,
    age,
    clean,
    count_texts,
    counted,
    group,
    instant,
    is_one_line,
    is_wide,
    plain,
    table,
    word,
)
from murmuration.cli.session import Session
from murmuration.proto.api import AlarmSummary, AlarmView
from murmuration.proto.fm import Alarm
from murmuration.proto.fm_derived import GateState, HostDegrade

ID_LENGTH_MIN = 8
INDENT = "  "
ENTITY_AND_REASON = "ENTITY, REASON"
GATES = {
    "strict": "any alarm blocks",
    "relaxed": "an alarm that affects management blocks",
    "permissive": "nothing blocks",
}


@dataclass(frozen=True, kw_only=True)
class Listed:
    """Alarms as they are listed: those on top, and below a root what it explains, or some of it.

    `summary` when it is the list of all that is active; `at` when it is that of another time.
    """

    tops: tuple[AlarmView, ...]
    below: Mapping[str, tuple[AlarmView, ...]] = field(
        default_factory=dict[str, tuple[AlarmView, ...]]
    )
    summary: AlarmSummary | None = None
    at: datetime | None = None
    is_filtered: bool = False
    has_more: bool = False

    @classmethod
    def grouped(
        cls, alarms: Sequence[AlarmView], *, at: datetime | None, is_filtered: bool
    ) -> "Listed":
        """Alarms with those that one of them explains below it; of another time worst first."""
        if at is not None:
            alarms = sorted(alarms, key=_worst_first)
        uuids = {alarm.uuid for alarm in alarms}
        tops = [alarm for alarm in alarms if alarm.root_cause not in uuids]
        below: dict[str, tuple[AlarmView, ...]] = {}
        for alarm in alarms:
            if alarm.root_cause in uuids:
                below[alarm.root_cause] = (*below.get(alarm.root_cause, ()), alarm)
        return cls(tops=tuple(tops), below=below, at=at, is_filtered=is_filtered)

    def cut(self, count: int) -> "Listed":
        """The same with at most `count` on top."""
        return Listed(
            tops=self.tops[:count],
            below=self.below,
            at=self.at,
            is_filtered=self.is_filtered,
            has_more=self.has_more or len(self.tops) > count,
        )


def alarm_table(listed: Listed, *, now: datetime) -> Iterable[RenderableType]:
    """The list, its sum, or one sentence when there is nothing."""
    if not listed.tops:
        return [_nothing(listed)]
    every = [*listed.tops, *(alarm for found in listed.below.values() for alarm in found)]
    length = _id_length([alarm.uuid for alarm in every])
    about = ("ENTITY", "REASON") if is_wide() else (ENTITY_AND_REASON,)
    rows = table("SEVERITY", "ALARM", *about, "AGE", "ID", flexible=about)
    for top in listed.tops:
        _add(rows, top, now=now, length=length, indent="")
        shown = listed.below.get(top.uuid, ())
        for alarm in shown:
            _add(rows, alarm, now=now, length=length, indent=INDENT)
        left = top.impacted_count - len(shown) if listed.at is None else 0
        if left > 0 and not is_one_line():
            more = f"and {left} more" if shown else f"explains {counted(left, 'alarm')}"
            hint = _more_hint(top, length)
            rows.add_row("", "", *_about(Text(f"{INDENT}{more}", style="dim"), hint), "", "")
    return [rows] if is_one_line() else [rows, Text(), *_sums(listed, len(every))]


def _add(rows: Table, alarm: Alarm, *, now: datetime, length: int, indent: str) -> None:
    reason = plain(alarm.reason_text)
    if marks := _marks(alarm):
        joint = " [" if is_one_line() else "\n"
        reason.append(f"{joint}{', '.join(marks)}{']' if is_one_line() else ''}", style="dim")
    rows.add_row(
        Text.assemble(indent, word(alarm.severity)),
        plain(alarm.alarm_id),
        *_about(plain(alarm.entity), reason),
        plain(age(alarm.first_raised_at, now)),
        plain(alarm.uuid[:length], style="dim"),
    )


def _about(entity: Text, reason: Text) -> tuple[Text, ...]:
    """Both in a column each where there is room, else one above the other."""
    return (entity, reason) if is_wide() else (Text("\n").join((entity, reason)),)


def _more_hint(root: Alarm, length: int) -> Text:
    return Text(f"mur alarm list --root {root.uuid[:length]}", style="dim")


def _marks(alarm: Alarm) -> list[str]:
    """What else is to be known of an alarm, in a few words."""
    found = [
        f"acknowledged by {clean(alarm.acknowledged_by)}" if alarm.acknowledged_at else "",
        counted(len(alarm.comments), "comment") if alarm.comments else "",
        "masked" if alarm.masked else "",
        "suppressed" if alarm.suppressed else "",
        "flapping" if alarm.flapping else "",
        "stale: its producer is silent" if alarm.stale else "",
        "not in the catalogue" if alarm.quarantined else "",
    ]
    return [mark for mark in found if mark]


def _nothing(listed: Listed) -> Text:
    if listed.is_filtered:
        return Text("No active alarm is like that.")
    if listed.at is not None:
        return Text("No alarm was active then.")
    text = Text("No active alarms.")
    hidden = _hidden(listed.summary) if listed.summary is not None else ""
    return text.append(f" {hidden}") if hidden else text


def _sums(listed: Listed, shown: int) -> list[RenderableType]:
    summary = listed.summary
    if summary is None:
        more = " There are more: --all lists them." if listed.has_more else ""
        when = "alarm was active" if listed.at is not None and shown == 1 else "alarm"
        if listed.at is not None and shown != 1:
            return [Text(f"{shown} alarms were active then.{more}")]
        return [Text(f"{counted(shown, when)}{' then' if listed.at else ''}.{more}")]
    lines: list[RenderableType] = [*summary_view(summary)]
    if listed.has_more:
        lines.append(Text(f"The first {len(listed.tops)} are shown: --all lists all."))
    return lines


def summary_view(summary: AlarmSummary) -> Iterable[RenderableType]:
    """The figures of active alarms in a few sentences."""
    count = sum(getattr(summary.counts, severity.value) for severity in SEVERITIES)
    text = Text(f"{counted(count, 'active alarm')}")
    if count:
        text = Text.assemble(text, ": ", Text(", ").join(count_texts(summary.counts)))
    text.append(".")
    if summary.impacted_count:
        roots = counted(summary.root_count, "root cause")
        verb = "explains" if summary.root_count == 1 else "explain"
        text.append(f" {roots} {verb} {summary.impacted_count} of them.")
    if summary.acknowledged_count:
        verb = "is" if summary.acknowledged_count == 1 else "are"
        text.append(f" {summary.acknowledged_count} {verb} acknowledged.")
    found: list[RenderableType] = [text]
    if hidden := _hidden(summary):
        found.append(Text(hidden, style="dim"))
    return found


def _hidden(summary: AlarmSummary) -> str:
    parts = [
        f"{summary.masked_count} masked (--masked)" if summary.masked_count else "",
        f"{summary.suppressed_count} suppressed (--suppressed)" if summary.suppressed_count else "",
    ]
    shown = " and ".join(part for part in parts if part)
    return f"Not shown: {shown}." if shown else ""


def alarm_view(alarm: AlarmView, *, session: Session) -> Iterable[RenderableType]:
    """One alarm in full."""
    title = Text.assemble(
        word(alarm.severity), "  ", (clean(alarm.alarm_id), "bold"), "  ", clean(alarm.entity)
    )
    if marks := [mark for mark in _marks(alarm) if "comment" not in mark]:
        title.append(f"  [{', '.join(marks)}]", style="magenta")
    more = [(clean(key), plain(value)) for key, value in alarm.additional.items() if value]
    return [
        title,
        *group("What", _what(alarm)),
        *group("Cause", _cause(alarm)),
        *group("When and who", _when(alarm, session)),
        *group("Comments", _comments(alarm, session)),
        *group("Further", more),
    ]


def _what(alarm: Alarm) -> list[tuple[str, RenderableType]]:
    service = "affected" if alarm.service_affecting else "not affected"
    rows: list[tuple[str, RenderableType]] = [
        ("Reason", plain(alarm.reason_text)),
        ("What to do", plain(alarm.proposed_repair_action)),
        ("Service", plain(service)),
        ("Type", plain(alarm.alarm_type)),
        ("Probable cause", plain(alarm.probable_cause)),
    ]
    if alarm.specific_problem:
        rows.append(("Problem", plain(alarm.specific_problem)))
    if alarm.reported_severity is not None:
        rows.append(("Reported as", plain(f"{alarm.reported_severity}; the profile says else")))
    if alarm.threshold is not None:
        found = alarm.threshold
        unit = f" {found.unit}" if found.unit else ""
        rows.append(
            (
                "Threshold",
                plain(f"{found.attribute}: {found.observed:g}{unit}, {found.level:g} crossed"),
            )
        )
    affects = [
        name
        for name, affected in (
            ("orchestration", alarm.management_affecting),
            ("the host's health", alarm.degrade_affecting),
        )
        if affected
    ]
    if affects:
        rows.append(("Affects", plain(" and ".join(affects))))
    return rows


def _cause(alarm: AlarmView) -> list[tuple[str, RenderableType]]:
    rows: list[tuple[str, RenderableType]] = []
    if alarm.root_cause:
        rows.append(("Root cause", plain(alarm.root_cause)))
        rows.append(("Found by", plain(alarm.correlated_by)))
    if alarm.impacted_count:
        start = alarm.uuid[:ID_LENGTH_MIN]
        rows.append(("Explains", plain(f"{counted(alarm.impacted_count, 'alarm')}")))
        rows.append(("", Text(f"mur alarm list --root {start}", style="dim")))
    return rows


def _when(alarm: Alarm, session: Session) -> list[tuple[str, RenderableType]]:
    now = session.now()

    def moment(at: datetime) -> Text:
        return plain(f"{age(at, now)} ago, {instant(session.moment(at))}")

    rows: list[tuple[str, RenderableType]] = [("First raised", moment(alarm.first_raised_at))]
    if alarm.changed_at is not None and alarm.changed_at > alarm.first_raised_at:
        rows.append(("Changed", moment(alarm.changed_at)))
    if alarm.raise_count > 1:
        rows.append(("Last raised", moment(alarm.last_raised_at)))
        rows.append(("Raised", plain(counted(alarm.raise_count, "time"))))
    if alarm.flap_count:
        rows.append(("Came and went", plain(counted(alarm.flap_count, "time"))))
    if alarm.acknowledged_at is not None:
        who = Text.assemble(plain(alarm.acknowledged_by), ", ", moment(alarm.acknowledged_at))
        rows.append(("Acknowledged", who))
    return [*rows, ("By", plain(alarm.producer)), ("UUID", plain(alarm.uuid))]


def _comments(alarm: Alarm, session: Session) -> list[tuple[str, RenderableType]]:
    return [
        (
            clean(each.author),
            Text.assemble(
                plain(each.text), Text(f"  {instant(session.moment(each.at))}", style="dim")
            ),
        )
        for each in alarm.comments
    ]


def gates_view(
    gates: Sequence[GateState], degrades: Sequence[HostDegrade], *, session: Session
) -> Iterable[RenderableType]:
    """The gates of orchestrated changes, and the hosts that alarms degrade."""
    now = session.now()
    if not gates and not degrades:
        return [Text("fm has told of no gate yet.")]
    rows = table("GATE", "STATE", "SINCE", "BECAUSE", flexible=("BECAUSE",))
    for gate in gates:
        state = Text("blocked", style="red") if gate.blocked else Text("free", style="green")
        why = counted(gate.cause_count, "alarm") if gate.blocked else GATES.get(gate.gate, "")
        rows.add_row(plain(gate.gate), state, plain(age(gate.since, now)), plain(why))
    hosts = table("DEGRADED HOST", "SINCE", "BY")
    for each in degrades:
        alarms = counted(each.cause_count, "alarm")
        hosts.add_row(plain(each.host), plain(age(each.since, now)), plain(alarms))
    return [rows, Text(), hosts if degrades else Text("No host is degraded by an alarm.")]


def _worst_first(alarm: AlarmView) -> tuple[bool, int, float]:
    order = [severity.value for severity in SEVERITIES]
    rank = order.index(alarm.severity) if alarm.severity in order else len(order)
    return (bool(alarm.root_cause), rank, -alarm.first_raised_at.timestamp())


def _id_length(uuids: Sequence[str]) -> int:
    """The fewest characters, at least 8, that tell all of these apart."""
    return next(
        (n for n in range(ID_LENGTH_MIN, 36) if len({uuid[:n] for uuid in uuids}) == len(uuids)),
        36,
    )
