"""How one monitored process is kept: found, watched, started anew, and given up as failed.

Phase says what the monitor does now; `alarmed` says whether the failure stands, on an axis of its
own: a process over its restarts is tried again, ever more slowly, while its alarm stands.

| failure | what follows |
|---|---|
| within its restarts | started anew: at once, or when `interval` has passed since the last start |
| over its restarts | the alarm is raised; tries go on, each after twice the wait, 300 s at most |
| it has no restarts (0) | the alarm is raised; it is looked for, and never started |

Invariants: between two starts there is at least RESTART_GAP_S; what ran for `debounce` without
failing has no alarm and a count of zero; a suspended monitor starts nothing.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

from murmuration.kernel.fsm import Machine, Step, Transition
from murmuration.node.core.process_spec import Mode, ProcessSpec

RESTART_GAP_S = 1.0  # a process that ends at once must not fill the process table with its starts
DAMPED_S_MAX = 300.0
RESTART_S_MAX = 60.0  # for the programs that start a process


class Phase(enum.Enum):
    """What the monitor does with the process."""

    WAITING = "waits for its turn to be looked at"
    LOOKING = "looks for the process, within its startup time"
    RUNNING = "watches it"
    PAUSING = "waits before the next start"
    RESTARTING = "starts it anew"
    DOWN = "it is down, and not ours to start"
    SUSPENDED = "its host's services are stopped: whatever it does is right"
    IGNORED = "is told not to look"


class Input(enum.Enum):
    """What may happen. Which kind of failure one is, `failure` decides."""

    BEGIN = "begin"  # the start delay is over, and the host is initialised where that is wanted
    APPEARED = "appeared"  # the process lives, or its status is good
    FAILED_NOW = "failed_now"  # with restarts left, and the interval over
    FAILED_SOON = "failed_soon"  # with restarts left, within the interval
    FAILED_OVER = "failed_over"  # over its restarts
    FAILED_FINAL = "failed_final"  # it has no restarts
    RESTARTED = "restarted"  # what starts it has succeeded
    DUE = "due"  # the deadline of the phase has come
    SUSPEND = "suspend"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Watch:
    """One process; instants are seconds of a clock that never steps."""

    spec: ProcessSpec
    phase: Phase = Phase.WAITING
    pid: int = 0
    failures: int = 0
    alarmed: bool = False
    due: float | None = None
    restarted_at: float | None = None
    restart_count: int = 0


ProcessStep = Step[Watch, None, None]
Outcome = tuple[Watch, str]
Action = Callable[[Watch, float, int, str], Outcome]


def looks(watch: Watch, now: float, _pid: int, _why: str) -> Outcome:
    """The process is looked for until its startup time is over."""
    due = now + watch.spec.startup_s
    return replace(watch, pid=0, due=due), "it is looked for"


def watches(watch: Watch, now: float, pid: int, _why: str) -> Outcome:
    """It lives; whether the failure is over is known after the debounce."""
    due = now + watch.spec.debounce_s if watch.failures or watch.alarmed else None
    return replace(watch, pid=pid, due=due), f"it runs as {pid}" if pid else "it is well"


def settles(watch: Watch, _now: float, _pid: int, _why: str) -> Outcome:
    """It ran long enough: counted and raised no more."""
    reason = f"it has run for {watch.spec.debounce_s:g} s"
    return replace(watch, failures=0, alarmed=False, due=None), reason


def restarts(watch: Watch, now: float, _pid: int, why: str) -> Outcome:
    """It is started now; counts as a failure."""
    moved, _ = begins(replace(watch, failures=watch.failures + 1), now, 0, why)
    return moved, f"{why}; start {moved.failures} of {watch.spec.restarts} begins"


def begins(watch: Watch, now: float, _pid: int, _why: str) -> Outcome:
    """The programs that start it are run."""
    count = watch.restart_count + 1
    moved = replace(watch, pid=0, due=None, restarted_at=now, restart_count=count)
    return moved, "it is started"


def waits(watch: Watch, now: float, _pid: int, why: str) -> Outcome:
    """It failed so soon that the next start has to wait."""
    due = _next_start(watch, watch.spec.interval_s, now)
    failures = watch.failures + 1
    moved = replace(watch, pid=0, failures=failures, due=due)
    return moved, f"{why}; start {failures} of {watch.spec.restarts} in {due - now:.1f} s"


def fails(watch: Watch, now: float, _pid: int, why: str) -> Outcome:
    """Over its restarts: the alarm stands, and starts are damped."""
    failures = watch.failures + 1
    over = min(failures - watch.spec.restarts, 16)
    wait = min(max(watch.spec.interval_s, RESTART_GAP_S) * 2**over, DAMPED_S_MAX)
    due = _next_start(watch, wait, now)
    moved = replace(watch, pid=0, failures=failures, alarmed=True, due=due)
    return moved, f"{why}, after {watch.spec.restarts} starts; tried again in {due - now:.0f} s"


def gives_up(watch: Watch, _now: float, _pid: int, why: str) -> Outcome:
    """It is not ours to start: the alarm stands until it is back."""
    moved = replace(watch, pid=0, failures=watch.failures + 1, alarmed=True, due=None)
    return moved, f"{why}; it is not to be started by the monitor"


def rests(watch: Watch, _now: float, _pid: int, _why: str) -> Outcome:
    """Nothing is expected of it, so nothing is wrong with it."""
    moved = replace(watch, pid=0, failures=0, alarmed=False, due=None, restarted_at=None)
    return moved, "its host's services are stopped"


def _next_start(watch: Watch, wait_s: float, now: float) -> float:
    since = watch.restarted_at if watch.restarted_at is not None else now
    return max(now, since + max(wait_s, RESTART_GAP_S))


_P, _I, _T = Phase, Input, Transition[Phase, Action]
_FAILURES = (_I.FAILED_NOW, _I.FAILED_SOON, _I.FAILED_OVER, _I.FAILED_FINAL)
_AT_WORK = (_P.LOOKING, _P.RUNNING, _P.RESTARTING)  # phases in which it can fail
_ANY = (_P.WAITING, _P.LOOKING, _P.RUNNING, _P.PAUSING, _P.RESTARTING, _P.DOWN)
TABLE: dict[tuple[Phase, Input], Transition[Phase, Action]] = {
    (_P.WAITING, _I.BEGIN): _T(_P.LOOKING, looks),
    (_P.LOOKING, _I.APPEARED): _T(_P.RUNNING, watches),
    (_P.RUNNING, _I.DUE): _T(_P.RUNNING, settles, "debounced"),
    (_P.PAUSING, _I.DUE): _T(_P.RESTARTING, begins),
    (_P.RESTARTING, _I.RESTARTED): _T(_P.LOOKING, looks),
    (_P.DOWN, _I.APPEARED): _T(_P.RUNNING, watches),
    (_P.SUSPENDED, _I.RESUME): _T(_P.LOOKING, looks),
    **{(p, _I.FAILED_NOW): _T(_P.RESTARTING, restarts) for p in _AT_WORK},
    **{(p, _I.FAILED_SOON): _T(_P.PAUSING, waits) for p in _AT_WORK},
    **{(p, _I.FAILED_OVER): _T(_P.PAUSING, fails) for p in _AT_WORK},
    **{(p, _I.FAILED_FINAL): _T(_P.DOWN, gives_up) for p in _AT_WORK},
    **{(p, _I.SUSPEND): _T(_P.SUSPENDED, rests) for p in _ANY},
}
IGNORED: frozenset[tuple[Phase, Input]] = frozenset(
    set(product([_P.IGNORED], Input))
    | set(product([_P.SUSPENDED], [i for i in Input if i is not _I.RESUME]))
    | {(p, _I.BEGIN) for p in _ANY if p is not _P.WAITING}
    | {(p, _I.RESUME) for p in _ANY}
    # An observation that was on its way when the phase changed.
    | set(product((_P.WAITING, _P.PAUSING, _P.DOWN), _FAILURES))
    | {(p, _I.APPEARED) for p in (_P.WAITING, _P.RUNNING, _P.PAUSING, _P.RESTARTING)}
    | {(p, _I.RESTARTED) for p in _ANY if p is not _P.RESTARTING}
    | {(p, _I.DUE) for p in (_P.WAITING, _P.LOOKING, _P.RESTARTING, _P.DOWN)}
)
MACHINE: Machine[Phase, Input, Action] = Machine(
    name="process", states=Phase, inputs=Input, table=TABLE, ignored=IGNORED
)


def failure(watch: Watch, now: float) -> Input:
    """Which kind of failure one is that happens now."""
    spec = watch.spec
    if not spec.restarts:
        return Input.FAILED_FINAL
    if watch.failures >= spec.restarts:
        return Input.FAILED_OVER
    gap = max(spec.interval_s, RESTART_GAP_S)
    recent = watch.restarted_at is not None and now < watch.restarted_at + gap
    return Input.FAILED_SOON if recent else Input.FAILED_NOW


def step(watch: Watch, given: Input, now: float, *, pid: int = 0, why: str = "") -> ProcessStep:
    """One input; `pid` of a process that appeared, `why` of a failure, one clause."""
    transition = MACHINE.find(watch.phase, given)
    if transition is None:
        return ProcessStep(state=watch, events=(), effects=(), reason=watch.phase.value)
    assert transition.to is not None  # a watch ends with its file, not by an input
    following, reason = transition.action(watch, now, pid, why)
    moved = replace(following, phase=transition.to)
    return ProcessStep(state=moved, events=(), effects=(), reason=f"{watch.spec.name}: {reason}")


def watch_of(spec: ProcessSpec) -> Watch:
    """A process as it is before anything is known of it."""
    return Watch(spec=spec, phase=Phase.IGNORED if spec.mode is Mode.IGNORE else Phase.WAITING)
