"""mtce's composition root: the only file that knows all of its parts."""

import asyncio
from pathlib import Path

from murmuration.mtce.adapters.pulses import Pulses, boottime_ns, open_udp
from murmuration.mtce.bmc import BmcParts, one_after_another
from murmuration.mtce.config import MtceSection
from murmuration.mtce.handlers.hosts import HostHandlers
from murmuration.mtce.handlers.verdicts import VerdictHandlers
from murmuration.mtce.metrics import MonitorCollector, Transitions
from murmuration.mtce.monitor import Monitor
from murmuration.mtce.tasks import MonitorTasks
from murmuration.proto import registry
from murmuration.proto.platform import StatePublished
from murmuration.proto.sysinv import HostAccepted, HostChanged, HostDiscovered, HostRemoved
from murmuration.runtime.clock import SystemClock
from murmuration.runtime.config import ServiceConfig
from murmuration.runtime.service import run_service, service_context

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
    bmc_parts = BmcParts(config, section, clock)
    with open_udp(section.udp_listen) as udp:
        async with (
            service_context(
                config,
                listen=section.listen,
                migrations=MIGRATIONS,
                republish=one_after_another(verdicts.republish, bmc_parts.handlers.republish),
                foreign=("FM_INTAKE",),
            ) as context,
            bmc_parts.opened(context) as bmc,
        ):
            context.registry.register(MonitorCollector(monitor, transitions))
            declared = one_after_another(inventory.declared, bmc_parts.handlers.declared)
            context.follow(
                "SYSINV",
                {
                    HostDiscovered: declared,
                    HostAccepted: declared,
                    HostChanged: declared,
                    HostRemoved: one_after_another(inventory.removed, bmc_parts.handlers.removed),
                    StatePublished: one_after_another(
                        inventory.told_afresh, bmc_parts.handlers.told_afresh
                    ),
                },
                states={
                    "sysinv_hosts": one_after_another(inventory.bridged, bmc_parts.handlers.bridged)
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
            await run_service(context, stop, active={"monitor": tasks.run, **bmc.active})
