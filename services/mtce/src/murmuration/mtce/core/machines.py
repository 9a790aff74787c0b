"""What moves a host: pulses, time, outcomes of effects, orders, and what is said of its health.

Every entry point is a function of (record, what happened, now) and gives a step. Inputs are levels
where they can be: what is recorded is compared with what is intended and observed, and what is
missing is fed. So an interrupted change is simply taken up again, and feeding a level twice changes
nothing the second time.

When nothing is in progress, `_resume` begins what a host in that condition needs: that alone makes
every condition either stable or on its way.
"""

import math
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from murmuration.mtce.core.admission import Peers, refusal
from murmuration.mtce.core.dead_office import DeadOffice
from murmuration.mtce.core.host_fsm import Input
from murmuration.mtce.core.model import (
    Ask,
    Asked,
    Condition,
    Declared,
    HostRecord,
    HostStep,
    Observation,
)
from murmuration.mtce.core.policy import Policy
from murmuration.mtce.core.procedure import Sign
from murmuration.mtce.core.turn import Turn, Unproven
from murmuration.proto.ids import BootId
from murmuration.proto.mtce import (
    Availability,
    HealthCause,
    HeartbeatState,
    HostOrder,
    Operation,
    OperationCompleted,
    OperationRefused,
    RecoveryCause,
)
from murmuration.proto.node import AskedAction
from murmuration.proto.sysinv import Administrative, HostAction

_LEVELS = {
    HeartbeatState.WELL: Input.WELL,
    HeartbeatState.MINOR: Input.MINOR,
    HeartbeatState.DEGRADED: Input.DEGRADED,
    HeartbeatState.LOST: Input.LOST,
}
_ILL_BEATS = (HeartbeatState.DEGRADED, HeartbeatState.LOST)
_ASKABLE = ("", "enable", "worker")  # a restart that is asked for may come in between these
_LOCKING = (HostAction.LOCK, HostAction.FORCE_LOCK)
_INTENDS = {
    HostAction.LOCK: Administrative.LOCKED,
    HostAction.FORCE_LOCK: Administrative.LOCKED,
    HostAction.UNLOCK: Administrative.UNLOCKED,
}


def intent_of(action: HostAction) -> Administrative | None:
    """The administrative state that an action is about; None when it is about something else."""
    return _INTENDS.get(action)


class Machines:
    """The machines of hosts under one policy."""

    def __init__(self, policy: Policy, dead_office: DeadOffice | None = None) -> None:
        self.policy = policy
        self.dead_office = dead_office or DeadOffice(until=None)

    def admit(self, declared: Declared, seen: Observation, now: datetime) -> HostStep:
        """A host was accepted: its first record, and what it needs begins at once."""
        locked = declared.administrative is Administrative.LOCKED
        record = HostRecord(
            name=declared.name,
            index=declared.index,
            condition=Condition.LOCKED_OFFLINE if locked else Condition.UNLOCKED_OFFLINE,
            heartbeat=HeartbeatState.AWAITED,
            boot_id=BootId(""),
            episode=0,
            last_heard_at=None,
            changed_at=now,
            reason="",
        )
        turn = Turn(self.policy, record, declared, seen, now)
        turn.heard("accepted")
        turn.because("accepted into the site, watched from now on")
        self._resume(turn)
        return turn.finish(new=True)

    def settle(
        self, record: HostRecord, declared: Declared, seen: Observation, now: datetime
    ) -> tuple[HostStep, ...]:
        """The steps that bring a record to what is intended and observed; none when it is there."""
        return self._only(self._settled(record, declared, seen, now))

    def due(
        self, record: HostRecord, declared: Declared, seen: Observation, now: datetime
    ) -> tuple[HostStep, ...]:
        """The stage's time may be over: first what is observed, then the deadline, if it stands.

        A restart for which there is no proof at this moment is put off, not done.
        """
        turn = self._settled(record, declared, seen, now)
        until = turn.record.due_at
        if turn.idle or until is None or until > now:
            return self._only(turn)
        serves = turn.serves_on(Sign.DUE)
        if serves and seen.heartbeat in (HeartbeatState.AWAITED, HeartbeatState.LOST):
            return self._only(turn)  # nobody heard it through the soak: it is looked at again
        try:
            turn.heard("deadline")
            off = turn.record.condition is Condition.UNLOCKED_POWER_OFF and turn.takes(Sign.OFF)
            if not turn.sign(Sign.OFF if off else Sign.DUE):
                turn.record = replace(turn.record, due_at=None)
            self._resume(turn)
        except Unproven:  # it stays due: looked at again until there is proof, or it is heard
            turn = self._settled(record, declared, seen, now)
        return self._only(turn)

    def settled_effect(
        self,
        record: HostRecord,
        declared: Declared,
        seen: Observation,
        now: datetime,
        *,
        operation_id: str,
        done: bool,
        outcome: str,
    ) -> tuple[HostStep, ...]:
        """An effect ended; one that nobody waits for any more means nothing."""
        frames = record.work.frames
        if not frames or frames[-1].effect_id != operation_id:
            return ()
        turn = Turn(self.policy, record, declared, seen, now)
        turn.heard("done" if done else "failed")
        if outcome and not done:
            turn.because(outcome[:200])
        turn.sign(Sign.DONE if done else Sign.FAILED, settled=operation_id)
        self._resume(turn)
        return self._only(turn)

    def order(
        self,
        record: HostRecord,
        declared: Declared,
        seen: Observation,
        now: datetime,
        *,
        order: HostOrder,
        peers: Peers,
    ) -> HostStep:
        """Do what was ordered, or say why not; a refused order changes nothing."""
        refused = refusal(record, declared, order.action, peers)
        if refused is not None:
            operation = Operation(
                operation_id=order.operation_id,
                host=record.name,
                action=order.action,
                refusal=refused.code,
                reason=refused.reason,
                at=now,
            )
            event = OperationRefused(operation=operation)
            return HostStep(state=record, events=(event,), effects=(), reason=refused.reason)
        already = _already(record, order.action)
        if already:
            operation = Operation(
                operation_id=order.operation_id,
                host=record.name,
                action=order.action,
                task=record.task,
                reason=already,
                at=now,
            )
            event = OperationCompleted(operation=operation)
            return HostStep(state=record, events=(event,), effects=(), reason=already)
        intended = intent_of(order.action) or declared.administrative
        declared = replace(declared, administrative=intended)
        turn = Turn(self.policy, record, declared, seen, now)
        turn.heard(order.action.value)
        turn.operate(order.operation_id, order.action, f"an operator wants: {order.action.value}")
        self._obey(turn, order.action)
        self._resume(turn)
        return turn.finish()

    def forget(
        self, record: HostRecord, declared: Declared, seen: Observation, now: datetime
    ) -> HostStep:
        """The host was removed from the inventory."""
        return Turn(self.policy, record, declared, seen, now).forget()

    def ailing(
        self,
        record: HostRecord,
        declared: Declared,
        seen: Observation,
        now: datetime,
        *,
        about: Collection[HealthCause],
        ill: Collection[HealthCause],
        reason: str,
    ) -> tuple[HostStep, ...]:
        """Somebody who knows of the causes `about` says which of them hold; others are kept."""
        kept = {cause for cause in record.work.health if cause not in about}
        turn = Turn(self.policy, record, declared, seen, now)
        turn.heard("health")
        self._ill(turn, kept | set(ill), reason)
        return self._only(turn)

    def unfit(
        self,
        record: HostRecord,
        declared: Declared,
        seen: Observation,
        now: datetime,
        *,
        cause: RecoveryCause,
        reason: str,
    ) -> tuple[HostStep, ...]:
        """A host in service was proven unable to serve, although it beats: it is enabled anew."""
        turn = Turn(self.policy, record, declared, seen, now)
        if not record.condition.serves or turn.running == "disable":
            return ()
        turn.heard("unfit")
        turn.drop(reason)
        turn.because(reason)
        turn.host(Input.FAIL)
        turn.count(cause)
        self._resume(turn)
        return self._only(turn)

    def power_seen(
        self, record: HostRecord, declared: Declared, seen: Observation, now: datetime, *, on: bool
    ) -> tuple[HostStep, ...]:
        """What a BMC says of the power; pulses outweigh it."""
        if not on and record.heartbeat is HeartbeatState.WELL:
            return ()
        turn = Turn(self.policy, record, declared, seen, now)
        turn.heard("power on" if on else "power off")
        before = record.condition
        turn.host(Input.POWERED_ON if on else Input.POWERED_OFF)
        if turn.record.condition is before:
            return ()
        turn.because(f"its BMC says that it is {'on' if on else 'off'}")
        if not on:
            turn.sign(Sign.OFF)
        self._resume(turn)
        return self._only(turn)

    def asked(
        self,
        record: HostRecord,
        declared: Declared,
        seen: Observation,
        now: datetime,
        *,
        ask: Ask | None,
        refused: str,
    ) -> tuple[HostStep, ...]:
        """What a condition's policy asks for now, None: nothing any more; why it is refused.

        A level: it is asked again and again. Each condition has the host reset once; power-cycled,
        until that was done too often, and then powered down.
        """
        turn = Turn(self.policy, record, declared, seen, now)
        known = record.work.asked or Asked()
        since_s = (now - known.at).total_seconds() if known.at is not None else math.inf
        if ask is None:
            forgets = since_s >= self.policy.critical_watch_s and turn.running != "critical"
            if record.work.asked is not None and forgets:
                turn.heard("nothing is asked for")
                turn.because("its conditions ask for nothing any more")
                turn.work(asked=None)
            return self._only(turn)
        if turn.running == "critical" or since_s < self.policy.critical_hold_s:
            return ()  # what it asks for is being done, or may not show yet
        said = f"{ask.cause} asks for a {ask.action.value}"
        turn.heard(said)
        refused = refused or self._too_often(known, ask)
        if refused:
            if known.refused != f"{said}: {refused}":
                turn.work(asked=replace(known, refused=f"{said}: {refused}"))
                turn.because(f"{said}, which is refused: {refused}")
            return self._only(turn)
        if record.heartbeat is not HeartbeatState.WELL or turn.running not in _ASKABLE:
            return ()  # it is asked again
        stage = "resetting" if ask.action is AskedAction.RESET else "turning-off"
        if known.count == self.policy.critical_max:
            stage = "going-down"
        turn.interrupt(said)
        causes = tuple(dict.fromkeys((*known.causes, ask.cause)))
        turn.work(asked=Asked(causes=causes, count=known.count + 1, at=now))
        turn.because(f"{said}, as its policy has it")
        turn.begin("critical", stage)
        self._resume(turn)
        return self._only(turn)

    def _too_often(self, known: Asked, ask: Ask) -> str:
        """Why it is not restarted once more, empty where that may help."""
        most = self.policy.critical_max
        if ask.action is AskedAction.RESET and ask.cause in known.causes:
            return "it was restarted for that, and it did not help"
        if known.count >= most + (ask.action is AskedAction.POWER_CYCLE):
            return f"it was restarted {most} times, and it did not help"
        return ""

    def released(
        self, record: HostRecord, declared: Declared, seen: Observation, now: datetime
    ) -> tuple[HostStep, ...]:
        """The workload of the present boot may run elsewhere: that boot must not serve again."""
        if record.work.released or record.condition.locked or record.condition.serves:
            return ()
        turn = Turn(self.policy, record, declared, seen, now)
        turn.heard("released")
        turn.because("its workload was released")
        turn.work(released=True)
        if record.heartbeat is HeartbeatState.WELL:
            turn.sign(turn.well())
        return self._only(turn)

    def storm(
        self,
        record: HostRecord,
        declared: Declared,
        seen: Observation,
        now: datetime,
        *,
        cause: str,
    ) -> tuple[HostStep, ...]:
        """Its silence is put down to a cause shared with others, an alarm's entity.

        Empty: it is held back for it no longer; what it was put down to stays until it serves.
        """
        turn = Turn(self.policy, record, declared, seen, now)
        turn.heard("storm" if cause else "calm")
        if cause and not record.condition.serves:
            turn.work(storm=cause)
        turn.sign(Sign.STORM if cause else Sign.CALM)
        return self._only(turn)

    # ------------------------------------------------------------------------ inside

    def _settled(
        self, record: HostRecord, declared: Declared, seen: Observation, now: datetime
    ) -> Turn:
        turn = Turn(self.policy, record, declared, seen, now)
        other_boot = seen.boot_id and record.boot_id and seen.boot_id != record.boot_id
        if other_boot and seen.returned:  # one that is silent may be the older: heard here alone
            self._rebooted(turn)
        if seen.heartbeat in _LEVELS and seen.heartbeat is not turn.record.heartbeat:
            self._level(turn, seen.heartbeat)
        self._resume(turn)
        return turn

    def _rebooted(self, turn: Turn) -> None:
        old, new = turn.record.boot_id, turn.seen.boot_id
        turn.heard("rebooted")
        turn.because(f"it rebooted: boot {new} after {old}")
        turn.record = replace(turn.record, boot_id=new, heartbeat=HeartbeatState.AWAITED)
        turn.work(released=False)
        turn.host(Input.REBOOTED)
        turn.sign(Sign.REBOOTED)

    def _level(self, turn: Turn, level: HeartbeatState) -> None:
        record, seen = turn.record, turn.seen
        silent = record.heartbeat in (HeartbeatState.AWAITED, HeartbeatState.LOST)
        if silent and level in (HeartbeatState.MINOR, HeartbeatState.DEGRADED):
            return  # a few missing pulses add nothing to a host that counts as silent anyway
        well = level is HeartbeatState.WELL
        turn.heard(level.value)
        turn.because(
            f"{seen.good_count} pulses in a row at {seen.period_ms} ms" if well else silence(seen)
        )
        turn.record = replace(
            record,
            heartbeat=level,
            boot_id=record.boot_id or seen.boot_id,
            episode=record.episode + well,
        )
        turn.work(lost=level is HeartbeatState.LOST or (record.work.lost and not well))
        down = level is HeartbeatState.LOST and turn.expects_silence
        turn.host(Input.DOWN if down else _LEVELS[level])
        beats_ill = {HealthCause.HEARTBEAT} if level in _ILL_BEATS else set[HealthCause]()
        kept = {cause for cause in record.work.health if cause is not HealthCause.HEARTBEAT}
        self._ill(turn, kept | beats_ill, "")
        if well:
            turn.sign(turn.well())
        elif level is HeartbeatState.LOST:
            turn.sign(Sign.LOST)

    def _ill(self, turn: Turn, causes: Collection[HealthCause], reason: str) -> None:
        health = tuple(sorted(causes, key=lambda cause: cause.value))
        if health != turn.record.work.health:
            turn.work(health=health)
            if reason:
                turn.because(reason)
        turn.host(Input.ILL if health else Input.HEALED)

    def _obey(self, turn: Turn, action: HostAction) -> None:
        name = turn.record.name
        turn.work(stood_down=None)
        match action:
            case HostAction.LOCK if turn.running == "disable":
                turn.because("its services are being stopped, as intended")
            case HostAction.LOCK:
                self._disable(turn)
            case HostAction.FORCE_LOCK:
                turn.begin("disable", "resetting")
            case HostAction.UNLOCK if turn.running == "enable" and not turn.record.work.failures:
                turn.because("it is being enabled, as intended")
            case HostAction.UNLOCK:
                turn.drop("it is unlocked anew")
                turn.work(failures={}, gave_up=None)
                self._enable(turn)
            case HostAction.RESET:
                turn.begin("power", "resetting")
            case HostAction.REBOOT:
                turn.begin("reboot", "resetting")
            case HostAction.POWER_ON:
                turn.begin("power", "turning-on")
            case HostAction.POWER_OFF:
                turn.begin("power", "turning-off")
            case HostAction.REINSTALL:
                turn.begin("reinstall", "turning-off" if turn.declared.has_bmc else "wiping")
            case HostAction.DELETE:
                turn.drop("it is deleted")
                turn.complete(f"{name} may be removed from the inventory")
            case _:
                turn.complete("nothing is to be done")

    def _resume(self, turn: Turn) -> None:
        """Begin what the host needs by its condition and intent, unless it is at it."""
        wanted = turn.declared.administrative
        record = turn.record
        if record.work.stood_down is not None and record.work.stood_down is not wanted:
            turn.work(stood_down=None)
        if wanted is Administrative.LOCKED and turn.record.work.stood_down is None:
            if not record.condition.locked and turn.running != "disable":
                turn.heard("lock")
                turn.because("locked, as intended")
                turn.interrupt("it is to be locked")
                self._disable(turn)
        elif turn.idle and record.condition.locked:
            if wanted is Administrative.UNLOCKED:
                turn.heard("unlock")
                turn.because("unlocked, as intended: in service once it beats well")
                self._enable(turn)
        elif turn.idle and not record.condition.serves:
            self._bring_back(turn)
        self._enable_worker(turn)
        if turn.record.condition.serves:
            turn.host(Input.ILL if turn.record.work.health else Input.HEALED)

    def _enable_worker(self, turn: Turn) -> None:
        """The worker half follows what is declared, and its host into service."""
        work = turn.record.work
        if not turn.declared.all_in_one:
            if turn.running == "worker":
                turn.drop("it is no worker any more")
            if work.worker is not Availability.NOT_INSTALLED:
                health = tuple(each for each in work.health if each is not HealthCause.SUBFUNCTION)
                turn.work(worker=Availability.NOT_INSTALLED, worker_failures=0, health=health)
            return
        if work.worker is Availability.NOT_INSTALLED:
            turn.work(worker=Availability.OFFLINE)
        waits = turn.record.work.worker is Availability.OFFLINE
        if waits and turn.idle and turn.record.condition.serves:
            turn.because("its worker half is enabled")
            turn.begin("worker", "tests")

    def _disable(self, turn: Turn) -> None:
        if turn.record.condition.serves and turn.declared.takes_orders:
            worker = turn.record.work.worker is Availability.AVAILABLE
            turn.begin("disable", "stopping-worker" if worker else "stopping")
            return
        turn.drop("it is locked")
        turn.host(Input.LOCK)
        if turn.record.work.action in _LOCKING:
            turn.complete("locked: nothing of it was in service")

    def _enable(self, turn: Turn) -> None:
        if turn.record.condition.locked:
            turn.host(Input.UNLOCK)
        declared, beats = turn.declared, turn.record.heartbeat is HeartbeatState.WELL
        restarts = self.policy.unlock_reboots and (
            declared.has_bmc or (declared.takes_orders and beats)
        )
        if turn.record.condition is Condition.UNLOCKED_POWER_OFF and declared.has_bmc:
            turn.begin("enable", "powering")
        else:
            turn.begin("enable", "resetting" if restarts else "awaiting")

    def _bring_back(self, turn: Turn) -> None:
        """An idle host that is wanted in service and is not."""
        record = turn.record
        beats = record.heartbeat is HeartbeatState.WELL
        if record.work.gave_up is not None:
            if not (beats and record.work.gave_up is RecoveryCause.RESET):
                return
            turn.work(gave_up=None)  # it was restarted after all, by hand
        match record.condition:
            case Condition.UNLOCKED_FAILED if turn.newly_lost and record.episode:
                stage = "parted" if turn.seen.stopping else "listening"
                turn.begin("recovery", stage, mark=record.boot_id)
                self._dead_office(turn)
            case Condition.UNLOCKED_FAILED if beats and record.work.released:
                turn.begin("enable", "resetting")
            case Condition.UNLOCKED_FAILED if beats and record.work.failures:
                turn.begin("enable", "resting")
            case Condition.UNLOCKED_FAILED if not beats:
                return
            case Condition.UNLOCKED_POWER_OFF if turn.declared.has_bmc:
                turn.begin("enable", "powering")
            case Condition.UNLOCKED_POWER_OFF:
                return
            case _:
                turn.begin("enable", "awaiting")

    def _dead_office(self, turn: Turn) -> None:
        """After a power cut of the whole site, hosts are given the time that the site needs."""
        until, due_at = self.dead_office.until, turn.record.due_at
        if until is not None and due_at is not None and until > due_at and not turn.idle:
            turn.record = replace(turn.record, due_at=until)

    @staticmethod
    def _only(turn: Turn) -> tuple[HostStep, ...]:
        """The step; nothing, where nothing changed."""
        step = turn.finish()
        return (step,) if step.events or step.effects or step.state != turn.before else ()


def _already(record: HostRecord, action: HostAction) -> str:
    """Where nothing is to be done, why; what is in progress goes on."""
    if action in _LOCKING and record.condition.locked:
        return f"{record.name} is locked already"
    if action is HostAction.UNLOCK and record.condition.serves:
        return f"{record.name} is in service already"
    return ""


def silence(seen: Observation) -> str:
    """One clause about what is missing, with its figures."""
    if not seen.heard:
        return f"no pulse heard in {seen.silent_ms} ms of watching"
    after = " after it said good-bye" if seen.stopping else ""
    excused = f", {seen.excused_ms} ms of it excused" if seen.excused_ms else ""
    return (
        f"no pulse for {seen.silent_ms} ms{after}{excused}: {seen.missed_count} of"
        f" {seen.period_ms} ms missed on NATS and UDP"
    )
