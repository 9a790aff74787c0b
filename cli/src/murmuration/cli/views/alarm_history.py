"""What was, why it is, and what the ids mean."""

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from murmuration.cli.render import (
    age,
    clean,
    counted,
    group,
    is_one_line,
    plain,
    table,
    word,
)
from murmuration.cli.session import Session
from murmuration.proto.fm import Alarm, LogEntry
from murmuration.proto.fm_operators import CatalogueEntry, HistoryEntry, HistoryKind, Why
from murmuration.proto.fm_vocabulary import Severity

KIND_STYLES = {
    HistoryKind.RAISED: "red",
    HistoryKind.CHANGED: "yellow",
    HistoryKind.CLEARED: "green",
    HistoryKind.LOGGED: "cyan",
}
IMPACTED_SHOWN = 20
SAYS = {"severity", "reason_text"}  # what changes of these are told with the new text
FIELDS = {"acknowledged_by": "acknowledgement", "root_cause": "root cause"}


def history_table(
    entries: Sequence[HistoryEntry], *, session: Session, has_more: bool
) -> Iterable[RenderableType]:
    """History as a table, or one sentence when there is none."""
    if not entries:
        return [Text("No history is like that.")]
    rows = table(
        "TIME", "WHAT", "SEVERITY", "ALARM", "ENTITY, AND WHY", flexible=("ENTITY, AND WHY",)
    )
    for entry in entries:
        what = entry.alarm or entry.log
        rows.add_row(
            Text(_moment(entry, session), style="dim"),
            word(entry.kind, style=KIND_STYLES.get(entry.kind, "")),
            word(what.severity) if what else plain(""),
            plain(_id_of(what)),
            _told(entry, what),
        )
    if is_one_line() or not has_more:
        return [rows]
    hint = f"These are the newest {len(entries)}: --limit, --since and --until find others."
    return [rows, Text(), Text(hint, style="dim")]


def timeline_view(entries: Sequence[HistoryEntry], *, session: Session) -> Iterable[RenderableType]:
    """What happened to one alarm, oldest first."""
    last = entries[-1].alarm if entries else None
    if last is None:
        return [Text("No history is kept of this alarm.")]
    title = Text.assemble((clean(last.alarm_id), "bold"), "  ", clean(last.entity))
    rows = table("TIME", "WHAT", "SEVERITY", "HOW", flexible=("HOW",))
    for entry in entries:
        how = _how(entry)
        rows.add_row(
            Text(f"{session.moment(entry.at):%Y-%m-%d %H:%M:%S}", style="dim"),
            word(entry.kind, style=KIND_STYLES.get(entry.kind, "")),
            word(entry.alarm.severity) if entry.alarm else plain(""),
            plain(how),
        )
    return [title, rows]


def _how(entry: HistoryEntry) -> str:
    """What an entry adds to what was there before."""
    by = f", by {entry.author}" if entry.author else ""
    text = entry.alarm.reason_text if entry.alarm else entry.log.reason_text if entry.log else ""
    if entry.kind is HistoryKind.CLEARED:
        return f"{entry.reason or 'cleared'}{by}"
    if not entry.changed:
        return f"{text}{by}"
    told = f": {text}" if SAYS & set(entry.changed) else ""
    return f"{', '.join(map(_field, entry.changed))}{by}{told}"


def _field(name: str) -> str:
    return FIELDS.get(name, name.replace("_", " "))


def _moment(entry: HistoryEntry, session: Session) -> str:
    at, today = session.moment(entry.at), session.moment(session.now()).date()
    return f"{at:%H:%M:%S}" if at.date() == today else f"{at:%m-%d %H:%M}"


def _id_of(what: Alarm | LogEntry | None) -> str:
    return what.log_id if isinstance(what, LogEntry) else what.alarm_id if what else ""


def _told(entry: HistoryEntry, what: Alarm | LogEntry | None) -> Text:
    text = plain(what.entity if what else "")
    details = _how(entry)
    if details:
        text.append(f"{' ' if is_one_line() else chr(10)}{clean(details)}", style="dim")
    return text


def why_view(why: Why, *, session: Session) -> Iterable[RenderableType]:
    """The chain from an alarm to its root, and what the root explains."""
    now = session.now()
    lines: list[RenderableType] = [_line(why.alarm)]
    if not why.causes and not why.impacted_count:
        lines.append(Text("  Nothing explains it, and it explains nothing else."))
    for depth, cause in enumerate(why.causes, start=1):
        indent = "  " * depth
        lines.append(Text.assemble(f"{indent}because of ", _line(cause.alarm)))
        raised = age(cause.alarm.first_raised_at, now)
        reason = f"{clean(cause.reason)} ({clean(cause.rule)}; raised {raised} ago)"
        lines.append(Padding(Text(reason, style="dim"), (0, 0, 0, 2 * depth + 2)))
    if why.causes:
        root = why.causes[-1].alarm
        others = counted(why.sibling_count, "other alarm")
        lines += [Text(), Text(f"Root cause {root.uuid[:8]}, which explains {others} too.")]
    if why.impacted_count:
        lines += [Text(), Text(f"It explains {counted(why.impacted_count, 'alarm')}, on:")]
        lines += [Text(f"  {clean(entity)}") for entity in why.impacted[:IMPACTED_SHOWN]]
        left = why.impacted_count - min(len(why.impacted), IMPACTED_SHOWN)
        if left > 0:
            hint = f"  and {left} more: mur alarm list --root {why.alarm.uuid[:8]}"
            lines.append(Text(hint, style="dim"))
    return lines


def _line(alarm: Alarm) -> Text:
    return Text.assemble(
        word(alarm.severity),
        "  ",
        (clean(alarm.alarm_id), "bold"),
        "  ",
        clean(alarm.entity),
        (f"  {alarm.uuid[:8]}", "dim"),
    )


def catalogue_table(entries: Sequence[CatalogueEntry]) -> Iterable[RenderableType]:
    """Every id in a line."""
    if not entries:
        return [Text("The catalogue is empty.")]
    rows = table("ID", "KIND", "SEVERITY", "WHAT", flexible=("WHAT", "SEVERITY"))
    for entry in entries:
        severities = (entry.severity,) if entry.severity else entry.severities
        rows.add_row(
            plain(entry.id, style="bold"),
            plain(entry.kind),
            _words(severities),
            plain(entry.summary),
        )
    return [rows] if is_one_line() else [rows, Text(), Text(f"{len(entries)} ids.")]


def catalogue_view(entry: CatalogueEntry) -> Iterable[RenderableType]:
    """One id in full."""
    title = Text.assemble((clean(entry.id), "bold"), "  ", clean(entry.summary))
    rows: list[tuple[str, RenderableType]] = [
        ("Kind", plain(entry.kind)),
        ("Severity", _words(entry.severities)),
        ("What to do", plain(entry.repair)),
        ("Type", plain(", ".join(entry.alarm_types))),
        ("Probable cause", plain(entry.probable_cause)),
        ("Raised on", plain(", ".join(entry.entities))),
        (
            "Service",
            plain(
                f"affected if {', '.join(entry.service_affecting)}"
                if entry.service_affecting
                else "not affected"
            ),
        ),
        ("Orchestration", plain(_reach(entry.management_reach, "blocked"))),
        ("Host", plain(_reach(entry.degrade_reach, "degraded"))),
        ("Masked", plain("by an inhibiting alarm above" if entry.suppressible else "never")),
        ("Masks", plain("what is below its entity" if entry.inhibits else "nothing")),
    ]
    if entry.profile:
        rows.append(("Profile", plain(entry.profile)))
    return [title, *group("", rows)]


def _reach(reach: str, what: str) -> str:
    return f"not {what}" if reach == "none" else f"{what} from {reach} on"


def _words(severities: Sequence[Severity]) -> Text:
    return Text(", ").join(word(severity) for severity in severities)
