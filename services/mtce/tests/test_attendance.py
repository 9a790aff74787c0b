"""The detector against modelled hosts, paths and clocks: time is a number here, nothing sleeps."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from murmuration.mtce.core.attendance import Attendance
from murmuration.mtce.core.freshness import Path, boot_bytes, boot_text
from murmuration.mtce.core.levels import PathNote, Taken
from murmuration.mtce.core.verdict_table import Outcome
from murmuration.proto.ids import HostName
from murmuration.proto.mtce import HeartbeatState
from murmuration.proto.pulse import FLAG_STOPPING

from .attendance_world import MS, TICK_MS, Delay, Host, World, boot_of, never


def dies(at_ms: int, back_ms: int = 1 << 60) -> Callable[[int], bool]:
    return lambda now_ms: not at_ms <= now_ms < back_ms


def down(from_ms: int, until_ms: int = 1 << 60) -> Delay:
    return lambda at_ms: None if from_ms <= at_ms < until_ms else 1


def held_up(from_ms: int, until_ms: int) -> Delay:
    """A frozen broker: what is sent meanwhile comes in a burst when it thaws."""
    return lambda at_ms: until_ms - at_ms if from_ms <= at_ms < until_ms else 1


def three(**changes: object) -> World:
    world = World([Host(1), Host(2), Host(3)])
    for key, value in changes.items():
        setattr(world.hosts[0], key, value)
    return world


def test_host_is_well_after_ten_pulses_and_not_before():
    world = three()
    world.run(880)
    assert world.level(1) is HeartbeatState.AWAITED
    world.run(1_200)
    assert world.level(1) is HeartbeatState.WELL
    assert world.story(1) == ["well"]


@pytest.mark.parametrize("period_ms", [50, 100, 1_000])
def test_silent_host_is_minor_degraded_and_lost_at_four_six_and_ten_periods(period_ms: int):
    world = World([Host(1, period_ms=period_ms), Host(2, period_ms=50), Host(3, period_ms=50)])
    last_ms = 20 * period_ms
    world.hosts[0].beats = dies(last_ms + 1)
    world.run(last_ms + 12 * period_ms)
    assert world.story(1) == ["well", "minor", "degraded", "lost"]
    for level, periods in (
        (HeartbeatState.MINOR, 4),
        (HeartbeatState.DEGRADED, 6),
        (HeartbeatState.LOST, 10),
    ):
        after_ms = world.when(1, level) - last_ms
        assert periods * period_ms <= after_ms <= periods * period_ms + 3 * TICK_MS
    assert world.story(2) == ["well"]


def test_fast_host_is_accused_although_the_others_beat_slowly():
    world = World([Host(1, period_ms=50), Host(2, period_ms=1_000), Host(3, period_ms=1_000)])
    world.hosts[0].beats = dies(20_000)
    world.run(23_000)
    assert world.story(1)[-1] == "lost"
    assert world.attendance.reach_lost_count == 0


def test_lost_host_is_well_again_only_after_ten_pulses_in_a_row():
    def blinks(at_ms: int) -> bool:
        return at_ms < 2_000 or 5_000 <= at_ms < 5_500 or at_ms >= 7_000

    world = three(beats=blinks)
    world.run(7_800)
    assert world.story(1) == ["well", "minor", "degraded", "lost"]
    world.run(8_200)
    assert world.story(1) == ["well", "minor", "degraded", "lost", "well"]


def test_two_paths_are_apart_and_one_silent_path_is_a_note_never_a_failure():
    for silent, fault in (("bus", Outcome.BUS_ALARM), ("udp", Outcome.PATH_ALARM)):
        world = three(**{silent: down(3_000)})
        world.run(60_000)
        assert world.story(1) == ["well"]
        assert world.attendance.notes(world.now_ms * MS) == {PathNote(HostName("host-1"), fault)}
        assert world.attendance.doubt == ""


def test_all_hosts_silent_on_the_bus_alone_are_notes_never_failures():
    world = three()
    for host in world.hosts:
        host.bus = down(3_000, 40_000)
    world.run(39_000)
    assert len(world.attendance.notes(world.now_ms * MS)) == 3
    world.run(42_000)
    assert world.attendance.notes(world.now_ms * MS) == set()
    assert world.lost() == []


def test_own_reach_is_doubted_and_no_host_fails_when_all_fall_silent_at_once():
    world = three()
    for host in world.hosts:
        host.bus = host.udp = down(3_000, 20_000)
    world.run(19_000)
    assert world.attendance.doubt.startswith("nothing was heard of any of 3 hosts for 16")
    world.run(30_000)
    assert world.attendance.doubt == ""
    assert world.attendance.reach_lost_count == 1
    assert {name for _, name, level in world.seen if level is not HeartbeatState.WELL} == set()


def test_hosts_that_stay_away_are_lost_after_the_reach_returned_and_as_long_again():
    world = three()
    for host in world.hosts:
        host.bus = host.udp = down(3_000, 5_000)
    world.hosts[0].beats = dies(3_000)
    world.run(6_900)
    assert world.lost() == []
    world.run(9_000)
    assert world.lost() == ["host-1"]


def test_most_hosts_silent_at_once_are_all_lost_while_one_is_heard():
    world = World([Host(index) for index in range(200)])
    for host in world.hosts[:180]:
        host.beats = dies(3_000)
    world.run(4_200)
    assert len(world.lost()) == len(set(world.lost())) == 180


def test_last_host_is_accused_alone_only_while_the_own_bus_connection_stands():
    for bus_up, lost in ((True, ["host-1"]), (False, [])):
        world = World([Host(1)])
        world.hosts[0].beats = dies(3_000)
        world.attendance.bus_up = bus_up
        world.run(6_000)
        assert world.lost() == lost


def test_late_frames_prove_nothing_when_a_frozen_broker_lets_them_go():
    world = three(udp=never, bus=held_up(3_000, 9_000), beats=dies(8_500))
    world.run(11_000)
    assert world.when(1, HeartbeatState.LOST) < 4_200
    assert world.level(1) is HeartbeatState.LOST
    assert world.attendance.counts[Path.BUS, Taken.LATE] > 40


def test_no_host_fails_when_a_broker_freezes_and_udp_stands():
    world = three()
    for host in world.hosts:
        host.bus = held_up(3_000, 33_000)
    world.run(40_000)
    assert world.story(1) == ["well"]


def test_clock_that_drifts_by_500_ppm_makes_no_frame_late():
    world = World([Host(1)])
    host = world.hosts[0]
    for second in range(1_200):
        host.clock_ms -= second % 2  # its clock runs slow: frames seem later and later
        for at_ms in range(second * 1_000, second * 1_000 + 1_000, 250):
            host.sequence += 1
            assert world.take(Path.BUS, [host.frame(at_ms)], at_ms * MS) == [Taken.FRESH]


def test_host_that_was_paused_with_its_clock_is_heard_again_on_the_new_measure():
    world = three(beats=dies(3_000, 63_000))
    world.run(62_980)
    assert world.level(1) is HeartbeatState.LOST
    world.hosts[0].clock_ms -= 60_000
    world.run(67_000)
    assert world.level(1) is HeartbeatState.WELL
    assert world.attendance.counts[Path.BUS, Taken.LATE] < 15


def test_nothing_is_judged_from_the_time_the_monitor_itself_was_paused():
    world = three()
    for pause_ms in (3_000, 9_000, 21_000):
        world.run(pause_ms + 4_000, monitor=lambda now_ms, p=pause_ms: not p <= now_ms < p + 2_000)
    assert {level for _, _, level in world.seen} == {HeartbeatState.WELL}
    assert world.attendance.lag_count == 3
    world.hosts[0].beats = dies(0)
    world.run(world.now_ms + 300)
    world.run(world.now_ms + 4_000, monitor=lambda now_ms, p=world.now_ms: now_ms > p + 1_000)
    seen = world.attendance.observe(1, world.now_ms * MS)
    assert seen.excused_ms == pytest.approx(1_000, abs=60)
    assert seen.missed_count == (seen.silent_ms - seen.excused_ms) // 100 >= 10


def test_twenty_percent_loss_on_both_paths_fails_no_host():
    seed = random.SystemRandom().getrandbits(32)
    dice = random.Random(seed)

    def lossy(_at_ms: int) -> int | None:
        return dice.choice([1, 1, 1, 4, None])

    world = World([Host(index, bus=lossy, udp=lossy) for index in range(20)])
    world.run(60_000)
    assert world.lost() == [], f"seed {seed}"
    assert sum(world.attendance.missing_count.values()) > 100


def test_new_boot_is_told_at_once_and_is_well_after_ten_pulses_of_it():
    world = three(beats=dies(3_000, 3_300))
    world.run(3_250)
    host = world.hosts[0]
    host.boot, host.clock_ms, host.sequence = boot_of(2), 10, 0
    world.run(5_000)
    assert world.story(1) == ["well", "awaited", "well"]
    seen = world.attendance.observe(1, world.now_ms * MS)
    assert seen.boot_id == "00000000-0000-0000-0000-000000000002"


def test_first_boot_is_no_reboot_and_a_boot_on_record_that_goes_on_is_none_either():
    world = World([Host(1), Host(2)])
    world.forget(2)
    world.watch(world.hosts[1], expected=True, boot_id=boot_text(boot_of(1)))
    world.run(2_000)
    assert world.story(1) == ["well"]
    assert world.story(2) == ["well"]


def test_other_boot_on_record_is_told_when_the_first_frame_comes():
    world = World([Host(1), Host(2)])
    world.forget(1)
    world.watch(world.hosts[0], expected=True, boot_id=boot_text(boot_of(9)))
    world.run(2_000)
    assert world.story(1) == ["awaited", "well"]


def test_frames_of_an_older_boot_are_refused_on_both_paths():
    world = three()
    world.run(2_000)
    host = world.hosts[0]
    old = host.frame(world.now_ms + 1)
    host.boot, host.clock_ms = boot_of(2), 10
    world.run(4_000)
    now_ns = world.now_ms * MS
    assert world.take(Path.BUS, [old], now_ns) == [Taken.FOREIGN_BOOT]
    assert world.take(Path.UDP, [old], now_ns) == [Taken.FOREIGN_BOOT]


def test_recording_of_another_boot_played_on_udp_changes_nothing_while_the_bus_is_heard():
    world = three()
    world.run(2_000)
    recorded = Host(1, boot=boot_of(77), sequence=9)
    taken = world.take(Path.UDP, [recorded.frame(2_000)], world.now_ms * MS)
    assert taken == [Taken.FOREIGN_BOOT]
    assert world.story(1) == ["well"]


def test_bus_takes_back_a_boot_that_only_udp_had_brought():
    world = three(bus=down(2_000, 6_000), udp=down(2_000, 6_000))
    world.run(5_000)
    recorded = Host(1, boot=boot_of(77), sequence=9)
    assert world.take(Path.UDP, [recorded.frame(5_000)], 5_000 * MS) == [Taken.FRESH]
    world.run(8_000)
    assert world.attendance.observe(1, world.now_ms * MS).boot_id == boot_text(boot_of(1))
    assert world.level(1) is HeartbeatState.WELL


def test_replayed_frames_are_refused_and_counted_on_each_path():
    world = three()
    world.run(2_000)
    again = world.hosts[0].frame(1_900)
    for path in Path:
        assert world.take(path, [again], world.now_ms * MS) == [Taken.REPLAYED]
        assert world.attendance.counts[path, Taken.REPLAYED] == 1


def test_restarted_sender_is_heard_although_its_sequence_begins_again():
    world = three()
    world.run(2_000)
    world.hosts[0].sequence = 0
    world.run(5_000)
    assert world.story(1) == ["well"]
    assert world.attendance.counts[Path.BUS, Taken.REPLAYED] == 0


def test_unknown_index_and_impossible_fields_are_refused():
    world = three()
    now_ns = 1_000 * MS
    unknown = [Host(index).frame(1) for index in (0, 99, 99_999)]
    assert world.take(Path.UDP, unknown, now_ns) == [Taken.UNKNOWN_INDEX] * 3
    assert world.take(Path.UDP, [Host(100_000).frame(1)], now_ns) == []
    for period_ms in (0, 49, 1_001, 65_535):
        assert world.take(Path.BUS, [Host(1, period_ms=period_ms).frame(1)], 0) == []
    for place in (16, 24):
        far = bytearray(Host(1).frame(1))
        far[place : place + 8] = b"\xff" * 8
        assert world.take(Path.BUS, [bytes(far)], now_ns) == []


def test_frames_of_one_host_in_one_batch_count_in_order_and_a_flood_is_cut_off():
    world = three(beats=dies(0))
    host = world.hosts[0]
    frames: list[bytes] = []
    for sequence in range(1, 101):
        host.sequence = sequence
        frames.append(host.frame(sequence))
    taken = world.take(Path.BUS, [*frames[:12], frames[3]], 100 * MS)
    assert sorted(one.value for one in taken) == ["fresh"] * 12 + ["replayed"]
    assert world.attendance.observe(1, 100 * MS).good_count == 12
    flood = Counter(world.take(Path.BUS, frames, 100 * MS))
    assert flood == {Taken.REPLAYED: 12, Taken.FRESH: 52, Taken.SURPLUS: 36}


def test_good_bye_is_evidence_and_the_host_is_lost_after_silence_all_the_same():
    world = three(beats=dies(3_001))
    world.run(2_980)
    world.hosts[0].flags = FLAG_STOPPING
    world.run(4_200)
    assert world.lost() == ["host-1"]
    assert world.attendance.observe(1, world.now_ms * MS).stopping


def test_hosts_on_record_get_a_full_failure_threshold_when_the_monitor_restarts():
    world = World([Host(1, beats=dies(0)), Host(2), Host(3)], expected=True)
    world.run(980)
    assert world.lost() == []
    world.run(1_200)
    assert world.lost() == ["host-1"]


def test_site_that_comes_up_with_the_monitor_gets_time_until_its_last_host_beats():
    hosts = [Host(index) for index in range(5)]
    for place, host in enumerate(hosts):
        host.next_ms = 3_000 * place + 2_500
    world = World(hosts, expected=True)
    world.run(30_000)
    assert world.lost() == []
    assert {world.level(index) for index in range(5)} == {HeartbeatState.WELL}


def test_accepted_host_that_never_beats_is_lost_after_its_time_to_begin():
    world = three(beats=dies(0))
    world.run(29_900)
    assert world.story(1) == []
    world.run(30_600)
    assert world.story(1) == ["lost"]
    assert not world.attendance.observe(1, world.now_ms * MS).heard


def test_forgotten_host_is_neither_judged_nor_heard_and_its_index_starts_anew():
    world = three()
    world.run(2_000)
    world.forget(1)
    world.run(6_000)
    assert world.story(1) == ["well"]
    assert 1 not in world.attendance
    with pytest.raises(KeyError):
        world.attendance.observe(1, world.now_ms * MS)
    world.watch(world.hosts[0])
    world.run(8_000)
    assert world.story(1) == ["well", "well"]


def test_longer_period_of_the_sender_counts_until_it_follows_the_declared_one():
    world = World([Host(1, period_ms=1_000), Host(2), Host(3)])
    world.run(12_000)
    host = world.hosts[0]
    world.watch(replace(host, period_ms=100), expected=True)
    world.run(20_000)
    assert world.story(1) == ["well"]
    host.period_ms = 100
    world.run(22_000)
    assert world.attendance.observe(1, world.now_ms * MS).period_ms == 100


def test_samples_count_the_frames_of_each_path_and_begin_a_new_window():
    world = three(udp=never)
    world.run(980)
    world.attendance.samples(world.now_ms * MS)
    world.run(1_480)
    (sample, *_) = world.attendance.samples(world.now_ms * MS)
    assert (sample.host, sample.received, sample.received_udp) == ("host-1", 5, 0)
    assert sample.load_percent == 150
    assert sample.silent_ms <= 100


def test_indexes_and_periods_out_of_range_are_refused():
    attendance = Attendance(0, tick_ms=TICK_MS)
    for index, period_ms in ((-1, 100), (100_000, 100), (5, 49), (5, 1_001)):
        with pytest.raises(ValueError, match="not"):
            attendance.watch(
                index, HostName("h"), period_ms=period_ms, boot_id="", expected=False, now_ns=0
            )


def test_boot_ids_are_read_as_they_are_written():
    text = "6f1c2c39-8a7d-4b62-9a7b-0d1b6a2f9d01"
    assert boot_text(boot_bytes(text)) == text
    assert boot_text(boot_bytes("")) == ""
    with pytest.raises(ValueError, match="boot id"):
        boot_bytes("6f1c2c39")


def test_random_worlds_never_accuse_a_living_host_and_always_a_dead_one():
    for _ in range(4):
        seed = random.SystemRandom().getrandbits(32)
        dice = random.Random(seed)
        hosts = [
            Host(index, period_ms=dice.choice([50, 100, 200]), clock_ms=dice.randrange(1 << 40))
            for index in range(8)
        ]
        for host in hosts:
            one_path_ms = dice.randrange(2_000, 10_000)
            troubled = dice.choice([down, held_up])(one_path_ms, one_path_ms + 6_000)
            setattr(host, dice.choice(["bus", "udp"]), troubled)
        dead = dice.sample(hosts, k=dice.randrange(1, 4))
        for host in dead:
            host.beats = dies(dice.randrange(14_000, 20_000))
        pause_ms = dice.randrange(2_000, 12_000)
        world = World(hosts)
        world.run(28_000, monitor=lambda now_ms, p=pause_ms: not p <= now_ms < p + 1_500)
        assert set(world.lost()) == {host.name for host in dead}, f"seed {seed}"
        assert len(world.lost()) == len(dead), f"seed {seed}"


def test_expected_frame_that_comes_twice_at_once_counts_once():
    world = three()
    world.run(3_000)
    host = world.hosts[0]
    host.sequence += 1
    again = host.frame(world.now_ms)
    taken = world.take(Path.BUS, [again, again], world.now_ms * MS)
    assert Counter(taken) == {Taken.FRESH: 1, Taken.REPLAYED: 1}


def test_frame_that_is_next_but_long_after_the_last_one_begins_a_new_row():
    pause = range(2_000, 2_500)
    world = three()
    world.hosts[0].beats = lambda at_ms: at_ms not in pause
    world.run(2_620, monitor=lambda at_ms: at_ms not in range(2_020, 2_600))
    assert 1 <= world.attendance.observe(1, world.now_ms * MS).good_count <= 2


def test_frames_are_late_against_the_fastest_one_although_the_first_ones_were_slow():
    world = three(udp=never)
    for host in world.hosts:
        host.bus = lambda at_ms: 200 if at_ms < 3_000 else 1 if at_ms < 6_000 else 350
    world.run(6_800)
    assert world.attendance.counts[Path.BUS, Taken.LATE] > 5
