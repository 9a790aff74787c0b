"""The shell around the world: tells it the time, does what it says, tells it what came of it."""

import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg

from murmuration.bus.connection import Bus, open_bus
from murmuration.kernel.errors import MurmurationError, Unavailable
from murmuration.node.adapters.bus import headers_of
from murmuration.node.adapters.state import numeric
from murmuration.node.config import endpoint
from murmuration.proto import envelope, registry
from murmuration.proto.registry import channel_of
from murmuration.proto.sysinv import AskReport, EnrolReply
from murmuration.runtime.dice import dice
from murmuration.sim.config import SimConfig
from murmuration.sim.control import control
from murmuration.sim.core.host import Action, Cut
from murmuration.sim.core.world import Effect, Enrol, Frame, Publish, World
from murmuration.sim.pulses import Pulses

WORKER_COUNT = 16  # requests and messages under way at once, of all hosts together
QUEUE_COUNT_MAX = 20_000  # a host has at most one: several times the largest number of hosts
IDLE_S_MAX = 1.0
PUBLISH_S = 2.0
START_WAIT_S = 60.0
STOP_S = 5.0

log = structlog.get_logger()


class Simulator:
    """One world in step with real time."""

    def __init__(self, config: SimConfig, bus: Bus, pulses: Pulses) -> None:
        self._bus = bus
        self._pulses = pulses
        self._work: asyncio.Queue[Enrol | Publish] = asyncio.Queue(QUEUE_COUNT_MAX)
        self._nudge = asyncio.Event()
        self._refused = ""
        self.world = World(
            config.hosts,
            now_ns=now_ns(),
            wall=datetime.now(UTC),
            fresh_id=lambda: str(uuid4()),
            dice=dice,
            flap_every_ns=int(config.sim.flap_every_s * 1e9),
        )

    async def run(self) -> None:
        """Live until cancelled."""
        ask = channel_of(AskReport)
        place = ask.subject.split(".").index("{host}")

        async def asked(message: Msg) -> None:
            self._perform(self.world.asked(message.subject.split(".")[place]))

        await self._bus.nc.subscribe(ask.filter, cb=asked)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._live(), name="world")
            group.create_task(self._pulses.tend(), name="pulses")
            for number in range(WORKER_COUNT):
                group.create_task(self._labour(), name=f"worker {number}")

    def act(self, action: Action, host: str, cut: Cut) -> str:
        """Break or heal a host; what is wrong with it then. Raises NotFound."""
        self._perform(self.world.act(action, host, now_ns(), datetime.now(UTC), cut=cut))
        self._nudge.set()
        condition = self.world.hosts[host].condition
        log.info("host.acted", host=host, action=action.value, condition=condition)
        return condition

    def conditions(self) -> dict[str, str]:
        """What is wrong with each host."""
        return {name: host.condition for name, host in self.world.hosts.items()}

    async def _live(self) -> None:
        while True:
            self._perform(self.world.advance(now_ns(), datetime.now(UTC)))
            following = self.world.next_ns()
            now = now_ns()
            wait_s = IDLE_S_MAX if following is None else (following - now) / 1e9
            if wait_s > 0:
                await self._wait(min(wait_s, IDLE_S_MAX))
            else:
                await asyncio.sleep(0)

    async def _wait(self, wait_s: float) -> None:
        """Until the next deadline, or until somebody has changed the world."""
        timer = asyncio.get_running_loop().call_later(wait_s, self._nudge.set)
        await self._nudge.wait()
        timer.cancel()
        self._nudge.clear()

    def _perform(self, effects: Iterable[Effect]) -> None:
        frames: list[Frame] = []
        for effect in effects:
            if isinstance(effect, Frame):
                frames.append(effect)
            else:
                self._work.put_nowait(effect)
        self._pulses.send(frames)

    async def _labour(self) -> None:
        while True:
            effect = await self._work.get()
            name = effect.request.host if isinstance(effect, Enrol) else effect.message.host
            try:
                followed = await self._attempt(effect, name)
            except MurmurationError as error:
                self._say(str(error))
                self.world.refused(effect, name, now_ns())
            else:
                self._say("")
                self._perform(followed)
            self._nudge.set()

    async def _attempt(self, effect: Enrol | Publish, name: str) -> list[Effect]:
        """Do it; what follows in the world. Raises a MurmurationError."""
        if isinstance(effect, Enrol):
            reply = await self._bus.request(effect.request, EnrolReply)
            return self.world.enrolled(name, effect.incarnation, reply, now_ns())
        await self._publish(effect)
        return self.world.stored(name, effect.incarnation)

    async def _publish(self, effect: Publish) -> None:
        message = effect.message
        channel = channel_of(type(message))
        try:
            await self._bus.js.publish(
                channel.subject.format(host=message.host),
                envelope.encode(message),
                timeout=PUBLISH_S,
                stream=channel.stream,
                headers=headers_of(message, channel.type, channel.service),
            )
        except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
            raise Unavailable(f"it was not stored: {error!r}") from error

    def _say(self, refused: str) -> None:
        """Once for each reason, however many hosts meet it."""
        if refused != self._refused:
            self._refused = refused
            log.info("site.refuses" if refused else "site.answers", reason=refused)


def now_ns() -> int:
    """CLOCK_BOOTTIME, which frames carry."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


async def run(config: SimConfig, *, stop: asyncio.Event) -> None:
    """Simulate until `stop`. Raises MurmurationError when it cannot start or go on."""
    registry.load()
    serving = asyncio.create_task(_serve(config), name="sim")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
    finally:
        serving.cancel()
        stopping.cancel()
        await asyncio.wait((serving, stopping), timeout=STOP_S)


async def _serve(config: SimConfig) -> None:
    door = config.pulse.nats
    server = await numeric(*endpoint(f"ws://{door}" if door else config.bus.url))
    udp = [await numeric(*endpoint(f"udp://{one}"), datagram=True) for one in config.pulse.udp]
    login = config.credentials.bus
    async with open_bus(config.bus, login, identity="sim", wait_s=START_WAIT_S) as bus:
        with Pulses(server, login, udp, web=bool(door)) as pulses:
            simulator = Simulator(config, bus, pulses)
            async with control(Path(config.sim.state_dir), simulator.act, simulator.conditions):
                log.info("sim.started", host_count=len(config.hosts))
                await simulator.run()
