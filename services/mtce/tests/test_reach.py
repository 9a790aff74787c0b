"""Whether the monitor's own reach is proven: own host, own link, few hosts, other observers."""

from collections.abc import Iterable

import numpy as np

from murmuration.mtce.core.attendance import RETURN_S_MAX, Attendance
from murmuration.mtce.core.frames import FRAME, from_frames
from murmuration.mtce.core.freshness import Path
from murmuration.mtce.core.levels import PathNote
from murmuration.mtce.core.observers import Observers, Word
from murmuration.mtce.core.verdict_table import Outcome
from murmuration.proto.ids import HostName
from murmuration.proto.mtce import HeartbeatState
from murmuration.proto.pulse import Pulse, pack

MS = 1_000_000
TICK_MS = 20
OWN = "host-0"


class Rig:
    """So many hosts that beat every 100 ms, host-0 being the monitor's own."""

    def __init__(self, count: int) -> None:
        self.observers = Observers(instance="one", machine=OWN)
        self.attendance = Attendance(0, tick_ms=TICK_MS, observers=self.observers, own_host=OWN)
        self.beats = set(range(count))
        self.now_ms = 0
        self.lost: dict[int, int] = {}
        for index in range(count):
            self.attendance.watch(
                index,
                HostName(f"host-{index}"),
                period_ms=100,
                boot_id="",
                expected=False,
                now_ns=0,
            )

    def run(self, until_ms: int, *, word: Word | None = None) -> None:
        while self.now_ms < until_ms:
            self.now_ms += TICK_MS
            if self.now_ms % 100 == 0:
                self.send()
            if word is not None:
                self.observers.hear(word._replace(at_ns=self.now_ms * MS))
            for index in self.attendance.judge(self.now_ms * MS):
                if self.attendance.level(index) is HeartbeatState.LOST:
                    self.lost[index] = self.now_ms

    def send(self) -> None:
        frames = b"".join(
            pack(
                Pulse(
                    flags=0,
                    period_ms=100,
                    index=index,
                    load_percent=1,
                    sequence=self.now_ms // 100,
                    sent_ns=self.now_ms * MS,
                    boot_id=(index + 1).to_bytes(16, "big"),
                ),
                b"key",
            )
            for index in sorted(self.beats)
        )
        pulses, _ = from_frames(np.frombuffer(frames, FRAME))
        self.attendance.take(Path.BUS, pulses, self.now_ms * MS)


def word(*, heard: Iterable[int], silent: Iterable[int] = (), machine: str = "host-9") -> Word:
    bits = np.zeros((2, 16), np.bool_)
    bits[0, list(heard)] = True
    bits[1, list(silent)] = True
    return Word("two", machine, "", bits[0], bits[1], 0)


def test_two_hosts_that_die_together_in_a_site_of_three_are_lost_while_the_own_link_stands():
    rig = Rig(3)
    rig.run(3_000)
    rig.beats = {0}
    rig.run(4_200)
    assert set(rig.lost) == {1, 2}
    assert all(3_980 <= at <= 4_060 for at in rig.lost.values())


def test_nobody_is_lost_while_the_own_link_has_no_carrier_and_as_long_after_its_return():
    rig = Rig(3)
    rig.run(3_000)
    rig.beats = {0}
    rig.attendance.link_up = False
    rig.run(5_000)
    assert "own link has no carrier" in rig.attendance.doubt
    rig.attendance.link_up = True
    rig.run(6_500)
    assert rig.lost == {}
    rig.beats = {0, 1}
    rig.run(9_000)
    assert set(rig.lost) == {2}
    assert rig.attendance.doubt == ""


def test_own_pulses_prove_no_reach_when_more_than_two_others_fall_silent_together():
    rig = Rig(4)
    rig.run(3_000)
    rig.beats = {0}
    rig.run(20_000)
    assert rig.lost == {}
    assert rig.attendance.doubt.startswith("nothing was heard")
    rig.beats = {0, 1, 2}
    rig.run(20_000 + 3 * RETURN_S_MAX * 1_000)
    assert set(rig.lost) == {3}


def test_observer_elsewhere_that_hears_somebody_is_a_witness_and_one_beside_us_is_none():
    for machine, lost in (("host-9", {1, 2, 3}), (OWN, set[int]())):
        rig = Rig(4)
        rig.run(3_000)
        rig.beats = {0}
        rig.run(5_000, word=word(heard=[0, 9], silent=[1, 2, 3], machine=machine))
        assert set(rig.lost) == lost


def test_host_that_another_observer_hears_is_disputed_and_never_lost():
    rig = Rig(4)
    rig.run(3_000)
    rig.beats = {0, 2, 3}
    rig.run(8_000, word=word(heard=[0, 1, 2, 3]))
    assert rig.lost == {}
    note = PathNote(HostName("host-1"), Outcome.DISPUTED)
    assert note in rig.attendance.notes(rig.now_ms * MS)
    rig.run(9_000)  # the observer is heard no more
    assert set(rig.lost) == {1}


def test_observer_that_doubts_itself_does_not_count():
    rig = Rig(4)
    rig.run(3_000)
    rig.beats = {0, 2, 3}
    rig.run(5_000, word=word(heard=[0, 1, 2, 3])._replace(doubt="its link has no carrier"))
    assert set(rig.lost) == {1}
