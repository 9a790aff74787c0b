"""What becomes of alarms when somebody says something about them: a batch decided in memory.

A Ledger holds the alarms that a batch is about, as they were loaded, and takes in what is said,
one after the other. In the end it knows the transitions, in order (each is one row of history and
one event), and which alarms are to be written or deleted.

Invariants:
- An alarm is known by (alarm id, entity), exactly; its uuid stays from first raise to clear.
- An identical raise is a count: no history, no event. A raise that says something else is one
  change. Measurements and additional information alone are no change: they are told with the count.
- An alarm is masked while at least one other active alarm that inhibits stands on or above its
  entity; whoever comes later is masked too; the last inhibitor to go unmasks.
- What cannot be is refused by itself, with the reason.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from murmuration.fm.core.policy import Policy
from murmuration.proto.entities import above, path_of
from murmuration.proto.fm import (
    Alarm,
    ClearAlarm,
    ClearBelow,
    LogEntry,
    RaiseAlarm,
    RecordLog,
    Tick,
)
from murmuration.proto.fm_operators import HistoryKind
from murmuration.proto.fm_vocabulary import SEVERITY_RANK, Severity, Trend

PRODUCER_LEASE_S = 900  # three rounds of a producer's assertion: one may be lost, and one be late
SAID = (
    "alarm_type",
    "probable_cause",
    "specific_problem",
    "reason_text",
    "service_affecting",
)
JUDGED = (
    "severity",
    "management_affecting",
    "degrade_affecting",
    "suppressible",
    "quarantined",
)

Key = tuple[str, str]  # alarm id, entity
Request = RaiseAlarm | ClearAlarm | ClearBelow | RecordLog | Tick


class Said(NamedTuple):
    """One message as it is decided upon; `uuid` is for what does not have one yet.

    `leased`: the producer asserts what still holds, so that its silence says something.
    """

    request: Request
    producer: str
    uuid: str
    leased: bool = False
    author: str = ""
    traceparent: str | None = None


@dataclass(slots=True)
class Active:
    """An active alarm with what is kept beside its record.

    `lease_ends_s` on the clock of the leases; `told_count` is the raise count readers know.
    """

    alarm: Alarm
    path: str
    lease_ends_s: int | None = None
    told_count: int = 0


class Transition(NamedTuple):
    """One thing that happened: a row of history (unless `quiet`) and an event."""

    kind: HistoryKind
    subject: Alarm | LogEntry
    path: str
    at: datetime
    changed: tuple[str, ...] = ()
    reason: str = ""
    author: str = ""
    severity_before: Severity | None = None
    traceparent: str | None = None
    quiet: bool = False


@dataclass(slots=True)
class Ledger:
    """The alarms of one batch; see the module."""

    policy: Policy
    now: datetime
    clock_s: int = 0
    transitions: list[Transition] = field(default_factory=list[Transition])
    touched: dict[Key, Active | None] = field(default_factory=dict[Key, Active | None])
    ticked_s: int = 0
    counted: int = 0
    _alarms: dict[Key, Active] = field(default_factory=dict[Key, Active])
    _inhibitors: dict[str, int] = field(default_factory=dict[str, int])

    def load(self, alarms: Iterable[Active], inhibitors: Iterable[tuple[Key, str]] = ()) -> None:
        """Take in what the database holds: all alarms the batch is about, and (key, path) of what
        inhibits on and above their entities."""
        seen: dict[Key, str] = dict(inhibitors)
        for active in alarms:
            key = (active.alarm.alarm_id, active.alarm.entity)
            self._alarms[key] = active
            if active.alarm.inhibits:
                seen[key] = active.path
        for path in seen.values():
            self._inhibitors[path] = self._inhibitors.get(path, 0) + 1

    @property
    def alarms(self) -> dict[Key, Active]:
        """The alarms as they are now."""
        return self._alarms

    def apply(self, said: Said) -> None:
        """Take in one message that was found sound."""
        match said.request:
            case RaiseAlarm():
                self.raise_alarm(said.request, said)
            case ClearAlarm(alarm_id=alarm_id, entity=entity, cleared_at=at, reason=reason):
                reason = reason or f"cleared by {said.producer}"
                self.clear((alarm_id, entity), at=at, reason=reason, said=said)
            case ClearBelow():
                self._clear_below(said.request, said)
            case RecordLog():
                self._log(said.request, said)
            case Tick(period_s=period_s):
                self.ticked_s += period_s
                self.clock_s += period_s

    def raise_alarm(self, request: RaiseAlarm, said: Said) -> Alarm:
        """Raise, change or count; returns the alarm as it is afterwards."""
        key = (request.alarm_id, request.entity)
        known = self._alarms.get(key)
        if known is None:
            return self._begin(key, request, said)
        before = known.alarm
        raised_at = _utc(request.raised_at)
        again: dict[str, Any] = {
            "producer": said.producer,
            "raise_count": before.raise_count + 1,
            "last_raised_at": max(before.last_raised_at, raised_at),
        }
        if request.keep_existing:
            if before.stale:
                again["stale"] = False
        else:
            again |= self._what_it_says(request, before, known.path)
        changed = _differing(before, again)
        active = Active(before, known.path, self._lease(request, said), known.told_count)
        if not changed:
            active.alarm = msgspec.structs.replace(before, **again)
            self.counted += 1
        elif not request.keep_existing:
            _note_change(before, again, changed, raised_at)
            changed = _differing(before, again)
        self._put(key, active, again, changed, said=said, at=raised_at)
        return active.alarm

    def _begin(self, key: Key, request: RaiseAlarm, said: Said) -> Alarm:
        path, raised_at = path_of(request.entity), _utc(request.raised_at)
        judged = self.policy.judge(request.alarm_id, request.severity)
        alarm = Alarm(
            uuid=said.uuid,
            alarm_id=request.alarm_id,
            entity=request.entity,
            severity=judged.severity,
            reported_severity=_reported(request.severity, judged.severity),
            alarm_type=request.alarm_type,
            probable_cause=request.probable_cause,
            specific_problem=request.specific_problem,
            reason_text=request.reason_text,
            proposed_repair_action=self._repair(request),
            service_affecting=request.service_affecting,
            management_affecting=judged.management_affecting,
            degrade_affecting=judged.degrade_affecting,
            suppressible=judged.suppressible,
            inhibits=judged.inhibits,
            masked=judged.suppressible and self._inhibited(path, inhibits=False),
            suppressed=self.policy.suppresses(request.alarm_id, request.entity, judged.severity),
            quarantined=judged.quarantined,
            threshold=request.threshold,
            producer=said.producer,
            raise_count=1,
            first_raised_at=raised_at,
            last_raised_at=raised_at,
            lease_s=request.lease_s,
            additional=request.additional,
        )
        active = Active(alarm, path, self._lease(request, said), told_count=1)
        self._alarms[key] = self.touched[key] = active
        self._say(HistoryKind.RAISED, alarm, path, raised_at, reason=alarm.reason_text, said=said)
        if alarm.inhibits:
            self._inhibitors[path] = self._inhibitors.get(path, 0) + 1
            self._remask(path, alarm, said)
        return alarm

    def _what_it_says(self, request: RaiseAlarm, before: Alarm, path: str) -> dict[str, Any]:
        judged = self.policy.judge(request.alarm_id, request.severity)
        said: dict[str, Any] = {name: getattr(request, name) for name in SAID}
        said |= {
            "severity": judged.severity,
            "reported_severity": _reported(request.severity, judged.severity),
            "proposed_repair_action": self._repair(request),
            "management_affecting": judged.management_affecting,
            "degrade_affecting": judged.degrade_affecting,
            "suppressed": self.policy.suppresses(request.alarm_id, request.entity, judged.severity),
            "masked": judged.suppressible and self._inhibited(path, inhibits=before.inhibits),
            "stale": False,
            "threshold": request.threshold,
            "lease_s": request.lease_s,
            "additional": request.additional,
        }
        return said

    def clear(
        self, key: Key, *, at: datetime, reason: str, said: Said | None = None, author: str = ""
    ) -> bool:
        """Clear exactly this alarm; False when it is not active."""
        known = self._alarms.pop(key, None)
        if known is None:
            return False
        self.touched[key] = None
        alarm, path = known.alarm, known.path
        self._say(
            HistoryKind.CLEARED, alarm, path, _utc(at), reason=reason, author=author, said=said
        )
        if alarm.inhibits:
            self._inhibitors[path] -= 1
            self._remask(path, alarm, said)
        return True

    def _clear_below(self, request: ClearBelow, said: Said) -> None:
        path = path_of(request.entity)
        reason = request.reason or f"cleared by {said.producer} with {request.entity}"
        found = [
            key
            for key, active in self._alarms.items()
            if active.path.startswith(path) and request.alarm_id in ("", key[0])
        ]
        for key in sorted(found):
            self.clear(key, at=request.cleared_at, reason=reason, said=said)

    def _log(self, request: RecordLog, said: Said) -> None:
        log = LogEntry(
            uuid=said.uuid,
            log_id=request.log_id,
            entity=request.entity,
            severity=request.severity,
            event_type=request.event_type,
            probable_cause=request.probable_cause,
            reason_text=request.reason_text,
            proposed_repair_action=request.proposed_repair_action,
            service_affecting=request.service_affecting,
            quarantined=request.log_id not in self.policy.catalogue,
            producer=said.producer,
            logged_at=_utc(request.logged_at),
            additional=request.additional,
        )
        self._say(
            HistoryKind.LOGGED,
            log,
            path_of(log.entity),
            log.logged_at,
            reason=log.reason_text,
            said=said,
        )

    def change(
        self,
        key: Key,
        fields: dict[str, Any],
        *,
        reason: str,
        author: str = "",
        quiet: bool = False,
        said: Said | None = None,
    ) -> tuple[str, ...]:
        """Set fields of an active alarm; returns the names of those that differed.

        `quiet` is told and is no history. Raises KeyError when the alarm is not active.
        """
        known = self._alarms[key]
        fields = dict(fields)
        changed = _differing(known.alarm, fields)
        if changed:
            active = Active(known.alarm, known.path, known.lease_ends_s, known.told_count)
            self._put(
                key, active, fields, changed, said=said, reason=reason, author=author, quiet=quiet
            )
        return changed

    def rejudge(self, key: Key, *, reason: str) -> tuple[str, ...]:
        """Bring an active alarm up to the policy of now: severity, thresholds, suppression, mask.

        Returns the names of the fields that changed.
        """
        active = self._alarms[key]
        alarm = active.alarm
        reported = alarm.reported_severity or alarm.severity
        judged = self.policy.judge(alarm.alarm_id, reported)
        fields: dict[str, Any] = {name: getattr(judged, name) for name in JUDGED}
        fields["reported_severity"] = _reported(reported, judged.severity)
        fields["suppressed"] = self.policy.suppresses(alarm.alarm_id, alarm.entity, judged.severity)
        if judged.suppressible != alarm.suppressible:
            fields["masked"] = judged.suppressible and self._inhibited(
                active.path, inhibits=alarm.inhibits
            )
        return self.change(key, fields, reason=reason)

    def tell(self, key: Key) -> None:
        """Tell readers how often an alarm was raised by now."""
        active = self._alarms[key]
        self._put(
            key,
            Active(active.alarm, active.path, active.lease_ends_s, active.told_count),
            {},
            ("raise_count",),
            quiet=True,
        )

    def end_lease(self, key: Key) -> bool:
        """What becomes of an alarm whose lease has run out: cleared by its own, else stale."""
        active = self._alarms[key]
        if active.alarm.lease_s:
            reason = f"not raised again for {active.alarm.lease_s} s"
            return self.clear(key, at=self.now, reason=reason)
        active.lease_ends_s = None
        self.touched[key] = active
        reason = f"{active.alarm.producer} has not asserted it for {PRODUCER_LEASE_S} s"
        return bool(self.change(key, {"stale": True}, reason=reason))

    def _lease(self, request: RaiseAlarm, said: Said) -> int | None:
        if request.lease_s:
            return self.clock_s + request.lease_s
        return self.clock_s + PRODUCER_LEASE_S if said.leased else None

    def _repair(self, request: RaiseAlarm) -> str:
        return request.proposed_repair_action or self.policy.repair(request.alarm_id)

    def _inhibited(self, path: str, *, inhibits: bool) -> bool:
        if not self._inhibitors:
            return False
        count = sum(self._inhibitors.get(each, 0) for each in above(path))
        return count - inhibits > 0

    def _remask(self, path: str, cause: Alarm, said: Said | None) -> None:
        """After an inhibitor on `path` came or went: mask or unmask what it stands above."""
        for key, active in list(self._alarms.items()):
            alarm = active.alarm
            if not alarm.suppressible or not active.path.startswith(path):
                continue
            masked = self._inhibited(active.path, inhibits=alarm.inhibits)
            if masked != alarm.masked:
                what = "masked by" if masked else "no longer masked by"
                reason = f"{what} {cause.alarm_id} of {cause.entity}"
                self.change(key, {"masked": masked}, reason=reason, said=said)

    def _put(
        self,
        key: Key,
        active: Active,
        fields: dict[str, Any],
        changed: tuple[str, ...],
        *,
        said: Said | None = None,
        at: datetime | None = None,
        reason: str = "",
        author: str = "",
        quiet: bool = False,
    ) -> None:
        """Keep an alarm as changed, and say so where something changed."""
        before = active.alarm
        if changed:
            active.alarm = msgspec.structs.replace(before, **fields)
            active.told_count = active.alarm.raise_count
        self._alarms[key] = self.touched[key] = active
        if changed:
            self._say(
                HistoryKind.CHANGED,
                active.alarm,
                active.path,
                at or self.now,
                changed=changed,
                reason=reason or active.alarm.reason_text,
                author=author,
                severity_before=before.severity if "severity" in changed else None,
                said=said,
                quiet=quiet,
            )

    def _say(
        self,
        kind: HistoryKind,
        subject: Alarm | LogEntry,
        path: str,
        at: datetime,
        *,
        changed: tuple[str, ...] = (),
        reason: str = "",
        author: str = "",
        severity_before: Severity | None = None,
        said: Said | None = None,
        quiet: bool = False,
    ) -> None:
        self.transitions.append(
            Transition(
                kind,
                subject,
                path,
                min(at, self.now),  # a producer's clock may be ahead: nothing is later than now
                changed,
                reason,
                author or (said.author if said else ""),
                severity_before,
                said.traceparent if said else None,
                quiet,
            )
        )


_UNTOLD = frozenset(
    (
        "producer",
        "raise_count",
        "last_raised_at",
        "threshold",
        "additional",
        "lease_s",
        "changed_at",
    )
)


def _differing(before: Alarm, fields: dict[str, Any]) -> tuple[str, ...]:
    return tuple(
        name
        for name, value in fields.items()
        if name not in _UNTOLD and getattr(before, name) != value
    )


def _note_change(
    before: Alarm, fields: dict[str, Any], changed: tuple[str, ...], at: datetime
) -> None:
    """What follows from a change: its time, its trend, and who must look again."""
    fields["changed_at"] = at
    fields["trend"] = Trend.NO_CHANGE
    if "severity" in changed:
        worse = SEVERITY_RANK[fields["severity"]] > SEVERITY_RANK[before.severity]
        fields["trend"] = Trend.MORE_SEVERE if worse else Trend.LESS_SEVERE
        if worse and before.acknowledged_by:  # 3GPP TS 28.111: what got worse was not seen yet
            fields["acknowledged_by"], fields["acknowledged_at"] = "", None


def _reported(reported: Severity, severity: Severity) -> Severity | None:
    return None if reported is severity else reported


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo is UTC else at.astimezone(UTC)
