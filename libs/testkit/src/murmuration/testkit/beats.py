"""Hosts that beat on both paths, as far as mtce can tell: for tests and benchmarks of mtce.

They are said to be hosts by an identity that speaks as sysinv; what they promise, which boot they
are in, whether they beat, and how their links are is set while they run. Each notes its own real
silences, so that a test can tell a verdict that is right from one that is not.
"""

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from murmuration.bus.connection import Bus
from murmuration.kernel.errors import Unavailable
from murmuration.proto import pulse
from murmuration.proto.envelope import encode
from murmuration.proto.sysinv import (
    Administrative,
    Admission,
    Host,
    HostBmc,
    HostChanged,
    Origin,
    Personality,
)

PERIOD_MS = 100
DICE = random.SystemRandom()
SILENCE_S = 0.8  # without a frame on any path: not far from the failure threshold


@dataclass(slots=True)
class Beat:
    """One host's heartbeat; `sent_at` is the monotonic time of its last frame, in seconds.

    `linked` false: its frames are lost on both paths; `loss`: each path loses frames, this part
    of them. `silences` are its real ones, of `SILENCE_S` and more: from and until, in Unix time.
    """

    name: str
    index: int
    fence_s: int = 0
    beats: bool = True
    boot: bytes = b""
    sequence: int = 0
    sent_at: float = 0.0
    linked: bool = True
    loss: float = 0.0
    silences: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    _left_at: float = 0.0

    def left(self) -> None:
        """A frame left for good, by UDP: nothing between here and the monitor holds it up."""
        now = time.time()
        if self._left_at and now - self._left_at >= SILENCE_S:
            self.silences.append((self._left_at, now))
        self._left_at = now

    def reboot(self) -> None:
        """From now on it is another boot."""
        self.boot = uuid4().bytes
        self.sequence = 0


class Beats:
    """All hosts of a site without machines; made by `beating`."""

    def __init__(self, sysinv: Bus, hosts: Bus, secret: bytes, udp: tuple[str, int]) -> None:
        self.hosts: dict[str, Beat] = {}
        self._sysinv = sysinv
        self._bus = hosts
        self._secret = secret
        self._udp = udp
        self._change = 0

    async def declare(
        self,
        name: str,
        *,
        bmc: HostBmc | None = None,
        fence_s: int = 0,
        administrative: Administrative = Administrative.UNLOCKED,
        **labels: str,
    ) -> Beat:
        """As sysinv: this host is accepted. It beats from now on."""
        beat = self.hosts.get(name)
        if beat is None:
            beat = self.hosts[name] = Beat(name, len(self.hosts), fence_s)
            beat.reboot()
        host = Host(
            name=name,
            index=beat.index,
            shard=0,
            personality=Personality.WORKER,
            origin=Origin.SIMULATED,
            observe_only=False,
            admission=Admission.ACCEPTED,
            intended_administrative=administrative,
            pulse_period_ms=PERIOD_MS,
            bmc=bmc,
            labels=labels,
        )
        self._change += 1
        headers = {
            "ce-type": "sysinv.host.changed.v1",
            "ce-subject": name,
            "Mur-Epoch": "1",
            "Mur-Change": str(self._change),
        }
        event = HostChanged(host=host, changed=("bmc",), reason="test")
        await self._sysinv.js.publish(
            f"sysinv.event.host.changed.{name}", encode(event), headers=headers
        )
        return beat

    async def run(self) -> None:
        """Every host that beats, once a period, until cancelled."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            while True:
                for beat in list(self.hosts.values()):
                    if beat.beats:
                        await self._beat(beat, udp)
                await asyncio.sleep(PERIOD_MS / 1_000)

    async def _beat(self, beat: Beat, udp: socket.socket) -> None:
        beat.sequence += 1
        sent = pulse.Pulse(
            flags=0,
            period_ms=PERIOD_MS,
            index=beat.index,
            load_percent=25,
            sequence=beat.sequence,
            sent_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            boot_id=beat.boot,
            fence_s=beat.fence_s,
        )
        beat.sent_at = time.monotonic()
        frame = pulse.pack(sent, pulse.pulse_key(self._secret, beat.name, beat.index))
        if not beat.linked:
            return
        if DICE.random() >= beat.loss:
            with contextlib.suppress(Unavailable):  # the other path does not wait for the bus
                await self._bus.publish_raw(pulse.subject(0, beat.index), frame)
        if DICE.random() >= beat.loss:
            udp.sendto(frame, self._udp)
            beat.left()


@asynccontextmanager
async def beating(
    sysinv: Bus, hosts: Bus, secret: bytes, udp: tuple[str, int]
) -> AsyncIterator[Beats]:
    """Hosts that beat until the end; `hosts` is a connection of the simulator's identity."""
    beats = Beats(sysinv, hosts, secret, udp)
    task = asyncio.create_task(beats.run(), name="beats")
    try:
        yield beats
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
