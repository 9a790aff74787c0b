"""Frames from a real NATS and a real socket into the attendance, and what is refused on the way."""

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from murmuration.bus.connection import Bus, open_bus
from murmuration.kernel.errors import Rejected
from murmuration.mtce.adapters.pulses import PulsePaths, boottime_ns, open_udp
from murmuration.mtce.core.freshness import Path
from murmuration.mtce.core.levels import Taken
from murmuration.mtce.core.model import Condition, Declared, HostRecord
from murmuration.mtce.monitor import Monitor
from murmuration.proto import pulse
from murmuration.proto.ids import BootId, HostName
from murmuration.proto.mtce import HeartbeatState
from murmuration.proto.sysinv import Administrative
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.ports import short_folder

SECRET = b"s" * 32
NAME = HostName("worker-1")
INDEX = 7
KEY = pulse.pulse_key(SECRET, NAME, INDEX)


def frame(sequence: int = 1, *, index: int = INDEX, key: bytes = KEY) -> bytes:
    sent = pulse.Pulse(
        flags=0,
        period_ms=100,
        index=index,
        load_percent=1,
        sequence=sequence,
        sent_ns=boottime_ns(),
        boot_id=(1).to_bytes(16, "big"),
    )
    return pulse.pack(sent, key)


def roster(name: HostName = NAME, index: int = INDEX) -> tuple[Declared, HostRecord]:
    declared = Declared(
        name=name, index=index, period_ms=100, administrative=Administrative.UNLOCKED
    )
    record = HostRecord(
        name=name,
        index=index,
        condition=Condition.UNLOCKED_OFFLINE,
        heartbeat=HeartbeatState.AWAITED,
        boot_id=BootId(""),
        episode=0,
        last_heard_at=None,
        changed_at=datetime(2026, 1, 1, tzinfo=UTC),
        reason="",
    )
    return declared, record


@pytest.fixture
def monitor() -> Monitor:
    made = Monitor(SECRET, boottime_ns())
    made.watch([roster()], boottime_ns())
    return made


class Carrier:
    """A link of our own, as the test wants it."""

    up = True

    def look(self) -> None:
        """There is nothing to look at."""


@asynccontextmanager
async def feeding(
    monitor: Monitor, nats: NatsServer, listener: socket.socket
) -> AsyncGenerator[PulsePaths, None]:
    """Both paths, drained as the tick does."""
    paths = PulsePaths(nats.section, nats.login("mtce"), listener, Carrier())

    async def ticks() -> None:
        while True:
            paths.drain()
            await asyncio.sleep(0.005)

    async with paths.feed(monitor.attendance, monitor):
        task = asyncio.create_task(ticks())
        await reaches(lambda: paths.bus_up, what="the subscription")
        try:
            yield paths
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def udp(monitor: Monitor, site_nats: NatsServer) -> AsyncGenerator[tuple[str, int], None]:
    """Where the open source listens."""
    with open_udp("127.0.0.1:0") as listener:
        async with feeding(monitor, site_nats, listener):
            yield listener.getsockname()


@pytest.fixture
async def sender(connect: Connect) -> Bus:
    return await connect("sim")


async def counted(monitor: Monitor, path: Path, taken: Taken, count: int) -> None:
    def there() -> bool:
        return monitor.attendance.counts[path, taken] >= count

    await reaches(there, what=f"{count} {taken.value} on {path.name}")
    assert monitor.attendance.counts[path, taken] == count


def send(address: tuple[str, int], *bodies: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for body in bodies:
            out.sendto(body, address)


async def test_frames_of_both_paths_are_taken_and_udp_is_looked_at_only_where_it_is_needed(
    monitor: Monitor, udp: tuple[str, int], sender: Bus
) -> None:
    send(udp, *(frame(sequence) for sequence in range(1, 4)))
    await counted(monitor, Path.UDP, Taken.FRESH, 3)
    for sequence in range(4, 9):
        await sender.publish_raw(pulse.subject(0, INDEX), frame(sequence))
    await counted(monitor, Path.BUS, Taken.FRESH, 5)
    assert monitor.observe(NAME).good_count == 8
    forged = frame(9, key=b"x" * 32)
    send(udp, forged, forged)
    await counted(monitor, Path.UDP, Taken.PASSED_OVER, 2)
    assert monitor.attendance.counts[Path.UDP, Taken.WRONG_MAC] == 0


async def test_datagrams_that_are_not_authentic_are_refused_and_counted(
    monitor: Monitor, udp: tuple[str, int]
) -> None:
    other = pulse.pulse_key(SECRET, "worker-2", INDEX)
    changed = bytearray(frame())
    changed[12] ^= 1  # the load, after the MAC was made
    send(udp, frame(key=other), bytes(changed), frame()[:48] + bytes(16))
    await counted(monitor, Path.UDP, Taken.WRONG_MAC, 3)
    send(udp, frame(index=8))
    await counted(monitor, Path.UDP, Taken.UNKNOWN_INDEX, 1)
    one = frame()
    send(udp, one, one)
    await counted(monitor, Path.UDP, Taken.FRESH, 1)
    await counted(monitor, Path.UDP, Taken.REPLAYED, 1)


async def test_whatever_is_no_frame_is_counted_and_harms_no_reader(
    monitor: Monitor, udp: tuple[str, int], sender: Bus
) -> None:
    good = frame()
    strange = (b"", b"x", good[:-1], good + b"x", b"NOPE" + good[4:], good[:4] + b"\2" + good[5:])
    send(udp, *strange, bytes(60_000))
    for body in strange:
        await sender.publish_raw(pulse.subject(0, INDEX), body)
    await counted(monitor, Path.UDP, Taken.MALFORMED, 7)
    await counted(monitor, Path.BUS, Taken.MALFORMED, 6)
    send(udp, frame())
    await counted(monitor, Path.UDP, Taken.FRESH, 1)


async def test_frame_on_another_index_s_subject_is_refused(
    monitor: Monitor, udp: tuple[str, int], sender: Bus
) -> None:
    for subject in (pulse.subject(0, 8), "mtce.pulse.00.x7"):
        await sender.publish_raw(subject, frame())
    await counted(monitor, Path.BUS, Taken.FOREIGN_SUBJECT, 2)


async def test_what_waited_unread_in_an_inherited_socket_is_thrown_away(
    monitor: Monitor, site_nats: NatsServer
) -> None:
    with open_udp("127.0.0.1:0") as listener:
        send(listener.getsockname(), *(frame(sequence) for sequence in range(1, 20)))
        async with feeding(monitor, site_nats, listener):
            send(listener.getsockname(), frame(20))
            await counted(monitor, Path.UDP, Taken.FRESH, 1)


async def test_source_can_be_opened_again_after_it_was_closed(
    monitor: Monitor, site_nats: NatsServer
) -> None:
    with open_udp("127.0.0.1:0") as listener:
        for round_number in (1, 2):
            async with feeding(monitor, site_nats, listener):
                send(listener.getsockname(), frame(round_number))
                await counted(monitor, Path.UDP, Taken.FRESH, round_number)


async def test_connection_comes_back_when_the_server_is_frozen_or_killed(
    monitor: Monitor, site_nats: NatsServer
) -> None:
    with open_udp("127.0.0.1:0") as listener:
        async with feeding(monitor, site_nats, listener) as paths:
            site_nats.signal(signal.SIGSTOP)
            await reaches(lambda: not paths.bus_up, what="the silence to be noticed")
            site_nats.signal(signal.SIGCONT)
            await reaches(lambda: paths.bus_up, what="the subscription again")
            site_nats.kill()
            await reaches(lambda: not paths.bus_up, what="the end to be noticed")
            site_nats.start()
            await reaches(lambda: paths.bus_up, what="the subscription once more")


async def test_pulses_come_by_tls_and_a_plain_server_is_not_spoken_to(monitor: Monitor) -> None:
    with short_folder() as folder, open_udp("127.0.0.1:0") as listener:
        server = NatsServer(folder, tls=True)
        server.start()
        try:
            login = server.login("sim")
            async with (
                feeding(monitor, server, listener),
                open_bus(server.section, login, identity="sim") as sender,
            ):
                for sequence in range(1, 41):
                    await sender.publish_raw(pulse.subject(0, INDEX), frame(sequence))
                await counted(monitor, Path.BUS, Taken.FRESH, 40)
        finally:
            server.kill()
        plain = NatsServer(folder, port=server.port)
        plain.start()
        try:
            paths = PulsePaths(server.section, server.login("mtce"), listener, Carrier())
            async with paths.feed(monitor.attendance, monitor):
                with pytest.raises(AssertionError):
                    await reaches(lambda: paths.bus_up, deadline_s=1.5)
        finally:
            plain.kill()


def test_address_that_cannot_be_listened_on_is_refused_in_one_sentence() -> None:
    for listen, why in (
        ("8790", "is not host:port"),
        ("127.0.0.1:99999", "is not host:port"),
        ("no-such-host.invalid:8790", "is unknown"),
        ("192.0.2.1:8790", "choose another"),
    ):
        with pytest.raises(Rejected, match=why):
            open_udp(listen)
    with open_udp("127.0.0.1:0") as first:
        taken = first.getsockname()[1]
        with pytest.raises(Rejected, match="is in use"):
            open_udp(f"127.0.0.1:{taken}")


def test_monitor_watches_exactly_the_roster_and_takes_over_a_reused_index() -> None:
    monitor = Monitor(SECRET, 0)
    monitor.watch([roster(), roster(HostName("worker-2"), 8)], 0)
    assert monitor.pending == {"worker-1", "worker-2"}
    assert monitor.key_of(8) is not None
    monitor.watch([roster(HostName("worker-3"), 8)], 0)
    assert monitor.key_of(INDEX) is None
    assert monitor.key_of(8) == pulse.pulse_key(SECRET, "worker-3", 8)
    assert monitor.attendance.name(8) == "worker-3"
    assert monitor.observe(HostName("worker-2")) == monitor.observe(HostName("worker-9"))
    assert len(monitor.attendance) == 1
