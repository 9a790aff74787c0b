"""Alarms and history as lines of a file: JSON Lines, or CSV (RFC 4180) for spreadsheets.

In CSV a cell that a spreadsheet would take for a formula gets a `'` in front (OWASP, CSV
injection): texts of alarms come from programs that need not be trusted.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from murmuration.proto.envelope import encode
from murmuration.proto.fm import Alarm, LogEntry
from murmuration.proto.fm_operators import HistoryEntry

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
MUST_QUOTE = frozenset('",\r\n')
ALARM_COLUMNS = (
    "severity",
    "alarm_id",
    "entity",
    "reason_text",
    "first_raised_at",
    "last_raised_at",
    "raise_count",
    "acknowledged_by",
    "acknowledged_at",
    "root_cause",
    "masked",
    "suppressed",
    "service_affecting",
    "alarm_type",
    "probable_cause",
    "proposed_repair_action",
    "producer",
    "uuid",
)
HISTORY_COLUMNS = (
    "id",
    "at",
    "recorded_at",
    "kind",
    "severity",
    "alarm_id",
    "entity",
    "reason_text",
    "changed",
    "reason",
    "author",
    "uuid",
)


def alarm_line(alarm: Alarm) -> bytes:
    """One active alarm as a line of CSV."""
    return csv_line([getattr(alarm, column) for column in ALARM_COLUMNS])


def history_line(entry: HistoryEntry) -> bytes:
    """One thing that happened as a line of CSV."""
    what = entry.alarm or entry.log
    alarm_id = what.log_id if isinstance(what, LogEntry) else what.alarm_id if what else ""
    return csv_line(
        [
            entry.id,
            entry.at,
            entry.recorded_at,
            entry.kind,
            what.severity if what else "",
            alarm_id,
            what.entity if what else "",
            what.reason_text if what else "",
            " ".join(entry.changed),
            entry.reason,
            entry.author,
            what.uuid if what else "",
        ]
    )


def json_lines(records: Iterable[Alarm | HistoryEntry]) -> bytes:
    """Records as JSON Lines."""
    return b"".join(encode(record) + b"\n" for record in records)


def csv_line(values: Sequence[object]) -> bytes:
    """Values as one line of CSV, quoted where they must be."""
    return (",".join(_quoted(_cell(value)) for value in values) + "\r\n").encode()


def _quoted(cell: str) -> str:
    return f'"{cell.replace(chr(34), chr(34) * 2)}"' if set(cell) & MUST_QUOTE else cell


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case _:
            text = str(value)
            return f"'{text}" if text.startswith(FORMULA_STARTS) else text
