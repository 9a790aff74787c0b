"""Causes of alarms: each kind of rule, order of arrival, and random histories."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from murmuration.fm.core.correlation import Correlator
from murmuration.fm.core.faults import UNCAUSED, Fault, Verdict
from murmuration.fm.core.rules import Rules, read_rules
from murmuration.fm.core.topology import Place, Topology, Uplink
from murmuration.fm.rules import builtin
from murmuration.kernel.errors import Rejected

RULES = read_rules(builtin())
LEAF = {"eth0": Uplink("leaf-1", "p1")}
BOTH = {"eth0": Uplink("leaf-1", "p1"), "eth1": Uplink("leaf-2", "p1")}


def key(n: int) -> bytes:
    return n.to_bytes(16, "big")


def fault(n: int, alarm_id: str, entity: str, at: float = 0.0, severity: str = "critical") -> Fault:
    return Fault(
        uuid=key(n), alarm_id=alarm_id, entity=entity, severity=severity, raised_at=1_000.0 + at
    )


def correlator(
    faults: Iterable[Fault] = (), places: dict[str, Place] | None = None, rules: Rules = RULES
) -> Correlator:
    made = Correlator(rules, Topology())
    for host, place in (places or {}).items():
        made.place(host, place)
    for one in faults:
        made.put(one)
    settle(made)
    return made


def settle(made: Correlator, limit: int = 1_000) -> list[bytes]:
    found: list[bytes] = []
    while not made.idle:
        found.extend(finding.fault.uuid for finding in made.settle(limit))
    return found


def verdict(made: Correlator, n: int) -> tuple[int, int, str]:
    """(root, cause, rule) of an alarm, as numbers."""
    one = made.fault(key(n))
    assert one is not None
    root, cause, rule = one.verdict
    return int.from_bytes(root, "big"), int.from_bytes(cause, "big"), rule


CASES = {
    "what runs on a failed host": (
        [fault(1, "200.004", "host=c-1"), fault(2, "200.006", "host=c-1.process=p", 30)],
        {2: (1, 1, "host-failed")},
    ),
    "the pair of a lost host": (
        [fault(1, "200.004", "host=c-1", 0.1), fault(2, "200.005", "host=c-1")],
        {2: (1, 1, "host-failed")},
    ),
    "another host of similar name": (
        [fault(1, "200.004", "host=c-1"), fault(2, "200.006", "host=c-10.process=p")],
        {2: (0, 0, "")},
    ),
    "a symptom long before the cause": (
        [fault(1, "200.004", "host=c-1", 61), fault(2, "200.006", "host=c-1.process=p")],
        {2: (0, 0, "")},
    ),
    "a service group on a failed host, and its redundancy": (
        [
            fault(1, "200.004", "host=c-1"),
            fault(2, "400.001", "service_domain=d.service_group=g.host=c-1", 2),
            fault(3, "400.002", "service_domain=d.service_group=g", 3),
            fault(4, "400.002", "service_domain=d.service_group=h", 3),
        ],
        {2: (1, 1, "host-failed"), 3: (1, 2, "service-group-failed"), 4: (0, 0, "")},
    ),
    "a chain from port to heartbeat": (
        [
            fault(1, "100.108", "host=c-1.port=eth0", severity="major"),
            fault(2, "100.109", "host=c-1.interface=mgmt0", 1),
            fault(3, "200.005", "host=c-1", 2),
        ],
        {
            2: (1, 1, "management-port-down"),
            3: (1, 2, "management-interface-down"),
        },
    ),
    "an interface that lost one member of two": (
        [
            fault(1, "100.109", "host=c-1.interface=mgmt0", severity="major"),
            fault(2, "200.005", "host=c-1", 2),
        ],
        {2: (0, 0, "")},
    ),
    "sensors behind a silent BMC": (
        [fault(1, "200.010", "host=c-1", 100), fault(2, "200.015", "host=c-1")],
        {2: (1, 1, "bmc-unreachable")},
    ),
    "a storage group": (
        [
            fault(1, "800.001", "cluster=x"),
            fault(2, "800.010", "cluster=x.peergroup=g", 2),
            fault(3, "800.011", "cluster=x.peergroup=g", 1),
            fault(4, "800.011", "cluster=y.peergroup=g", 1),
        ],
        {
            2: (1, 1, "storage-daemon-missing"),
            3: (1, 1, "storage-daemon-missing"),
            4: (0, 0, ""),
        },
    ),
    "the message bus": (
        [
            fault(1, "400.001", "service_domain=d.service_group=nats.host=c-0"),
            fault(2, "300.003", "host=c-1.agent=a", 10),
            fault(3, "300.003", "host=c-2.agent=a", 400),
        ],
        {2: (1, 1, "bus-lost"), 3: (0, 0, "")},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_causes_are_named_as_the_rules_say(name: str) -> None:
    faults, expected = CASES[name]
    made = correlator(_copies(faults))
    assert {n: verdict(made, n) for n in expected} == expected
    other_way = correlator(_copies(reversed(faults)))
    assert {n: verdict(other_way, n) for n in expected} == expected


def _copies(faults: Iterable[Fault]) -> list[Fault]:
    return [
        Fault(
            uuid=one.uuid,
            alarm_id=one.alarm_id,
            entity=one.entity,
            severity=one.severity,
            raised_at=one.raised_at,
        )
        for one in faults
    ]


def test_switch_explains_a_host_when_all_its_cables_end_there() -> None:
    places = {"c-1": Place(uplinks=LEAF), "c-2": Place(uplinks=BOTH)}
    made = correlator(
        [
            fault(1, "300.020", "switch=leaf-1"),
            fault(2, "200.005", "host=c-1", 1),
            fault(3, "200.005", "host=c-2", 1),
            fault(4, "100.108", "host=c-2.port=eth0", 1),
            fault(5, "100.108", "host=c-2.port=eth1", 1),
        ],
        places,
    )
    assert verdict(made, 2) == (1, 1, "switch-lost")
    assert verdict(made, 3) == (0, 0, "")
    assert verdict(made, 4) == (1, 1, "switch-lost")
    assert verdict(made, 5) == (0, 0, "")
    made.put(fault(6, "300.021", "switch=leaf-2.port=p1", 2))
    settle(made)
    assert verdict(made, 5) == (6, 6, "switch-port-lost")
    made.put(fault(7, "300.020", "switch=leaf-2", 3))
    settle(made)
    assert verdict(made, 3) == (7, 7, "switch-lost")
    assert verdict(made, 6) == (7, 7, "switch-lost-its-ports")


def test_cause_is_found_when_the_cabling_is_learnt_later_and_lost_when_it_changes() -> None:
    made = correlator([fault(1, "300.020", "switch=leaf-1"), fault(2, "200.005", "host=c-1", 1)])
    assert verdict(made, 2) == (0, 0, "")
    made.place("c-1", Place(uplinks=LEAF))
    settle(made)
    assert verdict(made, 2) == (1, 1, "switch-lost")
    made.place("c-1", None)
    settle(made)
    assert verdict(made, 2) == (0, 0, "")


def test_storm_explains_its_hosts_while_they_are_in_it_and_is_itself_explained_by_its_switch() -> (
    None
):
    made = correlator(
        [
            fault(1, "200.017", "switch=leaf-1", 1),
            fault(2, "200.004", "host=c-1"),
            fault(3, "200.004", "host=c-2"),
        ],
        {"c-1": Place(storm="switch=leaf-1")},
    )
    assert verdict(made, 2) == (1, 1, "fell-silent-together")
    assert verdict(made, 3) == (0, 0, "")
    made.put(fault(4, "300.020", "switch=leaf-1", 2))
    settle(made)
    assert verdict(made, 1) == (4, 4, "switch-lost-with-its-hosts")
    assert verdict(made, 2) == (4, 1, "fell-silent-together")
    made.place("c-1", Place())
    settle(made)
    assert verdict(made, 2) == (0, 0, "")


def test_storage_host_explains_its_groups_when_it_is_one() -> None:
    made = correlator(
        [fault(1, "200.004", "host=s-1"), fault(2, "800.011", "cluster=x.peergroup=g", 5)]
    )
    assert verdict(made, 2) == (0, 0, "")
    made.place("s-1", Place(personality="storage"))
    settle(made)
    assert verdict(made, 2) == (1, 1, "storage-host-failed")


def test_root_is_found_anew_when_the_cause_or_its_cause_is_cleared() -> None:
    faults, _ = CASES["a chain from port to heartbeat"]
    made = correlator(_copies(faults))
    made.drop(key(1))
    settle(made)
    assert verdict(made, 2) == (0, 0, "")
    assert verdict(made, 3) == (2, 2, "management-interface-down")
    made.drop(key(2))
    settle(made)
    assert verdict(made, 3) == (0, 0, "")


def test_cause_no_longer_counts_when_its_severity_falls() -> None:
    made = correlator(
        [fault(1, "100.109", "host=c-1.interface=m"), fault(2, "200.005", "host=c-1", 2)]
    )
    assert verdict(made, 2)[1] == 1
    made.put(fault(1, "100.109", "host=c-1.interface=m", severity="major"))
    settle(made)
    assert verdict(made, 2)[1] == 0


def test_nothing_is_said_when_what_is_stored_still_holds() -> None:
    stored = fault(2, "200.006", "host=c-1.process=p", 30)
    stored.verdict = Verdict(key(1), key(1), "host-failed")
    gone = fault(3, "200.006", "host=c-2.process=p", 30)
    gone.verdict = Verdict(key(9), key(9), "host-failed")
    made = Correlator(RULES, Topology())
    for one in (stored, fault(1, "200.004", "host=c-1"), gone):
        made.put(one)
    assert settle(made) == [key(3)]
    assert gone.verdict == UNCAUSED


def test_switch_outage_of_a_hundred_hosts_has_one_root() -> None:
    places = {f"c-{n}": Place(uplinks={"eth0": Uplink("leaf-1", f"p{n}")}) for n in range(100)}
    faults = [fault(1, "300.020", "switch=leaf-1", 5)]
    for n in range(100):
        faults += [
            fault(1_000 + n, "200.005", f"host=c-{n}", 1),
            fault(2_000 + n, "200.004", f"host=c-{n}", 1.2),
            fault(3_000 + n, "200.006", f"host=c-{n}.process=p", 3),
        ]
    made = correlator(faults, places)
    roots = [one for one in made.faults() if one.verdict == UNCAUSED]
    assert [one.uuid for one in roots] == [key(1)]
    assert all(one.verdict.root in (b"", key(1)) for one in made.faults())


def test_storm_of_many_alarms_has_its_cause_on_top_and_is_settled_in_slices() -> None:
    count = 20_000
    made = Correlator(RULES, Topology())
    for n in range(count):
        made.put(fault(10 + n, "200.006", f"host=c-1.process=p-{n}", n / count))
    assert settle(made, 500) == []
    made.put(fault(1, "200.004", "host=c-1", 5))
    slices = 0
    while not made.idle:
        assert len(made.settle(500)) <= 500
        slices += 1
    assert slices == count // 500 + 1
    assert sum(one.verdict.root == key(1) for one in made.faults()) == count


ENTITIES = (
    "host=c-1",
    "host=c-2",
    "host=c-1.port=eth0",
    "host=c-1.interface=m",
    "host=c-2.interface=m",
    "service_domain=d.service_group=g.host=c-1",
    "service_domain=d.service_group=g",
    "switch=leaf-1",
    "switch=leaf-1.port=p1",
    "switch=leaf-2",
    "cluster=x.peergroup=g",
    "cluster=x",
)
IDS = (*RULES.layers, "800.011", "400.002", "400.005")
PLACES = (
    Place(),
    Place(personality="storage", uplinks=LEAF),
    Place(uplinks=BOTH),
    Place(personality="storage"),
    Place(storm="switch=leaf-1"),
)
OPERATIONS = st.one_of(
    st.tuples(
        st.just("put"),
        st.integers(1, 25),
        st.sampled_from(IDS),
        st.sampled_from(ENTITIES),
        st.integers(0, 90),
        st.sampled_from(("critical", "major")),
    ),
    st.tuples(st.just("drop"), st.integers(1, 25)),
    st.tuples(st.just("place"), st.sampled_from(("c-1", "c-2")), st.sampled_from(PLACES)),
    st.tuples(st.just("settle"), st.integers(1, 3)),
)


@given(st.lists(OPERATIONS, max_size=60))
@settings(max_examples=150, deadline=None)
def test_findings_are_those_of_a_fresh_look_whatever_came_in_whatever_order(
    operations: Sequence[tuple[object, ...]],
) -> None:
    made = Correlator(RULES, Topology())
    faults: dict[int, Fault] = {}
    places: dict[str, Place] = {}
    for operation in operations:
        match operation:
            case ("put", int(n), str(alarm_id), str(entity), int(at), str(severity)):
                known = faults.get(n)
                one = (
                    fault(n, known.alarm_id, known.entity, known.raised_at - 1_000, severity)
                    if known
                    else fault(n, alarm_id, entity, at, severity)
                )
                made.put(_copies([one])[0])
                faults[n] = one
            case ("drop", int(n)):
                made.drop(key(n))
                faults.pop(n, None)
            case ("place", str(host), Place() as place):
                made.place(host, place)
                places[host] = place
            case ("settle", int(limit)):
                made.settle(limit)
            case _:
                raise AssertionError(operation)
    settle(made, 2)
    fresh = correlator(_copies(faults.values()), places)
    assert {n: verdict(made, n) for n in faults} == {n: verdict(fresh, n) for n in faults}
    for one in made.faults():
        _assert_sound(made, one)


def _assert_sound(made: Correlator, one: Fault) -> None:
    """A chain of active alarms that ends at the root that is named."""
    last, steps = one, 0
    while last.verdict != UNCAUSED:
        cause = made.fault(last.verdict.cause)
        assert cause is not None and cause is not last
        last, steps = cause, steps + 1
        assert steps <= len(RULES.layers)
    assert one.verdict.root == (b"" if last is one else last.uuid)


RULE = """
[[rule]]
name = "{name}"
because = "because it is so"
causes = ["{cause}"]
symptoms = ["{symptom}"]
by = "{by}"
"""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            RULE.format(name="a", cause="100.101", symptom="100.102", by="site")
            + RULE.format(name="b", cause="100.102", symptom="100.*", by="site"),
            "would explain each other: 100.10",
        ),
        (RULE.format(name="a", cause="100.101", symptom="*", by="site") * 2, "two rules a"),
        (RULE.format(name="a", cause="100.101", symptom="*", by="component"), "`key` goes with"),
        (RULE.format(name="a", cause="100.*", symptom="*", by="site"), "causes"),
        (RULE.format(name="a", cause="100.101", symptom="*", by="luck"), "luck"),
        ("[[rule]]\nname = ", "mine.toml"),
    ],
)
def test_rules_are_refused_with_their_reason_when_they_are_wrong(text: str, says: str) -> None:
    with pytest.raises(Rejected, match=says.replace("*", r"\*")):
        read_rules([("mine.toml", text.encode())])
