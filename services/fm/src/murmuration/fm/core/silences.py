"""When nobody is told: silences, which end by themselves, and mute times, which come every week."""

from collections.abc import Iterable
from datetime import datetime

from murmuration.fm.core.routing import Labels, fits
from murmuration.kernel.errors import Rejected
from murmuration.proto.fm_notify import MuteTime, Silence, SilenceState, Weekday

_DAYS = tuple(day for day in Weekday if day is not Weekday.UNKNOWN)
DAY_MINUTES = 1_440


def state_of(silence: Silence, now: datetime) -> SilenceState:
    """Where a silence is in its life; it is active from its start to just before its end."""
    if now >= silence.ends_at:
        return SilenceState.EXPIRED
    return SilenceState.ACTIVE if now >= silence.starts_at else SilenceState.PENDING


def check_times(*, starts_at: datetime, ends_at: datetime, now: datetime) -> None:
    """Raises Rejected for a silence that would never be active."""
    if ends_at <= starts_at:
        raise Rejected("a silence ends after it starts")
    if ends_at <= now:
        raise Rejected("a silence ends in the future")


def silenced(silences: Iterable[Silence], labels: Labels, now: datetime) -> Silence | None:
    """The first active silence that covers an alarm with these labels."""
    return next(
        (
            silence
            for silence in silences
            if state_of(silence, now) is SilenceState.ACTIVE and fits(silence.matchers, labels)
        ),
        None,
    )


def muted(mute_times: Iterable[MuteTime], now: datetime) -> bool:
    """Whether one of these mute times is now; one that ends before it begins goes past midnight."""
    return any(_covers(one, now) for one in mute_times)


def _covers(one: MuteTime, now: datetime) -> bool:
    minute, day = now.hour * 60 + now.minute, now.weekday()
    if one.from_minute <= one.until_minute:
        return one.from_minute <= minute < one.until_minute and _on(one, day)
    if minute >= one.from_minute:
        return _on(one, day)
    return minute < one.until_minute and _on(one, day - 1)


def _on(one: MuteTime, day: int) -> bool:
    return not one.weekdays or _DAYS[day % len(_DAYS)] in one.weekdays
