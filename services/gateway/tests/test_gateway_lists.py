"""Sorted lists, pages, entity paths, sentences and health: pure parts of the gateway."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.gateway.tests.gateway_site import (
    BEGIN,
    a_host,
    a_state,
    an_alarm,
    an_event,
    cleared,
    declared,
    observed,
    raised,
    restarted,
)

from murmuration.gateway.core.alarms import (
    AlarmIndex,
    AlarmQuery,
    alarm_view,
    encode_view,
    is_like,
    sort_key,
)
from murmuration.gateway.core.health import Answer, Own, assess, is_same
from murmuration.gateway.core.hosts import HostTable, host_view
from murmuration.gateway.core.model import Occurred
from murmuration.gateway.core.paging import (
    alarm_cursor,
    host_cursor,
    parse_alarm_cursor,
    parse_host_cursor,
    parse_limit,
)
from murmuration.gateway.core.summaries import LENGTH_MAX, summarise
from murmuration.kernel.errors import Rejected
from murmuration.proto import registry
from murmuration.proto.api import AlarmCounts, AlarmSummary, AlarmView
from murmuration.proto.entities import components, host_of
from murmuration.proto.envelope import Version
from murmuration.proto.fm import Alarm, AlarmChanged
from murmuration.proto.fm_vocabulary import Severity
from murmuration.proto.platform import ServiceStatus
from murmuration.proto.registry import CHANNELS, Kind
from murmuration.proto.sysinv import Origin

GOLDEN = Path(__file__).parents[3] / "proto" / "golden"


@pytest.mark.parametrize(
    ("path", "found", "host"),
    [
        ("host=c-1", ("host=c-1",), "c-1"),
        ("host=c-1.interface=eth0", ("host=c-1", "interface=eth0"), "c-1"),
        ("system=s.host=c-1", ("system=s", "host=c-1"), "c-1"),
        ("host=c-1.ntp=10.1.2.3", ("host=c-1", "ntp=10.1.2.3"), "c-1"),
        ("host=c-1,agent=u.x", ("host=c-1", "agent=u.x"), "c-1"),
        ("cinder_io_monitor", ("cinder_io_monitor",), None),
        ("subhost=c-1", ("subhost=c-1",), None),
        ("host=", ("host=",), None),
        ("fs=/var/log/host=x", ("fs=/var/log/host=x",), None),
        ("..", ("..",), None),
    ],
)
def test_an_entity_path_is_read_component_by_component(
    path: str, found: tuple[str, ...], host: str | None
) -> None:
    assert components(path) == found
    assert host_of(path) == host


def test_alarms_are_listed_worst_first_then_newest_first() -> None:
    index = AlarmIndex()
    for uuid, severity, minute in (
        ("a", Severity.MINOR, 9),
        ("b", Severity.CRITICAL, 1),
        ("c", Severity.CRITICAL, 5),
        ("d", Severity.UNKNOWN, 7),
    ):
        index.add(an_alarm(uuid, severity=severity, minute=minute))
    alarms, more = index.page(AlarmQuery(), after=None, limit=10)
    assert [alarm.uuid for alarm in alarms] == ["c", "b", "a", "d"]
    assert more is None
    assert index.counts == AlarmCounts(critical=2, minor=1, indeterminate=1)


def test_a_component_filter_never_matches_a_longer_value() -> None:
    index = AlarmIndex()
    index.add(an_alarm("a", entity="host=c-1.interface=eth0"))
    index.add(an_alarm("b", entity="host=c-10.interface=eth0"))
    index.add(an_alarm("c", entity="host=c-1.interface=eth1"))

    def uuids(entity: str) -> list[str]:
        return [
            alarm.uuid for alarm in index.page(AlarmQuery(entity=entity), after=None, limit=9)[0]
        ]

    assert uuids("host=c-1") == ["a", "c"]
    assert uuids("interface=eth0") == ["a", "b"]
    assert uuids("host=c-1.interface=eth0") == ["a"]
    assert uuids("host=c") == []
    index.discard("a")
    assert uuids("interface=eth0") == ["b"]


@st.composite
def alarms(draw: st.DrawFn) -> Alarm:
    """One of ten alarms, in any of its many looks."""
    minute = draw(st.integers(0, 3))
    return msgspec.structs.replace(
        an_alarm(
            f"u{draw(st.integers(0, 9))}",
            severity=draw(st.sampled_from(list(Severity))),
            minute=minute,
            entity=f"host=h{minute}.port=p{draw(st.integers(0, 1))}",
        ),
        root_cause=draw(st.sampled_from(["", "", "u0", "u1"])),
        masked=draw(st.booleans()),
        suppressed=draw(st.booleans()),
        acknowledged_at=draw(st.sampled_from([None, BEGIN])),
    )


QUERIES = st.builds(
    AlarmQuery,
    severity=st.sampled_from([None, *Severity]),
    alarm_id=st.sampled_from([None, "200.004", "999.999"]),
    entity=st.sampled_from([None, "host=h1", "port=p1", "host=h1.port=p0", "host=h"]),
    root=st.sampled_from([None, "u0"]),
    acknowledged=st.sampled_from([None, True, False]),
    uuid=st.sampled_from([None, "u1"]),
    roots_only=st.booleans(),
    masked=st.booleans(),
    suppressed=st.booleans(),
)


@settings(max_examples=200, deadline=None)
@given(
    bulk=st.lists(alarms(), max_size=10, unique_by=lambda alarm: alarm.uuid),
    operations=st.lists(st.tuples(alarms(), st.booleans()), max_size=30),
    query=QUERIES,
)
def test_the_index_equals_a_plain_sort_whatever_is_added_and_discarded(
    bulk: list[Alarm], operations: list[tuple[Alarm, bool]], query: AlarmQuery
) -> None:
    index = AlarmIndex()
    index.fill(bulk)
    plain = {alarm.uuid: alarm for alarm in bulk}
    for alarm, add in operations:
        if add:
            index.add(alarm)
            plain[alarm.uuid] = alarm
        else:
            index.discard(alarm.uuid)
            plain.pop(alarm.uuid, None)
    assert len(index) == len(plain)
    expected = sorted((a for a in plain.values() if is_like(a, query)), key=sort_key)
    paged, after = list(expected[:0]), None
    while True:
        page, after = index.page(query, after=after, limit=3)
        paged += page
        if after is None:
            break
        after = parse_alarm_cursor(alarm_cursor(after))
    assert paged == expected
    shown = [a for a in plain.values() if not a.masked and not a.suppressed]
    for uuid in ("u0", "u1"):
        assert index.impacted_count(uuid) == sum(a.root_cause == uuid for a in shown)
    for minute in range(4):
        there = [a for a in shown if a.entity.startswith(f"host=h{minute}.")]
        critical = sum(a.severity is Severity.CRITICAL for a in there)
        assert index.counts_of(f"h{minute}").critical == critical
    assert index.summary == AlarmSummary(
        counts=index.counts,
        root_count=len({a.root_cause for a in shown if a.root_cause}),
        impacted_count=sum(bool(a.root_cause) for a in shown),
        acknowledged_count=sum(a.acknowledged_at is not None for a in shown),
        masked_count=sum(a.masked for a in plain.values()),
        suppressed_count=sum(a.suppressed for a in plain.values()),
    )
    assert index.counts.major == sum(a.severity is Severity.MAJOR for a in shown)
    with_suppressed = [a for a in plain.values() if not a.masked]
    majors = sum(a.severity is Severity.MAJOR for a in with_suppressed)
    assert index.counts_with_suppressed().major == majors


def test_what_a_root_explains_stands_behind_it_and_is_found_under_it() -> None:
    index = AlarmIndex()
    root = an_alarm("root", severity=Severity.MAJOR, minute=1)
    index.add(an_alarm("alone", severity=Severity.WARNING))
    index.add(root)
    for n in range(3):
        explained = an_alarm(f"e{n}", severity=Severity.CRITICAL, minute=9)
        index.add(msgspec.structs.replace(explained, root_cause="root"))
    found = [alarm.uuid for alarm in index.page(AlarmQuery(), after=None, limit=9)[0]]
    assert found == ["root", "alone", "e0", "e1", "e2"]
    below = [a.uuid for a in index.page(AlarmQuery(root="root"), after=None, limit=9)[0]]
    assert below == ["e0", "e1", "e2"]
    tops = [a.uuid for a in index.page(AlarmQuery(roots_only=True), after=None, limit=9)[0]]
    assert tops == ["root", "alone"]
    assert alarm_view(root, index.impacted_count("root")).impacted_count == 3
    assert msgspec.json.decode(encode_view(root, 3), type=AlarmView) == alarm_view(root, 3)


def test_a_page_of_many_alarms_costs_only_itself() -> None:
    """Looks at no more keys than it returns, however many there are."""
    dice = random.Random(1)
    index = AlarmIndex()
    index.fill(
        an_alarm(
            f"u{n}",
            severity=dice.choice(list(Severity)),
            minute=dice.randrange(500_000),
            entity=f"host=h{n % 500}.port=p{n}",
        )
        for n in range(20_000)
    )
    first, more = index.page(AlarmQuery(), after=None, limit=100)
    assert len(first) == 100
    assert more == sort_key(first[-1])
    second, _ = index.page(AlarmQuery(), after=more, limit=100)
    assert sort_key(second[0]) > sort_key(first[-1])
    index.add(an_alarm("new", minute=10**6))
    assert index.page(AlarmQuery(), after=None, limit=1)[0][0].uuid == "new"


def test_cursors_and_limits_are_read_strictly() -> None:
    assert parse_host_cursor(host_cursor("c-1")) == "c-1"
    assert parse_host_cursor(None) is None
    assert host_cursor(None) is None
    for wrong in ("", "x", "!!!", "é", "a" * 999, alarm_cursor((0, 1, 2, "u")) or ""):
        with pytest.raises(Rejected):
            parse_host_cursor(wrong)
    assert parse_limit(None) == 100
    assert parse_limit("1000") == 1000
    for wrong in ("0", "1001", "-1", "x", "1e2", "²", "", "9" * 99):
        with pytest.raises(Rejected):
            parse_limit(wrong)


def test_hosts_are_paged_by_name_while_they_come_and_go() -> None:
    table = HostTable()
    for name in ("b", "a", "c"):
        table.put(host_view(a_host(name), a_state(name), AlarmCounts()))
    page, more = table.page(after=None, limit=2)
    assert [view.name for view in page] == ["a", "b"]
    table.discard("b")
    table.put(host_view(a_host("bb", origin=Origin.SIMULATED), None, AlarmCounts()))
    page, more = table.page(after=more, limit=2)
    assert [view.name for view in page] == ["bb", "c"]
    assert more is None
    assert table.by_availability == {"available": 2, "unknown": 1}
    assert table.has_modelled


def test_every_event_is_told_in_one_sentence() -> None:
    alarm = an_alarm("u")
    told = [
        summarise(event)[0]
        for event in (
            raised(alarm, 1),
            cleared(alarm, 2),
            declared(a_host("c-1"), 1),
            observed(a_state("c-1"), 1),
            restarted("fm", 1, epoch=2),
        )
    ]
    assert told == [
        "critical alarm 200.004 on host=worker-1: host=worker-1 is not heard",
        "alarm 200.004 on host=worker-1 cleared: it is heard again",
        "c-1: facts changed",
        "c-1 is unlocked, enabled, available: Its heartbeat is well.",
        "the database of fm began a new life: it was put back",
    ]
    state = a_state("c-1", reason="c-1 is failed: no pulse for 1238 ms")
    assert summarise(observed(state, 1))[0] == (
        "c-1 is failed: no pulse for 1238 ms (is unlocked, enabled, available)"
    )
    long = observed(a_state("c-1", reason="x" * 2_000), 1)
    assert len(summarise(long)[0]) == LENGTH_MAX
    assert summarise(raised(alarm, 1))[1] is Severity.CRITICAL


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (("severity", "reason_text"), "is now critical"),
        (("root_cause", "correlated_by"), "has a cause (fell-silent-together)"),
        (("raise_count",), "was raised again"),
        (("acknowledged_at",), "changed (acknowledged_at)"),
        ((), "is told afresh"),
    ],
)
def test_changed_alarm_is_told_with_what_matters_most_of_it(
    changed: tuple[str, ...], told: str
) -> None:
    alarm = msgspec.structs.replace(
        an_alarm("u"), root_cause="v", correlated_by="fell-silent-together"
    )
    summary, severity = summarise(an_event(AlarmChanged(alarm=alarm, changed=changed), 1))
    where = "alarm 200.004 on host=worker-1"
    assert summary == f"{where} {told}: host=worker-1 is not heard"
    assert severity is Severity.CRITICAL


def test_no_declared_event_is_told_by_its_type_alone() -> None:
    registry.load()
    events = [c for c in CHANNELS.values() if c.kind is Kind.EVENT and "gateway" in c.subscribers]
    assert len(events) > 20
    for channel in events:
        assert channel.payload is not None
        sample = (GOLDEN / f"{channel.type}.json").read_bytes()
        event = Occurred(
            sender=channel.service,
            version=Version(1, 1),
            previous=0,
            type=channel.type,
            entity="e",
            time=datetime(2026, 1, 1, tzinfo=UTC),
            payload=msgspec.json.decode(sample, type=channel.payload),
            data=msgspec.Raw(sample),
        )
        assert channel.type not in summarise(event)[0]


def own(**fields: object) -> Own:
    known: dict[str, object] = {
        "bus_connected": True,
        "bus_lost_at": None,
        "loaded": True,
        "reader_lag": 0,
        "undecodable": 0,
    }
    return Own(**(known | fields))  # type: ignore[arg-type]


def test_health_is_the_worst_of_its_parts_in_one_sentence() -> None:
    well = ServiceStatus(service="fm", instance="1", ready=True)
    answers = {
        name: Answer().answered(well, BEGIN, instances=2) for name in ("fm", "mtce", "sysinv")
    }
    view = assess(answers, own(), BEGIN)
    assert (view.status, view.summary) == ("ok", "All parts are well.")
    assert {item.name: item.instances for item in view.items}["fm"] == 2

    answers["fm"] = answers["fm"].missed()
    assert assess(answers, own(), BEGIN).status == "degraded"
    answers["fm"] = answers["fm"].missed()
    view = assess(answers, own(), BEGIN + timedelta(seconds=9))
    assert view.status == "down"
    assert view.summary == "fm is down: It does not answer since 00:00:00 UTC."

    slow = ServiceStatus(service="mtce", instance="1", ready=True, relay_lag=5_000, parked=3)
    answers["mtce"] = answers["mtce"].answered(slow, BEGIN, instances=1)
    assert "1 more part is not well." in assess(answers, own(), BEGIN).summary
    standby = ServiceStatus(service="sysinv", instance="1", ready=False, reason="It migrates.")
    answers["sysinv"] = answers["sysinv"].answered(standby, BEGIN, instances=1)
    items = {item.name: item for item in assess(answers, own(), BEGIN).items}
    assert items["sysinv"].reason == "It migrates."
    assert items["mtce"].parked == 3
    behind = ServiceStatus(service="mtce", instance="1", ready=True, consumer_lag=5_000)
    answers["mtce"] = answers["mtce"].answered(behind, BEGIN, instances=1)
    items = {item.name: item for item in assess(answers, own(), BEGIN).items}
    assert items["mtce"].reason == "5000 messages are not yet taken in."


def test_health_says_that_what_is_shown_is_old_when_the_bus_is_away() -> None:
    view = assess({"fm": Answer()}, own(bus_connected=False, bus_lost_at=BEGIN), BEGIN)
    assert view.status == "down"
    assert view.summary == (
        "NATS is away since 00:00:00 UTC: what is shown is the last that was known."
    )


def test_health_tells_what_ails_the_gateway_itself() -> None:
    for fields in ({"loaded": False}, {"reader_lag": 9_999}, {"undecodable": 1}):
        view = assess({}, own(**fields), BEGIN)
        assert view.status == "degraded"
        assert view.summary.startswith("gateway is degraded: ")
    later = BEGIN + timedelta(hours=1)
    assert is_same(assess({}, own(), BEGIN), assess({}, own(), later))
    assert not is_same(None, assess({}, own(), later))


def test_health_tells_of_a_certificate_before_it_ends_and_after() -> None:
    def item(days: float) -> tuple[str, str]:
        ends = {"nats": BEGIN + timedelta(days=days), "ca": BEGIN + timedelta(days=3_000)}
        view = assess({}, own(certificates=ends), BEGIN)
        found = next(item for item in view.items if item.name == "certificates")
        return found.status, found.reason

    assert item(10) == ("ok", "")
    assert item(6.5) == ("degraded", "That of nats ends in 6 days and is not renewed.")
    assert item(0) == ("down", "That of nats has ended: nobody new can connect.")
    assert "certificates" not in {each.name for each in assess({}, own(), BEGIN).items}
