"""Storms as a pure function: golden cases of what falls silent together, and what is made of it."""

from datetime import UTC, datetime, timedelta

import pytest

from murmuration.mtce.core.storm import (
    UNKNOWN,
    Kind,
    Share,
    Storm,
    StormPolicy,
    StormStep,
    step,
)
from murmuration.mtce.handlers.storms import shares_of
from murmuration.proto.ids import HostName
from murmuration.proto.sysinv import (
    Administrative,
    Admission,
    Host,
    Link,
    Neighbour,
    Origin,
    Personality,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = StormPolicy()
RACK_1, RACK_2 = Share(Kind.RACK, "r1"), Share(Kind.RACK, "r2")
SWITCH_1, SWITCH_2 = Share(Kind.SWITCH, "sw1"), Share(Kind.SWITCH, "sw2")
NETWORK = Share(Kind.NETWORK, "10.0.0.0/24")


def hosts(*names: str) -> tuple[HostName, ...]:
    return tuple(HostName(name) for name in names)


# a and b in rack 1, c and d in rack 2; a and c on switch 1; all on one network, with e and f.
SITE = {
    HostName("a"): frozenset({RACK_1, SWITCH_1, NETWORK}),
    HostName("b"): frozenset({RACK_1, SWITCH_2, NETWORK}),
    HostName("c"): frozenset({RACK_2, SWITCH_1, NETWORK}),
    HostName("d"): frozenset({RACK_2, SWITCH_2, NETWORK}),
    HostName("e"): frozenset({NETWORK}),
    HostName("f"): frozenset({NETWORK}),
}


def ask(lost: str, storms: tuple[Storm, ...] = (), at_s: float = 0.0) -> StormStep:
    """What happens when these fell silent just now, or are silent since the storm."""
    now = NOW + timedelta(seconds=at_s)
    held = {name for storm in storms for name in storm.held | storm.gone}
    since = {HostName(one): NOW if one in held else now for one in lost}
    return step(lost=since, shares=SITE, storms=storms, now=now, policy=POLICY)


def storm(held: str, share: Share = RACK_1, **changes: object) -> Storm:
    known: dict[str, object] = {"number": 1, "share": share, "begun_at": NOW, "held": hosts(*held)}
    known.update(changes)
    known["held"] = frozenset(hosts(*held))
    return Storm(**known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lost", "causes"),
    [
        ("", []),
        ("a", []),
        ("ab", [(RACK_1, "ab")]),
        ("ac", [(SWITCH_1, "ac")]),
        ("cd", [(RACK_2, "cd")]),
        ("ad", [(UNKNOWN, "ad")]),
        ("ef", [(UNKNOWN, "ef")]),
        ("abc", [(NETWORK, "abc")]),
        ("abcdef", [(NETWORK, "abcdef")]),
        ("ae", [(UNKNOWN, "ae")]),
    ],
)
def test_losses_of_one_moment_are_put_down_to_what_explains_most(
    lost: str, causes: list[tuple[Share, str]]
):
    begun = ask(lost).begun
    assert [(one.share, one.hosts) for one in begun] == [
        (share, hosts(*names)) for share, names in causes
    ]
    assert all(str(one.share) in one.reason or one.share is UNKNOWN for one in begun)


def test_two_hosts_of_a_three_host_site_that_die_together_have_their_network_as_cause():
    three = {HostName(name): frozenset({NETWORK}) for name in "xyz"}
    lost = {HostName("x"): NOW, HostName("y"): NOW}
    found = step(lost=lost, shares=three, storms=(), now=NOW, policy=POLICY)
    assert [(one.share, one.hosts) for one in found.begun] == [(NETWORK, hosts("x", "y"))]
    assert found.begun[0].reason.startswith("2 of 3 hosts on network 10.0.0.0/24 fell silent")


def test_losses_that_lie_apart_are_no_storm():
    old = NOW - timedelta(seconds=POLICY.window_s + 1)
    lost = {HostName("a"): old, HostName("b"): NOW}
    assert not step(lost=lost, shares=SITE, storms=(), now=NOW, policy=POLICY)


def test_host_that_falls_silent_with_its_storm_joins_it_and_another_does_not():
    found = ask("abc", (storm("a"),))
    assert found.joined == {1: hosts("b")}
    assert found.begun == ()
    found = ask("ac", (storm("a", UNKNOWN),))
    assert found.joined == {1: hosts("c")}


def test_storm_holds_its_hosts_until_half_of_them_are_back():
    four = storm("abcd", NETWORK)
    assert not ask("abcd", (four,), 60)
    found = ask("bcd", (four,), 60)
    assert found.released == {1: hosts("a")}
    assert found.calmed == {}
    rest = storm("bcd", NETWORK, gone=frozenset(hosts("a")))
    found = ask("cd", (rest,), 70)
    assert found.calmed == {1: "2 of 4 hosts are heard again"}
    assert found.released == {1: hosts("b", "c")}  # who is back, and the first that stays away


def test_host_that_came_back_for_a_moment_is_held_again_while_its_storm_lasts():
    rest = storm("bcd", NETWORK, gone=frozenset(hosts("a")))
    lost = {**dict.fromkeys(hosts("b", "c", "d"), NOW), HostName("a"): NOW + timedelta(seconds=9)}
    now = NOW + timedelta(seconds=10)
    found = step(lost=lost, shares=SITE, storms=(rest,), now=now, policy=POLICY)
    assert (found.joined, found.begun) == ({1: hosts("a")}, ())


def test_storm_does_not_calm_for_hosts_that_were_back_and_are_silent_again():
    rest = storm("cd", NETWORK, gone=frozenset(hosts("a", "b")))
    lost = dict.fromkeys(hosts("a", "b", "c", "d"), NOW)
    now = NOW + timedelta(seconds=60)
    found = step(lost=lost, shares=SITE, storms=(rest,), now=now, policy=POLICY)
    assert (found.joined, found.calmed) == ({1: hosts("a", "b")}, {})


def test_who_was_let_go_is_in_no_new_storm_while_it_stays_silent():
    calm = storm("b", NETWORK, gone=frozenset(hosts("a", "c", "d")), calm_at=NOW)
    lost = dict.fromkeys(hosts("a", "b"), NOW)
    assert not step(lost=lost, shares=SITE, storms=(calm,), now=NOW, policy=POLICY)


def test_who_stays_away_is_let_go_one_by_one_and_then_the_storm_is_over():
    calm_at = NOW + timedelta(seconds=70)
    rest = storm("d", NETWORK, gone=frozenset(hosts("a", "b", "c")), calm_at=calm_at)
    assert not ask("cd", (rest,), 70 + POLICY.stagger_s - 1)
    found = ask("cd", (rest,), 70 + POLICY.stagger_s)
    assert found.released == {1: hosts("d")}
    assert found.ended == {1: "nobody is held any more for network 10.0.0.0/24"}


def test_storm_of_a_known_cause_holds_its_hosts_for_as_long_as_it_lasts():
    assert not ask("abcd", (storm("abcd", NETWORK),), 30 * 86_400)


def test_storm_of_unknown_cause_lets_its_hosts_go_one_by_one_and_never_all_at_once():
    storms, let_go = storm("abcd", UNKNOWN), list[str]()
    for second in range(int(POLICY.hold_s) + 60):
        found = ask("abcd", (storms,), second)
        now_let = found.released.get(1, ())
        assert len(now_let) <= 1
        if found.calmed:
            assert second == POLICY.hold_s
            storms = storm("abcd", UNKNOWN, calm_at=NOW + timedelta(seconds=second))
        let_go += now_let
        left = "".join(name for name in "abcd" if name not in let_go)
        storms = storm(left, UNKNOWN, gone=frozenset(hosts(*let_go)), calm_at=storms.calm_at)
        if found.ended:
            break
    assert let_go == list("abcd")


def test_all_hosts_that_are_back_end_their_storm_at_once():
    found = ask("", (storm("ab"),), 5)
    assert (found.released, list(found.ended)) == ({1: hosts("a", "b")}, [1])


def cabled(name: str, switch: str, *addresses: str) -> Link:
    neighbour = Neighbour(system=switch, port="p1")
    return Link(name=name, index=1, kind="ether", addresses=addresses, neighbour=neighbour)


@pytest.mark.parametrize(
    ("links", "labels", "shares"),
    [
        ((), {}, {NETWORK}),
        ((cabled("eth0", "sw1"),), {}, {NETWORK, SWITCH_1}),
        ((cabled("eth0", "sw1"), cabled("eth1", "sw2")), {}, {NETWORK}),
        ((cabled("eth0", "sw1"), cabled("eth1", "sw2", "10.0.0.7/24")), {}, {NETWORK, SWITCH_2}),
        (
            (),
            {"rack": "r1", "power": "f1", "broker": "n1", "fence": "fast"},
            {NETWORK, RACK_1, Share(Kind.POWER, "f1"), Share(Kind.BROKER, "n1")},
        ),
    ],
)
def test_what_a_host_shares_is_told_by_its_cables_labels_and_address(
    links: tuple[Link, ...], labels: dict[str, str], shares: set[Share]
) -> None:
    host = Host(
        name="a",
        index=1,
        shard=0,
        personality=Personality.WORKER,
        origin=Origin.MACHINE,
        observe_only=False,
        admission=Admission.ACCEPTED,
        intended_administrative=Administrative.UNLOCKED,
        address="10.0.0.7",
        links=links,
        labels=labels,
    )
    assert shares_of(host) == shares
