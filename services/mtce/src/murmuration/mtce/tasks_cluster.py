"""The reconciler of a cluster's nodes, run by the replica that is active where one is configured.

It takes no input: it reads what is known of hosts, looks at their nodes, and closes the gap. A node
bears the name of its host.
"""

import asyncio
import contextlib
from typing import Final, Protocol

import structlog

from murmuration.kernel.backoff import Backoff
from murmuration.kernel.errors import DeadlineExceeded, Unavailable
from murmuration.mtce.core.cluster import Change, Node, Wish, change, drains
from murmuration.mtce.store import fences
from murmuration.runtime.dice import dice
from murmuration.store.database import Database

LOOK_S: Final = 5.0  # evictions that were forbidden are asked for again after this

log = structlog.get_logger()


class Nodes(Protocol):
    """The cluster, as far as it is needed; see murmuration.mtce.adapters.cluster."""

    async def nodes(self) -> list[Node]:
        """Every node."""
        ...

    async def patch(self, change: Change) -> bool:
        """Bring a node to a change; False when it was changed meanwhile."""
        ...

    async def pods(self, node: str) -> list[tuple[str, str]]:
        """(namespace, name) of what can be evicted."""
        ...

    async def evict(self, namespace: str, name: str) -> bool:
        """Ask for an eviction; False while a budget forbids it."""
        ...


class ClusterTasks:
    """What keeps nodes as their hosts are; `run` until cancelled."""

    def __init__(self, *, database: Database, cluster: Nodes) -> None:
        self._database = database
        self._cluster = cluster
        self._nudge = database.nudge()

    async def run(self) -> None:
        """Reconcile until cancelled; survives the cluster and the database being away."""
        await self._database.verified.wait()
        backoff = Backoff(first_s=0.5, most_s=30.0)
        while True:
            self._nudge.clear()
            try:
                await self.round()
                backoff.reset()
            except (Unavailable, DeadlineExceeded) as error:
                log.warning("cluster.waits", reason=str(error))
                await asyncio.sleep(backoff.next_s(dice()))
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._nudge.wait()
            await asyncio.sleep(0.1)  # a burst of commits is one look

    async def round(self) -> None:
        """Look at every node once. Raises Unavailable, DeadlineExceeded."""
        async with self._database.connection() as connection:
            wishes = await fences.wishes(connection)
        for node in await self._cluster.nodes():
            wish = wishes.get(node.name)
            if wish is not None:  # else it is a node of somebody else
                await self._bring(node, wish)

    async def _bring(self, node: Node, wish: Wish) -> None:
        pods = await self._cluster.pods(node.name) if drains(wish) and node.cordoned else []
        empty = not pods and (node.cordoned or not drains(wish))
        found = change(node, wish, empty=empty)
        if found is not None and await self._cluster.patch(found):
            log.info(
                "cluster.node_changed", node=node.name, cordoned=found.cordoned, ours=[*found.owned]
            )
        forbidden = [
            f"{namespace}/{pod}"
            for namespace, pod in pods
            if not await self._cluster.evict(namespace, pod)
        ]
        if forbidden:
            log.info("cluster.eviction_forbidden", node=node.name, pods=forbidden[:5])
