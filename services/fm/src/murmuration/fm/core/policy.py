"""What stands above single alarms: catalogue, profiles and suppressions, as one thing to ask.

Invariant: a policy is immutable; two replicas with the same rows in their database judge alike.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from murmuration.fm.core.catalogue import Judgement, judge
from murmuration.proto.entities import components
from murmuration.proto.fm_operators import CatalogueEntry, Reach, Suppression
from murmuration.proto.fm_vocabulary import Severity


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """Where operators say otherwise than the catalogue about one id; None: as the catalogue."""

    alarm_id: str
    severity: Severity | None
    management_reach: Reach | None
    degrade_reach: Reach | None
    author: str
    comment: str


class Pattern:
    """An entity pattern: components with `*` within one; it covers what lies below it too."""

    def __init__(self, text: str) -> None:
        self._parts = [part.split("*") for part in (components(text) if text else ())]

    def covers(self, entity: tuple[str, ...]) -> bool:
        """Whether the components of an entity begin with this pattern."""
        if len(entity) < len(self._parts):
            return False
        return all(_fits(pieces, entity[place]) for place, pieces in enumerate(self._parts))


def _fits(pieces: list[str], text: str) -> bool:
    """Whether `text` is the pieces in order with anything between; linear, without backtracking."""
    if len(pieces) == 1:
        return text == pieces[0]
    first, *middle, last = pieces
    if not text.startswith(first) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return place <= end


def with_profile(entry: CatalogueEntry, profile: Profile | None) -> CatalogueEntry:
    """The entry as the operators want it."""
    if profile is None:
        return entry
    return msgspec.structs.replace(
        entry,
        severity=profile.severity,
        management_reach=profile.management_reach or entry.management_reach,
        degrade_reach=profile.degrade_reach or entry.degrade_reach,
        profile=f"{profile.author}: {profile.comment}" if profile.comment else profile.author,
    )


@dataclass(slots=True)
class _Scope:
    pattern: Pattern
    severities: frozenset[Severity]

    def covers(self, entity: tuple[str, ...], severity: Severity) -> bool:
        return (not self.severities or severity in self.severities) and self.pattern.covers(entity)


@dataclass(slots=True)
class Policy:
    """Catalogue with profiles, and suppressions, as of one generation."""

    generation: int
    catalogue: Mapping[str, CatalogueEntry]
    _inhibiting: frozenset[str] | None = None
    _scopes: dict[str, list[_Scope]] = field(default_factory=dict[str, list[_Scope]])
    _judged: dict[tuple[str, Severity], Judgement] = field(
        default_factory=dict[tuple[str, Severity], Judgement]
    )

    @property
    def inhibiting(self) -> frozenset[str]:
        """The ids whose alarms mask others."""
        if self._inhibiting is None:
            self._inhibiting = frozenset(e.id for e in self.catalogue.values() if e.inhibits)
        return self._inhibiting

    def judge(self, alarm_id: str, reported: Severity) -> Judgement:
        """What an alarm of this id and reported severity counts as."""
        key = (alarm_id, reported)
        found = self._judged.get(key)
        if found is None:
            found = judge(self.catalogue.get(alarm_id), reported)
            if found.quarantined:
                return found  # of unknown ids there may be any number
            self._judged[key] = found
        return found

    def repair(self, alarm_id: str) -> str:
        """What the catalogue says is to be done, empty for an unknown id."""
        entry = self.catalogue.get(alarm_id)
        return entry.repair if entry is not None else ""

    def suppresses(self, alarm_id: str, entity: str, severity: Severity) -> bool:
        """Whether an operator's suppression covers an alarm."""
        if not self._scopes:
            return False
        candidates = [*self._scopes.get(alarm_id, ()), *self._scopes.get("", ())]
        if not candidates:
            return False
        parts = components(entity)
        return any(scope.covers(parts, severity) for scope in candidates)


def make_policy(
    *,
    generation: int,
    catalogue: Mapping[str, CatalogueEntry],
    profiles: Iterable[Profile],
    suppressions: Iterable[Suppression],
) -> Policy:
    """The policy of these rows; a profile of an id that the catalogue has not is without effect."""
    entries = dict(catalogue)
    for profile in profiles:
        if profile.alarm_id in entries:
            entries[profile.alarm_id] = with_profile(entries[profile.alarm_id], profile)
    policy = Policy(generation, entries)
    for each in suppressions:
        scope = _Scope(Pattern(each.entity), frozenset(each.severities))
        policy._scopes.setdefault(each.alarm_id, []).append(scope)
    return policy
