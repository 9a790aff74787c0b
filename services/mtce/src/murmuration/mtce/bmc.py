"""The out-of-band half of mtce, put together: what `app` adds to a service that watches pulses."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from murmuration.bmc.connect import bmc_clients
from murmuration.bmc.secrets import FileSecrets
from murmuration.kernel.clock import Clock
from murmuration.mtce.adapters.bmc import Bmcs
from murmuration.mtce.adapters.bmc_effects import performers
from murmuration.mtce.adapters.cluster import Cluster
from murmuration.mtce.config import MtceSection
from murmuration.mtce.handlers.bmcs import BmcHandlers, BmcRequests
from murmuration.mtce.handlers.fences import FENCE_OFF, FenceHandlers
from murmuration.mtce.ports import Observer
from murmuration.mtce.tasks_bmc import BmcTasks, Pace
from murmuration.mtce.tasks_cluster import ClusterTasks
from murmuration.mtce.tasks_fence import FenceTasks
from murmuration.proto.mtce_bmc import AskBmc, SetBmcSecret
from murmuration.runtime.config import ServiceConfig
from murmuration.runtime.effects import Follow, Performer
from murmuration.runtime.service import Context, Work
from murmuration.store.database import Unit
from murmuration.store.effects import Effect

SECRETS = "bmc"  # the folder below the credentials


@dataclass(frozen=True, slots=True)
class OpenedBmc:
    """What runs, and what does effects by BMC."""

    active: Mapping[str, Work]
    performers: Mapping[str, Performer]


class BmcParts:
    """What exists before the service's database and bus are there."""

    def __init__(
        self, config: ServiceConfig, section: MtceSection, clock: Clock, observer: Observer
    ) -> None:
        self.fences = FenceHandlers(clock, observer)
        self._observer = observer
        self.secrets = FileSecrets(Path(config.site.credentials_dir) / SECRETS)
        self.handlers = BmcHandlers(clock, section.sensors())
        self._pace = Pace(audit_s=section.bmc_audit_s, sensors_s=section.bmc_sensors_s)
        self._clock = clock
        self._section = section

    async def republish(self, unit: Unit) -> None:
        """Say the whole state anew."""
        await self.handlers.republish(unit)
        await self.fences.republish(unit)

    def followed(self, then: Follow) -> Follow:
        """What follows from settled effects: those of releases here, the others by `then`."""

        async def follow(unit: Unit, effect: Effect, done: bool) -> None:  # noqa: FBT001 - as Executor calls it
            if effect.kind == FENCE_OFF:
                await self.fences.followed(unit, effect, done=done)
            else:
                await then(unit, effect, done)

        return follow

    @asynccontextmanager
    async def opened(self, context: Context) -> AsyncIterator[OpenedBmc]:
        """Speak to BMCs until the end, and answer what operators ask of them."""
        database = context.database
        async with contextlib.AsyncExitStack() as stack:
            clients = await stack.enter_async_context(bmc_clients())
            source = Bmcs(clients, self.secrets, self._clock)
            requests = BmcRequests(database, self.secrets, source)
            context.server.answer(AskBmc, requests.ask)
            context.server.answer(SetBmcSecret, requests.keep_secret)
            tasks = BmcTasks(
                source=source, database=database, handlers=self.handlers, pace=self._pace
            )
            active: dict[str, Work] = {}
            if self._section.cluster_kubeconfig:
                cluster = Cluster(self._section.cluster_kubeconfig, self._section.cluster_context)
                stack.callback(cluster.close)
                active["cluster"] = ClusterTasks(database=database, cluster=cluster).run
            releases = FenceTasks(database=database, handlers=self.fences)
            yield OpenedBmc(
                active={"bmcs": tasks.run, "releases": releases.run, **active},
                performers=performers(source, database, self._observer, self.fences, self._clock),
            )
