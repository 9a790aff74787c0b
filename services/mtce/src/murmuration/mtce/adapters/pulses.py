"""Pulses from NATS and from UDP, decoded into the attendance.

On NATS a frame is its sender's by the permission to publish on its index's subject alone, so the
index in the frame must be that of the subject. A UDP frame is authentic by its MAC. Whatever does
not decode is counted, never raised: a foreign datagram must not harm a reader.

The UDP socket is drained by the loop's own reader, many frames per wake-up; what waited in an
inherited socket while nobody read is thrown away, for its age is not known.
"""

import asyncio
import errno
import socket
import struct
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from nats.aio.msg import Msg

from murmuration.bus.connection import Bus
from murmuration.kernel.errors import Rejected
from murmuration.mtce.core.attendance import Attendance
from murmuration.mtce.core.freshness import Frame, Path, Taken
from murmuration.mtce.ports import PulseKeys
from murmuration.proto import pulse
from murmuration.proto.registry import CHANNELS
from murmuration.web.server import inherited_socket

CHANNEL: Final = "mtce.pulse.frame.v1"
SOCKET_NAME: Final = "mtce.pulse"
DRAIN_MAX: Final = 512  # frames per wake-up, so that the tick is not kept waiting
RECEIVE_BYTES_MAX: Final = pulse.FRAME_BYTES + 1  # a longer datagram shows by its length
BUFFER_BYTES: Final = 4 * 2**20  # a stall of half a second with 1,000 hosts at 10 Hz, as skbs count
SO_RCVBUFFORCE: Final = 33  # socket(7); the socket module does not name it
PENDING_MSGS_MAX: Final = 65_536
_FRAME = struct.Struct(pulse.FORMAT)

log = structlog.get_logger()


def boottime_ns() -> int:
    """CLOCK_BOOTTIME: never steps, runs on through suspension; the same clock senders use."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def decode(body: bytes) -> Frame | None:
    """The fields of a frame, None for anything that is not one of version 1."""
    if len(body) != pulse.FRAME_BYTES:
        return None
    frame: Frame = _FRAME.unpack_from(body)
    return frame if frame[0] == pulse.MAGIC and frame[1] == pulse.VERSION else None


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


class Pulses:
    """Both paths, as a PulseSource. `udp` stays the caller's, to be closed by it."""

    def __init__(self, bus: Bus, udp: socket.socket) -> None:
        self._bus = bus
        self._udp = udp

    @property
    def bus_up(self) -> bool:
        """Whether the own connection to the bus stands."""
        return self._bus.connected

    def now_ns(self) -> int:
        """The clock that stamps frames."""
        return boottime_ns()

    @asynccontextmanager
    async def feed(self, attendance: Attendance, keys: PulseKeys) -> AsyncGenerator[None, None]:
        """Put every frame that comes into `attendance` while the context lasts."""
        intake = Intake(attendance, keys)
        loop = asyncio.get_running_loop()
        discarded = _discard(self._udp)
        if discarded:
            log.info("pulses.discarded", datagrams=discarded, reason="they waited unread")
        loop.add_reader(self._udp.fileno(), intake.drain, self._udp)
        try:
            subscription = await self._bus.nc.subscribe(
                CHANNELS[CHANNEL].filter,
                cb=intake.on_message,
                pending_msgs_limit=PENDING_MSGS_MAX,
            )
            try:
                yield
            finally:
                await subscription.unsubscribe()
        finally:
            loop.remove_reader(self._udp.fileno())


class Intake:
    """From bytes to attendance: decodes, checks whose frame it is, counts what is refused."""

    def __init__(self, attendance: Attendance, keys: PulseKeys) -> None:
        self._attendance = attendance
        self._keys = keys

    async def on_message(self, message: Msg) -> None:
        """One frame from NATS."""
        self.take_bus(message.subject, message.data, boottime_ns())

    def take_bus(self, subject: str, body: bytes, received_ns: int) -> Taken:
        """A frame published on `subject`; its last token must be the frame's own index."""
        frame = decode(body)
        if frame is None:
            return self._refuse(Path.BUS, Taken.MALFORMED)
        index = subject.rpartition(".")[2]
        if not index.isascii() or not index.isdigit() or int(index) != frame[4]:
            return self._refuse(Path.BUS, Taken.FOREIGN_SUBJECT)
        return self._attendance.take(Path.BUS, frame, received_ns)

    def take_udp(self, body: bytes, received_ns: int) -> Taken:
        """A datagram from anywhere; only its MAC says whose it is."""
        frame = decode(body)
        if frame is None:
            return self._refuse(Path.UDP, Taken.MALFORMED)
        key = self._keys.key_of(frame[4])
        if key is None:
            return self._refuse(Path.UDP, Taken.UNKNOWN_INDEX)
        if not pulse.authentic(body, key):
            return self._refuse(Path.UDP, Taken.WRONG_MAC)
        return self._attendance.take(Path.UDP, frame, received_ns)

    def drain(self, udp: socket.socket) -> None:
        """Take what waits in the socket, at most DRAIN_MAX datagrams."""
        for _ in range(DRAIN_MAX):
            try:
                body = udp.recv(RECEIVE_BYTES_MAX)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:  # e.g. an ICMP error queued on the socket
                log.debug("pulses.udp_error", reason=str(error))
                return
            self.take_udp(body, boottime_ns())

    def _refuse(self, path: Path, why: Taken) -> Taken:
        self._attendance.refuse(path, why)
        return why


def _discard(udp: socket.socket) -> int:
    """Throw away what waits in the socket; returns how many datagrams."""
    count = 0
    while count < 1_000_000:
        try:
            udp.recv(1)
        except OSError:
            break
        count += 1
    return count
