"""Every procedure, stage by stage: whole tables, and every half-done state taken up again."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from services.mtce.tests.machine_world import NAME, START, World, tell
from services.mtce.tests.test_host_fsm import observation, record, state

from murmuration.mtce.core.admission import Peers, asked_refusal, refusal
from murmuration.mtce.core.alarms import alarms_of
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.model import (
    Ask,
    Condition,
    Declared,
    EffectRequest,
    Frame,
    HostStep,
    Work,
)
from murmuration.mtce.core.plan import plan
from murmuration.mtce.core.policy import Policy
from murmuration.mtce.core.procedure import Result, Sign
from murmuration.mtce.core.procedures import PROCEDURES
from murmuration.proto.envelope import encode
from murmuration.proto.mtce import (
    Availability,
    HeartbeatState,
    HostTask,
    OperationFailed,
    RecoveryCause,
)
from murmuration.proto.node import AskedAction
from murmuration.proto.sysinv import Administrative, HostAction, Personality, RefusalCode

STAGES = [
    (name, stage.value) for name, procedure in PROCEDURES.items() for stage in procedure.entries
]
BOTTOM = [pair for pair in STAGES if pair[0] not in ("reset", "intest")]
ON_LOCKED = ("power", "reboot", "reinstall")
MACHINES = Machines(Policy())
WORKER = Declared(
    name=NAME,
    index=7,
    period_ms=100,
    administrative=Administrative.UNLOCKED,
    personality=Personality.WORKER,
    takes_orders=True,
    has_bmc=True,
)
ALONE = Peers()


@pytest.mark.parametrize(("name", "stage"), STAGES)
@pytest.mark.parametrize("sign", list(Sign), ids=lambda s: s.value)
def test_every_pair_leads_somewhere_or_is_ignored(name: str, stage: str, sign: Sign) -> None:
    machine = PROCEDURES[name].machine
    transition = machine.find(machine.states(stage), sign)
    if transition is None:
        return
    assert transition.action.why
    assert (transition.to is None) == isinstance(transition.action.result, Result)


@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_every_stage_has_a_way_out_of_time_or_is_stable(name: str, stage: str) -> None:
    procedure = PROCEDURES[name]
    entry = procedure.entries[procedure.machine.states(stage)]
    pair = (procedure.machine.states(stage), Sign.DUE)
    assert (pair in procedure.machine.table) == bool(entry.timer), "a timer and its end"
    if not entry.timer:
        assert entry.sub or stage == "awaiting", "it waits for another procedure, or is stable"


@pytest.mark.parametrize(("name", "stage"), BOTTOM)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_half_done_procedure_comes_to_rest_when_it_is_taken_up_after_a_restart(
    name: str, stage: str, seed: int
) -> None:
    world = World(seed)
    world.declared = replace(world.declared, takes_orders=True, has_bmc=True)
    locked = name in ON_LOCKED
    if locked:
        world.declared = replace(world.declared, administrative=Administrative.LOCKED)
    procedure = PROCEDURES[name]
    entry = procedure.entries[procedure.machine.states(stage)]
    frames = (Frame(procedure=name, stage=stage),)
    if entry.sub:
        frames += (Frame(procedure=entry.sub, stage=entry.sub_stage),)
    condition = Condition.LOCKED_ONLINE if locked else Condition.UNLOCKED_FAILED
    if name in ("disable", "worker"):
        condition = Condition.AVAILABLE
    half = Availability.INTEST if name == "worker" else Availability.NOT_INSTALLED
    world.declared = replace(world.declared, all_in_one=name == "worker")
    due_at = START + timedelta(seconds=5) if entry.timer or entry.sub else None
    work = Work(frames=frames, failed=condition is Condition.UNLOCKED_FAILED, worker=half)
    world.record = replace(world.record, condition=condition, due_at=due_at, work=work)
    world.alarms = {"200.001"} if locked else {"200.004"} if work.failed else set()
    world.restarted_proof = "it was under way"
    world.monitored = False
    world.rows.clear()
    try:
        world.rest()
    except AssertionError as error:
        raise AssertionError(f"{error}\n{tell(world)}") from error


def test_work_is_read_as_it_was_written() -> None:
    work = Work(
        frames=(Frame(procedure="enable", stage="booting", effect_id="h7-1-1"),),
        operation_id="operation-1",
        action=HostAction.UNLOCK,
        failures={"goenable": 2},
        stood_down=Administrative.LOCKED,
        effect_count=3,
    )
    assert msgspec.json.decode(encode(work), type=Work) == work
    assert msgspec.json.decode(b"{}", type=Work) == Work()


@pytest.mark.parametrize(
    ("condition", "action", "changes", "code"),
    [
        (Condition.AVAILABLE, HostAction.RESET, {}, RefusalCode.HOST_UNLOCKED),
        (Condition.AVAILABLE, HostAction.DELETE, {}, RefusalCode.HOST_UNLOCKED),
        (
            Condition.LOCKED_ONLINE,
            HostAction.RESET,
            {"has_bmc": False},
            RefusalCode.BMC_NOT_CONFIGURED,
        ),
        (Condition.LOCKED_POWER_OFF, HostAction.REBOOT, {}, RefusalCode.HOST_POWERED_OFF),
        (Condition.AVAILABLE, HostAction.LOCK, {"observe_only": True}, RefusalCode.OBSERVE_ONLY),
        (Condition.AVAILABLE, HostAction.SWACT, {}, RefusalCode.NOT_A_CONTROLLER),
        (
            Condition.AVAILABLE,
            HostAction.SWACT,
            {"personality": Personality.CONTROLLER},
            RefusalCode.SWACT_UNSUPPORTED,
        ),
        (
            Condition.LOCKED_ONLINE,
            HostAction.REBOOT,
            {"has_bmc": False, "takes_orders": False},
            RefusalCode.SIMULATED,
        ),
        (Condition.AVAILABLE, HostAction.UNKNOWN, {}, RefusalCode.UNKNOWN_ACTION),
    ],
)
def test_action_is_refused_by_code_and_says_what_to_do(
    condition: Condition, action: HostAction, changes: dict[str, object], code: RefusalCode
) -> None:
    declared = replace(WORKER, **changes)  # type: ignore[arg-type]
    found = refusal(record(condition), declared, action, ALONE)
    assert found is not None
    assert found.code is code
    assert found.reason.endswith(".")


def test_last_controller_in_service_is_not_locked() -> None:
    controller = replace(WORKER, personality=Personality.CONTROLLER)
    serving = record(Condition.AVAILABLE)
    alone_of_two = refusal(serving, controller, HostAction.LOCK, Peers(controllers=1, serving=0))
    assert alone_of_two is not None
    assert alone_of_two.code is RefusalCode.CONTROLLER_REDUNDANCY
    assert refusal(serving, controller, HostAction.LOCK, Peers(controllers=1, serving=1)) is None
    assert refusal(serving, controller, HostAction.LOCK, Peers()) is None, "a simplex"


@pytest.mark.parametrize("action", [a for a in HostAction if a is not HostAction.UNKNOWN])
def test_plan_changes_nothing_and_names_what_is_done(action: HostAction) -> None:
    serving = record(Condition.AVAILABLE)
    locked = record(Condition.LOCKED_ONLINE)
    for current in (serving, locked):
        seen = observation(HeartbeatState.WELL)
        found = plan(MACHINES, current, WORKER, seen, START, action=action, peers=ALONE)
        again = plan(MACHINES, current, WORKER, seen, START, action=action, peers=ALONE)
        assert found == again
        assert found.reason
        if found.refusal is RefusalCode.NONE and action is HostAction.LOCK and current is serving:
            assert [stage.effect for stage in found.stages] == ["agent.services_stop"]


def test_silent_host_is_not_restarted_before_the_hold_nor_without_a_standing_verdict() -> None:
    lost = observation(HeartbeatState.LOST, silent_ms=1_000)
    unheard = observation(heard=False)
    (step,) = MACHINES.settle(record(Condition.AVAILABLE), WORKER, lost, START)
    current, now = state(step), START
    assert current.task.value == "recovering"
    assert not any(isinstance(each, EffectRequest) for each in step.effects)
    now += timedelta(seconds=8)
    assert MACHINES.due(current, WORKER, unheard, now) == (), "mtce was restarted: nobody judged it"
    (step,) = MACHINES.due(current, WORKER, lost, now)
    asked = [each.kind.value for each in step.effects if isinstance(each, EffectRequest)]
    assert asked == ["agent.reboot"]
    current = state(step)
    kinds: list[str] = []
    for seconds in (11, 251):
        now += timedelta(seconds=seconds)
        (step,) = MACHINES.due(current, WORKER, lost, now)
        current = state(step)
        kinds += [each.kind.value for each in step.effects if isinstance(each, EffectRequest)]
    assert kinds == ["bmc.reset"]


class AllInOne:
    """A controller that is a worker too, and an agent that says what the test wants."""

    declared = replace(WORKER, personality=Personality.CONTROLLER, has_bmc=False, all_in_one=True)

    def __init__(self) -> None:
        self.current = record(Condition.UNLOCKED_ONLINE)
        self.now = START
        self.well = observation(HeartbeatState.WELL)
        self.take(*MACHINES.settle(self.current, self.declared, self.well, self.now))

    def take(self, *steps: HostStep) -> None:
        for step in steps:
            self.current = state(step)

    def ends(self, kind: str, *, done: bool = True) -> None:
        """The effect that is waited for, which must be of this kind, ends."""
        (frame,) = self.current.work.frames[-1:]
        entry = PROCEDURES[frame.procedure].entries
        stage = PROCEDURES[frame.procedure].machine.states(frame.stage)
        assert entry[stage].effect == kind
        given = (self.current, self.declared, self.well, self.now)
        effect_id = frame.effect_id
        self.take(
            *MACHINES.settled_effect(*given, operation_id=effect_id, done=done, outcome="said")
        )

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.take(*MACHINES.due(self.current, self.declared, self.well, self.now))

    def serves(self) -> None:
        """The host itself is brought into service."""
        self.ends("agent.intest")
        self.ends("agent.services_start")
        self.passes(12)

    @property
    def half(self) -> tuple[str, str]:
        shown = self.current.published()
        return shown.subfunction_operational.value, shown.subfunction_availability.value


def test_worker_half_is_tested_started_and_watched_once_its_controller_serves() -> None:
    host = AllInOne()
    assert host.half == ("disabled", "offline")
    host.serves()
    assert (host.current.condition, host.half) == (Condition.AVAILABLE, ("disabled", "intest"))
    assert host.current.task is HostTask.ENABLING_WORKER
    host.ends("agent.intest_worker")
    host.ends("agent.services_start_worker")
    host.passes(12)
    assert (host.half, host.current.work.frames) == (("enabled", "available"), ())
    wanted = replace(host.declared, administrative=Administrative.LOCKED)
    host.declared = wanted
    host.take(*MACHINES.settle(host.current, wanted, host.well, host.now))
    host.ends("agent.services_stop_worker")
    host.ends("agent.services_stop")
    assert host.current.condition is Condition.LOCKED_ONLINE
    assert host.half == ("disabled", "offline")


def test_worker_half_that_fails_degrades_its_host_which_is_enabled_anew_so_often() -> None:
    host = AllInOne()
    for attempt in (1, 2, 3):
        host.serves()
        host.ends("agent.intest_worker", done=False)
        assert host.current.condition is Condition.DEGRADED
        assert host.half == ("disabled", "failed")
        alarms = {(kind.alarm_id, kind.severity.value) for kind in alarms_of(host.current)}
        assert alarms == {("200.013", "critical")}
        host.passes(31)
        assert host.current.work.worker_failures == attempt
    assert host.current.condition is Condition.DEGRADED
    assert host.current.work.frames == (), "it stays so until an operator acts"
    assert "lock and unlock" in host.current.reason
    lost = observation(HeartbeatState.LOST, silent_ms=1_000)
    host.take(*MACHINES.settle(host.current, host.declared, lost, host.now))
    assert host.half == ("disabled", "offline")


def test_worker_half_goes_when_it_is_no_longer_declared() -> None:
    host = AllInOne()
    host.serves()
    host.declared = replace(host.declared, all_in_one=False)
    host.ends("agent.intest_worker")
    assert host.half == ("disabled", "not-installed")


class Asking:
    """A host whose sensor asks for something, again and again, while its BMC does as it is told."""

    def __init__(self, action: AskedAction) -> None:
        self.ask = Ask("sensor/inlet", action)
        self.current = record(Condition.AVAILABLE)
        self.now, self.boot = START, 1
        self.kinds: list[str] = []

    def take(self, *steps: HostStep) -> None:
        for step in steps:
            self.current = state(step)
            self.kinds += [e.kind.value for e in step.effects if isinstance(e, EffectRequest)]

    def asks(self, *, refused: str = "", ask: bool = True) -> None:
        wanted = self.ask if ask else None
        seen = observation(self.current.heartbeat, boot=f"boot-{self.boot}")
        self.take(
            *MACHINES.asked(self.current, WORKER, seen, self.now, ask=wanted, refused=refused)
        )

    def passes(self, level: HeartbeatState, seconds: float) -> None:
        """The host is heard, or not, and time passes: effects end, deadlines come."""
        self.now += timedelta(seconds=seconds)
        silent_ms = 1_000 if level is HeartbeatState.LOST else 10
        seen = observation(level, boot=f"boot-{self.boot}", silent_ms=silent_ms)
        self.take(*MACHINES.settle(self.current, WORKER, seen, self.now))
        frames = self.current.work.frames
        if frames and frames[-1].effect_id:
            self.take(
                *MACHINES.settled_effect(
                    self.current,
                    WORKER,
                    seen,
                    self.now,
                    operation_id=frames[-1].effect_id,
                    done=True,
                    outcome="",
                )
            )
        self.take(*MACHINES.due(self.current, WORKER, seen, self.now))

    def restarts(self) -> None:
        """It goes down, comes up on another boot, is tested and serves again."""
        self.passes(HeartbeatState.LOST, 1)
        self.passes(HeartbeatState.LOST, 300)
        self.passes(HeartbeatState.LOST, 1)
        self.boot += 1
        for seconds in (60, 1, 1, 12, 12):
            self.passes(HeartbeatState.WELL, seconds)
        assert self.current.condition is Condition.AVAILABLE, self.current


def test_host_is_reset_once_for_a_condition_that_asks_for_it_and_again_when_that_was_over() -> None:
    host = Asking(AskedAction.RESET)
    host.asks()
    assert host.current.task is HostTask.CRITICAL_RESETTING
    assert host.current.reason.startswith("worker-1 is in service: sensor/inlet asks for a reset")
    host.restarts()
    host.now += timedelta(seconds=2_000)
    host.asks()
    assert host.kinds.count("bmc.reset") == 1
    assert "it was restarted for that, and it did not help" in host.current.reason
    host.asks(ask=False)
    assert host.current.work.asked is None
    host.asks()
    assert host.kinds.count("bmc.reset") == 2


def test_host_is_power_cycled_three_times_and_then_powered_down_until_an_operator_acts() -> None:
    host = Asking(AskedAction.POWER_CYCLE)
    for _ in range(3):
        host.asks()
        assert host.current.task is HostTask.CRITICAL_POWER_CYCLING
        host.restarts()
        host.asks()
        assert host.current.work.frames == (), "it is held off for a while"
        host.now += timedelta(seconds=301)
    host.asks()
    assert host.current.task is HostTask.CRITICAL_POWER_DOWN
    host.passes(HeartbeatState.LOST, 1)
    assert host.current.condition is Condition.UNLOCKED_FAILED
    assert host.current.work.gave_up is RecoveryCause.CRITICAL
    assert host.current.task is HostTask.CRITICAL_POWER_DOWN
    assert host.kinds.count("bmc.power_off") == 4
    assert host.kinds.count("bmc.power_on") == 3
    before = host.kinds.copy()
    off = observation(HeartbeatState.LOST, silent_ms=9_000)
    host.take(*MACHINES.power_seen(host.current, WORKER, off, host.now, on=False))
    assert host.current.condition is Condition.UNLOCKED_POWER_OFF
    host.asks()
    host.passes(HeartbeatState.LOST, 9_999)
    assert host.kinds == before


def test_what_a_condition_asks_for_is_refused_once_with_the_reason_and_done_when_it_may_be() -> (
    None
):
    host = Asking(AskedAction.POWER_CYCLE)
    host.asks(refused="it is the last controller in service")
    first = host.current
    assert "which is refused: it is the last controller in service" in first.reason
    host.asks(refused="it is the last controller in service")
    assert host.current is first
    host.asks()
    assert host.kinds == ["bmc.power_off"]


@pytest.mark.parametrize(
    ("condition", "changes", "own", "serving", "held", "said"),
    [
        (Condition.LOCKED_ONLINE, {}, False, 1, "", "it is locked"),
        (Condition.AVAILABLE, {"observe_only": True}, False, 1, "", "observe-only"),
        (Condition.AVAILABLE, {"has_bmc": False}, False, 1, "", "no BMC"),
        (Condition.AVAILABLE, {}, True, 1, "", "host maintenance itself"),
        (
            Condition.AVAILABLE,
            {"personality": Personality.CONTROLLER},
            False,
            0,
            "",
            "last controller",
        ),
        (Condition.AVAILABLE, {}, False, 1, "3 of 8 hosts are lost", "3 of 8 hosts are lost"),
    ],
)
def test_restart_that_a_condition_asks_for_is_refused_where_it_would_do_harm(
    condition: Condition,
    changes: dict[str, object],
    own: bool,
    serving: int,
    held: str,
    said: str,
) -> None:
    declared = replace(WORKER, **changes)  # type: ignore[arg-type]
    peers = Peers(controllers=1, serving=serving)
    assert said in asked_refusal(record(condition), declared, peers, own=own, held=held)
    assert not asked_refusal(record(Condition.AVAILABLE), WORKER, ALONE, own=False, held="")


def test_host_that_said_good_bye_is_given_the_time_of_a_boot_before_it_is_restarted() -> None:
    gone = observation(HeartbeatState.LOST, silent_ms=1_000, stopping=True)
    (step,) = MACHINES.settle(record(Condition.AVAILABLE), WORKER, gone, START)
    parted = state(step)
    assert parted.condition is Condition.UNLOCKED_FAILED
    assert "after it said good-bye" in parted.reason
    minutes = START + timedelta(seconds=700)
    assert MACHINES.due(parted, WORKER, gone, minutes) == ()
    back = observation(HeartbeatState.WELL, boot="boot-b")
    (step,) = MACHINES.settle(parted, WORKER, back, minutes)
    assert [e.kind.value for e in step.effects if isinstance(e, EffectRequest)] == ["agent.intest"]
    (step,) = MACHINES.due(parted, WORKER, gone, START + timedelta(seconds=721))
    assert [e.kind.value for e in step.effects if isinstance(e, EffectRequest)] == ["agent.reboot"]


def test_silent_host_that_its_bmc_finds_off_is_turned_on_at_once_and_not_reset() -> None:
    lost = observation(HeartbeatState.LOST, silent_ms=1_000)
    (step,) = MACHINES.settle(record(Condition.AVAILABLE), WORKER, lost, START)
    (step,) = MACHINES.power_seen(state(step), WORKER, lost, START, on=False)
    assert state(step).condition is Condition.UNLOCKED_POWER_OFF
    assert [e.kind.value for e in step.effects if isinstance(e, EffectRequest)] == ["bmc.power_on"]
    assert "its BMC says that it is off" in state(step).reason


def test_host_that_says_it_reboots_and_does_not_go_down_is_reset_by_its_bmc() -> None:
    lost = observation(HeartbeatState.LOST, silent_ms=1_000)
    (step,) = MACHINES.settle(record(Condition.AVAILABLE), WORKER, lost, START)
    now = START + timedelta(seconds=8)
    (step,) = MACHINES.due(state(step), WORKER, lost, now)
    (asked,) = [each for each in step.effects if isinstance(each, EffectRequest)]
    (step,) = MACHINES.settled_effect(
        state(step), WORKER, lost, now, operation_id=asked.operation_id, done=True, outcome=""
    )
    current, kinds = state(step), list[str]()
    for seconds in (151, 251):
        now += timedelta(seconds=seconds)
        (step,) = MACHINES.due(current, WORKER, lost, now)
        current = state(step)
        kinds += [each.kind.value for each in step.effects if isinstance(each, EffectRequest)]
    assert kinds == ["bmc.reset"]


def test_lock_that_fails_leaves_the_host_in_service_and_says_how_to_go_on() -> None:
    well = observation(HeartbeatState.WELL)
    wanted = replace(WORKER, administrative=Administrative.LOCKED)
    (step,) = MACHINES.settle(record(Condition.AVAILABLE), wanted, well, START)
    (effect,) = [each for each in step.effects if isinstance(each, EffectRequest)]
    current = replace(
        state(step),
        work=replace(state(step).work, operation_id="operation-1", action=HostAction.LOCK),
    )
    (step,) = MACHINES.settled_effect(
        current,
        wanted,
        well,
        START,
        operation_id=effect.operation_id,
        done=False,
        outcome="a script failed",
    )
    after = state(step)
    assert after.condition is Condition.AVAILABLE
    assert after.work.stood_down is Administrative.LOCKED
    (ended,) = [event for event in step.events if isinstance(event, OperationFailed)]
    assert "--force" in ended.operation.reason
    assert MACHINES.settle(after, wanted, well, START) == (), "it is not tried again by itself"
