"""The read model: what an event does to it, and that order and repetition do not matter."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.gateway.tests.gateway_site import (
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

from murmuration.gateway.core.alarms import AlarmQuery
from murmuration.gateway.core.model import (
    AlarmGone,
    AlarmPut,
    Delta,
    HostGone,
    HostPut,
    Logged,
    Missed,
    Occurred,
    Position,
    Restarted,
    Vector,
)
from murmuration.gateway.core.projection import Loaded, ReadModel, alarm_identity
from murmuration.gateway.core.ring import EventRing
from murmuration.kernel.errors import Rejected
from murmuration.proto.envelope import Version
from murmuration.proto.fm import Alarm, Severity
from murmuration.proto.mtce import Availability, HostForgotten
from murmuration.proto.sysinv import Admission, HostRemoved


def kinds(deltas: Sequence[Delta]) -> list[type[Delta]]:
    return [type(delta) for delta in deltas]


def shown(model: ReadModel) -> tuple[object, ...]:
    """Everything a reader can see."""
    alarms, _ = model.alarms.page(
        AlarmQuery(masked=True, suppressed=True), after=None, limit=10_000
    )
    hosts, _ = model.hosts.page(after=None, limit=10_000)
    return alarms, hosts, model.vector, model.alarms.counts, model.hosts.by_availability


def test_a_host_is_what_sysinv_declares_and_mtce_sees() -> None:
    model = ReadModel()
    assert kinds(model.apply(observed(a_state("c-1"), 1))) == [Logged]  # not declared yet
    deltas = model.apply(declared(a_host("c-1"), 1))
    assert kinds(deltas) == [HostPut, Logged]
    view = model.hosts.get("c-1")
    assert view is not None
    assert view.availability is Availability.AVAILABLE
    assert kinds(model.apply(an_event(HostForgotten(host="c-1", reason=""), 2))) == [
        HostPut,
        Logged,
    ]
    view = model.hosts.get("c-1")
    assert view is not None
    assert view.availability is Availability.UNKNOWN
    gone = model.apply(an_event(HostRemoved(host="c-1", index=1, reason="retired"), 2))
    assert gone[0] == HostGone("c-1")
    assert len(model.hosts) == 0


def test_a_discovered_host_says_that_it_waits() -> None:
    model = ReadModel()
    model.apply(declared(a_host("w-1", admission=Admission.DISCOVERED), 1))
    view = model.hosts.get("w-1")
    assert view is not None
    assert "waits to be accepted" in view.reason


def test_alarms_count_for_exactly_the_host_they_name() -> None:
    model = ReadModel()
    model.apply(declared(a_host("c-1"), 1))
    model.apply(declared(a_host("c-10"), 2))
    ten = an_alarm("u1", entity="host=c-10.interface=eth0")
    deltas = model.apply(raised(ten, 1))
    assert kinds(deltas) == [AlarmPut, HostPut, Logged]
    one, other = model.hosts.get("c-1"), model.hosts.get("c-10")
    assert one is not None
    assert other is not None
    assert (one.alarms.critical, other.alarms.critical) == (0, 1)
    deltas = model.apply(cleared(ten, 2))
    assert deltas[0] == AlarmGone("u1", "it is heard again")
    assert kinds(deltas) == [AlarmGone, HostPut, Logged]
    assert model.alarms.counts.critical == 0


def test_an_event_that_is_not_newer_changes_nothing() -> None:
    model = ReadModel()
    model.apply(declared(a_host("a"), 5))
    before = shown(model)
    assert model.apply(declared(a_host("b"), 5)) == []
    assert model.apply(declared(a_host("b"), 4)) == []
    assert shown(model) == before


def test_loaded_state_wins_only_when_it_is_newer() -> None:
    model = ReadModel()
    model.load("sysinv", {"a": Loaded(Version(1, 9), a_host("a", address="new"))})
    deltas = model.apply(declared(a_host("a", address="old"), 8))
    assert kinds(deltas) == [Logged]
    view = model.hosts.get("a")
    assert view is not None
    assert view.address == "new"
    model.load("sysinv", {"a": Loaded(Version(1, 7), a_host("a", address="older"))})
    view = model.hosts.get("a")
    assert view is not None
    assert view.address == "new"


def test_a_late_copy_does_not_revive_what_was_deleted() -> None:
    model = ReadModel()
    alarm = an_alarm("u1")
    key = alarm_identity(alarm.alarm_id, alarm.entity)
    model.apply(raised(alarm, 1))
    model.apply(cleared(alarm, 2))
    assert model.load("fm", {key: Loaded(Version(1, 1), alarm)}) == []
    assert len(model.alarms) == 0
    fresh = ReadModel()
    fresh.load("fm", {key: Loaded(Version(1, 2), None)})
    assert kinds(fresh.apply(raised(alarm, 1))) == [Logged]
    assert len(fresh.alarms) == 0


def test_an_alarm_raised_anew_replaces_the_one_whose_clear_was_not_seen() -> None:
    model = ReadModel()
    model.apply(raised(an_alarm("u1"), 1))
    deltas = model.apply(raised(an_alarm("u2"), 3))
    assert AlarmGone("u1", "it was raised anew") in deltas
    assert len(model.alarms) == 1


def test_a_new_life_of_a_sender_empties_its_part_only() -> None:
    model = ReadModel()
    model.apply(declared(a_host("a"), 1))
    model.apply(observed(a_state("a"), 1))
    model.apply(raised(an_alarm("u1", entity="host=a"), 1))
    deltas = model.apply(restarted("fm", 1, epoch=2))
    assert kinds(deltas) == [Restarted, Logged]
    assert len(model.alarms) == 0
    view = model.hosts.get("a")
    assert view is not None
    assert view.alarms.critical == 0
    assert view.availability is Availability.AVAILABLE
    assert kinds(model.apply(raised(an_alarm("u9", entity="host=a"), 50, epoch=1))) == []
    assert kinds(model.apply(raised(an_alarm("u2", entity="host=a"), 2, epoch=2))) == [
        AlarmPut,
        HostPut,
        Logged,
    ]
    model.apply(restarted("sysinv", 1, epoch=2))
    assert len(model.hosts) == 0


def test_a_gap_is_noticed_and_what_lies_before_it_cannot_be_resumed_from() -> None:
    model = ReadModel()
    model.apply(declared(a_host("a"), 1))
    before = model.vector
    deltas = model.apply(an_event(HostRemoved(host="a", index=1, reason=""), 9, previous=7))
    assert isinstance(deltas[0], Missed)
    assert model.missed_since(before) is None
    assert model.missed_since(model.vector) == []


def test_numbers_used_for_other_streams_are_no_gap() -> None:
    model = ReadModel()
    model.apply(declared(a_host("a"), 1))
    deltas = model.apply(an_event(HostRemoved(host="a", index=1, reason=""), 9, previous=1))
    assert kinds(deltas) == [HostGone, Logged]


def test_resuming_gives_the_state_of_what_was_touched_then_the_entries() -> None:
    model = ReadModel()
    model.apply(declared(a_host("a"), 1))
    vector = model.vector
    alarm, other = an_alarm("u1", entity="host=a"), an_alarm("u2", alarm_id="200.005")
    model.apply(raised(alarm, 1))
    model.apply(raised(other, 2))
    model.apply(cleared(alarm, 3))
    missed = model.missed_since(vector)
    assert missed is not None
    view = model.hosts.get("a")
    assert view is not None
    assert missed[:3] == [AlarmGone("u1", "it was cleared"), HostPut(view), AlarmPut(other)]
    assert [type(delta) for delta in missed[3:]] == [Logged] * 3
    assert model.missed_since(model.vector) == []


def test_a_new_life_in_between_cannot_be_resumed_over() -> None:
    model = ReadModel()
    model.apply(declared(a_host("a"), 1))
    vector = model.vector
    model.apply(restarted("sysinv", 2, epoch=2))
    assert model.missed_since(vector) is None


def test_a_full_ring_forgets_the_oldest_and_says_so() -> None:
    model = ReadModel(EventRing(3))
    model.apply(declared(a_host("a"), 1))
    vectors = [model.vector]
    for change in range(2, 6):
        model.apply(declared(a_host("a"), change))
        vectors.append(model.vector)
    assert len(model.ring) == 3
    assert model.missed_since(vectors[0]) is None
    rest = model.missed_since(vectors[1])
    assert rest is not None
    assert [delta.version.change for delta in rest if isinstance(delta, Logged)] == [3, 4, 5]
    assert [entry.version.change for entry in model.ring.last(2)] == [4, 5]
    assert model.ring.last(9, "fm.alarm.raised.v1") == []


def test_large_events_leave_the_ring_earlier() -> None:
    model = ReadModel(EventRing(bytes_max=20_000))
    for change in range(1, 10):
        model.apply(observed(a_state("a", reason="x" * 4_000), change))
    assert 1 < len(model.ring) < 5
    assert model.missed_since(Vector()) is None


def test_an_empty_stream_stands_where_its_state_stands() -> None:
    model = ReadModel()
    values = {"a": Loaded(Version(1, 80), a_host("a"))}
    model.load("sysinv", values)
    model.settle("sysinv", values.values())
    assert model.vector.sysinv == Version(1, 80)
    assert model.missed_since(Vector()) is None
    assert model.missed_since(model.vector) == []


def test_positions_and_vectors_are_read_strictly() -> None:
    vector = Vector(Version(1, 8123), Version(1, 77), Version(1, 5))
    assert str(vector) == "fm.1.8123-mtce.1.77-sysinv.1.5"
    assert Vector.parse(str(vector)) == vector
    assert Vector.parse("mtce.2.3") == Vector(mtce=Version(2, 3))
    for wrong in ("", "fm", "fm.1", "fm.1.x", "fm.1.2-fm.1.3", "sm.1.2", "fm.1.2-", "x" * 999):
        with pytest.raises(Rejected):
            Vector.parse(wrong)
    assert Position.parse("fm:1:8123") == Position("fm", Version(1, 8123))
    for wrong in ("", "fm", "fm:1", "fm:1:", "fm::1", "fm:1:x", "sm:1:2", "fm:1:2:3", "fm:²:1"):
        with pytest.raises(Rejected):
            Position.parse(wrong)


# ---------------------------------------------------------------- whatever the order

NAMES = ("c-1", "c-10", "w-1")


def story(sender: str, steps: list[tuple[int, int]]) -> list[Occurred]:
    """A history one sender could have: `steps` choose what happens to whom."""
    events: list[Occurred] = []
    epoch, change = 1, 0
    for what, who in steps:
        change += 1 + what % 2
        name = NAMES[who % len(NAMES)]
        alarm = an_alarm(
            f"{name}-{who}-{change}", entity=f"host={name}", severity=list(Severity)[what % 5]
        )
        if what == 9:
            epoch, change = epoch + 1, change + 1
            events.append(restarted(sender, change, epoch=epoch))
        elif sender == "sysinv":
            removed = HostRemoved(host=name, index=1, reason="")
            events.append(
                an_event(removed, change, epoch=epoch)
                if what < 3
                else declared(a_host(name, address=str(change)), change, epoch=epoch)
            )
        elif sender == "mtce":
            forgotten = HostForgotten(host=name, reason="")
            events.append(
                an_event(forgotten, change, epoch=epoch)
                if what < 3
                else observed(a_state(name, reason=str(change)), change, epoch=epoch)
            )
        else:
            make = cleared if what < 4 else raised
            events.append(make(alarm, change, epoch=epoch))
    before = [0, *(event.version.change for event in events)]
    return [replace(event, previous=last) for event, last in zip(events, before, strict=False)]


STEPS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), max_size=12)
STORIES = st.tuples(STEPS, STEPS, STEPS)


def state_after(events: list[Occurred]) -> dict[str, Loaded]:
    """The state cache a sender would keep after `events`."""
    values: dict[str, Loaded] = {}
    for event in events:
        payload = event.payload
        alarm = getattr(payload, "alarm", None)
        host = getattr(payload, "host", None)
        state = getattr(payload, "state", None)
        if event.type.endswith("epoch.started.v1"):
            values.clear()
        elif isinstance(alarm, Alarm):
            key = alarm_identity(alarm.alarm_id, alarm.entity)
            value = None if event.type.endswith("cleared.v1") else alarm
            values[key] = Loaded(event.version, value)
        elif state is not None:
            values[state.host] = Loaded(event.version, state)
        elif isinstance(host, str):
            values[host] = Loaded(event.version, None)
        elif host is not None:
            values[host.name] = Loaded(event.version, host)
    return values


@settings(max_examples=200, deadline=None)
@given(stories=STORIES, seed=st.integers(0, 2**32))
def test_the_model_is_the_same_when_senders_interleave_repeat_and_reload(
    stories: tuple[list[tuple[int, int]], ...], seed: int
) -> None:
    histories = [
        story(sender, steps)
        for sender, steps in zip(("fm", "mtce", "sysinv"), stories, strict=True)
    ]
    plain = ReadModel()
    for history in histories:
        for event in history:
            plain.apply(event)

    dice, mixed = random.Random(seed), ReadModel()
    reached = [0, 0, 0]
    while any(at < len(history) for at, history in zip(reached, histories, strict=True)):
        which = dice.randrange(3)
        history, at = histories[which], reached[which]
        if at == len(history):
            continue
        match dice.randrange(6):
            case 0 if at:  # the reader begins again somewhere before
                reached[which] = dice.randrange(at)
            case 1:  # the state cache is read, as it was at some time, perhaps ahead of the stream
                till = dice.randint(0, len(history))
                values = state_after(history[:till])
                mixed.load(("fm", "mtce", "sysinv")[which], values)
            case _:
                mixed.apply(history[at])
                reached[which] += 1
    assert shown(mixed) == shown(plain)


@settings(max_examples=100, deadline=None)
@given(stories=STORIES, seed=st.integers(0, 2**32))
def test_a_listener_that_changes_replicas_gets_every_entry_exactly_once(
    stories: tuple[list[tuple[int, int]], ...], seed: int
) -> None:
    calm = [[(what % 9, who) for what, who in steps] for steps in stories]  # no new lives
    histories = [
        story(sender, steps) for sender, steps in zip(("fm", "mtce", "sysinv"), calm, strict=True)
    ]
    dice, replicas = random.Random(seed), [ReadModel(), ReadModel()]
    reached = [[0, 0, 0], [0, 0, 0]]

    def advance(replica: int) -> None:
        for _ in range(dice.randrange(7)):
            which = dice.randrange(3)
            if reached[replica][which] < len(histories[which]):
                replicas[replica].apply(histories[which][reached[replica][which]])
                reached[replica][which] += 1

    vector, heard = Vector(), list[tuple[str, Version]]()
    for turn in range(6):
        advance(turn % 2)
        model = replicas[turn % 2]
        if not model.vector.covers(vector):
            continue  # the gateway waits until it does
        missed = model.missed_since(vector)
        assert missed is not None
        for delta in missed:
            if isinstance(delta, Logged):
                heard.append((delta.sender, delta.version))
                vector = delta.cursor
                assert delta.view.cursor == str(vector)
    assert len(heard) == len(set(heard))
    for sender, history in zip(("fm", "mtce", "sysinv"), histories, strict=True):
        mine = [entry for entry in heard if entry[0] == sender]
        assert mine == [(sender, event.version) for event in history[: len(mine)]]
        assert vector.at(sender) == (mine[-1][1] if mine else Version(0, 0))
