"""Pulses from NATS and from UDP, by the thousand, into the attendance.

On NATS a frame is its sender's by the permission to publish on its index's subject alone, so the
index in the frame must be that of the subject. A UDP frame is authentic by its MAC, which is
checked where the frame is needed: its host is silent on NATS, or its path was not proven for a
while. What is not needed changes nothing but a count, so a forged frame can only be passed over.

Whatever does not decode is counted, never raised: a foreign datagram must not harm a reader. Both
paths are drained on every tick. What waited in an inherited socket while nobody read is thrown
away, for its age is not known.
"""

import asyncio
import errno
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import numpy as np
import structlog

from murmuration.kernel.errors import Rejected
from murmuration.mtce.adapters.datagrams import SLOTS, Datagrams
from murmuration.mtce.adapters.pulse_bus import PulseBus
from murmuration.mtce.core.attendance import Attendance
from murmuration.mtce.core.frames import Ints, Mask, Pulses, Table, from_frames
from murmuration.mtce.core.freshness import Path
from murmuration.mtce.core.levels import Taken
from murmuration.mtce.core.wire import Taken as Received
from murmuration.mtce.ports import Link, PulseKeys
from murmuration.proto import pulse
from murmuration.proto.registry import CHANNELS
from murmuration.runtime.config import BusCredentials, BusSection
from murmuration.security.login import authorities_of
from murmuration.web.server import inherited_socket

CHANNEL: Final = "mtce.pulse.frame.v1"
SOCKET_NAME: Final = "mtce.pulse"
CALLS_MAX: Final = 64  # of SLOTS datagrams each, per tick, so that the judge is not kept waiting
BUFFER_BYTES: Final = 16 * 2**20  # a stall of two seconds with 1,000 hosts at 10 Hz, as skbs count
SO_RCVBUFFORCE: Final = 33  # socket(7); the socket module does not name it

log = structlog.get_logger()


def boottime_ns() -> int:
    """CLOCK_BOOTTIME: never steps, runs on through suspension; the same clock senders use."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def open_udp(listen: str) -> socket.socket:
    """The inherited socket `mtce.pulse`, else a new one on `listen` (host:port, port 0: any).

    Raises Rejected, saying what to do, when the address is malformed, in use or not ours.
    """
    found = inherited_socket(SOCKET_NAME)
    if found is None:
        found = _bind(listen)
    elif found.type != socket.SOCK_DGRAM:
        found.close()
        raise Rejected(f"the inherited socket {SOCKET_NAME} is not a UDP socket")
    found.setblocking(False)
    _enlarge(found)
    return found


def _enlarge(udp: socket.socket) -> None:
    """Room for a burst, beyond the system's limit where that is allowed (CAP_NET_ADMIN)."""
    try:
        udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    except OSError:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)


def _bind(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise Rejected(f"[mtce] udp_listen: {listen!r} is not host:port")
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise Rejected(f"[mtce] udp_listen: the address {host!r} is unknown: {error}") from error
    opened = socket.socket(family, kind, proto)
    try:
        opened.bind(address)
    except OSError as error:
        opened.close()
        why = "is in use" if error.errno == errno.EADDRINUSE else f"{error.strerror}"
        raise Rejected(f"[mtce] udp_listen: {listen} {why}; choose another") from error
    return opened


class PulsePaths:
    """Both paths, as a PulseSource. `udp` stays the caller's, to be closed by it."""

    def __init__(
        self, section: BusSection, credentials: BusCredentials, udp: socket.socket, link: Link
    ) -> None:
        self._section = section
        self._credentials = credentials
        self._udp = udp
        self._link = link
        self._bus: PulseBus | None = None
        self._intake: Intake | None = None
        self._datagrams = Datagrams()

    @property
    def bus_up(self) -> bool:
        """Whether the own connection to the bus stands."""
        return self._bus is not None and self._bus.up

    @property
    def link_up(self) -> bool:
        """Whether the own link has a carrier."""
        return self._link.up

    def now_ns(self) -> int:
        """The clock that stamps frames."""
        return boottime_ns()

    @asynccontextmanager
    async def feed(self, attendance: Attendance, keys: PulseKeys) -> AsyncGenerator[None, None]:
        """Have every frame that comes put into `attendance` by `drain` while the context lasts."""
        intake = self._intake = Intake(attendance, keys)
        discarded = self._discard()
        if discarded:
            log.info("pulses.discarded", datagrams=discarded, reason="they waited unread")
        bus = self._bus = PulseBus(
            self._section,
            self._credentials,
            name="mtce-pulses",
            subject=CHANNELS[CHANNEL].filter,
            take=intake.take_bus,
            follow=intake.follow,
            tls=authorities_of(self._section),
        )
        async with asyncio.TaskGroup() as group:
            task = group.create_task(bus.run(), name="pulses on NATS")
            try:
                yield
            finally:
                self._intake = None
                task.cancel()

    def drain(self) -> None:
        """Take what has come on both paths. Never waits, never raises."""
        self._link.look()
        if self._bus is None or self._intake is None:
            return
        self._bus.drain()
        try:
            for _ in range(CALLS_MAX):
                count = self._datagrams.receive(self._udp)
                if count:
                    self._intake.take_udp(*self._datagrams.frames(count))
                if count < SLOTS:
                    return
        except OSError as error:  # e.g. an ICMP error queued on the socket
            log.debug("pulses.udp_error", reason=str(error))

    def _discard(self) -> int:
        """Throw away what waits in the socket; returns how many datagrams."""
        total = 0
        for _ in range(CALLS_MAX):
            count = self._datagrams.receive(self._udp)
            total += count
            if count < SLOTS:
                break
        return total


class Intake:
    """From tables to attendance: checks whose frames they are, counts what is refused."""

    def __init__(self, attendance: Attendance, keys: PulseKeys) -> None:
        self._attendance = attendance
        self._keys = keys

    def follow(self, rows: Ints) -> Mask:
        """Take what is just as expected of what came on NATS; which rows that are."""
        return self._attendance.follow(rows, boottime_ns())

    def take_bus(self, received: Received) -> None:
        """What came on NATS: the subject's index was the frame's."""
        now_ns = boottime_ns()
        for why, count in received.refused.items():
            self._attendance.count(Path.BUS, Taken(why.value), count)
        for pulses in received.pulses:
            self._attendance.take(Path.BUS, pulses, now_ns)

    def take_udp(self, table: Table, odd_count: int) -> None:
        """Datagrams from anywhere; where one is needed, its MAC says whose it is."""
        now_ns = boottime_ns()
        pulses, rows = from_frames(table)
        self._attendance.count(Path.UDP, Taken.MALFORMED, odd_count + len(table) - len(pulses))
        needed = self._attendance.needed(pulses, now_ns)
        if not needed.any():
            return
        pulses, places = pulses.some(needed), np.flatnonzero(rows)[needed]
        authentic = self._authentic(table, pulses, places.tolist())
        self._attendance.count(Path.UDP, Taken.WRONG_MAC, int(np.count_nonzero(~authentic)))
        self._attendance.take(Path.UDP, pulses.some(authentic), now_ns)

    def _authentic(self, table: Table, pulses: Pulses, places: list[int]) -> Mask:
        raw, size = table.tobytes(), pulse.FRAME_BYTES
        found = np.zeros(len(places), np.bool_)
        for row, (place, index) in enumerate(zip(places, pulses.index.tolist(), strict=True)):
            key = self._keys.key_of(index)
            frame = raw[place * size : place * size + size]
            found[row] = key is not None and pulse.authentic(frame, key)
        return found
