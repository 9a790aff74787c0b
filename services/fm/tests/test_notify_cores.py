"""Routes, silences, mute times and groups: who is told of what, and when."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from murmuration.fm.core.grouping import Member, Timing, Verdict, first_due, look
from murmuration.fm.core.routing import (
    GROUP_BY,
    REPEAT_INTERVAL_S,
    Tree,
    check_receiver,
    check_receivers,
    fits,
)
from murmuration.fm.core.silences import check_times, muted, silenced, state_of
from murmuration.kernel.errors import Rejected
from murmuration.proto.fm_notify import (
    Matcher,
    MatchOperator,
    MuteTime,
    Receiver,
    ReceiverKind,
    Route,
    Routing,
    Silence,
    SilenceState,
    Weekday,
)

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)  # a Wednesday


def matcher(text: str) -> Matcher:
    for operator in ("=~", "!~", "!=", "="):
        label, found, value = text.partition(operator)
        if found:
            return Matcher(label=label, operator=MatchOperator(operator), value=value)
    raise AssertionError(text)


@pytest.mark.parametrize(
    ("condition", "fit"),
    [
        ("severity=critical", True),
        ("severity=major", False),
        ("severity!=major", True),
        ("severity=~major|crit*", True),
        ("severity=~crit", False),
        ("severity!~crit*", False),
        ("host=~worker-*", True),
        ("host=~worker.1", False),
        ("host=~*", True),
        ("producer=", True),
        ("producer!=", False),
        ("producer=~", True),
    ],
)
def test_matcher_compares_a_label(condition: str, fit: bool) -> None:
    labels = {"severity": "critical", "host": "worker-1"}
    assert fits([matcher(condition)], labels) is fit


TREE = Routing(
    routes=(
        Route(name="audit", receiver="log", goes_on=True, symptoms=True, group_by=()),
        Route(name="all", receiver="operators", group_wait_s=5, mute_times=("nights",)),
        Route(
            name="hard", parent="all", receiver="pager", matchers=(matcher("severity=critical"),)
        ),
        Route(name="storage", parent="hard", matchers=(matcher("alarm_id=~800.*"),), group_by=()),
    ),
    mute_times=(MuteTime(name="nights", from_minute=1_320, until_minute=360),),
)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({"severity": "minor"}, ["audit", "all"]),
        ({"severity": "critical"}, ["audit", "hard"]),
        ({"severity": "critical", "alarm_id": "800.001"}, ["audit", "storage"]),
    ],
)
def test_alarm_walks_to_the_deepest_route_that_fits(
    labels: dict[str, str], names: list[str]
) -> None:
    assert [node.name for node in Tree(TREE).nodes_of(labels)] == names


def test_route_has_from_its_parents_what_it_does_not_say() -> None:
    nodes = Tree(TREE).nodes
    storage = nodes["storage"]
    assert (storage.receiver, storage.group_wait_s) == ("pager", 5)
    assert (storage.group_by, nodes["hard"].group_by) == ((), GROUP_BY)
    assert storage.repeat_interval_s == REPEAT_INTERVAL_S
    assert nodes["audit"].symptoms and not storage.symptoms
    assert nodes["hard"].group_of({"host": "a", "severity": "major"}) == {"host": "a"}
    check_receivers(Tree(TREE), ["log", "operators", "pager"])
    with pytest.raises(Rejected, match="not there: pager"):
        check_receivers(Tree(TREE), ["log", "operators"])


@pytest.mark.parametrize(
    ("routes", "says"),
    [
        ([Route(name="a")], "names its receiver"),
        ([Route(name="a", receiver="x"), Route(name="a", receiver="x")], "two routes a"),
        ([Route(name="b", parent="a")], "its parent a"),
        ([Route(name="a", receiver="x", mute_times=("m",))], "no mute time m"),
        ([Route(name="a", receiver="x", group_by=("colour",))], "no label colour"),
        ([Route(name="a", receiver="x", matchers=(matcher("colour=red"),))], "no label colour"),
    ],
)
def test_routing_is_refused_when_it_is_not_whole(routes: list[Route], says: str) -> None:
    with pytest.raises(Rejected, match=says):
        Tree(Routing(routes=tuple(routes)))


@pytest.mark.parametrize(
    ("kind", "url", "fine"),
    [
        ("webhook", "https://x/hook", True),
        ("webhook", "file:///etc/passwd", False),
        ("webhook", "https://user:word@x/", False),
        ("webhook", "https://", False),
        ("alertmanager", "http://x:9093", True),
        ("snmp", "snmp://x:162", True),
        ("snmp", "http://x", False),
        ("pigeon", "http://x", False),
    ],
)
def test_receiver_is_refused_when_its_url_does_not_fit(kind: str, url: str, fine: bool) -> None:
    receiver = Receiver(name="a", kind=ReceiverKind(kind), url=url)
    if fine:
        check_receiver(receiver)
    else:
        with pytest.raises(Rejected):
            check_receiver(receiver)


def silence(start_s: float, end_s: float) -> Silence:
    return Silence(
        id="s",
        matchers=(matcher("host=worker-1"),),
        starts_at=NOW + timedelta(seconds=start_s),
        ends_at=NOW + timedelta(seconds=end_s),
        author="a",
        created_at=NOW,
    )


@pytest.mark.parametrize(
    ("start_s", "end_s", "state"),
    [(1, 2, "pending"), (0, 1, "active"), (-1, 0, "expired")],
)
def test_silence_holds_from_its_start_to_just_before_its_end(
    start_s: float, end_s: float, state: str
) -> None:
    one = silence(start_s, end_s)
    assert state_of(one, NOW) is SilenceState(state)
    assert (silenced([one], {"host": "worker-1"}, NOW) is one) is (state == "active")
    assert silenced([one], {"host": "worker-2"}, NOW) is None


def test_silence_is_refused_when_it_would_never_hold() -> None:
    check_times(starts_at=NOW, ends_at=NOW + timedelta(seconds=1), now=NOW)
    for start_s, end_s in ((2, 1), (1, 1), (-2, -1)):
        one = silence(start_s, end_s)
        with pytest.raises(Rejected):
            check_times(starts_at=one.starts_at, ends_at=one.ends_at, now=NOW)


@pytest.mark.parametrize(
    ("weekdays", "start", "end", "hours"),
    [
        ((), 0, 1_440, range(24)),
        ((), 600, 780, range(10, 13)),
        ((), 1_320, 360, [0, 1, 2, 3, 4, 5, 22, 23]),
        ((Weekday.WEDNESDAY,), 1_320, 360, [22, 23]),
        ((Weekday.TUESDAY,), 1_320, 360, [0, 1, 2, 3, 4, 5]),
        ((Weekday.SUNDAY,), 0, 1_440, []),
    ],
)
def test_mute_time_covers_its_hours_of_its_days(
    weekdays: tuple[Weekday, ...], start: int, end: int, hours: Sequence[int]
) -> None:
    one = MuteTime(name="m", weekdays=weekdays, from_minute=start, until_minute=end)
    covered = [hour for hour in range(24) if muted([one], NOW.replace(hour=hour))]
    assert covered == list(hours)


TIMING = Timing(group_wait_s=30, group_interval_s=300, repeat_interval_s=4 * 3_600)
LATER = NOW + timedelta(seconds=300)
NEW = Member("new", firing=True, told=False, news=True, held=False)
TOLD = Member("told", firing=True, told=True, news=False, held=False)
HELD = Member("held", firing=True, told=False, news=True, held=True)
WORSE = Member("worse", firing=True, told=True, news=True, held=False)
GONE = Member("gone", firing=False, told=True, news=True, held=False)
MISSED = Member("missed", firing=False, told=False, news=True, held=False)

LOOKS = {
    "a new alarm is told with those told before": (
        [NEW, TOLD],
        Verdict(("new", "told"), (), (), LATER, "alarms came"),
    ),
    "an alarm of another severity is told again": (
        [WORSE],
        Verdict(("worse",), (), (), LATER, "alarms came"),
    ),
    "a resolved alarm is told with those that still fire": (
        [TOLD, GONE],
        Verdict(("told",), ("gone",), ("gone",), LATER, "some went"),
    ),
    "the last resolved alarm ends the group": (
        [GONE],
        Verdict((), ("gone",), ("gone",), None, "some went"),
    ),
    "what came and went unseen is never told": (
        [MISSED],
        Verdict((), (), ("missed",), None, "nothing is new"),
    ),
    "what is held back is not told and stays": (
        [HELD],
        Verdict((), (), (), LATER, "nothing is new"),
    ),
    "nothing new is not told": ([TOLD], Verdict((), (), (), LATER, "nothing is new")),
    "a group of nothing is forgotten": ([], Verdict((), (), (), None, "nothing is new")),
}


@pytest.mark.parametrize("name", LOOKS)
def test_group_is_told_as_its_members_are(name: str) -> None:
    members, expected = LOOKS[name]
    found = look(members, TIMING, now=NOW, told_at=NOW, muted=False, send_resolved=True)
    assert found == expected


def test_group_is_told_again_when_the_repeat_interval_has_passed() -> None:
    for passed_s, tells in ((4 * 3_600 - 1, False), (4 * 3_600, True)):
        told_at = NOW - timedelta(seconds=passed_s)
        found = look([TOLD], TIMING, now=NOW, told_at=told_at, muted=False, send_resolved=True)
        assert found.tells is tells
    never = Timing(group_wait_s=0, group_interval_s=1, repeat_interval_s=0)
    long_ago = NOW - timedelta(days=9)
    assert not look([TOLD], never, now=NOW, told_at=long_ago, muted=False, send_resolved=True).tells


def test_group_keeps_everything_for_later_when_it_is_muted() -> None:
    found = look([NEW, GONE], TIMING, now=NOW, told_at=None, muted=True, send_resolved=True)
    assert found == Verdict(due_at=LATER, reason="it is a mute time")
    assert first_due(TIMING, NOW) == NOW + timedelta(seconds=30)


def test_resolved_alarms_are_forgotten_untold_when_the_receiver_does_not_want_them() -> None:
    found = look([GONE], TIMING, now=NOW, told_at=NOW, muted=False, send_resolved=False)
    assert found == Verdict((), (), ("gone",), None, "nothing is new")


MEMBERS = st.lists(
    st.builds(
        Member,
        st.uuids().map(str),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    unique_by=lambda one: one.uuid,
    max_size=6,
)


@given(MEMBERS, st.booleans(), st.booleans(), st.integers(0, 20_000))
@settings(max_examples=200, deadline=None)
def test_nothing_is_told_that_was_not_to_be_and_nothing_firing_is_forgotten(
    members: list[Member], is_muted: bool, send_resolved: bool, passed_s: int
) -> None:
    found = look(
        members,
        TIMING,
        now=NOW,
        told_at=NOW - timedelta(seconds=passed_s),
        muted=is_muted,
        send_resolved=send_resolved,
    )
    by_uuid = {one.uuid: one for one in members}
    assert all(by_uuid[uuid].firing and not by_uuid[uuid].held for uuid in found.firing)
    assert all(by_uuid[uuid].told and not by_uuid[uuid].firing for uuid in found.resolved)
    assert not any(by_uuid[uuid].firing for uuid in found.forgotten)
    if any(one.firing for one in members):
        assert found.due_at == LATER
    fresh = [one.uuid for one in members if one.firing and one.news and not one.held]
    if not is_muted:
        assert set(fresh) <= set(found.firing)
