"""The rules of alarms, decided in memory: what a raise, a clear and a mask come to."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from murmuration.fm.catalogue import shipped
from murmuration.fm.core.intake import fault_in
from murmuration.fm.core.model import PRODUCER_LEASE_S, Ledger, Request, Said
from murmuration.fm.core.policy import Policy, Profile, make_policy
from murmuration.proto.fm import (
    Alarm,
    AlarmType,
    ClearAlarm,
    ClearBelow,
    RaiseAlarm,
    RecordLog,
    Refusal,
    Severity,
    Threshold,
    Tick,
)
from murmuration.proto.fm_operators import HistoryKind, Reach, Suppression
from murmuration.proto.fm_vocabulary import CAUSE_NUMBERS, ProbableCause, Trend

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
CATALOGUE = shipped()
EAST = timezone(timedelta(hours=5))


def policy(
    *suppressions: Suppression, profiles: tuple[Profile, ...] = (), generation: int = 1
) -> Policy:
    return make_policy(
        generation=generation,
        catalogue=CATALOGUE,
        profiles=profiles,
        suppressions=suppressions,
    )


def raise_(alarm_id: str = "100.103", entity: str = "host=c-1", **fields: Any) -> RaiseAlarm:
    said: dict[str, Any] = {
        "severity": Severity.MAJOR,
        "reason_text": "memory is short",
        "alarm_type": AlarmType.OPERATIONAL_VIOLATION,
        "probable_cause": "threshold-crossed",
        "raised_at": NOW,
    }
    return RaiseAlarm(alarm_id=alarm_id, entity=entity, **(said | fields))


def clear(alarm_id: str = "100.103", entity: str = "host=c-1") -> ClearAlarm:
    return ClearAlarm(alarm_id=alarm_id, entity=entity, cleared_at=NOW)


def below(entity: str, alarm_id: str = "") -> ClearBelow:
    return ClearBelow(entity=entity, alarm_id=alarm_id, cleared_at=NOW)


LOCKED = "200.001"


def lock(entity: str) -> RaiseAlarm:
    return raise_(LOCKED, entity, severity=Severity.WARNING)


class Bench:
    """A ledger to which things are said."""

    def __init__(self, judge: Policy | None = None) -> None:
        self.ledger = Ledger(policy=judge or policy(), now=NOW + timedelta(hours=1))
        self._count = 0

    def say(self, *requests: Request, leased: bool = False, producer: str = "mtce") -> None:
        for request in requests:
            self._count += 1
            self.ledger.apply(Said(request, producer, f"uuid-{self._count}", leased=leased))

    def alarm(self, alarm_id: str = "100.103", entity: str = "host=c-1") -> Alarm:
        return self.ledger.alarms[alarm_id, entity].alarm

    @property
    def kinds(self) -> list[str]:
        return [each.kind.value for each in self.ledger.transitions if not each.quiet]

    @property
    def entities(self) -> list[str]:
        return sorted(entity for _, entity in self.ledger.alarms)


def test_uuid_stays_the_same_when_an_alarm_is_raised_again() -> None:
    bench = Bench()
    bench.say(raise_())
    first = bench.alarm().uuid
    bench.say(raise_(), raise_(severity=Severity.CRITICAL))
    assert bench.alarm().uuid == first
    bench.say(clear(), raise_())
    assert bench.alarm().uuid != first


def test_identical_raise_counts_and_leaves_no_history() -> None:
    bench = Bench()
    later = NOW + timedelta(minutes=5)
    bench.say(raise_(), raise_(raised_at=later), raise_(raised_at=NOW))
    alarm = bench.alarm()
    assert (alarm.raise_count, alarm.first_raised_at, alarm.last_raised_at) == (3, NOW, later)
    assert bench.kinds == ["raised"]
    assert bench.ledger.counted == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("severity", Severity.CRITICAL),
        ("reason_text", "another"),
        ("proposed_repair_action", "another"),
        ("service_affecting", True),
        ("probable_cause", "out-of-memory"),
        ("specific_problem", "another"),
        ("alarm_type", AlarmType.EQUIPMENT),
    ],
)
def test_change_is_one_row_of_history_when_a_raise_says_something_else(
    field: str, value: Any
) -> None:
    bench = Bench()
    bench.say(raise_(), raise_(**{field: value}), raise_(**{field: value}))
    assert bench.kinds == ["raised", "changed"]
    assert field in bench.ledger.transitions[-1].changed
    assert getattr(bench.alarm(), field) == value


def test_new_measurement_is_no_change_and_is_kept() -> None:
    bench = Bench()
    measured = Threshold(attribute="memory", observed=91, level=90, unit="%")
    bench.say(raise_(), raise_(threshold=measured, additional={"node": "1"}))
    assert bench.kinds == ["raised"]
    assert bench.alarm().threshold == measured
    assert bench.alarm().additional == {"node": "1"}


def test_trend_and_previous_severity_are_told_when_it_gets_worse_or_better() -> None:
    bench = Bench()
    bench.say(raise_(), raise_(severity=Severity.CRITICAL))
    assert bench.alarm().trend is Trend.MORE_SEVERE
    assert bench.ledger.transitions[-1].severity_before is Severity.MAJOR
    bench.say(raise_(severity=Severity.MINOR))
    assert bench.alarm().trend is Trend.LESS_SEVERE


def test_acknowledgement_ends_when_an_alarm_gets_worse_and_stays_when_better() -> None:
    bench = Bench()
    bench.say(raise_())
    key = ("100.103", "host=c-1")
    seen = {"acknowledged_by": "ann", "acknowledged_at": NOW}
    bench.ledger.change(key, seen, reason="seen", author="ann")
    bench.say(raise_(severity=Severity.MINOR))
    assert bench.alarm().acknowledged_by == "ann"
    bench.say(raise_(severity=Severity.CRITICAL))
    assert (bench.alarm().acknowledged_by, bench.alarm().acknowledged_at) == ("", None)
    assert "acknowledged_by" in bench.ledger.transitions[-1].changed


def test_existing_alarm_is_kept_as_it_is_and_counted_when_asked_so() -> None:
    bench = Bench()
    bench.say(raise_(), raise_(severity=Severity.CRITICAL, keep_existing=True))
    assert (bench.alarm().severity, bench.alarm().raise_count) == (Severity.MAJOR, 2)
    assert bench.kinds == ["raised"]
    bench.say(raise_(entity="host=c-2", keep_existing=True))
    assert bench.kinds == ["raised", "raised"]


def test_clear_touches_exactly_its_alarm_and_no_sibling() -> None:
    bench = Bench()
    bench.say(*(raise_(entity=e) for e in ("host=c-1", "host=c-10", "host=c-1.memory=total")))
    bench.say(clear(entity="host=c-1"), clear(entity="host=%"), clear(entity="host=c-_"))
    assert bench.entities == ["host=c-1.memory=total", "host=c-10"]
    assert bench.kinds == ["raised"] * 3 + ["cleared"]


def test_clear_below_goes_by_components_with_one_clear_for_each_alarm() -> None:
    bench = Bench()
    found = ("host=c-1", "host=c-10", "host=c-1.port=e0", "host=c-1,agent=a", "ntp=10.1.2.3")
    bench.say(*(raise_(entity=e) for e in found), raise_("100.101", "host=c-1"))
    bench.say(below("host=c-1", "100.103"))
    assert [key for key in bench.ledger.alarms if key[1].startswith("host=c-1")] == [
        ("100.103", "host=c-10"),
        ("100.101", "host=c-1"),
    ]
    assert bench.kinds.count("cleared") == 3
    bench.say(below("ntp=10.1"))
    assert "ntp=10.1.2.3" in bench.entities
    bench.say(below("host=c-1"))
    assert bench.kinds.count("cleared") == 4


def test_children_are_masked_whether_they_come_before_after_or_again() -> None:
    bench = Bench()
    bench.say(raise_(entity="host=c1.port=a"), lock("host=c1"))
    assert bench.alarm(entity="host=c1.port=a").masked
    bench.say(raise_(entity="host=c1.port=b"), raise_(entity="host=c1"), raise_(entity="host=c10"))
    assert bench.alarm(entity="host=c1.port=b").masked
    assert bench.alarm(entity="host=c1").masked
    assert not bench.alarm(entity="host=c10").masked
    bench.say(raise_(entity="host=c1.ntp"))
    assert bench.alarm(entity="host=c1.ntp").masked
    bench.say(raise_(entity="host=c1.port=a", severity=Severity.CRITICAL))
    assert bench.alarm(entity="host=c1.port=a").masked
    assert not bench.alarm(LOCKED, "host=c1").masked
    bench.say(clear(LOCKED, "host=c1"))
    assert not any(active.alarm.masked for active in bench.ledger.alarms.values())


def test_child_is_unmasked_only_when_its_last_inhibitor_goes() -> None:
    bench = Bench()
    child = "system=s.host=c1.port=a"
    bench.say(lock("system=s"), lock("system=s.host=c1"), raise_(entity=child))
    bench.say(clear(LOCKED, "system=s"))
    assert bench.alarm(entity=child).masked
    bench.say(clear(LOCKED, "system=s.host=c1"))
    assert not bench.alarm(entity=child).masked


def test_alarm_that_may_not_be_masked_is_not() -> None:
    bench = Bench()
    bench.say(lock("host=c1"), raise_("250.001", "host=c1"))
    assert not bench.alarm("250.001", "host=c1").masked


def test_suppression_covers_by_id_pattern_and_severity() -> None:
    scope = Suppression(
        id="s",
        alarm_id="100.103",
        entity="host=worker-*.memory=*",
        severities=(Severity.MAJOR,),
        author="ann",
        created_at=NOW,
    )
    bench = Bench(policy(scope))
    covered, free = "host=worker-1.memory=total.pool=a", "host=controller-0.memory=total"
    bench.say(raise_(entity=covered), raise_(entity=free), raise_("100.101", covered))
    assert bench.alarm(entity=covered).suppressed
    assert not bench.alarm(entity=free).suppressed
    assert not bench.alarm("100.101", covered).suppressed
    bench.say(raise_(entity=covered, severity=Severity.CRITICAL))
    assert not bench.alarm(entity=covered).suppressed


def test_profile_gives_the_severity_and_keeps_what_was_reported() -> None:
    profile = Profile(
        alarm_id="100.103",
        severity=Severity.MINOR,
        management_reach=Reach.MINOR,
        degrade_reach=None,
        author="ann",
        comment="too loud",
    )
    bench = Bench(policy(profiles=(profile,)))
    bench.say(raise_(severity=Severity.CRITICAL))
    alarm = bench.alarm()
    assert (alarm.severity, alarm.reported_severity) == (Severity.MINOR, Severity.CRITICAL)
    assert alarm.management_affecting
    assert not alarm.degrade_affecting
    bench.ledger.policy = policy(generation=2)
    bench.ledger.rejudge(("100.103", "host=c-1"), reason="profile removed")
    alarm = bench.alarm()
    assert (alarm.severity, alarm.reported_severity) == (Severity.CRITICAL, None)
    assert alarm.degrade_affecting


def test_thresholds_of_the_catalogue_decide_what_an_alarm_affects() -> None:
    bench = Bench()
    bench.say(raise_("100.101", severity=Severity.MAJOR))
    assert bench.alarm("100.101").management_affecting
    assert not bench.alarm("100.101").degrade_affecting
    bench.say(raise_("100.101", severity=Severity.CRITICAL))
    assert bench.alarm("100.101").degrade_affecting
    bench.say(raise_("100.102", severity=Severity.CRITICAL))
    assert not bench.alarm("100.102").management_affecting


def test_indeterminate_severity_reaches_no_threshold() -> None:
    bench = Bench()
    bench.say(raise_("250.001", severity=Severity.INDETERMINATE))
    assert not bench.alarm("250.001").management_affecting


def test_unknown_id_is_taken_in_and_quarantined() -> None:
    bench = Bench()
    bench.say(raise_("999.999"))
    assert bench.alarm("999.999").quarantined
    assert not bench.alarm("999.999").management_affecting
    assert not bench.alarm("999.999").suppressible


def test_log_is_history_and_no_alarm() -> None:
    bench = Bench()
    bench.say(
        RecordLog(
            log_id="200.022",
            entity="host=c-1.state=enabled",
            severity=Severity.WARNING,
            reason_text="enabled",
            event_type=AlarmType.OTHER,
            probable_cause="unspecified-reason",
            logged_at=NOW,
        )
    )
    assert bench.kinds == ["logged"]
    assert not bench.ledger.alarms


def test_alarm_of_a_silent_producer_is_stale_and_fresh_when_it_is_raised_again() -> None:
    bench = Bench()
    key = ("100.103", "host=c-1")
    bench.say(raise_(), leased=True)
    assert bench.ledger.alarms[key].lease_ends_s == PRODUCER_LEASE_S
    bench.say(Tick(period_s=PRODUCER_LEASE_S, at=NOW), producer="fm")
    assert bench.ledger.clock_s == PRODUCER_LEASE_S
    bench.ledger.end_lease(key)
    assert bench.alarm().stale
    assert bench.ledger.alarms[key].lease_ends_s is None
    bench.say(raise_(), leased=True)
    assert not bench.alarm().stale
    assert bench.kinds == ["raised", "changed", "changed"]


def test_alarm_with_a_lease_of_its_own_is_cleared_when_it_runs_out() -> None:
    bench = Bench()
    bench.say(raise_(lease_s=60))
    key = ("100.103", "host=c-1")
    assert bench.ledger.alarms[key].lease_ends_s == 60
    bench.ledger.end_lease(key)
    assert not bench.ledger.alarms
    assert bench.kinds == ["raised", "cleared"]


def test_original_times_are_kept_and_nothing_is_later_than_now() -> None:
    bench = Bench()
    ahead = NOW + timedelta(days=1)
    bench.say(raise_(raised_at=NOW - timedelta(days=1)), raise_(entity="host=b", raised_at=ahead))
    times = [each.at for each in bench.ledger.transitions]
    assert times == [NOW - timedelta(days=1), bench.ledger.now]


def test_repair_text_is_the_catalogue_s_when_the_producer_has_none() -> None:
    bench = Bench()
    bench.say(raise_(), raise_(entity="host=b", proposed_repair_action="look"))
    assert bench.alarm().proposed_repair_action == CATALOGUE["100.103"].repair
    assert bench.alarm(entity="host=b").proposed_repair_action == "look"


@pytest.mark.parametrize("text", ["it's", "a ### b", "a 'quoted' %s; drop table alarm;--", "ü ✓"])
def test_text_and_entity_survive_whatever_they_contain(text: str) -> None:
    bench = Bench()
    bench.say(raise_(entity=f"host={text}", reason_text=text))
    assert bench.alarm(entity=f"host={text}").reason_text == text


def test_words_are_lossless() -> None:
    assert CAUSE_NUMBERS[ProbableCause.EXCESSIVE_VIBRATION] == 16
    assert [CAUSE_NUMBERS[ProbableCause(word)] for word in list(ProbableCause)[75:]] == [75, 76, 77]
    for cause in ProbableCause:
        bench = Bench()
        request = raise_(probable_cause=cause.value)
        assert fault_in(request, "mtce") is None
        bench.say(request)
        assert bench.alarm().probable_cause == cause.value


@pytest.mark.parametrize(
    ("request_", "producer", "refusal"),
    [
        (raise_(severity=Severity.UNKNOWN), "mtce", Refusal.WORD),
        (raise_(alarm_type=AlarmType.UNKNOWN), "mtce", Refusal.WORD),
        (raise_(probable_cause="bad luck"), "mtce", Refusal.WORD),
        (raise_(entity="host=a\x1fb"), "mtce", Refusal.ENTITY),
        (raise_(entity=" "), "mtce", Refusal.ENTITY),
        (raise_(entity="host=c-10"), "node-c-1", Refusal.FOREIGN),
        (clear(entity="host=c-10"), "node-c-1", Refusal.FOREIGN),
        (below("system=x"), "node-c-1", Refusal.FOREIGN),
        (Tick(period_s=30, at=NOW), "mtce", Refusal.FOREIGN),
        (raise_(raised_at=datetime(1, 1, 1, tzinfo=EAST)), "mtce", Refusal.MALFORMED),
    ],
)
def test_message_is_refused_when_it_cannot_be(
    request_: Request, producer: str, refusal: Refusal
) -> None:
    fault = fault_in(request_, producer)
    assert fault is not None and fault.refusal is refusal
    assert fault.reason


def test_agent_speaks_for_its_own_host_and_what_is_below() -> None:
    for entity in ("host=c-1", "host=c-1.port=e0", "host=c-1,agent=x"):
        assert fault_in(raise_(entity=entity), "node-c-1") is None


def test_counts_are_told_quietly() -> None:
    bench = Bench()
    bench.say(raise_(), raise_())
    bench.ledger.tell(("100.103", "host=c-1"))
    assert bench.ledger.transitions[-1].quiet
    assert bench.ledger.transitions[-1].changed == ("raise_count",)
    assert bench.ledger.alarms["100.103", "host=c-1"].told_count == 2
    assert bench.ledger.transitions[-1].kind is HistoryKind.CHANGED
