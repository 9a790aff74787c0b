"""The parts of the agent beside the inventory: its monitors, and its talk with mtce and fm.

Monitors run from the start, whether or not the bus is there; each is a task of its own that is
begun again when it fails, so that none can end or delay another. The configuration says which.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
from nats.aio.client import Client

from murmuration.kernel.backoff import Backoff
from murmuration.node.adapters.maintenance import NatsMaintenance, open_host_alarms
from murmuration.node.adapters.orderbook import OrderBook
from murmuration.node.board import Board
from murmuration.node.config import NodeConfig
from murmuration.node.lifetimes import Lifetimes
from murmuration.node.orders import Orders
from murmuration.node.processes import ProcessMonitor
from murmuration.node.telling import Telling, keep_alarms
from murmuration.proto.node import ConditionKind, EndKind
from murmuration.runtime.dice import dice

AGAIN_FIRST_S = 1.0
AGAIN_MOST_S = 60.0
GASP_S = 2.5  # for the last words: systemd waits longer, and the host goes down in any case
log = structlog.get_logger()


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
        monitors: dict[str, tuple[bool, Callable[[], Awaitable[None]], frozenset[ConditionKind]]]
        monitors = {
            "processes": (
                bool(self._config.processes.dir),
                self._processes.run,
                frozenset({ConditionKind.PROCESS, ConditionKind.MONITOR}),
            ),
        }
        async with asyncio.TaskGroup() as group:
            for name, (wanted, run, kinds) in monitors.items():
                if wanted:
                    group.create_task(_again_and_again(name, run), name=name)
                else:  # what it said before it was switched off holds no more
                    await self.board.put(name, kinds, ())
            await asyncio.Event().wait()

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
        """Say that the agent, and perhaps the host, ends; never longer than GASP_S."""
        try:
            async with asyncio.timeout(GASP_S):
                await self._lifetimes.stopping(self._maintenance)
        except TimeoutError:
            log.warning("host.ending_not_told", reason=f"nobody heard it within {GASP_S:g} s")

    async def _gasp(self, reason: str) -> None:
        try:
            async with asyncio.timeout(GASP_S):
                await self._lifetimes.end(self._maintenance, EndKind.REBOOTING, reason)
        except TimeoutError:
            log.warning("host.ending_not_told", reason=f"nobody heard it within {GASP_S:g} s")


async def _again_and_again(name: str, run: Callable[[], Awaitable[None]]) -> None:
    backoff = Backoff(first_s=AGAIN_FIRST_S, most_s=AGAIN_MOST_S)
    while True:
        try:
            await run()
        except Exception:
            log.exception("monitor.failed", monitor=name)
        await asyncio.sleep(backoff.next_s(dice()))
