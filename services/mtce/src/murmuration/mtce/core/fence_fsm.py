"""The release of one host's workload: from a loss, over the wait for a proof, to the release.

It governs a single question: is it certain that what ran in the lost boot of a host runs no more?
Two copies of one workload corrupt what they share, so the answer is a typed proof or there is none.
What becomes of the host itself is another machine's; the two are coupled by inputs only.

A proof is one of these:
- power off: the BMC said off twice in a row, after it was asked to switch off if it was on;
- watchdog: the boot promised to be reset within `promise_s` after the sending of the last pulse
  that was acknowledged. Only pulses that were heard are, and none was heard for that time and a
  margin;
- good-bye: the boot said that it powers off or reboots, fell silent right then, and has had the
  time in which every service is stopped or killed;
- isolated: its links are cut at the switch. Refused as long as no switch is driven.

Invariants
- A release has a proof, and the proof is of the boot and the episode that are released.
- A release is decided once for each (host, boot, episode): RELEASED is left by ALIVE or FORGET
  only, and the store keeps the key unique beyond the record.
- A host that is heard is not released: ALIVE withdraws whatever was planned. Heard in the boot that
  was released, it contradicts the proof, which is said aloud.
- The same record, input, levels and instant give the same step.

Inputs are levels: `settle` feeds what the record lacks, and feeding a level twice changes nothing.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from murmuration.kernel.fsm import Machine, Step, Transition
from murmuration.proto.ids import BootId, HostName
from murmuration.proto.mtce_bmc import (
    FencePolicy,
    HostReleased,
    Proof,
    Release,
    ReleasePlanned,
    ReleaseWithdrawn,
)

DRIFT: Final = 1.01  # a host's clock may run 1 % slow against ours: far beyond any oscillator
MARGIN_MS: Final = 500  # between the bite of a watchdog and the end of everything that runs
RETRY: Final = timedelta(seconds=60)  # after a BMC refused for good: somebody may mend it
GOODBYE_MS: Final = 120_000  # services stop or are killed: twice what an orderly reboot takes
SHARE_MAX: Final = 0.25  # of the hosts in service that may be powered off as lost at one time
COUNT_MIN: Final = 2  # so many may be, however small the site


class FenceState(enum.Enum):
    """How far a release is."""

    QUIET = "quiet"  # the host is not lost
    RECOVERING = "recovering"  # lost; policy graceful: its recovery goes first
    PLANNED = "planned"  # its workload is to move, and waits for a proof
    RELEASED = "released"  # proven and said


class Input(enum.Enum):
    """What may happen to a release."""

    LOST = "lost"  # silent beyond the threshold, and judged so; its recovery goes first
    WANTED = "wanted"  # lost, and its workload is to move: policy fast, or the recovery failed
    PROVEN = "proven"  # the lost boot runs no more
    ALIVE = "alive"  # heard again, or another boot or episode than the one at stake
    FORGET = "forget"  # the host was removed from the inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One proof: what it is, since when it holds, and the figures it rests on."""

    proof: Proof
    at: datetime
    figures: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceRecord:
    """What is kept of one host's release; survives restarts.

    `boot_id` and `episode` name the loss; `promise_s` is what that boot promised, 0: nothing.
    `attempt` numbers the power-offs asked for, `retry_at` is when another one may be.
    """

    name: HostName
    state: FenceState = FenceState.QUIET
    boot_id: BootId
    episode: int = 0
    policy: FencePolicy = FencePolicy.GRACEFUL
    promise_s: int = 0
    evidence: Evidence | None = None
    at: datetime | None = None
    attempt: int = 0
    retry_at: datetime | None = None
    changed_at: datetime
    reason: str = ""

    @property
    def key(self) -> tuple[BootId, int]:
        """What a release is unique by, within the host."""
        return self.boot_id, self.episode

    def published(self) -> Release:
        """The record as others see it."""
        return Release(
            host=self.name,
            boot_id=self.boot_id,
            episode=self.episode,
            policy=self.policy,
            at=self.at,
            proof=self.evidence.proof if self.evidence is not None else None,
            evidence=self.evidence.figures if self.evidence is not None else {},
            reason=self.reason,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """What is known of a host at one moment.

    `silent_ms` runs from the last fresh pulse, or from the start of the watch where none came: the
    latest moment at which a pulse can have been acknowledged. `silent` is that this is long enough
    to count, `heard` that a pulse came and it is not; right after a start of the watch neither
    holds. `lost` is the verdict, `failed` that its recovery failed too. `goodbye` is how this boot
    said, right before it fell silent, that it ends; empty if it did not.
    """

    boot_id: BootId
    episode: int
    lost: bool
    failed: bool
    locked: bool
    silent_ms: int
    silent: bool
    heard: bool
    promise_s: int = 0
    goodbye: str = ""
    policy: FencePolicy = FencePolicy.GRACEFUL
    has_bmc: bool = False
    held: str = ""  # why nobody is powered off now, empty when nothing speaks against it


class PowerOff(NamedTuple):
    """Effect: prove this host's power off, for this loss."""

    host: HostName
    boot_id: BootId
    episode: int
    attempt: int
    reason: str


FenceEvent = ReleasePlanned | HostReleased | ReleaseWithdrawn
FenceStep = Step[FenceRecord | None, FenceEvent, PowerOff]
Action = Callable[[FenceRecord, Levels, datetime], FenceRecord]


def begins(record: FenceRecord, seen: Levels, _now: datetime) -> FenceRecord:
    """A loss: it is named, and what the boot promised is kept with it."""
    return replace(
        record,
        boot_id=seen.boot_id,
        episode=seen.episode,
        policy=seen.policy,
        promise_s=seen.promise_s,
        evidence=None,
        at=None,
        attempt=0,
        retry_at=None,
        reason=f"{record.name} is lost; its recovery goes first, its workload stays",
    )


def plans(record: FenceRecord, seen: Levels, now: datetime) -> FenceRecord:
    """Its workload is to move: when that can be at the latest, and by which proof."""
    fresh = record.state is FenceState.QUIET
    begun = begins(record, seen, now) if fresh else replace(record, policy=seen.policy)
    at = deadline(begun, seen, now)
    why = "policy fast" if seen.policy is FencePolicy.FAST else "its recovery failed"
    ways = ["its BMC says that it is off"] if seen.has_bmc else []
    ways += [f"its watchdog must have bitten ({begun.promise_s} s)"] if begun.promise_s else []
    ways += ["its shutdown, which it announced, must be over"] if seen.goodbye else []
    until = " or ".join(ways) or (
        "there is proof, and none is to be had by itself: it has no BMC and promised nothing"
    )
    reason = f"the workload of {record.name} is to move ({why}) as soon as {until}"
    return replace(begun, at=at, reason=reason)


def is_proven(record: FenceRecord, _seen: Levels, now: datetime) -> FenceRecord:
    """Released, by the evidence that the record holds."""
    evidence = record.evidence
    assert evidence is not None  # `settle` and `proven` feed PROVEN with evidence only
    figures = ", ".join(f"{key} {value}" for key, value in evidence.figures.items())
    said = PROOFS[evidence.proof]
    return replace(
        record,
        at=now,
        reason=f"the workload of {record.name} may move: {said} ({figures})",
    )


def is_alive(record: FenceRecord, seen: Levels, now: datetime) -> FenceRecord:
    """Heard again: whatever was planned is withdrawn."""
    boot = "the same boot" if seen.boot_id == record.boot_id else f"boot {seen.boot_id}"
    told = f"{record.name} is heard again, {boot}"
    if record.state is FenceState.RELEASED and seen.boot_id == record.boot_id:
        told += ": it was released and its proof was wrong; its workload may run twice"
    return quiet(record.name, now, told)


def quiet(name: HostName, now: datetime, reason: str = "") -> FenceRecord:
    """The record of a host that is not lost."""
    return FenceRecord(name=name, boot_id=BootId(""), changed_at=now, reason=reason)


def is_forgotten(record: FenceRecord, _seen: Levels, _now: datetime) -> FenceRecord:
    """Nobody asks about it any more."""
    return replace(record, reason=f"{record.name} was removed from the inventory")


PROOFS = {
    Proof.POWER_OFF: "its BMC says that it is off",
    Proof.WATCHDOG: "its watchdog must have bitten",
    Proof.GOODBYE: "it said good-bye",
    Proof.ISOLATED: "its links are cut",
}

_S, _I, _T = FenceState, Input, Transition[FenceState, Action]
TABLE: dict[tuple[FenceState, Input], Transition[FenceState, Action]] = {
    (_S.QUIET, _I.LOST): _T(_S.RECOVERING, begins),
    (_S.QUIET, _I.WANTED): _T(_S.PLANNED, plans),
    (_S.QUIET, _I.FORGET): _T(None, is_forgotten),
    (_S.RECOVERING, _I.WANTED): _T(_S.PLANNED, plans),
    (_S.RECOVERING, _I.ALIVE): _T(_S.QUIET, is_alive),
    (_S.RECOVERING, _I.FORGET): _T(None, is_forgotten),
    (_S.PLANNED, _I.PROVEN): _T(_S.RELEASED, is_proven),
    (_S.PLANNED, _I.ALIVE): _T(_S.QUIET, is_alive),
    (_S.PLANNED, _I.FORGET): _T(None, is_forgotten),
    (_S.RELEASED, _I.ALIVE): _T(_S.QUIET, is_alive),
    (_S.RELEASED, _I.FORGET): _T(None, is_forgotten),
}
IGNORED: frozenset[tuple[FenceState, Input]] = frozenset(
    {
        (_S.QUIET, _I.ALIVE),  # it is not lost
        (_S.QUIET, _I.PROVEN),  # of a loss that is over
        (_S.RECOVERING, _I.LOST),  # known
        (_S.RECOVERING, _I.PROVEN),  # kept by the caller until its workload is wanted
        (_S.PLANNED, _I.LOST),  # known, and beyond it
        (_S.PLANNED, _I.WANTED),
        (_S.RELEASED, _I.LOST),
        (_S.RELEASED, _I.WANTED),
        (_S.RELEASED, _I.PROVEN),  # proven already: never released twice
    }
)
MACHINE: Machine[FenceState, Input, Action] = Machine(
    name="fence", states=FenceState, inputs=Input, table=TABLE, ignored=IGNORED
)


def step(record: FenceRecord, given: Input, seen: Levels, now: datetime) -> FenceStep:
    """One input."""
    transition = MACHINE.find(record.state, given)
    if transition is None:
        return FenceStep(state=record, events=(), effects=(), reason=record.reason)
    after = transition.action(record, seen, now)
    if transition.to is None:
        said = _withdrawal(record, seen, after.reason)
        return FenceStep(state=None, events=said, effects=(), reason=after.reason)
    after = replace(after, state=transition.to, changed_at=now)
    events: tuple[FenceEvent, ...] = ()
    if transition.to is FenceState.PLANNED:
        events = (ReleasePlanned(release=after.published()),)
    elif transition.to is FenceState.RELEASED:
        events = (HostReleased(release=after.published()),)
    elif transition.to is FenceState.QUIET:
        events = _withdrawal(record, seen, after.reason)
    return FenceStep(state=after, events=events, effects=(), reason=after.reason)


def settle(record: FenceRecord, seen: Levels, now: datetime) -> tuple[FenceStep, ...]:
    """The steps that bring a record to what is known; empty when it is there."""
    steps: list[FenceStep] = []
    for given in _due(record, seen):
        found = step(record, given, seen, now)
        if found.state is not None and found.state is not record:
            steps.append(found)
            record = found.state
    if record.state is FenceState.PLANNED and not seen.held and _may_switch(record, seen, now):
        record = replace(record, attempt=record.attempt + 1, retry_at=None)
        effect = PowerOff(record.name, *record.key, record.attempt, record.reason)
        steps.append(FenceStep(state=record, events=(), effects=(effect,), reason=record.reason))
    evidence = passive_proof(record, seen, now)
    if record.state is FenceState.PLANNED and evidence is not None:
        steps.append(proven(record, evidence, seen, now))
    return tuple(steps)


def proven(record: FenceRecord, evidence: Evidence, seen: Levels, now: datetime) -> FenceStep:
    """A proof of the loss that the record is about; a host that is heard is not released by it."""
    if seen.heard or (seen.boot_id, seen.episode) != record.key:
        return FenceStep(state=record, events=(), effects=(), reason=record.reason)
    return step(replace(record, evidence=evidence), Input.PROVEN, seen, now)


def refused(record: FenceRecord, now: datetime, why: str) -> FenceRecord:
    """Its BMC will not, for good: tried again later, for somebody may mend it."""
    return replace(
        record,
        retry_at=now + RETRY,
        reason=f"the power of {record.name} cannot be switched off: {why}"[:1_000],
    )


def passive_proof(record: FenceRecord, seen: Levels, now: datetime) -> Evidence | None:
    """A proof that holds by itself, without doing anything; None while there is none."""
    if not seen.silent or (seen.boot_id, seen.episode) != record.key:
        return None
    if seen.goodbye and seen.silent_ms >= GOODBYE_MS:
        figures = {"said": seen.goodbye, "silent_ms": str(seen.silent_ms)}
        return Evidence(proof=Proof.GOODBYE, at=now, figures=figures)
    if record.promise_s and seen.silent_ms >= bite_ms(record.promise_s):
        figures = {"promise_s": str(record.promise_s), "silent_ms": str(seen.silent_ms)}
        return Evidence(proof=Proof.WATCHDOG, at=now, figures=figures)
    return None


def bite_ms(promise_s: int) -> int:
    """After how much silence a watchdog with this promise must have bitten, in milliseconds."""
    return round(promise_s * 1_000 * DRIFT) + MARGIN_MS


def deadline(record: FenceRecord, seen: Levels, now: datetime) -> datetime | None:
    """When a proof that needs nothing but time will hold; None where there is none."""
    waits = [bite_ms(record.promise_s)] if record.promise_s else []
    waits += [GOODBYE_MS] if seen.goodbye else []
    if not waits:
        return None
    return now + timedelta(milliseconds=max(0, min(waits) - seen.silent_ms))


def hold(lost_count: int, serving_count: int) -> str:
    """Why nobody is powered off: so many losses at once have a common cause. Empty when few."""
    most = max(COUNT_MIN, int(SHARE_MAX * serving_count))
    if lost_count <= most:
        return ""
    return (
        f"{lost_count} of {serving_count} hosts are lost at once, more than {most}: a common cause"
    )


def _due(record: FenceRecord, seen: Levels) -> tuple[Input, ...]:
    """Which inputs the levels are, in order."""
    at_stake = record.state is not FenceState.QUIET
    other = at_stake and (seen.boot_id, seen.episode) != record.key
    lost = seen.lost and seen.silent and not (record.state is FenceState.QUIET and seen.locked)
    if other or not seen.lost or seen.heard:
        return (Input.ALIVE, *(_loss(seen) if other and lost else ()))
    return _loss(seen) if lost else ()


def _loss(seen: Levels) -> tuple[Input, ...]:
    wanted = seen.failed or seen.policy is FencePolicy.FAST
    return (Input.WANTED,) if wanted else (Input.LOST,)


def _may_switch(record: FenceRecord, seen: Levels, now: datetime) -> bool:
    """Whether a power-off is to be asked for: none was, or the last one was refused long ago."""
    if not seen.has_bmc:
        return False
    return record.attempt == 0 or (record.retry_at is not None and now >= record.retry_at)


def _withdrawal(record: FenceRecord, seen: Levels, reason: str) -> tuple[ReleaseWithdrawn, ...]:
    if record.state not in (FenceState.PLANNED, FenceState.RELEASED):
        return ()
    released = record.state is FenceState.RELEASED
    contradicts = released and seen.boot_id == record.boot_id
    release = replace(record, reason=reason).published()
    return (ReleaseWithdrawn(release=release, contradicts=contradicts),)
