"""The parts of the agent beside the inventory: its monitors, and its talk with mtce and fm.

Monitors run from the start, whether or not the bus is there; each is a task of its own that is
begun again when it fails, so that none can end or delay another. The configuration says which.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import structlog
from nats.aio.client import Client

from murmuration.kernel.backoff import Backoff
from murmuration.node import quorum
from murmuration.node.adapters.maintenance import NatsMaintenance, open_host_alarms
from murmuration.node.adapters.orderbook import OrderBook
from murmuration.node.board import Board
from murmuration.node.config import NodeConfig
from murmuration.node.filesystems import watch_filesystems
from murmuration.node.lifetimes import Lifetimes
from murmuration.node.measures import watch_links, watch_resources, watch_sensors
from murmuration.node.orders import Orders
from murmuration.node.processes import ProcessMonitor
from murmuration.node.telling import Telling, keep_alarms
from murmuration.proto.node import ConditionKind, EndKind
from murmuration.runtime.dice import dice

AGAIN_FIRST_S = 1.0
AGAIN_MOST_S = 60.0
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Monitor:
    """One monitor: whether it is configured, what runs it, and the kinds that it speaks of."""

    name: str
    _: KW_ONLY
    wanted: bool
    run: Callable[[], Awaitable[None]]
    kinds: tuple[ConditionKind, ...] = ()


class Plugins:
    """Everything of one host that is not its inventory."""

    def __init__(self, config: NodeConfig, *, boot_id: str) -> None:
        self._config = config
        folder = Path(config.host.state_dir)
        self._folder = folder
        systemctl = config.maintenance.systemctl
        self.board = Board()
        self._telling = Telling(self.board, host=config.name, boot_id=boot_id)
        self._lifetimes = Lifetimes(
            folder, self._telling, host=config.name, boot_id=boot_id, systemctl=systemctl
        )
        self._processes = ProcessMonitor(config.processes, self.board, systemctl=systemctl)
        self._maintenance: NatsMaintenance | None = None
        self._monitoring: dict[str, asyncio.Task[None]] = {}
        self._orders = Orders(
            config.maintenance,
            OrderBook(folder),
            self._telling,
            host=config.name,
            boot_id=boot_id,
            personality=config.host.personality,
            gasp=self._gasp,
            suspend=lambda suspended: self._processes.suspend(suspended=suspended),
        )

    @property
    def quorum_lost(self) -> str:
        """Why the host's quorum of processes is lost, one clause; empty while it is there."""
        return self._processes.quorum_lost

    def begin(self) -> None:
        """Settle what an earlier life of the agent or an earlier boot left. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._orders.resume()
        self._lifetimes.look_back(
            pstore=self._config.traces.pstore_dir, watchdog=self._config.watchdog.socket
        )

    async def monitor(self) -> None:
        """Run the configured monitors until cancelled."""
        async with asyncio.TaskGroup() as group:
            for each in self._monitors():
                if each.wanted:
                    self._monitoring[each.name] = group.create_task(
                        _again_and_again(each.name, each.run), name=each.name
                    )
                elif each.kinds:  # what it said before it was switched off holds no more
                    await self.board.put(each.name, each.kinds, ())
            await asyncio.Event().wait()

    def _monitors(self) -> tuple[Monitor, ...]:
        config, board = self._config, self.board
        return (
            Monitor(
                "processes",
                wanted=bool(config.processes.dir),
                run=self._processes.run,
                kinds=(ConditionKind.PROCESS, ConditionKind.MONITOR),
            ),
            Monitor(
                "quorum",
                wanted=bool(config.watchdog.socket and config.processes.dir),
                run=lambda: quorum.keep(config.watchdog, lambda: self.quorum_lost),
            ),
            Monitor(
                "resources",
                wanted=config.resources.enabled,
                run=lambda: watch_resources(config.resources, board),
                kinds=(ConditionKind.RESOURCE,),
            ),
            Monitor(
                "filesystems",
                wanted=bool(config.filesystems.paths or config.filesystems.probe_dirs),
                run=lambda: watch_filesystems(config.filesystems, board),
                kinds=(ConditionKind.FILESYSTEM, ConditionKind.STALL),
            ),
            Monitor(
                "sensors",
                wanted=bool(config.sensors.dir),
                run=lambda: watch_sensors(config.sensors, board),
                kinds=(ConditionKind.SENSOR,),
            ),
            Monitor(
                "links",
                wanted=bool(config.links.interfaces),
                run=lambda: watch_links(config.links, board),
                kinds=(ConditionKind.LINK,),
            ),
        )

    async def serve(self, client: Client) -> None:
        """Talk with mtce and fm over a connection until cancelled."""
        self._maintenance = NatsMaintenance(client)
        async with (
            self._maintenance.answering(self._config.name, self._orders.take),
            open_host_alarms(
                client, self._config.bus, host=self._config.name, folder=self._folder
            ) as alarms,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._telling.run(self._maintenance), name="telling")
            group.create_task(
                keep_alarms(self.board, alarms, host=self._config.name), name="alarms"
            )
            group.create_task(self._orders.run(), name="orders")

    async def gasp(self) -> None:
        """Say that the agent, and perhaps the host, ends; a few seconds at most."""
        if vouching := self._monitoring.get("quorum"):
            vouching.cancel()  # or it might vouch once more, for an agent that is gone then
            await asyncio.wait((vouching,))
        if self._config.watchdog.socket:
            await quorum.leave(self._config.watchdog)
        await self._lifetimes.stopping(self._maintenance)

    async def _gasp(self, reason: str) -> None:
        await self._lifetimes.end(self._maintenance, EndKind.REBOOTING, reason)


async def _again_and_again(name: str, run: Callable[[], Awaitable[None]]) -> None:
    backoff = Backoff(first_s=AGAIN_FIRST_S, most_s=AGAIN_MOST_S)
    while True:
        try:
            await run()
        except Exception:
            log.exception("monitor.failed", monitor=name)
        await asyncio.sleep(backoff.next_s(dice()))
