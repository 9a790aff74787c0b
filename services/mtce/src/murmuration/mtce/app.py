"""mtce's composition root: the only file that knows all of its parts."""

import asyncio
from pathlib import Path

from murmuration.bus.follower import Received
from murmuration.mtce.adapters.pulses import Pulses, boottime_ns, open_udp
from murmuration.mtce.config import MtceSection
from murmuration.mtce.handlers.hosts import HostHandlers
from murmuration.mtce.handlers.observed import ObservedHandlers
from murmuration.mtce.handlers.verdicts import VerdictHandlers
from murmuration.mtce.metrics import MonitorCollector, Transitions
from murmuration.mtce.monitor import Monitor
from murmuration.mtce.tasks import MonitorTasks
from murmuration.proto import registry
from murmuration.proto.node import (
    HostBooted,
    HostEnding,
    HostHealth,
    HostTested,
    ServicesSwitched,
)
from murmuration.proto.platform import StatePublished
from murmuration.proto.sysinv import HostAccepted, HostChanged, HostDiscovered, HostRemoved
from murmuration.runtime.clock import SystemClock
from murmuration.runtime.config import ServiceConfig
from murmuration.runtime.service import run_service, service_context
from murmuration.store.database import Unit

MIGRATIONS = Path(__file__).parent / "store" / "migrations"
SITE_SECRET = "site-secret"  # noqa: S105 - the file's name


async def run(config: ServiceConfig, *, stop: asyncio.Event) -> None:
    """Run mtce until `stop`. Raises Rejected for what is wrong in the configuration."""
    registry.load()
    section = config.own(MtceSection)
    monitor = Monitor(config.secret(SITE_SECRET), boottime_ns())
    transitions = Transitions()
    clock = SystemClock()
    verdicts = VerdictHandlers(clock, monitor)
    inventory = HostHandlers(clock, monitor, transitions)
    agents = ObservedHandlers(clock)

    async def removed(unit: Unit, received: Received) -> None:
        await agents.removed(unit, received)
        await inventory.removed(unit, received)

    async def republish(unit: Unit) -> None:
        await verdicts.republish(unit)
        await agents.republish(unit)

    with open_udp(section.udp_listen) as udp:
        async with service_context(
            config,
            listen=section.listen,
            migrations=MIGRATIONS,
            republish=republish,
            foreign=("FM_INTAKE",),
        ) as context:
            context.registry.register(MonitorCollector(monitor, transitions))
            context.follow(
                "SYSINV",
                {
                    HostDiscovered: inventory.declared,
                    HostAccepted: inventory.declared,
                    HostChanged: inventory.declared,
                    HostRemoved: removed,
                    StatePublished: inventory.told_afresh,
                },
                states={"sysinv_hosts": inventory.bridged},
            )
            context.follow(
                "MTCE_OBSERVED",
                {
                    HostHealth: agents.health,
                    HostBooted: agents.booted,
                    HostEnding: agents.ending,
                    HostTested: agents.tested,
                    ServicesSwitched: agents.switched,
                },
            )
            tasks = MonitorTasks(
                monitor=monitor,
                source=Pulses(context.bus, udp),
                database=context.database,
                bus=context.bus,
                verdicts=verdicts,
                transitions=transitions,
            )
            await run_service(context, stop, active={"monitor": tasks.run})
