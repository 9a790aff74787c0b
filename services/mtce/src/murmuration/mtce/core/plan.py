"""What an action would do: the same machines, followed along their good way, on a copy.

The plan is read off the tables, so it cannot say other things than what would be done.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from murmuration.mtce.core.admission import Peers, refusal
from murmuration.mtce.core.host_fsm import Input
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.model import Declared, HostRecord, Observation
from murmuration.mtce.core.procedure import Procedure, Result, Sign
from murmuration.mtce.core.procedures import PROCEDURES
from murmuration.proto.mtce import HostOrder, HostPlan, OperationCompleted, PlannedStage
from murmuration.proto.sysinv import HostAction, RefusalCode

GOOD = (Sign.DONE, Sign.UP, Sign.LOST, Sign.DUE)  # what a stage hopes for, best first
STAGES_MAX = 20
REHEARSAL = "rehearsal-only"


def plan(
    machines: Machines,
    record: HostRecord,
    declared: Declared,
    seen: Observation,
    now: datetime,
    *,
    action: HostAction,
    peers: Peers,
) -> HostPlan:
    """The stages an action would go through if all goes well; nothing is changed."""
    refused = refusal(record, declared, action, peers)
    if refused is not None:
        return HostPlan(
            host=record.name, action=action, refusal=refused.code, reason=refused.reason
        )
    order = HostOrder(operation_id=REHEARSAL, host=record.name, action=action, expires_at=now)
    step = machines.order(record, declared, seen, now, order=order, peers=peers)
    ended = next((e for e in step.events if isinstance(e, OperationCompleted)), None)
    if ended is not None or step.state is None or not step.state.work.frames:
        reason = ended.operation.reason if ended else "Nothing is to be done."
        return HostPlan(
            host=record.name,
            action=action,
            refusal=RefusalCode.NONE,
            reason=f"Done at once: {reason}.",
            affected=tuple(_affected(record, action)),
        )
    frame = step.state.work.frames[0]
    stages = tuple(_follow(machines, declared, PROCEDURES[frame.procedure], frame.stage))
    return HostPlan(
        host=record.name,
        action=action,
        refusal=RefusalCode.NONE,
        reason=f"{record.name} goes through {len(stages)} stage{'s' * (len(stages) != 1)}.",
        affected=tuple(_affected(record, action)),
        stages=stages[:STAGES_MAX],
    )


def _affected(record: HostRecord, action: HostAction) -> Iterator[str]:
    if record.condition.serves and action in (HostAction.LOCK, HostAction.FORCE_LOCK):
        yield f"what runs on {record.name}: it leaves service"
        if action is HostAction.FORCE_LOCK:
            yield f"what runs on {record.name} is ended without being asked"
    if action in (HostAction.REINSTALL, HostAction.DELETE):
        what = "its disks are wiped" if action is HostAction.REINSTALL else "its record is removed"
        yield f"{record.name}: {what}"


def _follow(
    machines: Machines, declared: Declared, procedure: Procedure, stage: str
) -> Iterator[PlannedStage]:
    current: Any = procedure.machine.states(stage)
    for _ in range(STAGES_MAX):
        if current is None:
            return
        entry = procedure.entries[current]
        if entry.sub:
            yield from _follow(machines, declared, PROCEDURES[entry.sub], entry.sub_stage)
        else:
            yield _stage(machines, declared, procedure, current)
        good = next(s for s in GOOD if (current, s) in procedure.machine.table)
        transition = procedure.machine.table[current, good]
        if entry.effect is not None and entry.effect.by_bmc and not declared.has_bmc:
            transition = procedure.machine.table.get((current, Sign.FAILED), transition)
        if transition.to is None and transition.action.result is Result.FAILED:
            return
        current = transition.to


def _stage(
    machines: Machines, declared: Declared, procedure: Procedure, stage: Any
) -> PlannedStage:
    entry = procedure.entries[stage]
    late = procedure.machine.table.get((stage, Sign.DUE))
    seconds = machines.policy.duration_s(entry.timer, declared, None) if entry.timer else 0.0
    otherwise = ""
    if late is not None and late.action.host is not Input.SERVE:
        otherwise = late.action.why
    return PlannedStage(
        stage=f"{procedure.name} {stage.value}",
        text=entry.text,
        effect=entry.effect.value if entry.effect else "",
        once=entry.effect.once if entry.effect else False,
        deadline_s=seconds,
        otherwise=otherwise,
    )
