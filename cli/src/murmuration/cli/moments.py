"""Moments and spans as people type them: `14:03`, `2026-01-31 14:03`, RFC 3339, `2h` (ago)."""

import re
from datetime import UTC, date, datetime, time, timedelta

from murmuration.cli.errors import Usage
from murmuration.cli.session import Session

UNITS = {"s": 1, "min": 60, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"([0-9]{1,6})\s*(s|min|m|h|d|w)")


def parse_span(text: str, option: str) -> timedelta:
    """`90s`, `15min`, `2h`, `7d`. Raises Usage."""
    found = _SPAN.fullmatch(text.strip())
    if found is None or not int(found[1]):
        raise Usage(f"{option} is a span such as 15min, 2h or 7d, not {text[:40]!r}.")
    return timedelta(seconds=int(found[1]) * UNITS[found[2]])


def parse_moment(text: str | None, option: str, session: Session) -> datetime | None:
    """A moment in the past, in UTC: in the zone that times are shown in unless it names its own.

    A bare time is today's, or yesterday's where today's is still to come; a span is that long ago.
    Raises Usage.
    """
    if text is None:
        return None
    now = session.now()
    if _SPAN.fullmatch(text.strip()):
        return now - parse_span(text, option)
    shown = session.moment(now)
    try:
        found = _read(text.strip(), shown.date())
    except ValueError as error:
        raise Usage(
            f"{option} is no moment: {text[:40]!r}.",
            "Write 14:03, 2026-01-31 14:03, 2026-01-31T14:03:00Z, or 2h for two hours ago.",
        ) from error
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC) if session.options.utc else found.astimezone()
    if ":" in text and "-" not in text and found > now:
        found -= timedelta(days=1)
    return found.astimezone(UTC)


def query_text(at: datetime | None) -> str | None:
    """A moment as the API reads it."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _read(text: str, today: date) -> datetime:
    try:
        return datetime.combine(today, time.fromisoformat(text))
    except ValueError:
        return datetime.fromisoformat(text)
