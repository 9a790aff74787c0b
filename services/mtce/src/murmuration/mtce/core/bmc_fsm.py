"""The reachability of one BMC: answering, silent, and silent for so long that an alarm says so.

It governs whether a host's BMC can be used. What the machine's power is, is another axis: it comes
with every answer and is unknown without one.

Invariants
- Power is what the BMC said in its last answer, never a guess: silence makes it unknown.
- Alarm 200.010 stands exactly while the state is LOST.
- A BMC whose machine is another one than before is told, with both identities.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from murmuration.kernel.fsm import Machine, Step, Transition
from murmuration.mtce.core.model import AlarmOrder
from murmuration.proto.fm import AlarmType, ClearAlarm, RaiseAlarm, Severity
from murmuration.proto.ids import HostName
from murmuration.proto.mtce_bmc import BmcPower, BmcState, BmcStateChanged
from murmuration.proto.sysinv import BmcProtocol

ACCESS_ALARM = "200.010"
ALARM_AFTER = timedelta(seconds=120)  # as operators know it; a BMC restarts in about 60 s


class Reach(enum.Enum):
    """Whether the BMC can be used."""

    UNKNOWN = "unknown"  # not audited yet since it was declared
    ANSWERING = "answering"
    SILENT = "silent"  # the last audit failed
    LOST = "lost"  # for longer than ALARM_AFTER: an alarm says so


class Input(enum.Enum):
    """What an audit may come to."""

    ANSWERED = "answered"
    FAILED = "failed"
    OVERDUE = "overdue"  # failed, and the first failure in a row is ALARM_AFTER ago
    CLEARED = "cleared"  # the host has no BMC any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One look at a BMC; `failure` is empty when it answered."""

    failure: str = ""
    power: BmcPower = BmcPower.UNKNOWN
    protocol: BmcProtocol = BmcProtocol.DYNAMIC
    uuid: str = ""
    serial: str = ""
    product: str = ""
    firmware: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcRecord:
    """What is kept of a BMC; `last` is the last answer, or only a failure."""

    name: HostName
    reach: Reach
    last: Audit
    silent_since: datetime | None
    changed_at: datetime
    reason: str

    @property
    def power(self) -> BmcPower:
        """As it said last, unknown while it does not answer."""
        return self.last.power if self.reach is Reach.ANSWERING else BmcPower.UNKNOWN

    def published(self) -> BmcState:
        """The record as others see it."""
        return BmcState(
            host=self.name,
            reachable=self.reach is Reach.ANSWERING,
            power=self.power,
            protocol=self.last.protocol,
            uuid=self.last.uuid,
            serial=self.last.serial,
            product=self.last.product,
            firmware=self.last.firmware,
            changed_at=self.changed_at,
            reason=self.reason,
        )


BmcStep = Step[BmcRecord | None, BmcStateChanged, AlarmOrder]
Action = Callable[[BmcRecord, Audit, datetime], tuple[BmcRecord, str]]


def has_answered(record: BmcRecord, audit: Audit, _now: datetime) -> tuple[BmcRecord, str]:
    """What it said replaces what was known."""
    said = f"the BMC of {record.name} answers by {audit.protocol.value}: power {audit.power.value}"
    known, found = _machine(record.last), _machine(audit)
    if known and found and known != found:
        said += f"; it manages another machine than before ({found} after {known})"
    return replace(record, last=audit, silent_since=None), said


def has_failed(record: BmcRecord, audit: Audit, now: datetime) -> tuple[BmcRecord, str]:
    """Silence begins or goes on; what the machine was stays known, its power does not."""
    since = record.silent_since or now
    last = replace(record.last, failure=audit.failure, power=BmcPower.UNKNOWN)
    said = f"the BMC of {record.name} does not answer: {audit.failure}"
    return replace(record, last=last, silent_since=since), said


def is_cleared(record: BmcRecord, _audit: Audit, _now: datetime) -> tuple[BmcRecord, str]:
    """Nobody asks about it any more."""
    return record, f"{record.name} has no BMC any more"


_R, _I, _T = Reach, Input, Transition[Reach, Action]
TABLE: dict[tuple[Reach, Input], Transition[Reach, Action]] = {
    (_R.UNKNOWN, _I.ANSWERED): _T(_R.ANSWERING, has_answered),
    (_R.UNKNOWN, _I.FAILED): _T(_R.SILENT, has_failed),
    (_R.UNKNOWN, _I.CLEARED): _T(None, is_cleared),
    (_R.ANSWERING, _I.ANSWERED): _T(_R.ANSWERING, has_answered),
    (_R.ANSWERING, _I.FAILED): _T(_R.SILENT, has_failed),
    (_R.ANSWERING, _I.CLEARED): _T(None, is_cleared),
    (_R.SILENT, _I.ANSWERED): _T(_R.ANSWERING, has_answered),
    (_R.SILENT, _I.FAILED): _T(_R.SILENT, has_failed),
    (_R.SILENT, _I.OVERDUE): _T(_R.LOST, has_failed, "200.010"),
    (_R.SILENT, _I.CLEARED): _T(None, is_cleared),
    (_R.LOST, _I.ANSWERED): _T(_R.ANSWERING, has_answered),
    (_R.LOST, _I.FAILED): _T(_R.LOST, has_failed),
    (_R.LOST, _I.OVERDUE): _T(_R.LOST, has_failed),
    (_R.LOST, _I.CLEARED): _T(None, is_cleared),
}
# A silence begins with a failure: without one nothing can be overdue.
IGNORED = frozenset({(_R.UNKNOWN, _I.OVERDUE), (_R.ANSWERING, _I.OVERDUE)})
MACHINE: Machine[Reach, Input, Action] = Machine(
    name="bmc", states=Reach, inputs=Input, table=TABLE, ignored=IGNORED
)


def admit(name: HostName, now: datetime) -> BmcRecord:
    """A BMC was declared: nothing is known of it yet."""
    return BmcRecord(
        name=name,
        reach=Reach.UNKNOWN,
        last=Audit(),
        silent_since=None,
        changed_at=now,
        reason=f"the BMC of {name} was declared and not audited yet",
    )


def judge(record: BmcRecord, audit: Audit, now: datetime) -> Input:
    """Which input an audit is."""
    if not audit.failure:
        return Input.ANSWERED
    since = record.silent_since
    return Input.OVERDUE if since is not None and now - since >= ALARM_AFTER else Input.FAILED


def step(record: BmcRecord, given: Input, audit: Audit, now: datetime) -> BmcStep:
    """One input; what changes nothing that others see comes back without events."""
    transition = MACHINE.find(record.reach, given)
    if transition is None:
        return BmcStep(state=record, events=(), effects=(), reason=record.reason)
    found, reason = transition.action(record, audit, now)
    if transition.to is None:
        return BmcStep(state=None, events=(), effects=_alarm(record, None, now), reason=reason)
    after = replace(found, reach=transition.to, reason=reason, changed_at=now)
    if _seen(after) == _seen(record):
        return BmcStep(state=record, events=(), effects=(), reason=record.reason)
    event = BmcStateChanged(state=after.published())
    return BmcStep(state=after, events=(event,), effects=_alarm(record, after, now), reason=reason)


def _seen(record: BmcRecord) -> tuple[object, ...]:
    """What of a record is worth an event: not the words of a failure, which vary."""
    return (record.reach, record.silent_since, replace(record.last, failure=""))


def _machine(audit: Audit) -> str:
    return audit.serial or audit.uuid


def _alarm(before: BmcRecord, after: BmcRecord | None, now: datetime) -> tuple[AlarmOrder, ...]:
    was, is_now = before.reach is Reach.LOST, after is not None and after.reach is Reach.LOST
    if was == is_now:
        return ()
    entity = f"host={before.name}"
    if after is None or not is_now:
        reason = after.reason if after is not None else f"{before.name} has no BMC any more"
        return (ClearAlarm(alarm_id=ACCESS_ALARM, entity=entity, cleared_at=now, reason=reason),)
    return (access_alarm(after, now),)


def access_alarm(record: BmcRecord, now: datetime) -> RaiseAlarm:
    """200.010 as operators know it."""
    return RaiseAlarm(
        alarm_id=ACCESS_ALARM,
        entity=f"host={record.name}",
        severity=Severity.WARNING,
        reason_text=f"Access to the BMC of {record.name} has failed: {record.last.failure}"[:1_000],
        alarm_type=AlarmType.COMMUNICATION,
        probable_cause="communication-subsystem-failure",
        proposed_repair_action=(
            "Check the BMC's network, address, user and password:"
            f" `mur host bmc show {record.name}`."
        ),
        service_affecting=False,
        raised_at=now,
    )
