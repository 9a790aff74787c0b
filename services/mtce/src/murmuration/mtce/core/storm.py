"""Storms: hosts that fall silent together have one cause, and restarting them is not its cure.

Losses of one moment are put down to what their hosts share: a link of the controller, a switch, a
network, a rack, a power feed, a broker. A cause is believed when at least `threshold` hosts that
share it fell silent within `window_s`, and they are at least half of all hosts that share it. The
one that explains most is taken first; of two that explain as much, the one fewer other hosts share.
Losses of one moment that share nothing are a storm of unknown cause as soon as there are
`threshold` of them: the guard that operators know as multi-node failure avoidance (MNFA).

While a storm lasts its hosts are not restarted. It calms when half of its hosts are back; one of
unknown cause also after `hold_s`, while a cause that is known is for people to mend, however long.
Then those that stay away are let go one by one, `stagger_s` apart, so that not all restart at once.
It is over when none is held.

Invariants: a host is in one storm at most; a host that is heard again is held by none; the same
facts give the same step. All is worked out from what is recorded, so a restart loses nothing.
"""

import enum
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from murmuration.proto.ids import HostName

SHARE_MIN = 0.5  # of the hosts that share a cause; fewer: it works for most, so it is not the cause


class Kind(enum.StrEnum):
    """What hosts may share; the value is what people read."""

    LINK = "controller link"
    SWITCH = "switch"
    NETWORK = "network"
    RACK = "rack"
    POWER = "power feed"
    BROKER = "broker"
    UNKNOWN = "unknown cause"


class Share(NamedTuple):
    """One thing that hosts share."""

    kind: Kind
    key: str

    def __str__(self) -> str:
        return f"{self.kind.value} {self.key}".strip()


UNKNOWN = Share(Kind.UNKNOWN, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class StormPolicy:
    """The limits; seconds. `hold_s` is of unknown causes; 0: until half are back, however long."""

    window_s: float = 2.0  # the longest failure threshold apart, and a tick
    threshold: int = 2
    hold_s: float = 300.0
    stagger_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """One storm as recorded: who is held, who was let go or is back, and since when it is calm."""

    number: int
    share: Share
    begun_at: datetime
    held: frozenset[HostName]
    gone: frozenset[HostName] = frozenset()
    calm_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A storm that begins."""

    share: Share
    hosts: tuple[HostName, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StormStep:
    """What is to be done: all of it, in this order."""

    begun: tuple[Begun, ...] = ()
    joined: Mapping[int, tuple[HostName, ...]] = field(
        default_factory=dict[int, tuple[HostName, ...]]
    )
    calmed: Mapping[int, str] = field(default_factory=dict[int, str])
    released: Mapping[int, tuple[HostName, ...]] = field(
        default_factory=dict[int, tuple[HostName, ...]]
    )
    ended: Mapping[int, str] = field(default_factory=dict[int, str])

    def __bool__(self) -> bool:
        return bool(self.begun or self.joined or self.calmed or self.released or self.ended)


Shares = Mapping[HostName, frozenset[Share]]


def step(
    *,
    lost: Mapping[HostName, datetime],
    shares: Shares,
    storms: Sequence[Storm],
    now: datetime,
    policy: StormPolicy,
) -> StormStep:
    """What storms do now. `lost`: hosts that are silent, since when; `shares` of all hosts."""
    taken = {name for storm in storms for name in storm.held | storm.gone}
    window = timedelta(seconds=policy.window_s)
    fresh = {name for name, at in lost.items() if name not in taken and now - at <= window}
    joined: dict[int, tuple[HostName, ...]] = {}
    for storm in storms:
        more = _joins(storm, fresh, lost, shares)
        if more:
            joined[storm.number] = more
            fresh -= set(more)
    calmed, released, ended = _wane(storms, joined, lost, now, policy)
    return StormStep(
        begun=_begin(fresh, shares, policy),
        joined=joined,
        calmed=calmed,
        released=released,
        ended=ended,
    )


def _joins(
    storm: Storm,
    fresh: Collection[HostName],
    lost: Collection[HostName],
    shares: Shares,
) -> tuple[HostName, ...]:
    """Who falls silent while its storm still rages, also for the second time.

    One of unknown cause takes whoever comes.
    """
    if storm.calm_at is not None:
        return ()
    unknown = storm.share.kind is Kind.UNKNOWN
    first = {name for name in fresh if unknown or storm.share in shares.get(name, frozenset())}
    again = storm.gone.intersection(lost)  # before it calms, nobody is let go who is not back
    return tuple(sorted(first | again))


def _begin(fresh: set[HostName], shares: Shares, policy: StormPolicy) -> tuple[Begun, ...]:
    population = Counter(share for each in shares.values() for share in each)
    begun: list[Begun] = []
    left = set(fresh)
    while True:
        found = _best(left, shares, population, policy.threshold)
        if found is None:
            break
        share, names = found
        reason = (
            f"{len(names)} of {population[share]} hosts on {share} fell silent within"
            f" {policy.window_s:g} s: it is put down to {share}, and none of them is restarted"
        )
        begun.append(Begun(share=share, hosts=names, reason=reason))
        left -= set(names)
    if len(left) >= policy.threshold:
        reason = (
            f"{len(left)} hosts that share no known cause fell silent within {policy.window_s:g} s:"
            " so many at once are not restarted before it is known why"
        )
        begun.append(Begun(share=UNKNOWN, hosts=tuple(sorted(left)), reason=reason))
    return tuple(begun)


def _best(
    left: Collection[HostName], shares: Shares, population: Mapping[Share, int], threshold: int
) -> tuple[Share, tuple[HostName, ...]] | None:
    """The share that explains most of what is left, if any is believed."""
    hit: defaultdict[Share, list[HostName]] = defaultdict(list)
    for name in left:
        for share in shares.get(name, ()):
            hit[share].append(name)
    believed = [
        (-len(names), population[share], share.kind.value, share.key, share)
        for share, names in hit.items()
        if len(names) >= threshold and len(names) >= SHARE_MIN * population[share]
    ]
    if not believed:
        return None
    share = min(believed)[-1]
    return share, tuple(sorted(hit[share]))


def _wane(
    storms: Sequence[Storm],
    joined: Mapping[int, tuple[HostName, ...]],
    lost: Mapping[HostName, datetime],
    now: datetime,
    policy: StormPolicy,
) -> tuple[dict[int, str], dict[int, tuple[HostName, ...]], dict[int, str]]:
    """Which storms calm, whom they let go, and which are over."""
    calmed: dict[int, str] = {}
    released: dict[int, tuple[HostName, ...]] = {}
    ended: dict[int, str] = {}
    for storm in storms:
        if storm.number in joined:
            continue
        back = storm.held - lost.keys()
        away = sorted(storm.held & lost.keys())
        calm_at = storm.calm_at
        if calm_at is None:
            why = _calms(storm, back, now, policy)
            if why:
                calm_at, calmed[storm.number] = now, why
        due = 0
        if calm_at is not None:
            let_go = sum(name in lost for name in storm.gone)
            due = int((now - calm_at).total_seconds() // policy.stagger_s) + 1 - let_go
        let = (*sorted(back), *away[: max(0, due)])
        if let:
            released[storm.number] = let
        if calm_at is not None and len(let) == len(storm.held):
            ended[storm.number] = f"nobody is held any more for {storm.share}"
    return calmed, released, ended


def _calms(storm: Storm, back: Collection[HostName], now: datetime, policy: StormPolicy) -> str:
    """Why a storm calms now; empty when it does not."""
    everyone = len(storm.held) + len(storm.gone)
    returned = len(back) + len(storm.gone)
    if 2 * returned >= everyone:
        return f"{returned} of {everyone} hosts are heard again"
    guarded = storm.share.kind is Kind.UNKNOWN and policy.hold_s
    if guarded and (now - storm.begun_at).total_seconds() >= policy.hold_s:
        return f"it lasts {policy.hold_s:g} s: its hosts are looked at one by one"
    return ""
