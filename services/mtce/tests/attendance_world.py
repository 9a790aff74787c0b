"""Modelled hosts, paths and clocks around an attendance: time is a number here, nothing sleeps."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from murmuration.mtce.core.attendance import Attendance
from murmuration.mtce.core.frames import FRAME, from_frames
from murmuration.mtce.core.freshness import Path
from murmuration.mtce.core.levels import Taken
from murmuration.mtce.core.wire import Inbox
from murmuration.proto.ids import HostName
from murmuration.proto.mtce import HeartbeatState
from murmuration.proto.pulse import Pulse, pack, subject

TICK_MS = 20
MS = 1_000_000
Delay = Callable[[int], int | None]
"""Delay in ms of a frame sent at a time in ms; None when it is lost."""


def soon(_at_ms: int) -> int | None:
    return 1


def never(_at_ms: int) -> int | None:
    return None


def boot_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


@dataclass
class Host:
    """A sender with a clock of its own."""

    index: int
    period_ms: int = 100
    clock_ms: int = 5_000_000  # what its clock shows at our time 0
    boot: bytes = field(default_factory=lambda: boot_of(1))
    beats: Callable[[int], bool] = lambda _at_ms: True
    bus: Delay = soon
    udp: Delay = soon
    flags: int = 0
    sequence: int = 0
    next_ms: int = 0

    @property
    def name(self) -> HostName:
        return HostName(f"host-{self.index}")

    def frame(self, at_ms: int) -> bytes:
        sent = Pulse(
            flags=self.flags,
            period_ms=self.period_ms,
            index=self.index,
            load_percent=150,
            sequence=self.sequence,
            sent_ns=(at_ms + self.clock_ms) * MS,
            boot_id=self.boot,
        )
        return pack(sent, b"key")


def take(
    attendance: Attendance, path: Path, frames: list[bytes], at_ns: int, *, follow: bool = True
) -> list[Taken]:
    """Give frames to the attendance; what became of them, in no order.

    Without `follow` each is looked at by itself, also one that is just what was expected.
    """
    before = attendance.counts.copy()
    if path is Path.UDP:
        pulses, _ = from_frames(np.frombuffer(b"".join(frames), FRAME))
        attendance.take(path, pulses, at_ns)
    else:
        inbox = Inbox(lambda rows: attendance.follow(rows, at_ns)) if follow else Inbox()
        for frame in frames:
            head = f"MSG {subject(0, int.from_bytes(frame[8:12], 'little'))} 1 64\r\n"
            data = head.encode() + frame + b"\r\n"
            inbox.room[: len(data)] = data
            inbox.put(len(data))
        for pulses in inbox.take().pulses:
            attendance.take(path, pulses, at_ns)
    return [taken for _, taken in (attendance.counts - before).elements()]


class World:
    """Hosts, two paths, one monitor; advances in ticks.

    A second monitor looks at every frame by itself; it must always say the same.
    """

    def __init__(self, hosts: Iterable[Host], *, expected: bool = False) -> None:
        self.hosts = list(hosts)
        self.now_ms = 0
        self.flights: list[tuple[int, Path, bytes]] = []
        self.seen: list[tuple[int, str, HeartbeatState]] = []
        self.attendance = Attendance(0, tick_ms=TICK_MS)
        self.twin = Attendance(0, tick_ms=TICK_MS)
        for host in self.hosts:
            self.watch(host, expected=expected)

    def watch(self, host: Host, *, expected: bool = False, boot_id: str = "") -> None:
        for attendance in (self.attendance, self.twin):
            attendance.watch(
                host.index,
                host.name,
                period_ms=host.period_ms,
                boot_id=boot_id,
                expected=expected,
                now_ns=self.now_ms * MS,
            )

    def take(self, path: Path, frames: list[bytes], at_ns: int) -> list[Taken]:
        """As `take`, for both monitors."""
        apart = take(self.twin, path, frames, at_ns, follow=False)
        taken = take(self.attendance, path, frames, at_ns)
        assert Counter(taken) == Counter(apart)
        return taken

    def forget(self, index: int) -> None:
        for attendance in (self.attendance, self.twin):
            attendance.forget(index)

    def run(self, until_ms: int, *, monitor: Callable[[int], bool] = lambda _at_ms: True) -> None:
        """Advance; while `monitor` is false the monitor neither reads nor judges."""
        while self.now_ms < until_ms:
            self.now_ms += TICK_MS
            self._send()
            if monitor(self.now_ms):
                self.tick()

    def _send(self) -> None:
        for host in self.hosts:
            while host.next_ms <= self.now_ms:
                at_ms, host.next_ms = host.next_ms, host.next_ms + host.period_ms
                if not host.beats(at_ms):
                    continue
                host.sequence += 1
                for path, delay in ((Path.BUS, host.bus), (Path.UDP, host.udp)):
                    late_ms = delay(at_ms)
                    if late_ms is not None:
                        self.flights.append((at_ms + late_ms, path, host.frame(at_ms)))

    def tick(self) -> None:
        due = sorted((one for one in self.flights if one[0] <= self.now_ms), key=lambda f: f[0])
        self.flights = [one for one in self.flights if one[0] > self.now_ms]
        now_ns = self.now_ms * MS
        for path in Path:
            frames = [one[2] for one in due if one[1] is path]
            self.take(path, frames, now_ns)
        self.twin.bus_up, self.twin.link_up = self.attendance.bus_up, self.attendance.link_up
        changed = self.attendance.judge(now_ns)
        assert self.twin.judge(now_ns) == changed
        assert self.twin.counts == self.attendance.counts
        for index in self.attendance.indexes():
            seen = self.attendance.observe(index, now_ns)
            assert self.twin.observe(index, now_ns) == seen
        for index in changed:
            level = self.attendance.observe(index, self.now_ms * MS).heartbeat
            self.seen.append((self.now_ms, f"host-{index}", level))

    def story(self, index: int) -> list[str]:
        return [level.value for _, name, level in self.seen if name == f"host-{index}"]

    def when(self, index: int, level: HeartbeatState) -> int:
        return next(at for at, name, one in self.seen if (name, one) == (f"host-{index}", level))

    def level(self, index: int) -> HeartbeatState:
        return self.attendance.observe(index, self.now_ms * MS).heartbeat

    def lost(self) -> list[str]:
        return [name for _, name, level in self.seen if level is HeartbeatState.LOST]
