"""Active alarms in the order people read them, kept sorted so that a page is a slice.

Order: what no other alarm explains comes first (root causes and uncorrelated ones), then what is
explained by a root; within each worst severity first, newest first raise first, then uuid.
Alarms stand on four shelves, by whether they are masked and whether they are suppressed: a list
that leaves those out costs nothing for the thousands that are.

With 100,000 alarms an insertion moves less than a megabyte of pointers; a page costs its own
length. Strings that thousands of alarms share are held once.
"""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from typing import NamedTuple

from msgspec.structs import asdict, force_setattr

from murmuration.proto.api import AlarmCounts, AlarmSummary, AlarmView
from murmuration.proto.entities import components, host_of
from murmuration.proto.envelope import encode
from murmuration.proto.fm import Alarm
from murmuration.proto.fm_vocabulary import Severity

RANKS = {
    Severity.CRITICAL: 0,
    Severity.MAJOR: 1,
    Severity.MINOR: 2,
    Severity.WARNING: 3,
    Severity.INDETERMINATE: 4,
    Severity.UNKNOWN: 5,
}
SHARED = (
    "alarm_id",
    "probable_cause",
    "proposed_repair_action",
    "producer",
    "root_cause",
    "correlated_by",
)
SHARED_MAX = 20_000  # different strings kept for sharing; texts of a catalogue are hundreds

SortKey = tuple[int, int, int, str]  # impacted, severity's rank, negative first raise in µs, uuid
Term = str  # a kind, a blank, a value: `entity host=c-1`, `root <uuid>`
_FIRST = -(2**63)
ACKNOWLEDGED: Term = "acknowledged "


class AlarmQuery(NamedTuple):
    """Which alarms a list is to hold. `uuid` is the beginning of one.

    `entity` keeps those whose path has every component of it; `root` those explained by that
    alarm; `roots_only` those that nothing explains. `masked` and `suppressed` let such ones in.
    """

    severity: Severity | None = None
    alarm_id: str | None = None
    entity: str | None = None
    root: str | None = None
    acknowledged: bool | None = None
    uuid: str | None = None
    roots_only: bool = False
    masked: bool = False
    suppressed: bool = False

    @property
    def terms(self) -> tuple[Term, ...]:
        """What an index can answer of it."""
        found: list[Term] = [f"entity {each}" for each in components(self.entity or "") if each]
        if self.alarm_id is not None:
            found.append(f"id {self.alarm_id}")
        if self.root is not None:
            found.append(f"root {self.root}")
        if self.acknowledged:
            found.append(ACKNOWLEDGED)
        return tuple(found)


def sort_key(alarm: Alarm) -> SortKey:
    """Where an alarm stands among all."""
    raised_us = round(alarm.first_raised_at.timestamp() * 1e6)
    return (int(bool(alarm.root_cause)), RANKS[alarm.severity], -raised_us, alarm.uuid)


def terms_of(alarm: Alarm) -> set[Term]:
    """All that an alarm can be found by."""
    found: set[Term] = {f"entity {each}" for each in components(alarm.entity)}
    found.add(f"id {alarm.alarm_id}")
    if alarm.root_cause:
        found.add(f"root {alarm.root_cause}")
    if alarm.acknowledged_at is not None:
        found.add(ACKNOWLEDGED)
    return found


class _Shelf:
    """Sorted keys of some alarms, and sorted again under each of their terms.

    A term that one alarm alone has (most of them: a port, a process) holds its key without a list.
    """

    def __init__(self) -> None:
        self.keys: list[SortKey] = []
        self._by_term: dict[Term, SortKey | list[SortKey]] = {}
        self.counts: Counter[Severity] = Counter()
        self.root_count = 0  # terms of the kind "root"

    def add(self, alarm: Alarm, *, sort: bool = True) -> None:
        """Take an alarm's key in; without `sort` the caller sorts afterwards."""
        key = sort_key(alarm)
        place = insort if sort else list[SortKey].append
        place(self.keys, key)
        for term in terms_of(alarm):
            known = self._by_term.get(term)
            if isinstance(known, list):
                place(known, key)
            elif known is not None:
                self._by_term[term] = [min(known, key), max(known, key)]
            else:
                self._by_term[term] = key
                self.root_count += term.startswith("root ")
        self.counts[alarm.severity] += 1

    def sort(self) -> None:
        """Put in order what was added without."""
        self.keys.sort()
        for known in self._by_term.values():
            if isinstance(known, list):
                known.sort()

    def discard(self, alarm: Alarm) -> None:
        """Let a key go that is here."""
        key = sort_key(alarm)
        del self.keys[bisect_left(self.keys, key)]
        for term in terms_of(alarm):
            known = self._by_term[term]
            if isinstance(known, list) and len(known) > 1:
                del known[bisect_left(known, key)]
            else:
                del self._by_term[term]
                self.root_count -= term.startswith("root ")
        self.counts[alarm.severity] -= 1

    def having(self, term: Term) -> Sequence[SortKey]:
        """Keys of those that have this term, in order."""
        known = self._by_term.get(term, [])
        return known if isinstance(known, list) else [known]

    def count(self, term: Term) -> int:
        """How many have this term."""
        return len(self.having(term))

    def walk(self, query: AlarmQuery, after: SortKey | None) -> Iterator[SortKey]:
        """Keys behind `after` that may be what the query wants, in order."""
        keys: Sequence[SortKey] = self.keys
        if query.terms:
            keys = min((self.having(term) for term in query.terms), key=len)
        for impacted in (0,) if query.roots_only else (0, 1):
            low, high = (impacted, 0), (impacted + 1, 0)
            if query.severity is not None:
                rank = RANKS[query.severity]
                low, high = (impacted, rank), (impacted, rank + 1)
            start = bisect_left(keys, (*low, _FIRST, ""))
            if after is not None:
                start = max(start, bisect_right(keys, after))
            for place in range(start, bisect_left(keys, (*high, _FIRST, ""))):
                yield keys[place]


class Pool:
    """Holds once what thousands of alarms have alike: without it they take half as much again.

    It changes which object a field refers to, never its value.
    """

    def __init__(self) -> None:
        self._strings: dict[str, str] = {}
        self._nothing: dict[str, str] = {}

    def share(self, alarm: Alarm) -> None:
        """Let an alarm use what others have."""
        if len(self._strings) > SHARED_MAX:
            self._strings.clear()
        for field in SHARED:
            text = getattr(alarm, field)
            force_setattr(alarm, field, self._strings.setdefault(text, text))
        if not alarm.additional:
            force_setattr(alarm, "additional", self._nothing)
        if alarm.last_raised_at == alarm.first_raised_at:
            force_setattr(alarm, "last_raised_at", alarm.first_raised_at)


class AlarmIndex:
    """Alarms by uuid, on their shelves, with what a summary says of them."""

    def __init__(self) -> None:
        self._by_uuid: dict[str, Alarm] = {}
        self._uuids: list[str] = []
        self._shelves = {(m, s): _Shelf() for m in (False, True) for s in (False, True)}
        self._host_counts: dict[str, Counter[Severity]] = {}
        self._pool = Pool()

    def __len__(self) -> int:
        return len(self._by_uuid)

    def get(self, uuid: str) -> Alarm | None:
        """The alarm with this uuid."""
        return self._by_uuid.get(uuid)

    def add(self, alarm: Alarm) -> None:
        """Take one alarm in; one with the same uuid is replaced."""
        if alarm.uuid in self._by_uuid:
            self.discard(alarm.uuid)
        insort(self._uuids, alarm.uuid)
        self._note(alarm)
        self._shelf(alarm).add(alarm)

    def fill(self, alarms: Iterable[Alarm]) -> None:
        """Take in many at once, none of which is there yet: one sort instead of many insertions."""
        for alarm in alarms:
            self._uuids.append(alarm.uuid)
            self._note(alarm)
            self._shelf(alarm).add(alarm, sort=False)
        self._uuids.sort()
        for shelf in self._shelves.values():
            shelf.sort()

    def discard(self, uuid: str) -> None:
        """Let an alarm go; nothing happens when it is not there."""
        alarm = self._by_uuid.pop(uuid, None)
        if alarm is None:
            return
        del self._uuids[bisect_left(self._uuids, uuid)]
        self._shelf(alarm).discard(alarm)
        host = _counted_at(alarm)
        if host is not None:
            counts = self._host_counts[host]
            counts[alarm.severity] -= 1
            if not counts.total():
                del self._host_counts[host]

    def clear(self) -> None:
        """Let all go."""
        self.__init__()

    def _shelf(self, alarm: Alarm) -> _Shelf:
        return self._shelves[alarm.masked, alarm.suppressed]

    def _note(self, alarm: Alarm) -> None:
        self._pool.share(alarm)
        self._by_uuid[alarm.uuid] = alarm
        host = _counted_at(alarm)
        if host is not None:
            self._host_counts.setdefault(host, Counter())[alarm.severity] += 1

    # ------------------------------------------------------------------- counts

    @property
    def counts(self) -> AlarmCounts:
        """Alarms of the site by severity, without masked and suppressed ones."""
        return _counts(self._shelves[False, False].counts)

    def counts_with_suppressed(self) -> AlarmCounts:
        """The same, suppressed ones included."""
        shown, hidden = self._shelves[False, False], self._shelves[False, True]
        return _counts(shown.counts + hidden.counts)

    def counts_of(self, host: str) -> AlarmCounts:
        """Alarms of one host by severity: those whose entity names exactly this host."""
        return _counts(self._host_counts.get(host, Counter()))

    def impacted_count(self, uuid: str) -> int:
        """How many alarms this one explains, without masked and suppressed ones."""
        return self._shelves[False, False].count(f"root {uuid}")

    @property
    def summary(self) -> AlarmSummary:
        """What is wrong, in one line of figures."""
        shown = self._shelves[False, False]
        impacted_from = bisect_left(shown.keys, (1, 0, _FIRST, ""))
        return AlarmSummary(
            counts=self.counts,
            root_count=shown.root_count,
            impacted_count=len(shown.keys) - impacted_from,
            acknowledged_count=shown.count(ACKNOWLEDGED),
            masked_count=sum(len(self._shelves[True, s].keys) for s in (False, True)),
            suppressed_count=sum(len(self._shelves[m, True].keys) for m in (False, True)),
        )

    # ------------------------------------------------------------------ reading

    def page(
        self, query: AlarmQuery, *, after: SortKey | None, limit: int
    ) -> tuple[list[Alarm], SortKey | None]:
        """Up to `limit` alarms behind `after`, and the key to go on from (None at the end)."""
        found: list[Alarm] = []
        last: SortKey | None = None
        for alarm, key in self._matching(query, after):
            if len(found) == limit:
                return found, last
            found.append(alarm)
            last = key
        return found, None

    def _matching(
        self, query: AlarmQuery, after: SortKey | None
    ) -> Iterator[tuple[Alarm, SortKey]]:
        keys = self._found_by_uuid(query.uuid, after) if query.uuid else self._walk(query, after)
        is_decided = not query.uuid and len(query.terms) < 2 and query.acknowledged is not False
        for key in keys:
            alarm = self._by_uuid[key[3]]
            if is_decided or is_like(alarm, query):
                yield alarm, key

    def _walk(self, query: AlarmQuery, after: SortKey | None) -> Iterator[SortKey]:
        shelves = [
            shelf
            for (masked, suppressed), shelf in self._shelves.items()
            if masked <= query.masked and suppressed <= query.suppressed
        ]
        return merge(*(shelf.walk(query, after) for shelf in shelves))

    def _found_by_uuid(self, start: str, after: SortKey | None) -> Iterator[SortKey]:
        """Keys of alarms whose uuid begins so, in order."""
        keys = sorted(map(sort_key, self._beginning(start)))
        return iter(keys[bisect_right(keys, after) :] if after is not None else keys)

    def _beginning(self, start: str) -> Iterator[Alarm]:
        """Alarms whose uuid begins so."""
        for place in range(bisect_left(self._uuids, start), len(self._uuids)):
            if not self._uuids[place].startswith(start):
                return
            yield self._by_uuid[self._uuids[place]]


def encode_view(alarm: Alarm, impacted_count: int) -> bytes:
    """An AlarmView as JSON, without making one."""
    body = encode(alarm)
    return b'%b,"impacted_count":%d}' % (body[:-1], impacted_count) if impacted_count else body


def alarm_view(alarm: Alarm, impacted_count: int) -> AlarmView:
    """An alarm, and how many others it explains."""
    return AlarmView(**asdict(alarm), impacted_count=impacted_count)


def is_like(alarm: Alarm, query: AlarmQuery) -> bool:
    """Whether an alarm is what a query wants, looked at by itself."""
    return (
        alarm.uuid.startswith(query.uuid or "")
        and alarm.masked <= query.masked
        and alarm.suppressed <= query.suppressed
        and query.severity in (None, alarm.severity)
        and query.acknowledged in (None, alarm.acknowledged_at is not None)
        and not (query.roots_only and alarm.root_cause)
        and set(query.terms) <= terms_of(alarm)
    )


def _counted_at(alarm: Alarm) -> str | None:
    """The host whose figures an alarm is part of."""
    return None if alarm.masked or alarm.suppressed else host_of(alarm.entity)


def _counts(found: Counter[Severity]) -> AlarmCounts:
    return AlarmCounts(
        critical=found[Severity.CRITICAL],
        major=found[Severity.MAJOR],
        minor=found[Severity.MINOR],
        warning=found[Severity.WARNING],
        indeterminate=found[Severity.INDETERMINATE] + found[Severity.UNKNOWN],
    )
