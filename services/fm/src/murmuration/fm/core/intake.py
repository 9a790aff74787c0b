"""Whether something a producer says can be: the words, the entity, and who may speak for whom."""

from datetime import UTC, datetime
from typing import NamedTuple

from murmuration.fm.core.model import Request
from murmuration.proto.entities import components, fault_of
from murmuration.proto.fm import ClearAlarm, ClearBelow, RaiseAlarm, RecordLog, Refusal, Tick
from murmuration.proto.fm_vocabulary import AlarmType, ProbableCause, Severity

AGENT = "node-"  # before a host's name: the producer that is this host's agent
OURSELVES = "fm"
_CAUSES = frozenset(cause.value for cause in ProbableCause)


class Fault(NamedTuple):
    """Why a message is refused."""

    refusal: Refusal
    reason: str


def fault_in(request: Request, producer: str) -> Fault | None:
    """What is wrong with a decoded message; None when it is taken in."""
    if isinstance(request, Tick):
        if producer != OURSELVES:
            return Fault(Refusal.FOREIGN, "only fm ticks")
        return None
    at = _instant(request)
    if at.tzinfo is not UTC and not _is_instant(at):
        return Fault(Refusal.MALFORMED, "its time cannot be told in UTC")
    phrase = fault_of(request.entity)
    if phrase is not None:
        return Fault(Refusal.ENTITY, f"the entity is no path: {phrase}")
    if producer.startswith(AGENT) and not _is_own(request.entity, producer):
        own = f"host={producer.removeprefix(AGENT)}"
        return Fault(Refusal.FOREIGN, f"{producer} speaks for {own} and what is below it alone")
    match request:
        case RaiseAlarm(severity=severity, alarm_type=kind, probable_cause=cause):
            return _words(severity, kind, cause)
        case RecordLog(severity=severity, event_type=kind, probable_cause=cause):
            return _words(severity, kind, cause)
        case ClearAlarm() | ClearBelow():
            return None


def _instant(request: RaiseAlarm | ClearAlarm | ClearBelow | RecordLog) -> datetime:
    match request:
        case RaiseAlarm(raised_at=at) | RecordLog(logged_at=at):
            return at
        case ClearAlarm(cleared_at=at) | ClearBelow(cleared_at=at):
            return at


def _is_instant(at: datetime) -> bool:
    try:
        at.astimezone(UTC)
    except OverflowError:
        return False
    return True


def _is_own(entity: str, producer: str) -> bool:
    return components(entity)[0] == f"host={producer.removeprefix(AGENT)}"


def _words(severity: Severity, kind: AlarmType, cause: str) -> Fault | None:
    if severity is Severity.UNKNOWN:
        return Fault(Refusal.WORD, "its severity is none of X.733")
    if kind is AlarmType.UNKNOWN:
        return Fault(Refusal.WORD, "its event type is none of the catalogue")
    if cause not in _CAUSES:
        return Fault(Refusal.WORD, f"{cause[:64]!r} is no probable cause")
    return None
