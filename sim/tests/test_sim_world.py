"""The world in virtual time: what simulated hosts do, and what they never do."""

import heapq
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from murmuration.kernel.errors import NotFound
from murmuration.proto import pulse
from murmuration.proto.sysinv import EnrolReply, HostReport, Origin, Personality
from murmuration.sim.core.host import Action, Cut, Declared
from murmuration.sim.core.world import SECOND_NS, Effect, Enrol, Frame, Publish, World

KEY = bytes(range(32))
START = datetime(2026, 1, 1, tzinfo=UTC)
PERIOD_NS = SECOND_NS // 10


class Site:
    """The site around a world in virtual time; `faults` is the share of requests that fail."""

    def __init__(self, count: int, *, seed: int = 0, flap_s: float = 0, faults: float = 0) -> None:
        self.random = Random(seed)
        self.now_ns = 0
        self.faults = faults
        self.frames: list[tuple[int, Frame]] = []
        self.enrolments: list[Enrol] = []
        self.messages: list[Publish] = []
        self._indexes: dict[str, int] = {}
        self._answers: list[tuple[int, int, Enrol | Publish]] = []
        self.world = World(
            [
                Declared(name=f"worker-{n}", personality=Personality.WORKER, address=f"10.0.0.{n}")
                for n in range(count)
            ],
            now_ns=0,
            wall=START,
            fresh_id=lambda: str(UUID(int=self.random.getrandbits(128), version=4)),
            dice=self.random.random,
            flap_every_ns=int(flap_s * SECOND_NS),
        )

    @property
    def wall(self) -> datetime:
        return START + timedelta(microseconds=self.now_ns // 1_000)

    def run(self, seconds: float) -> None:
        """Let that much virtual time pass."""
        end = self.now_ns + int(seconds * SECOND_NS)
        while True:
            due = [t for t in (self.world.next_ns(), self._next_answer()) if t is not None]
            self.now_ns = min([*due, end])
            if self.now_ns >= end:
                self.now_ns = end
                return
            self.take(self.world.advance(self.now_ns, self.wall))
            while self._answers and self._answers[0][0] <= self.now_ns:
                self.answer(heapq.heappop(self._answers)[2])

    def act(self, action: Action, host: str) -> None:
        self.take(self.world.act(action, host, self.now_ns, self.wall))

    def take(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Frame):
                self.frames.append((self.now_ns, effect))
                continue
            delay_ns = self.random.randrange(1, SECOND_NS)
            number = len(self.enrolments) + len(self.messages)
            heapq.heappush(self._answers, (self.now_ns + delay_ns, number, effect))
            if isinstance(effect, Enrol):
                self.enrolments.append(effect)
            else:
                self.messages.append(effect)

    def answer(self, effect: Enrol | Publish) -> None:
        name = effect.request.host if isinstance(effect, Enrol) else effect.message.host
        if self.random.random() < self.faults:
            self.world.refused(effect, name, self.now_ns)
        elif isinstance(effect, Publish):
            self.take(self.world.stored(name, effect.incarnation))
        else:
            index = self._indexes.setdefault(name, len(self._indexes))
            reply = EnrolReply(
                host=name,
                index=index,
                shard=0,
                pulse_period_ms=100,
                pulse_key=KEY.hex(),
                epoch=1,
                change=1,
            )
            self.take(self.world.enrolled(name, effect.incarnation, reply, self.now_ns))

    def of(self, name: str) -> list[tuple[int, pulse.Pulse]]:
        index = self._indexes.get(name)
        found = ((at, pulse.unpack(frame.data)) for at, frame in self.frames)
        return [(at, one) for at, one in found if one.index == index]

    def told(self, name: str) -> list[Publish]:
        return [one for one in self.messages if one.message.host == name]

    def _next_answer(self) -> int | None:
        return self._answers[0][0] if self._answers else None


def test_hosts_enrol_as_simulated_report_and_beat() -> None:
    site = Site(3)

    site.run(10)

    assert {e.request.host for e in site.enrolments} == {"worker-0", "worker-1", "worker-2"}
    assert {e.request.origin for e in site.enrolments} == {Origin.SIMULATED}
    report = site.told("worker-1")[0].message
    assert isinstance(report, HostReport)
    assert report.facts.virtualization == "simulated"
    assert [link.name for link in report.links] == ["lo", "eth0", "eth1"]
    frames = site.of("worker-1")
    assert 80 <= len(frames) <= 100
    assert [one.sequence for _, one in frames] == list(range(1, len(frames) + 1))
    assert {b - a for (a, _), (b, _) in pairwise(frames)} == {PERIOD_NS}
    assert all(pulse.authentic(frame.data, KEY) for _, frame in site.frames)
    assert all(one.sent_ns == at for at, one in frames)


@pytest.mark.parametrize("action", [Action.KILL, Action.FREEZE, Action.LINK_DOWN, Action.PARTITION])
def test_host_is_silent_from_the_fault_until_it_is_healed(action: Action) -> None:
    site = Site(2)
    site.run(10)
    site.act(action, "worker-0")
    broken_ns, heard = site.now_ns, len(site.of("worker-0"))
    told = len(site.told("worker-0"))

    site.run(10)

    assert len(site.of("worker-0")) == heard
    assert len(site.told("worker-0")) == told
    assert site.of("worker-1")[-1][0] > broken_ns + 9 * SECOND_NS
    condition = site.world.hosts["worker-0"].condition
    assert condition == {"kill": "killed", "freeze": "frozen"}.get(action.value, action.value)

    site.act(Action.HEAL, "worker-0")
    site.run(10)

    assert len(site.of("worker-0")) >= heard + 70
    assert site.world.hosts["worker-0"].condition == "well"
    assert isinstance(site.told("worker-0")[-1].message, HostReport)
    before, after = site.of("worker-0")[0][1], site.of("worker-0")[-1][1]
    assert (before.boot_id != after.boot_id) is (action is Action.KILL)


def test_partition_towards_a_host_leaves_its_udp_heartbeats() -> None:
    site = Site(1)
    site.run(5)
    before = len(site.frames)

    site.take(site.world.act(Action.PARTITION, "worker-0", site.now_ns, site.wall, cut=Cut.TO))
    site.take(site.world.asked("worker-0"))
    site.run(5)

    later = site.frames[before:]
    assert len(later) >= 45
    assert not any(frame.by_nats for _, frame in later)
    assert all(pulse.unpack(frame.data).flags == pulse.FLAG_BUS_DOWN for _, frame in later)
    assert len(site.told("worker-0")) == 1


def test_faults_add_up_and_are_healed_together() -> None:
    site = Site(1)
    for action in (Action.LINK_DOWN, Action.PARTITION, Action.FREEZE):
        site.act(action, "worker-0")
    assert site.world.hosts["worker-0"].condition == "frozen link-down partition"

    site.act(Action.HEAL, "worker-0")

    assert site.world.hosts["worker-0"].condition == "well"


def test_killed_host_boots_with_another_boot_incarnation_and_operation() -> None:
    site = Site(1)
    site.run(5)

    site.act(Action.KILL, "worker-0")
    site.act(Action.HEAL, "worker-0")
    site.run(5)

    first, second = site.enrolments
    assert first.request.operation_id != second.request.operation_id
    assert first.request.boot_id != second.request.boot_id
    assert second.incarnation > first.incarnation
    assert [one.message.n for one in site.told("worker-0")] == [1, 1]
    assert site.of("worker-0")[-1][1].sequence < 50


def test_bouncing_data_link_is_told_as_deltas() -> None:
    site = Site(1, flap_s=30)

    site.run(120)

    deltas = [one.message for one in site.told("worker-0") if one.message.n > 1]
    assert len(deltas) >= 4
    assert not any(isinstance(message, HostReport) for message in deltas)
    assert [message.n for message in deltas] == list(range(2, len(deltas) + 2))


def test_enrolment_and_report_are_renewed_every_ten_minutes() -> None:
    site = Site(1)

    site.run(1_900)

    assert len(site.enrolments) in (3, 4)
    assert len({one.request.operation_id for one in site.enrolments}) == len(site.enrolments)
    assert len(site.told("worker-0")) == len(site.enrolments)


def test_missed_beats_are_not_caught_up_when_the_process_stalled() -> None:
    site = Site(1)
    site.run(5)
    count = len(site.frames)

    site.now_ns += 60 * SECOND_NS
    site.take(site.world.advance(site.now_ns, site.wall))

    assert len(site.frames) == count + 1


def test_full_report_is_sent_when_asked_for_by_whoever_can_hear() -> None:
    site = Site(2)
    site.run(5)
    site.act(Action.PARTITION, "worker-1")

    site.take(site.world.asked("worker-0"))
    site.take(site.world.asked("worker-1"))
    site.take(site.world.asked("nobody"))

    assert [len(site.told(name)) for name in ("worker-0", "worker-1")] == [2, 1]


def test_unknown_host_is_refused() -> None:
    with pytest.raises(NotFound, match="worker-9"):
        Site(1).act(Action.KILL, "worker-9")


def test_same_seed_gives_the_same_history() -> None:
    sites = [Site(5, seed=7, flap_s=20, faults=0.2) for _ in range(2)]

    for site in sites:
        site.run(60)

    assert sites[0].frames == sites[1].frames
    assert sites[0].messages == sites[1].messages


ACTIONS = st.lists(
    st.tuples(st.sampled_from(list(Action)), st.integers(0, 2), st.floats(0.1, 20)), max_size=12
)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), actions=ACTIONS)
def test_every_host_beats_and_is_known_after_everything_was_healed(
    seed: int, actions: list[tuple[Action, int, float]]
) -> None:
    site = Site(3, seed=seed, flap_s=15, faults=0.3)
    for action, number, seconds in actions:
        site.act(action, f"worker-{number}")
        site.run(seconds)
    site.faults = 0
    for number in range(3):
        site.act(Action.HEAL, f"worker-{number}")
    site.run(30)

    for number in range(3):
        name = f"worker-{number}"
        host = site.world.hosts[name]
        frames = site.of(name)
        last_ns, last = frames[-1]
        assert all(b - a >= PERIOD_NS for (a, f), (b, g) in pairwise(frames) if f.boot == g.boot)
        assert site.now_ns - last_ns < 2 * PERIOD_NS
        assert last.boot == host.boot_id
        assert host.reporting.n == site.told(name)[-1].message.n
        numbers = [(one.incarnation, one.message.n) for one in site.told(name)]
        assert len(set(numbers)) == len(numbers)
