"""Every procedure, stage by stage: whole tables, and every half-done state taken up again."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from services.mtce.tests.machine_world import NAME, START, World, tell
from services.mtce.tests.test_host_fsm import observation, record, state

from murmuration.mtce.core.admission import Peers, refusal
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.model import Condition, Declared, EffectRequest, Frame, Work
from murmuration.mtce.core.plan import plan
from murmuration.mtce.core.policy import Policy
from murmuration.mtce.core.procedure import Result, Sign
from murmuration.mtce.core.procedures import PROCEDURES
from murmuration.proto.envelope import encode
from murmuration.proto.mtce import HeartbeatState, OperationFailed
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
    if name == "disable":
        condition = Condition.AVAILABLE
    due_at = START + timedelta(seconds=5) if entry.timer or entry.sub else None
    work = Work(frames=frames, failed=condition is Condition.UNLOCKED_FAILED)
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
