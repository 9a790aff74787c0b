"""Which actions are taken on, and which are refused, why, and what to do instead.

Checked when an order arrives, whatever its sender checked before: states may have moved since. A
refused action changes nothing.
"""

from dataclasses import dataclass

from murmuration.mtce.core.model import Condition, Declared, HostRecord
from murmuration.proto.mtce import HeartbeatState
from murmuration.proto.sysinv import HostAction, Personality, RefusalCode

_A, _R = HostAction, RefusalCode
NEEDS_LOCK = (_A.RESET, _A.REBOOT, _A.POWER_ON, _A.POWER_OFF, _A.REINSTALL, _A.DELETE)
_NEEDS_BMC = (_A.RESET, _A.POWER_ON, _A.POWER_OFF)
_RESTARTS = (_A.RESET, _A.REBOOT, _A.REINSTALL)
# A lock may come in between these.
_INTERRUPTIBLE = ("", "enable", "recovery", "critical", "worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """The other controllers of the site, as far as they matter: accepted, and in service."""

    controllers: int = 0
    serving: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not, as a code and as a sentence that says what to do."""

    code: RefusalCode
    reason: str


def refusal(
    record: HostRecord, declared: Declared, action: HostAction, peers: Peers
) -> Refusal | None:
    """Why this action is refused; None when it is taken on."""
    return (
        _unknown(action)
        or _swact(declared, action)
        or _untouchable(declared, action)
        or _unlocked(record, action)
        or _busy(record, action)
        or _last_controller(record, declared, action, peers)
        or _means(record, declared, action)
    )


def asked_refusal(
    record: HostRecord, declared: Declared, peers: Peers, *, own: bool, held: str
) -> str:
    """Why what a condition's policy asks for is not done, one clause; empty when it may be.

    `own`: the active mtce runs on this host; `held`: why nobody is restarted now.
    """
    controller = declared.personality is Personality.CONTROLLER
    if record.condition.locked:
        return "it is locked, so an operator is at it"
    if declared.observe_only:
        return "it is observe-only"
    if not declared.has_bmc:
        return "it has no BMC that could do it"
    if own:
        return "host maintenance itself runs on it"
    if controller and record.condition.serves and not peers.serving:
        return "it is the last controller in service"
    return held


def _unknown(action: HostAction) -> Refusal | None:
    if action is _A.UNKNOWN:
        return Refusal(_R.UNKNOWN_ACTION, "This version knows no such action: update mtce.")
    return None


def _swact(declared: Declared, action: HostAction) -> Refusal | None:
    if action not in (_A.SWACT, _A.FORCE_SWACT):
        return None
    if declared.personality is not Personality.CONTROLLER:
        return Refusal(
            _R.NOT_A_CONTROLLER, f"{declared.name} is no controller: activity is not on it."
        )
    return Refusal(
        _R.SWACT_UNSUPPORTED,
        "No service manager runs on this site: there is no activity that could be moved.",
    )


def _untouchable(declared: Declared, action: HostAction) -> Refusal | None:
    if action is _A.UNLOCK or action is _A.DELETE:
        return None
    if declared.observe_only:
        return Refusal(
            _R.OBSERVE_ONLY,
            f"{declared.name} is observe-only: nothing may be changed on it;"
            " change that in its agent's configuration.",
        )
    if action in NEEDS_LOCK and not (declared.takes_orders or declared.has_bmc):
        return Refusal(
            _R.SIMULATED, f"{declared.name} has neither an agent nor a BMC that could do this."
        )
    return None


def _unlocked(record: HostRecord, action: HostAction) -> Refusal | None:
    if action in NEEDS_LOCK and not record.condition.locked:
        return Refusal(
            _R.HOST_UNLOCKED, f"{record.name} is unlocked: `mur host lock {record.name}` first."
        )
    return None


def _busy(record: HostRecord, action: HostAction) -> Refusal | None:
    frames = record.work.frames
    running = frames[0].procedure if frames else ""
    if not running or action is _A.FORCE_LOCK:
        return None
    if action is _A.LOCK and (running in _INTERRUPTIBLE or record.condition.locked):
        return None
    if action is _A.LOCK and running == "disable" and not record.work.operation_id:
        return None  # the intent came before its order: it is at that very thing
    if action is _A.UNLOCK and running == "enable" and not record.work.operation_id:
        return None
    if action is _A.UNLOCK and running == "recovery":
        return None
    return Refusal(
        _R.ACTION_RUNNING,
        f"{record.name} is at it already ({record.work.action or running}):"
        " wait until that ends, or force-lock it.",
    )


def _last_controller(
    record: HostRecord, declared: Declared, action: HostAction, peers: Peers
) -> Refusal | None:
    if action not in (_A.LOCK, _A.FORCE_LOCK) or record.condition.locked:
        return None
    if declared.personality is not Personality.CONTROLLER or not peers.controllers:
        return None
    if record.condition.serves and not peers.serving:
        return Refusal(
            _R.CONTROLLER_REDUNDANCY,
            f"{record.name} is the last controller in service: enable another one first.",
        )
    return None


def _means(record: HostRecord, declared: Declared, action: HostAction) -> Refusal | None:
    if action in _NEEDS_BMC and not declared.has_bmc:
        return Refusal(
            _R.BMC_NOT_CONFIGURED,
            f"{record.name} has no BMC: declare it with `mur host bmc set {record.name}`.",
        )
    if action in (_A.RESET, _A.REBOOT) and record.condition is Condition.LOCKED_POWER_OFF:
        return Refusal(
            _R.HOST_POWERED_OFF,
            f"{record.name} is off: `mur host power-on {record.name}` instead.",
        )
    silent = record.heartbeat is not HeartbeatState.WELL
    if action in _RESTARTS and silent and not declared.has_bmc:
        return Refusal(
            _R.HOST_OFFLINE,
            f"{record.name} is not heard and has no BMC: restart it by hand.",
        )
    return None
