"""Sorted lists, pages, entity paths, sentences and health: pure parts of the gateway."""

import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.gateway.tests.gateway_site import (
    BEGIN,
    a_host,
    a_state,
    an_alarm,
    cleared,
    declared,
    observed,
    raised,
    restarted,
)

from murmuration.gateway.core.alarms import AlarmIndex, sort_key
from murmuration.gateway.core.entity import components, host_of
from murmuration.gateway.core.health import Answer, Own, assess, is_same
from murmuration.gateway.core.hosts import HostTable, host_view
from murmuration.gateway.core.paging import (
    alarm_cursor,
    host_cursor,
    parse_alarm_cursor,
    parse_host_cursor,
    parse_limit,
)
from murmuration.gateway.core.summaries import LENGTH_MAX, summarise
from murmuration.kernel.errors import Rejected
from murmuration.proto.api import AlarmCounts
from murmuration.proto.fm import Severity
from murmuration.proto.platform import ServiceStatus
from murmuration.proto.sysinv import Origin


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
    alarms, more = index.page(after=None, limit=10)
    assert [alarm.uuid for alarm in alarms] == ["c", "b", "a", "d"]
    assert more is None
    assert index.counts == AlarmCounts(critical=2, minor=1, indeterminate=1)


def test_a_component_filter_never_matches_a_longer_value() -> None:
    index = AlarmIndex()
    index.add(an_alarm("a", entity="host=c-1.interface=eth0"))
    index.add(an_alarm("b", entity="host=c-10.interface=eth0"))
    index.add(an_alarm("c", entity="host=c-1.interface=eth1"))

    def uuids(entity: str) -> list[str]:
        return [alarm.uuid for alarm in index.page(after=None, limit=9, entity=entity)[0]]

    assert uuids("host=c-1") == ["a", "c"]
    assert uuids("interface=eth0") == ["a", "b"]
    assert uuids("host=c-1.interface=eth0") == ["a"]
    assert uuids("host=c") == []
    index.discard("a")
    assert uuids("interface=eth0") == ["b"]


OPERATIONS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=40
)


@settings(max_examples=150, deadline=None)
@given(operations=OPERATIONS, bulk=st.booleans())
def test_the_index_equals_a_plain_sort_whatever_is_added_and_discarded(
    operations: list[tuple[int, int, int, bool]], bulk: bool
) -> None:
    index, plain = AlarmIndex(), dict[str, object]()
    kept = {
        f"u{who}": an_alarm(
            f"u{who}", severity=list(Severity)[rank], minute=minute, entity=f"host=h{minute}"
        )
        for who, rank, minute, add in operations
        if add
    }
    if bulk:
        index.fill(kept.values())
        plain.update(kept)
    for who, rank, minute, add in operations:
        uuid = f"u{who}"
        alarm = an_alarm(
            uuid, severity=list(Severity)[rank], minute=minute, entity=f"host=h{minute}"
        )
        if add:
            index.add(alarm)
            plain[uuid] = alarm
        else:
            index.discard(uuid)
            plain.pop(uuid, None)
    expected = sorted(
        (alarm for uuid in plain if (alarm := index.get(uuid)) is not None), key=sort_key
    )
    assert len(expected) == len(plain) == len(index)
    paged, after = list(expected[:0]), None
    while True:
        page, after = index.page(after=after, limit=3)
        paged += page
        if after is None:
            break
        after = parse_alarm_cursor(alarm_cursor(after))
    assert paged == expected
    for severity in Severity:
        found, _ = index.page(after=None, limit=99, severity=severity)
        assert found == [alarm for alarm in expected if alarm.severity is severity]
    for host in ("h0", "h1", "h2", "h3"):
        found, _ = index.page(after=None, limit=99, entity=f"host={host}")
        assert found == [alarm for alarm in expected if alarm.entity == f"host={host}"]
        counts = index.counts_of(host)
        critical = [alarm for alarm in found if alarm.severity is Severity.CRITICAL]
        assert counts.critical == len(critical)


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
    first, more = index.page(after=None, limit=100)
    assert len(first) == 100
    assert more == sort_key(first[-1])
    second, _ = index.page(after=more, limit=100)
    assert sort_key(second[0]) > sort_key(first[-1])
    index.add(an_alarm("new", minute=10**6))
    assert index.page(after=None, limit=1)[0][0].uuid == "new"


def test_cursors_and_limits_are_read_strictly() -> None:
    assert parse_host_cursor(host_cursor("c-1")) == "c-1"
    assert parse_host_cursor(None) is None
    assert host_cursor(None) is None
    for wrong in ("", "x", "!!!", "é", "a" * 999, alarm_cursor((1, 2, "u")) or ""):
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
