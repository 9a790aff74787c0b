"""One turn of a host: inputs go in, and what comes of them is gathered into one step.

The host's condition (`core/host_fsm.py`) and its procedures are moved by inputs alone; this is the
small machinery that finds the transition, enters the stage it leads to, and answers at once where a
stage has nothing to wait for. Pure: a turn is made from a record and gives a new one.

Invariants
- What restarts a running host (`RESTARTS`) is requested on proof alone: an operator's order, unlock
  or policy (`core/critical_fsm.py`), a verdict that stands at this moment, or a released workload.
  A host that is being enabled is out of service by an unlock or a proven failure; it is restarted
  only while it is heard or judged in this watch: after a restart of mtce that is waited for. What
  is requested for a silence says so (`HostEffect.silent`), and is not sent to a host that is heard
  again.
- An effect is waited for by exactly one frame; with the frame it is withdrawn, so that nothing is
  done later than it is wanted.
- A turn ends: it makes at most MOVES_MAX moves.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from murmuration.kernel.errors import Bug
from murmuration.kernel.fsm import Transition
from murmuration.mtce.core import host_fsm
from murmuration.mtce.core.alarms import alarms_changed, alarms_cleared
from murmuration.mtce.core.host_fsm import Input
from murmuration.mtce.core.model import (
    RESTARTS,
    Condition,
    Declared,
    EffectKind,
    EffectRequest,
    Frame,
    HostEffect,
    HostEvent,
    HostOutcome,
    HostRecord,
    HostStep,
    Observation,
    Withdrawal,
)
from murmuration.mtce.core.policy import Policy
from murmuration.mtce.core.procedure import Entry, Move, Procedure, Result, Sign
from murmuration.mtce.core.procedures import PROCEDURES
from murmuration.proto.ids import BootId
from murmuration.proto.mtce import (
    Availability,
    HealthCause,
    HeartbeatState,
    HostForgotten,
    HostStateChanged,
    HostTask,
    Operation,
    OperationAccepted,
    OperationCompleted,
    OperationFailed,
    RecoveryCause,
)
from murmuration.proto.sysinv import Administrative, HostAction

MOVES_MAX = 40  # far more than the longest way through all procedures at once
_SAYS = {
    Condition.LOCKED_OFFLINE: "locked and offline",
    Condition.LOCKED_ONLINE: "locked and online",
    Condition.LOCKED_POWER_OFF: "locked and off",
    Condition.UNLOCKED_OFFLINE: "unlocked, waiting for its pulses",
    Condition.UNLOCKED_ONLINE: "online, not yet in service",
    Condition.UNLOCKED_INTEST: "in test",
    Condition.UNLOCKED_FAILED: "failed",
    Condition.UNLOCKED_POWER_OFF: "off, and wanted in service",
    Condition.AVAILABLE: "in service",
    Condition.DEGRADED: "in service, degraded",
}
_THRESHOLDS = {
    RecoveryCause.CONFIG: HostTask.CONFIG_THRESHOLD,
    RecoveryCause.GOENABLE: HostTask.GOENABLE_THRESHOLD,
    RecoveryCause.HOST_SERVICES: HostTask.SERVICES_THRESHOLD,
    RecoveryCause.HEARTBEAT: HostTask.HEARTBEAT_THRESHOLD,
    RecoveryCause.LUKS: HostTask.LUKS_THRESHOLD,
    RecoveryCause.RESET: HostTask.RESET_THRESHOLD,
    RecoveryCause.CRITICAL: HostTask.CRITICAL_POWER_DOWN,
}
_AGENT_ERRANDS = {
    EffectKind.AGENT_TEST,
    EffectKind.AGENT_START,
    EffectKind.AGENT_STOP,
    EffectKind.AGENT_TEST_WORKER,
    EffectKind.AGENT_START_WORKER,
    EffectKind.AGENT_STOP_WORKER,
}


class Unproven(Bug):
    """A restart was due for which there is no proof at this moment: nothing is changed."""


class Turn:
    """What happens to one host at one moment. Feed it, then `finish`."""

    def __init__(
        self,
        policy: Policy,
        record: HostRecord,
        declared: Declared,
        seen: Observation,
        now: datetime,
    ) -> None:
        self.policy = policy
        self.before = record
        self.record = record
        self.declared = declared
        self.seen = seen
        self.now = now
        self.newly_lost = False
        self._events: list[HostEvent] = []
        self._outcomes: list[HostOutcome] = []
        self._reasons: list[str] = []
        self._inputs: list[str] = []
        self._cause: RecoveryCause | None = None
        self._moves = 0
        self._unlocked = False

    # ------------------------------------------------------------------ the condition

    def because(self, reason: str) -> None:
        """A clause of the reason; the last ones count."""
        self._reasons.append(reason)

    def host(self, given: Input) -> None:
        """An input to the host's condition."""
        old = self.record.condition
        new = host_fsm.move(old, given)
        if new is None:
            raise Bug("a host is forgotten by `forget`")
        if new is old:
            return
        work = self.record.work
        if new is Condition.UNLOCKED_FAILED:
            work = replace(work, failed=True)
            self.newly_lost |= given is Input.LOST and old is not new
        if (new.serves and not old.serves) or (new.locked and not old.locked):
            asked = work.asked if new.serves and work.asked and work.asked.count else None
            work = replace(
                work,
                failures={},
                gave_up=None,
                failed=False,
                released=False,
                storm="",
                asked=asked and replace(asked, at=self.now),
            )
        if old.serves and not new.serves and work.worker is not Availability.NOT_INSTALLED:
            work = replace(work, worker=Availability.OFFLINE)
        if new.locked and not old.locked:
            well = tuple(each for each in work.health if each is not HealthCause.SUBFUNCTION)
            work = replace(work, worker_failures=0, health=well)
        self._unlocked |= old.locked and not new.locked
        self.record = replace(self.record, condition=new, work=work)
        if new.locked and not old.locked and self.record.heartbeat is HeartbeatState.WELL:
            self.host(Input.WELL)  # from failed, and yet it beats

    # ----------------------------------------------------------------- the procedures

    @property
    def idle(self) -> bool:
        """Whether no procedure is in progress."""
        return not self.record.work.frames

    @property
    def running(self) -> str:
        """The name of the procedure in progress, empty when idle."""
        frames = self.record.work.frames
        return frames[0].procedure if frames else ""

    @property
    def expects_silence(self) -> bool:
        """Whether the stages in progress expect the host to fall silent."""
        return any(_entry(frame).silent for frame in self.record.work.frames)

    def begin(self, procedure: str, stage: str, *, mark: BootId | None = None) -> None:
        """Begin a procedure at a stage; whatever is in progress is dropped before."""
        self.drop("something else was begun")
        self._frames((Frame(procedure=procedure, stage=stage, mark=mark or BootId("")),))
        self._enter(0)

    def operate(self, operation_id: str, action: HostAction, reason: str) -> None:
        """An operator's order is taken on: what follows is its work."""
        self.interrupt(f"{action.value} came in between")
        self.work(operation_id=operation_id, action=action)
        self.because(reason)
        self._events.append(OperationAccepted(operation=self._operation(reason)))

    def interrupt(self, reason: str) -> None:
        """Whatever an operator had ordered is not finished: something else is wanted."""
        self._end_operation(Result.FAILED, reason)

    def complete(self, reason: str) -> None:
        """The operator's order is done, without a procedure."""
        self.because(reason)
        self._end_operation(Result.DONE, reason)

    def drop(self, reason: str) -> None:
        """End what is in progress without a result; its effects are withdrawn."""
        self._withdraw(self.record.work.frames, reason)
        self._frames(())
        self.record = replace(self.record, due_at=None, task=HostTask.NONE)

    def count(self, cause: RecoveryCause) -> None:
        """A failure of this cause."""
        failures = dict(self.record.work.failures)
        failures[cause.value] = failures.get(cause.value, 0) + 1
        self._cause = cause
        self.work(failures=failures)

    def sign(self, sign: Sign, *, settled: str = "") -> bool:
        """Feed an input to the procedures, the outer ones first; False when none takes it.

        What ended (DONE, FAILED) is waited for by the innermost alone. `settled` names the effect
        whose end it is: that one is not withdrawn.
        """
        frames = self.record.work.frames
        first = len(frames) - 1 if sign in (Sign.DONE, Sign.FAILED) else 0
        for depth, frame in enumerate(frames[first:], start=first):
            transition = _procedure(frame).machine.find(_stage(frame), sign)
            if transition is not None:
                self._take(depth, transition, settled)
                return True
        return False

    def takes(self, sign: Sign) -> bool:
        """Whether some procedure in progress has an answer to this input."""
        return any(
            _procedure(frame).machine.find(_stage(frame), sign) is not None
            for frame in self.record.work.frames
        )

    def serves_on(self, sign: Sign) -> bool:
        """Whether this input would put the host into service."""
        found = (
            _procedure(frame).machine.find(_stage(frame), sign) for frame in self.record.work.frames
        )
        return any(each is not None and each.action.host is Input.SERVE for each in found)

    def well(self) -> Sign:
        """What it means for procedures that the host beats well."""
        frames = self.record.work.frames
        if not frames or not frames[0].mark or frames[0].mark != self.record.boot_id:
            return Sign.UP
        return Sign.OUTLIVED if self.record.work.released else Sign.BACK

    def _take(self, depth: int, transition: Transition[Any, Move], settled: str) -> None:
        self._moves += 1
        if self._moves > MOVES_MAX:
            raise Bug(f"a turn of {self.record.name} does not end: {self._reasons[-4:]}")
        frames, move = self.record.work.frames, transition.action
        self._withdraw((f for f in frames[depth:] if f.effect_id != settled), move.why)
        self.because(move.why)
        if move.host is not None:
            self.host(move.host)
        if move.cause is not None:
            self.count(move.cause)
        if move.worker is not None:
            self._half(move.worker)
        if move.gives_up is not None:
            self.work(gave_up=move.gives_up)
        if transition.to is not None:
            moved = replace(frames[depth], stage=str(transition.to.value), effect_id="")
            self._frames((*frames[:depth], moved))
            self._enter(depth)
            return
        result = move.result or Result.DONE
        self._frames(frames[:depth])
        if depth:
            self.sign(Sign.DONE if result is Result.DONE else Sign.FAILED)
        else:
            self._ended(result, move.why)

    def _enter(self, depth: int) -> None:
        frame = self.record.work.frames[depth]
        entry = _entry(frame)
        if entry.host is not None:
            self.host(entry.host)
        if entry.worker is not None:
            self._half(entry.worker)
        if entry.marks and depth == 0:
            self._frames((replace(frame, mark=self.record.boot_id),))
        due_at = None
        if entry.timer:
            seconds = self.policy.duration_s(entry.timer, self.declared, self._cause)
            due_at = self.now + timedelta(seconds=seconds)
        self.record = replace(self.record, task=entry.task, due_at=due_at)
        if entry.limited and self._spent():
            self.sign(Sign.SPENT)
        elif entry.effect is not None:
            self._request(depth, entry.effect, entry)
        elif entry.needs_bmc and not self.declared.has_bmc:
            self.sign(Sign.FAILED)
        elif entry.sub:
            sub = Frame(procedure=entry.sub, stage=entry.sub_stage)
            self._frames((*self.record.work.frames, sub))
            self._enter(depth + 1)
        elif due_at is not None and due_at <= self.now:
            self.sign(Sign.DUE)
        if entry.looks:
            self._look(frame)

    def _half(self, worker: Availability) -> None:
        """How the worker half is now; what failed degrades the host until it serves."""
        health = set(self.record.work.health)
        failures = self.record.work.worker_failures
        if worker is Availability.FAILED:
            health.add(HealthCause.SUBFUNCTION)
            failures += 1
        elif worker is Availability.AVAILABLE:
            health.discard(HealthCause.SUBFUNCTION)
            failures = 0
        ordered = tuple(sorted(health, key=lambda cause: cause.value))
        self.work(worker=worker, worker_failures=failures, health=ordered)

    def _look(self, entered: Frame) -> None:
        frames = self.record.work.frames
        if not frames or frames[0].stage != entered.stage:
            return
        if self.record.heartbeat is HeartbeatState.WELL:
            self.sign(self.well())
        elif self.record.heartbeat is HeartbeatState.LOST:
            self.sign(Sign.LOST)

    def _request(self, depth: int, kind: EffectKind, entry: Entry) -> None:
        if kind in _AGENT_ERRANDS and not self.declared.takes_orders:
            self.sign(Sign.DONE)  # there is nothing on it that could be run
            return
        if not (self.declared.has_bmc if kind.by_bmc else self.declared.takes_orders):
            self.sign(Sign.FAILED)
            return
        if kind in RESTARTS and not self._proven:
            raise Unproven(entry.text)
        work = self.record.work
        count = work.effect_count + 1
        operation_id = f"h{self.record.index}-{int(self.now.timestamp() * 1_000)}-{count}"
        frames = list(self.record.work.frames)
        frames[depth] = replace(frames[depth], effect_id=operation_id)
        self.work(frames=tuple(frames), effect_count=count)
        reason = self._reasons[-1] if self._reasons else entry.text
        body = HostEffect(
            host=self.record.name,
            personality=self.declared.personality,
            boot_id=self.record.boot_id,
            silent=self._for_silence,
            expires_at=self.record.due_at or self.now + timedelta(days=1),
            reason=f"{entry.text}: {reason}"[:500],
        )
        self._outcomes.append(EffectRequest(kind=kind, operation_id=operation_id, body=body))

    @property
    def _for_silence(self) -> bool:
        """Whether nothing but silence speaks for what is requested."""
        return (
            self.running == "recovery"
            and self.seen.heartbeat is HeartbeatState.LOST
            and not self.record.work.released
        )

    @property
    def _proven(self) -> bool:
        work, heard = self.record.work, self.seen.heartbeat
        return bool(
            work.operation_id
            or work.released
            or self._unlocked  # the operator's intent, carried out in this very turn
            or heard is HeartbeatState.LOST
            or self.running == "critical"  # the operator's policy
            or (self.running == "enable" and heard is not HeartbeatState.AWAITED)
        )

    def _spent(self) -> bool:
        if self.running == "worker":
            return self.record.work.worker_failures > self.policy.failures_max
        worst = max(
            self.record.work.failures, key=self.record.work.failures.__getitem__, default=""
        )
        if self.record.work.failures.get(worst, 0) <= self.policy.failures_max:
            return False
        self.work(gave_up=RecoveryCause(worst))
        return True

    def _withdraw(self, frames: Iterable[Frame], reason: str) -> None:
        for frame in frames:
            if frame.effect_id:
                self._outcomes.append(Withdrawal(frame.effect_id, f"no longer wanted: {reason}"))

    def _ended(self, result: Result, why: str) -> None:
        gave_up = self.record.work.gave_up
        task = _THRESHOLDS.get(gave_up, HostTask.NONE) if gave_up else HostTask.NONE
        self.record = replace(self.record, due_at=None, task=task)
        if self.record.work.action is HostAction.LOCK and result is Result.FAILED:
            self.work(stood_down=Administrative.LOCKED)
        self._end_operation(result, why)

    def _end_operation(self, result: Result, reason: str) -> None:
        if not self.record.work.operation_id:
            return
        operation = self._operation(reason)
        ended = OperationCompleted if result is Result.DONE else OperationFailed
        self._events.append(ended(operation=operation))
        self.work(operation_id="", action=None)

    def _operation(self, reason: str) -> Operation:
        work = self.record.work
        return Operation(
            operation_id=work.operation_id,
            host=self.record.name,
            action=work.action or HostAction.UNKNOWN,
            task=self.record.task,
            reason=f"{self.record.name}: {reason}",
            at=self.now,
            deadline_at=self.record.due_at,
        )

    def _frames(self, frames: tuple[Frame, ...]) -> None:
        self.work(frames=frames)

    def work(self, **changes: Any) -> None:
        """Change what is remembered of the host."""
        self.record = replace(self.record, work=replace(self.record.work, **changes))

    # ------------------------------------------------------------------------ the end

    def heard(self, given: str) -> None:
        """What happened, in a word, for who asks why."""
        self._inputs.append(given)

    def finish(self, *, new: bool = False) -> HostStep:
        """The step that all of it comes to; without events and effects when nothing changed.

        `new`: the host had no record before.
        """
        before, after = self.before, self.record
        if after is before and not new and not self._events and not self._outcomes:
            return HostStep(state=before, events=(), effects=(), reason=before.reason)
        moved = new or before.condition is not after.condition
        if self._reasons:
            why = "; ".join(_unique(self._reasons[-3:]))
            after = replace(after, reason=f"{after.name} is {_SAYS[after.condition]}: {why}")
        after = replace(after, changed_at=self.now if moved else after.changed_at)
        changed = new or _told(before) != _told(after)
        events = list(self._events)
        if changed:
            heard_at = after.last_heard_at
            if self.seen.heard:
                heard_at = self.now - timedelta(milliseconds=self.seen.silent_ms)
            after = replace(after, last_heard_at=heard_at)
            previous = "" if new else str(before.condition)
            evidence = {**self.seen.evidence(), "input": ", ".join(_unique(self._inputs))}
            events.append(
                HostStateChanged(state=after.published(), previous=previous, evidence=evidence)
            )
        elif not self._outcomes and not events and before.work == after.work:
            after = before
        alarms = alarms_changed(before, after, self.now) if not new else ()
        if new:
            alarms = alarms_changed(
                replace(after, work=before.work, condition=_BLANK), after, self.now
            )
        return HostStep(
            state=after,
            events=tuple(events),
            effects=(*self._outcomes, *alarms),
            reason=after.reason,
        )

    def forget(self) -> HostStep:
        """The host is no more: effects withdrawn, alarms cleared."""
        reason = f"{self.record.name} is no longer watched: removed from the inventory"
        self.drop(reason)
        self._end_operation(Result.FAILED, "it was removed from the inventory")
        event = HostForgotten(host=self.record.name, reason=reason)
        cleared = alarms_cleared(self.before, self.now, reason)
        return HostStep(
            state=None,
            events=(*self._events, event),
            effects=(*self._outcomes, *cleared),
            reason=reason,
        )


_BLANK = Condition.UNLOCKED_OFFLINE  # has no alarm


def _told(record: HostRecord) -> object:
    """What is worth an event when it changes."""
    work = record.work
    return (
        (record.condition, record.heartbeat, record.boot_id, record.episode),
        (record.task, record.due_at, work.operation_id, work.action),
        (work.failures, work.gave_up, work.released, work.storm),
        (work.worker, work.worker_failures),
        (work.health, work.asked),
    )


def _unique(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _procedure(frame: Frame) -> Procedure:
    return PROCEDURES[frame.procedure]


def _stage(frame: Frame) -> Any:
    return _procedure(frame).machine.states(frame.stage)


def _entry(frame: Frame) -> Entry:
    return _procedure(frame).entries[_stage(frame)]
