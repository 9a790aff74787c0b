"""A host, its agent, its BMC and its monitor, simulated around the machines, by seed.

The world keeps its own truth and its own opinion of what is allowed: what restarts a host must have
a proof that the world knows of. Transactions are atomic, everything else may be interrupted: mtce
may be killed between any two of them, replies get lost, results come late, twice and out of order.
"""

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from murmuration.mtce.core.admission import Peers, asked_refusal
from murmuration.mtce.core.machines import Machines, intent_of
from murmuration.mtce.core.model import (
    RESTARTS,
    Ask,
    Declared,
    EffectKind,
    EffectRequest,
    HostRecord,
    HostStep,
    Observation,
    Withdrawal,
)
from murmuration.mtce.core.policy import Policy
from murmuration.mtce.core.procedures import PROCEDURES
from murmuration.proto.fm import ClearAlarm, RaiseAlarm
from murmuration.proto.ids import BootId, HostName
from murmuration.proto.mtce import (
    Availability,
    HealthCause,
    HeartbeatState,
    HostOrder,
    OperationAccepted,
    OperationCompleted,
    OperationFailed,
    RecoveryCause,
)
from murmuration.proto.node import AskedAction
from murmuration.proto.sysinv import Administrative, HostAction, Personality

NAME = HostName("worker-1")
START = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = Policy(storm_s=120.0)
ERRANDS = [kind for kind in EffectKind if kind.value.startswith(("agent.intest", "agent.services"))]
ACTIONS = [action for action in HostAction if action is not HostAction.UNKNOWN]
SHORT, LONG = timedelta(seconds=3), timedelta(seconds=400)


@dataclass
class Row:
    """An effect as the database has it."""

    request: EffectRequest
    status: str = "open"
    begun: bool = False


@dataclass
class World:
    """One history. `play` runs it; AssertionError says what must not have been."""

    seed: int
    dice: random.Random = field(init=False)
    now: datetime = START
    boot: int = 1
    up: bool = True
    cut: bool = False
    agent: bool = True
    bmc: bool = True
    passes: bool = True
    level: HeartbeatState = HeartbeatState.AWAITED
    monitored: bool = True
    restarted_proof: str = ""
    parted: bool = False
    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    sent: dict[str, int] = field(default_factory=dict[str, int])
    alarms: set[str] = field(default_factory=set[str])
    open_order: str = ""
    order_count: int = 0
    story: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.machines = Machines(replace(POLICY, unlock_reboots=self.dice.random() < 0.7))
        self.declared = Declared(
            name=NAME,
            index=7,
            period_ms=100,
            administrative=Administrative.UNLOCKED,
            personality=self.dice.choice([Personality.CONTROLLER, Personality.WORKER]),
            takes_orders=self.dice.random() < 0.85,
            has_bmc=self.dice.random() < 0.6,
            all_in_one=self.dice.random() < 0.3,
        )
        step = self.machines.admit(self.declared, self.seen(), self.now)
        assert step.state is not None
        self.record: HostRecord = step.state
        self.commit(step)

    # ------------------------------------------------------------------ what is seen

    @property
    def boot_id(self) -> BootId:
        return BootId(f"boot-{self.boot}")

    def seen(self) -> Observation:
        level = self.level if self.monitored else HeartbeatState.AWAITED
        silent = level is HeartbeatState.LOST
        return Observation(
            heartbeat=level,
            boot_id=self.boot_id if level is HeartbeatState.WELL else BootId(""),
            heard=level is not HeartbeatState.AWAITED,
            silent_ms=1_000 if silent else 0,
            excused_ms=0,
            silent_bus_ms=1_000 if silent else 0,
            silent_udp_ms=1_000 if silent else 0,
            period_ms=100,
            good_count=10,
            stopping=silent and self.parted,
        )

    def watch(self) -> None:
        """The monitor takes attendance, and what it finds is settled."""
        self.monitored = True
        beats = self.up and not self.cut
        self.level = HeartbeatState.WELL if beats else HeartbeatState.LOST
        self.settle()

    def settle(self) -> None:
        self.apply(*self.machines.settle(self.record, self.declared, self.seen(), self.now))

    # ----------------------------------------------------------------- transactions

    def apply(self, *steps: HostStep) -> None:
        for step in steps:
            if self.dice.random() < 0.03:
                self.story.append("killed before the commit")
                self.monitored = False
                return
            self.commit(step)

    def commit(self, step: HostStep) -> None:
        assert step.state is not None
        before, self.record = self.record, step.state
        if before != step.state:
            self.story.append(f"{self.now:%H:%M:%S} {step.reason}")
        for event in step.events:
            match event:
                case OperationAccepted(operation=operation):
                    self.open_order = operation.operation_id
                case OperationCompleted(operation=operation) | OperationFailed(operation=operation):
                    if self.open_order == operation.operation_id:
                        self.open_order = ""
                case _:
                    pass
        for outcome in step.effects:
            self.take(outcome, before)
        disabled = any(frame.procedure == "disable" for frame in self.record.work.frames)
        if self.record.condition.serves and not disabled:
            self.restarted_proof = ""  # an unlock during a lock is carried out after it
        self.check()

    def take(self, outcome: object, before: HostRecord) -> None:
        match outcome:
            case EffectRequest(kind=kind, operation_id=operation_id):
                assert operation_id not in self.rows, f"{operation_id} is requested twice"
                if kind in RESTARTS:
                    self.assert_proof(kind, before)
                self.rows[operation_id] = Row(outcome)
            case Withdrawal(operation_id=operation_id):
                row = self.rows[operation_id]
                if row.status in ("open", "sent"):
                    row.status = "withdrawn"
            case RaiseAlarm(alarm_id=alarm_id):
                self.alarms.add(alarm_id)
            case ClearAlarm(alarm_id=alarm_id):
                assert alarm_id in self.alarms, f"{alarm_id} is cleared and was not raised"
                self.alarms.discard(alarm_id)
            case _:
                raise AssertionError(outcome)

    def assert_proof(self, kind: EffectKind, before: HostRecord) -> None:
        verdict = self.monitored and self.level is HeartbeatState.LOST
        assert (
            self.open_order
            or verdict
            or self.restarted_proof
            or before.condition.locked  # the operator's unlock restarts it
        ), f"{kind} without a proof"

    def check(self) -> None:
        record, work = self.record, self.record.work
        assert (work.worker is Availability.NOT_INSTALLED) != self.declared.all_in_one
        if work.worker is Availability.AVAILABLE:
            assert record.condition.serves, "its worker half serves without it"
        if record.condition.serves:
            assert record.heartbeat is not HeartbeatState.LOST, "serves and is silent"
            assert not work.failures and work.gave_up is None
        for frame in work.frames:
            assert PROCEDURES[frame.procedure].machine.states(frame.stage)
        if work.frames:
            top = work.frames[-1]
            entry = next(
                entry
                for stage, entry in PROCEDURES[top.procedure].entries.items()
                if stage.value == top.stage
            )
            assert record.due_at is not None or not entry.timer, f"{top} has no deadline"
            assert entry.timer or top.stage == "awaiting", f"{top} waits for nothing"
        else:
            assert record.due_at is None, "a deadline without work"
        assert ("200.001" in self.alarms) == record.condition.locked
        assert ("200.004" in self.alarms) == (work.failed and not record.condition.locked)
        if record.condition.value.availability.value == "failed":
            assert "200.004" in self.alarms
        wanted = {frame.effect_id for frame in work.frames if frame.effect_id}
        live = {key for key, row in self.rows.items() if row.status in ("open", "sent")}
        assert live <= wanted, f"{live - wanted} is done and nobody wants it"

    # ---------------------------------------------------------------------- effects

    def execute(self) -> None:
        """The executor looks at one effect that is not settled."""
        live = [row for row in self.rows.values() if row.status in ("open", "sent")]
        if not live:
            return
        row = self.dice.choice(live)
        kind, key = row.request.kind, row.request.operation_id
        if row.status == "open" and kind.once:
            row.status = "sent"
            if self.dice.random() < 0.05:
                return  # killed between the mark and the sending
            self.send(row)
        elif row.status == "open":
            self.send(row)
        elif kind in RESTARTS and self.up and self.boot_id != row.request.body.boot_id:
            self.finish(key, done=True)

    def send(self, row: Row) -> None:
        kind, key = row.request.kind, row.request.operation_id
        self.sent[key] = self.sent.get(key, 0) + 1
        if kind.once:
            assert self.sent[key] == 1, f"{key} {kind} was sent twice"
        reachable = self.bmc if kind.by_bmc else self.agent and self.up and not self.cut
        if not reachable:
            return
        if row.request.body.silent and self.up and not self.cut:
            return  # it is heard again
        done = self.perform(kind)
        if self.dice.random() < 0.15:
            return  # the reply is lost
        self.finish(key, done=done)

    def perform(self, kind: EffectKind) -> bool:
        match kind:
            case EffectKind.AGENT_REBOOT | EffectKind.BMC_RESET | EffectKind.BMC_CYCLE:
                if self.dice.random() < 0.1:
                    return False
                self.up, self.boot = False, self.boot + 1
            case EffectKind.BMC_OFF:
                self.up = False
            case EffectKind.BMC_ON:
                if not self.up:
                    self.up, self.boot = True, self.boot + 1
            case kind if kind in ERRANDS:
                return self.passes or self.dice.random() < 0.5
            case _:
                return self.dice.random() < 0.9
        return True

    def finish(self, key: str, *, done: bool) -> None:
        row = self.rows[key]
        if row.status not in ("open", "sent"):
            return
        if not done and row.request.kind in ERRANDS:
            self.restarted_proof = "its agent reported a failure"
        row.status = "done" if done else "failed"
        steps = self.outcome(key, done=done)
        self.commit_all(steps)  # one transaction with the row

    def outcome(self, key: str, *, done: bool) -> tuple[HostStep, ...]:
        return self.machines.settled_effect(
            self.record,
            self.declared,
            self.seen(),
            self.now,
            operation_id=key,
            done=done,
            outcome="said by the world",
        )

    def commit_all(self, steps: tuple[HostStep, ...]) -> None:
        for step in steps:
            self.commit(step)

    def echo(self) -> None:
        """An old result comes again."""
        over = [key for key, row in self.rows.items() if row.status not in ("open", "sent")]
        if over:
            key = self.dice.choice(over)
            assert self.outcome(key, done=self.dice.random() < 0.5) == ()

    # ------------------------------------------------------------------ what happens

    def order(self, action: HostAction) -> None:
        self.order_count += 1
        order = HostOrder(
            operation_id=f"order-{self.order_count:08}",
            host=NAME,
            action=action,
            expires_at=self.now,
        )
        step = self.machines.order(
            self.record,
            self.declared,
            self.seen(),
            self.now,
            order=order,
            peers=Peers(controllers=1, serving=1),
        )
        accepted = any(isinstance(event, OperationAccepted) for event in step.events)
        if not accepted:
            assert step.state == self.record and not step.effects
            if any(isinstance(event, OperationCompleted) for event in step.events):
                intended = intent_of(action) or self.declared.administrative
                self.declared = replace(self.declared, administrative=intended)
            return
        self.story.append(f"order {action.value}")
        intended = intent_of(action)
        if intended is not None:
            self.declared = replace(self.declared, administrative=intended)
        self.open_order = order.operation_id
        self.commit(step)

    def due(self) -> None:
        if self.record.due_at is not None and self.record.due_at > self.now:
            self.now = self.record.due_at
        if self.record.due_at is not None and self.record.due_at <= self.now:
            top = self.record.work.frames[-1]
            stage = (top.procedure, top.stage)
            if top.procedure in ("intest", "worker") or stage == ("enable", "booting"):
                self.restarted_proof = "it did not do in time what an unlocked host must do"
        self.apply(*self.machines.due(self.record, self.declared, self.seen(), self.now))

    def something(self) -> None:
        """One thing that may happen."""
        self.now += timedelta(seconds=self.dice.random() * 3)
        match self.dice.randrange(20):
            case 0:
                self.up = False
                self.parted = self.dice.random() < 0.3
                self.story.append("it died")
            case 1:
                if not self.up and self.dice.random() < 0.8:
                    self.up, self.boot = True, self.boot + 1
                    self.story.append("it booted")
            case 2:
                self.boot += self.up
                self.story.append("it rebooted by itself")
            case 3:
                self.cut = not self.cut
                self.story.append(f"cut off: {self.cut}")
            case 4:
                self.agent = self.dice.random() < 0.7
                self.bmc = self.dice.random() < 0.8
                self.passes = self.dice.random() < 0.8
            case 5:
                self.monitored = False
                self.story.append("mtce was restarted")
            case 6:
                self.order(self.dice.choice(ACTIONS))
            case 7:
                self.order(self.dice.choice([HostAction.LOCK, HostAction.UNLOCK]))
            case 8:
                self.flip()
            case 9:
                self.echo()
            case 10:
                self.said()
            case 11 | 12 | 13:
                self.execute()
            case 14 | 15:
                self.due()
            case 16:
                self.boots()
            case _:
                self.watch()

    def boots(self) -> None:
        """A host that went down for a restart comes up, mostly."""
        if not self.up and self.dice.random() < 0.9:
            self.up = True

    def flip(self) -> None:
        """The intent changes without an order."""
        other = (
            Administrative.LOCKED
            if self.declared.administrative is Administrative.UNLOCKED
            else Administrative.UNLOCKED
        )
        self.declared = replace(self.declared, administrative=other)
        if other is Administrative.UNLOCKED:
            self.restarted_proof = "an operator wants it unlocked"
        self.settle()

    def said(self) -> None:
        """Somebody says something about it."""
        given = (self.record, self.declared, self.seen(), self.now)
        on = self.dice.random() < 0.5
        match self.dice.randrange(6):
            case 0:
                if not self.up:
                    self.restarted_proof = self.restarted_proof or "released"
                    self.apply(*self.machines.released(*given))
            case 1:
                cause = "network=10.0.0.0/24" if on else ""
                self.apply(*self.machines.storm(*given, cause=cause))
            case 2:
                self.apply(*self.machines.power_seen(*given, on=on))
            case 3:
                about = {HealthCause.ALARM, HealthCause.LUKS}
                ill = about if on else set[HealthCause]()
                self.apply(*self.machines.ailing(*given, about=about, ill=ill, reason="ill"))
            case 4:
                self.ask()
            case _:
                self.restarted_proof = self.restarted_proof or "unfit"
                cause = RecoveryCause.HOST_SERVICES
                self.apply(*self.machines.unfit(*given, cause=cause, reason="a process failed"))

    def ask(self) -> None:
        """A condition's policy asks for a restart, or for nothing any more."""
        self.restarted_proof = self.restarted_proof or "a policy asks for it"
        action = self.dice.choice([AskedAction.RESET, AskedAction.POWER_CYCLE])
        ask = Ask(self.dice.choice(["sensor/inlet", "sensor/outlet"]), action)
        given = (self.record, self.declared, self.seen(), self.now)
        refused = asked_refusal(
            self.record, self.declared, Peers(controllers=1, serving=1), own=False, held=""
        )
        wanted = ask if self.dice.random() < 0.8 else None
        self.apply(*self.machines.asked(*given, ask=wanted, refused=refused))

    # --------------------------------------------------------------------- the whole

    def play(self, steps: int = 60) -> None:
        """A history, and then peace: the host must come to rest where it is wanted."""
        for _ in range(steps):
            self.something()
        self.rest()

    def rest(self) -> None:
        """Everything works again; nobody wants anything more."""
        self.story.append("peace")
        self.cut, self.agent, self.bmc, self.passes = False, True, True, True
        for _ in range(120):
            self.up = True
            self.now += SHORT
            self.watch()
            live = [row for row in self.rows.values() if row.status in ("open", "sent")]
            for _ in live:
                self.execute()
            if self.at_rest():
                return
            if self.record.due_at is not None:
                self.due()
            self.commit_all(
                self.machines.storm(self.record, self.declared, self.seen(), self.now, cause="")
            )
        raise AssertionError("it does not come to rest")

    def at_rest(self) -> bool:
        if not self.record.work.frames and not self.open_order:
            if self.declared.administrative is Administrative.LOCKED:
                return self.record.condition.locked or self.record.work.stood_down is not None
            return self.record.condition.serves or self.record.work.gave_up is not None
        return False


def tell(world: World) -> str:
    """What a failing history was, for a person."""
    lines = "\n".join(world.story[-40:])
    frames = world.record.work.frames
    return f"seed {world.seed}: {world.record.condition} {frames}\n{lines}"
