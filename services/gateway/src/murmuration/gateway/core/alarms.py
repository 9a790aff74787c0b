"""Active alarms in the order people read them, kept sorted so that a page is a slice.

Order: worst severity first, newest first raise first, then uuid. With 100,000 alarms an insertion
moves less than a megabyte of pointers; a page costs its own length.
"""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Iterator

from murmuration.gateway.core.entity import components, host_of
from murmuration.proto.api import AlarmCounts
from murmuration.proto.fm import Alarm, Severity

RANKS = {
    Severity.CRITICAL: 0,
    Severity.MAJOR: 1,
    Severity.MINOR: 2,
    Severity.WARNING: 3,
    Severity.INDETERMINATE: 4,
    Severity.UNKNOWN: 5,
}

SortKey = tuple[int, int, str]  # severity's rank, negative first raise in µs, uuid


def sort_key(alarm: Alarm) -> SortKey:
    """Where an alarm stands among all."""
    return (RANKS[alarm.severity], -round(alarm.first_raised_at.timestamp() * 1e6), alarm.uuid)


class AlarmIndex:
    """Alarms by uuid, sorted, and sorted again under every component of their entity."""

    def __init__(self) -> None:
        self._by_uuid: dict[str, Alarm] = {}
        self._sorted: list[SortKey] = []
        self._by_component: dict[str, list[SortKey]] = {}
        self._counts: Counter[Severity] = Counter()
        self._host_counts: dict[str, Counter[Severity]] = {}

    def __len__(self) -> int:
        return len(self._by_uuid)

    def get(self, uuid: str) -> Alarm | None:
        """The alarm with this uuid."""
        return self._by_uuid.get(uuid)

    def add(self, alarm: Alarm) -> None:
        """Take one alarm in; one with the same uuid is replaced."""
        self.discard(alarm.uuid)
        key = sort_key(alarm)
        insort(self._sorted, key)
        for component in set(components(alarm.entity)):
            insort(self._by_component.setdefault(component, []), key)
        self._note(alarm)

    def fill(self, alarms: Iterable[Alarm]) -> None:
        """Take in many at once, none of which is there yet: one sort instead of many insertions."""
        for alarm in alarms:
            key = sort_key(alarm)
            self._sorted.append(key)
            for component in set(components(alarm.entity)):
                self._by_component.setdefault(component, []).append(key)
            self._note(alarm)
        self._sorted.sort()
        for keys in self._by_component.values():
            keys.sort()

    def discard(self, uuid: str) -> None:
        """Let an alarm go; nothing happens when it is not there."""
        alarm = self._by_uuid.pop(uuid, None)
        if alarm is None:
            return
        key = sort_key(alarm)
        _remove(self._sorted, key)
        for component in set(components(alarm.entity)):
            keys = self._by_component[component]
            _remove(keys, key)
            if not keys:
                del self._by_component[component]
        self._counts[alarm.severity] -= 1
        host = host_of(alarm.entity)
        if host is not None:
            counts = self._host_counts[host]
            counts[alarm.severity] -= 1
            if not counts.total():
                del self._host_counts[host]

    def clear(self) -> None:
        """Let all go."""
        self.__init__()

    def _note(self, alarm: Alarm) -> None:
        self._by_uuid[alarm.uuid] = alarm
        self._counts[alarm.severity] += 1
        host = host_of(alarm.entity)
        if host is not None:
            self._host_counts.setdefault(host, Counter())[alarm.severity] += 1

    @property
    def counts(self) -> AlarmCounts:
        """Alarms of the site by severity."""
        return _counts(self._counts)

    def counts_of(self, host: str) -> AlarmCounts:
        """Alarms of one host by severity: those whose entity names exactly this host."""
        return _counts(self._host_counts.get(host, Counter()))

    def page(
        self,
        *,
        after: SortKey | None,
        limit: int,
        severity: Severity | None = None,
        entity: str | None = None,
    ) -> tuple[list[Alarm], SortKey | None]:
        """Up to `limit` alarms behind `after`, and the key to go on from (None at the end).

        `entity` keeps those whose path has every component of it.
        """
        wanted = components(entity) if entity else ()
        found: list[Alarm] = []
        last: SortKey | None = None
        for key in self._walk(after, severity, wanted):
            alarm = self._by_uuid[key[2]]
            if len(wanted) > 1 and not set(wanted) <= set(components(alarm.entity)):
                continue
            if len(found) == limit:
                return found, last
            found.append(alarm)
            last = key
        return found, None

    def _walk(
        self, after: SortKey | None, severity: Severity | None, wanted: tuple[str, ...]
    ) -> Iterator[SortKey]:
        keys = self._sorted
        if wanted:
            keys = min((self._by_component.get(each, []) for each in wanted), key=len)
        start = bisect_right(keys, after) if after is not None else 0
        end = len(keys)
        if severity is not None:
            rank = RANKS[severity]
            start = max(start, bisect_left(keys, (rank, -(2**63), "")))
            end = bisect_left(keys, (rank + 1, -(2**63), ""))
        for place in range(start, end):
            yield keys[place]


def _remove(keys: list[SortKey], key: SortKey) -> None:
    place = bisect_left(keys, key)
    del keys[place]


def _counts(found: Counter[Severity]) -> AlarmCounts:
    return AlarmCounts(
        critical=found[Severity.CRITICAL],
        major=found[Severity.MAJOR],
        minor=found[Severity.MINOR],
        warning=found[Severity.WARNING],
        indeterminate=found[Severity.INDETERMINATE] + found[Severity.UNKNOWN],
    )
