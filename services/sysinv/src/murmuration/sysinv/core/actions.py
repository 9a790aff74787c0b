"""What sysinv says to an action on a host: it checks what it owns, mtce checks the rest.

sysinv owns whether a host is part of the site, what may be changed on it, and what is intended for
it. What a host is like at the moment, mtce knows.
"""

from murmuration.proto.sysinv import (
    ActionCheck,
    Administrative,
    Admission,
    Host,
    HostAction,
    Origin,
    Personality,
    RefusalCode,
)

_A, _R = HostAction, RefusalCode
NEEDS_LOCK = (_A.RESET, _A.REBOOT, _A.POWER_ON, _A.POWER_OFF, _A.REINSTALL, _A.DELETE)
_INTENDS = {
    _A.LOCK: Administrative.LOCKED,
    _A.FORCE_LOCK: Administrative.LOCKED,
    _A.UNLOCK: Administrative.UNLOCKED,
}


def intent_of(action: HostAction) -> Administrative | None:
    """The administrative state that an action is about; None when it is about something else."""
    return _INTENDS.get(action)


def check(host: Host, action: HostAction) -> ActionCheck:
    """Whether sysinv takes this action on; a refusal says why and what to do instead."""
    name = host.name
    if action is _A.UNKNOWN:
        return ActionCheck(refusal=_R.UNKNOWN_ACTION, reason="sysinv knows no such action.")
    if host.admission is not Admission.ACCEPTED:
        return ActionCheck(
            refusal=_R.NOT_ACCEPTED,
            reason=f"{name} is only discovered: `mur host accept {name}` first.",
        )
    if action in (_A.SWACT, _A.FORCE_SWACT) and host.personality is not Personality.CONTROLLER:
        return ActionCheck(
            refusal=_R.NOT_A_CONTROLLER, reason=f"{name} is no controller: no activity is on it."
        )
    if host.observe_only and action not in (_A.UNLOCK, _A.DELETE):
        return ActionCheck(
            refusal=_R.OBSERVE_ONLY,
            reason=f"{name} is observe-only: nothing may be changed on it;"
            " change that in its agent's configuration.",
        )
    if action in NEEDS_LOCK and host.intended_administrative is not Administrative.LOCKED:
        return ActionCheck(
            refusal=_R.HOST_UNLOCKED, reason=f"{name} is unlocked: `mur host lock {name}` first."
        )
    if action in NEEDS_LOCK and action is not _A.DELETE and host.origin is Origin.SIMULATED:
        return ActionCheck(
            refusal=_R.SIMULATED, reason=f"{name} is a model: it has no power and no disks."
        )
    return ActionCheck()
