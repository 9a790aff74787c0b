"""The composition root of a host's agent: join, enrol, say what the host is and what changes.

Four tasks, each converging by itself: `rounds` enrols the host and wants a full report, at start
and every ten minutes; `watch` wakes the reporter when links change; `report` brings what the
inventory knows in line with what is; `ended` gives up when the connection cannot come back.
"""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import msgspec
import structlog

from murmuration.kernel.errors import Rejected, Unavailable
from murmuration.node.adapters import credentials, state
from murmuration.node.adapters.bus import join, open_inventory
from murmuration.node.adapters.credentials import HostKeys
from murmuration.node.adapters.netlink import NetlinkLinks
from murmuration.node.adapters.procfs import ProcHost
from murmuration.node.config import NodeConfig, endpoint
from murmuration.node.core.enrolment import PulseBus, pulse_file, renewed, settled
from murmuration.node.core.facts import host_facts
from murmuration.node.core.links import by_name
from murmuration.node.core.reporting_fsm import (
    Effect,
    Input,
    Reporting,
    ReportingStep,
    SendReport,
    look,
    step,
)
from murmuration.node.plugins import Plugins
from murmuration.node.ports import HostReader, Inventory, LinkSource
from murmuration.node.retry import until_done
from murmuration.proto.sysinv import EnrolHost, EnrolReply, HostDelta, HostReport, JoinHost
from murmuration.runtime.config import BusCredentials
from murmuration.runtime.dice import dice
from murmuration.security.ed25519 import decode_seed, public_of, sign
from murmuration.security.proof import proof_text

ROUND_S = 600.0  # full report and enrolment anew: repairs whatever was lost on the way
ROUND_SPREAD = 0.2  # share of a round by which hosts differ, so that they do not come together
ASK_S_MIN = 1.0  # between two full reports that were asked for
STOP_S = 3.0

log = structlog.get_logger()


class Agent:
    """One host's agent over its three ports."""

    def __init__(
        self,
        config: NodeConfig,
        host: HostReader,
        links: LinkSource,
        inventory: Inventory,
        *,
        pulse_seed: str,
    ) -> None:
        self._config = config
        self._pulse_seed = pulse_seed
        self._pulse_nkey = public_of(pulse_seed)
        self._host = host
        self._links = links
        self._inventory = inventory
        self._boot_id = config.host.boot_id or host.boot_id()
        self._incarnation = time.time_ns()
        self._reporting = Reporting()
        self._wake = asyncio.Event()
        self._ask: asyncio.TimerHandle | None = None
        self._asked_at = -ASK_S_MIN

    async def run(self) -> None:
        """Serve the host until cancelled. Raises Unavailable when the bus is lost for good."""
        await self._inventory.on_ask(self._config.name, self._asked)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._inventory.ended(), name="ended")
            await self._enrol()
            group.create_task(self._rounds(), name="rounds")
            group.create_task(self._watch(), name="watch")
            group.create_task(self._report(), name="report")

    async def _rounds(self) -> None:
        while True:
            self._asked()
            await asyncio.sleep(ROUND_S * (1 + ROUND_SPREAD * (dice() - 0.5)))
            await self._enrol()

    async def _enrol(self) -> None:
        """Introduce the host until the inventory has answered, then tell the heartbeat sender."""
        own = self._config.host
        request = EnrolHost(
            operation_id=uuid4().hex,
            host=own.name,
            personality=own.personality,
            subfunctions=own.subfunctions,
            origin=own.origin,
            observe_only=own.observe_only,
            boot_id=self._boot_id,
            address=own.address,
            pulse_nkey=self._pulse_nkey,
        )

        async def attempt() -> EnrolReply:
            reply = await self._inventory.enrol(request)
            credentials.keep_authorities(self._config.bus.ca, reply.ca)
            await self._tell_sender(reply)
            return reply

        reply = await until_done(attempt, "host.enrol", host=own.name)
        log.info("host.enrolled", host=own.name, index=reply.index, observe_only=own.observe_only)

    async def _tell_sender(self, reply: EnrolReply) -> None:
        """Write pulse.json when it differs. Raises Unavailable or OSError."""
        config = self._config
        door = f"ws://{config.pulse.nats}" if config.pulse.nats else config.bus.url
        address, port = await state.numeric(*endpoint(door))
        udp = [
            await state.numeric(*endpoint(f"udp://{target}"), datagram=True)
            for target in config.pulse.udp
        ]
        content = pulse_file(
            reply,
            boot_id=self._boot_id,
            kernel_boot_id=self._host.boot_id(),
            bus=PulseBus(
                host=address,
                port=port,
                web=bool(config.pulse.nats),
                jwt=reply.pulse_jwt,
                seed=self._pulse_seed,
            ),
            udp=tuple(udp),
        )
        folder = Path(config.host.state_dir)
        before = state.read(folder)
        content = settled(before, content)
        if content != before:
            state.write(folder, content)

    async def _watch(self) -> None:
        while True:
            await self._links.changed()
            self._wake.set()

    async def _report(self) -> None:
        while True:
            self._wake.clear()
            if await until_done(self._look_and_send, "host.report", host=self._config.name):
                continue  # what changed meanwhile is seen now
            await self._wake.wait()

    async def _look_and_send(self) -> bool:
        """Look once, and send what follows. Whether something was sent. Raises Unavailable."""
        links = by_name(await self._links.look())
        effects = self._take(look(self._reporting, links))
        for effect in effects:
            try:
                await self._inventory.publish(self._message(effect))
            except BaseException:
                self._take(step(self._reporting, Input.FAILED))
                raise
            self._take(step(self._reporting, Input.ACKNOWLEDGED))
        return bool(effects)

    def _message(self, effect: Effect) -> HostReport | HostDelta:
        if isinstance(effect, SendReport):
            return HostReport(
                host=self._config.name,
                incarnation=self._incarnation,
                n=effect.n,
                boot_id=self._boot_id,
                facts=host_facts(self._host.texts()),
                links=effect.links,
                observed_at=datetime.now(UTC),
            )
        return HostDelta(
            host=self._config.name,
            incarnation=self._incarnation,
            n=effect.n,
            links_changed=effect.change.changed,
            links_removed=effect.change.removed,
            observed_at=datetime.now(UTC),
        )

    def _take(self, following: ReportingStep) -> tuple[Effect, ...]:
        self._reporting = following.state
        log.debug("reporting.step", host=self._config.name, reason=following.reason)
        return following.effects

    def _asked(self) -> None:
        """A full report is wanted; more often than every ASK_S_MIN it has to wait."""
        if self._ask is not None:
            return
        loop = asyncio.get_running_loop()
        self._ask = loop.call_at(max(loop.time(), self._asked_at + ASK_S_MIN), self._want)

    def _want(self) -> None:
        self._ask = None
        self._asked_at = asyncio.get_running_loop().time()
        self._take(step(self._reporting, Input.WANTED))
        self._wake.set()


def renew(config: NodeConfig, host: HostReader) -> None:
    """Make an earlier boot's pulse.json good for this one, before anything else is reachable."""
    folder = Path(config.host.state_dir)
    content = renewed(
        state.read(folder),
        host=config.name,
        boot_id=config.host.boot_id or host.boot_id(),
        kernel_boot_id=host.boot_id(),
    )
    if content is not None:
        state.write(folder, content)


async def run(config: NodeConfig, *, stop: asyncio.Event) -> None:
    """Serve the host until `stop`. Raises MurmurationError when it cannot go on."""
    host = ProcHost()
    renew(config, host)
    plugins = Plugins(config, boot_id=config.host.boot_id or host.boot_id())
    plugins.begin()
    serving = asyncio.create_task(_serve(config, host, plugins), name="node")
    monitoring = asyncio.create_task(plugins.monitor(), name="monitors")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    tasks = (serving, monitoring, stopping)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for ended in (serving, monitoring):
            if ended.done():
                ended.result()
        await plugins.gasp()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=STOP_S)


async def _serve(config: NodeConfig, host: HostReader, plugins: Plugins) -> None:
    keys = await _credentials(config)
    async with (
        NetlinkLinks() as links,
        open_inventory(config.bus, keys.login, identity=f"node@{config.name}") as inventory,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(plugins.serve(inventory.client), name="plugins")
        agent = Agent(config, host, links, inventory, pulse_seed=keys.pulse_seed)
        group.create_task(agent.run(), name="inventory")


async def _credentials(config: NodeConfig) -> HostKeys:
    """The host's credentials; joins while a join token waits, however long that takes.

    A token counts more than credentials that are there: so a host that was shut out is let in
    again. Where it is refused, they go on being used.
    """
    folder = Path(config.host.state_dir)

    async def attempt() -> HostKeys:
        token, known = credentials.token(folder), credentials.own(folder)
        if token is None:
            if known is None:
                raise Unavailable(f"it has no credentials: {folder / credentials.TOKEN} is awaited")
            return known
        try:
            return await _join(config, folder, token)
        except Rejected as error:
            if known is None:
                raise
            log.warning("host.join_refused", host=config.name, reason=str(error))
            return known

    return await until_done(attempt, "host.join", host=config.name)


async def _join(config: NodeConfig, folder: Path, token: BusCredentials) -> HostKeys:
    keys = credentials.pending(folder)
    nkey = public_of(keys.seed)
    request = JoinHost(
        operation_id=uuid4().hex,
        host=config.name,
        token_jwt=token.jwt,
        node_nkey=nkey,
        proof=sign(decode_seed(token.seed), proof_text(config.name, nkey)).hex(),
    )
    given = await join(config.bus, token, request)
    whole = msgspec.structs.replace(keys, jwt=given.node_jwt)
    credentials.joined(folder, whole)
    log.info("host.joined", host=config.name)
    return whole
