"""Faults of the ways that pulses take, as alarms; never a failure of a host that lives.

| what | alarm | the host |
|---|---|---|
| heard on NATS, its frames by UDP do not come | 200.009 major | degraded |
| heard by another observer, here on neither | 200.009 critical | degraded |
| heard by UDP, its frames on NATS do not come | 200.018 major | degraded |
| one of these of at least half of all hosts: it is the monitor's own way | 200.019 | as it is |
| no host is heard at all, the monitor doubts itself | 200.019 critical | as it is |
"""

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from murmuration.mtce.core.levels import PathNote
from murmuration.mtce.core.verdict_table import Outcome
from murmuration.proto.fm import Severity
from murmuration.proto.ids import HostName

UDP_ALARM: Final = "200.009"
BUS_ALARM: Final = "200.018"
REACH_ALARM: Final = "200.019"
SHARE_MIN: Final = 0.5  # of the hosts that are watched, with the same fault: their cause is here
COUNT_MIN: Final = 2


class PathKey(NamedTuple):
    """What a path alarm is known by."""

    alarm_id: str
    entity: str


class PathFault(NamedTuple):
    """One path alarm; `host` is the host that it degrades, None: it degrades none."""

    key: PathKey
    host: HostName | None
    severity: Severity
    reason: str


class _About(NamedTuple):
    alarm_id: str
    severity: Severity
    way: str
    reason: str


_ABOUT: Final = {
    Outcome.PATH_ALARM: _About(
        UDP_ALARM, Severity.MAJOR, "udp", "is heard on NATS, its pulses by UDP do not come"
    ),
    Outcome.DISPUTED: _About(
        UDP_ALARM, Severity.CRITICAL, "all", "is heard by another observer, and here on no way"
    ),
    Outcome.BUS_ALARM: _About(
        BUS_ALARM, Severity.MAJOR, "nats", "is heard by UDP, its pulses on NATS do not come"
    ),
}


def faults(
    notes: Collection[PathNote], *, watched: int, doubt: str, own_host: str
) -> dict[PathKey, PathFault]:
    """The alarms that follow from what the monitor notes of `watched` hosts."""
    found: list[PathFault] = []
    for outcome, about in _ABOUT.items():
        names = sorted(note.host for note in notes if note.fault is outcome)
        if len(names) >= max(COUNT_MIN, SHARE_MIN * watched):
            reason = f"each of {len(names)} of {watched} hosts {about.reason}: the fault is here"
            key = PathKey(REACH_ALARM, f"host={own_host}.reach={about.way}")
            found.append(PathFault(key, None, about.severity, reason))
        else:
            found += (_of_host(name, about) for name in names)
    if doubt:
        key = PathKey(REACH_ALARM, f"host={own_host}.reach=all")
        found.append(PathFault(key, None, Severity.CRITICAL, doubt))
    return {fault.key: fault for fault in found}


def _of_host(name: HostName, about: _About) -> PathFault:
    key = PathKey(about.alarm_id, f"host={name}")
    return PathFault(key, name, about.severity, f"{name} {about.reason}")


def degraded(found: Iterable[PathFault]) -> set[HostName]:
    """The hosts that are degraded by these."""
    return {fault.host for fault in found if fault.host is not None}
