"""One sentence that says why an alarm is taken for the cause of another, with its evidence."""

from murmuration.fm.core.correlation import uplinks_of
from murmuration.fm.core.rules import By, Rule
from murmuration.fm.core.topology import Topology
from murmuration.proto.entities import components
from murmuration.proto.fm import Alarm

DAY_S = 86_400
HOUR_S = 3_600
MINUTE_S = 60


def reason(rule: Rule | None, *, cause: Alarm, symptom: Alarm, topology: Topology) -> str:
    """Why `cause` explains `symptom`: the rule's reason, what both share, and the times."""
    if rule is None:
        return "a rule that is no longer there named this cause; it is looked at again"
    return f"{rule.because}: {_shared(rule, cause, symptom, topology)}, {_times(cause, symptom)}"


def _shared(rule: Rule, cause: Alarm, symptom: Alarm, topology: Topology) -> str:
    match rule.by:
        case By.ENTITY:
            return f"both are about {cause.entity}"
        case By.BELOW:
            return f"{symptom.entity} lies in {cause.entity}"
        case By.COMPONENT:
            parts = components(cause.entity)
            shared = next((part for part in parts if part.startswith(f"{rule.key}=")), "")
            return f"both name {shared}"
        case By.UPLINK:
            uplinks = uplinks_of(components(symptom.entity), topology)
            cables = ", ".join(f"{uplink.switch} {uplink.port}" for uplink in uplinks)
            return f"{symptom.entity} is cabled to {cables or 'it'} by LLDP"
        case By.STORM:
            return f"mtce puts the silence of {symptom.entity} down to {cause.entity}"
        case By.SITE:
            return "both are of this site"


def _times(cause: Alarm, symptom: Alarm) -> str:
    apart_s = (symptom.first_raised_at - cause.first_raised_at).total_seconds()
    if apart_s >= 0:
        return f"raised {duration(apart_s)} after {cause.alarm_id} of {cause.entity}"
    return f"raised {duration(-apart_s)} before {cause.alarm_id} of {cause.entity} was"


def duration(seconds: float) -> str:
    """A duration as people say it, in its largest fitting unit."""
    if seconds < MINUTE_S:
        return f"{seconds:.1f} s"
    if seconds < HOUR_S:
        return f"{seconds / MINUTE_S:.0f} min"
    if seconds < DAY_S:
        return f"{seconds / HOUR_S:.0f} h"
    return f"{seconds / DAY_S:.0f} days"
