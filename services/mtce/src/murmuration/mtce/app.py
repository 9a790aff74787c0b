"""mtce's composition root: the only file that knows all of its parts."""

import asyncio
import os
import secrets
import socket
from functools import partial
from pathlib import Path

from murmuration.mtce.adapters.agents import agent_performers
from murmuration.mtce.adapters.own_link import OwnLink
from murmuration.mtce.adapters.pulses import PulsePaths, boottime_ns, open_udp
from murmuration.mtce.bmc import BmcParts
from murmuration.mtce.config import MtceSection
from murmuration.mtce.core.dead_office import dead_office
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.observers import Observers
from murmuration.mtce.core.trace import TracedMachines
from murmuration.mtce.deadlines import Deadlines
from murmuration.mtce.handlers.asks import AskHandlers
from murmuration.mtce.handlers.chain import one_after_another
from murmuration.mtce.handlers.hosts import HostHandlers
from murmuration.mtce.handlers.observed import ObservedHandlers
from murmuration.mtce.handlers.orders import OrderHandlers, Questions
from murmuration.mtce.handlers.outcomes import OutcomeHandlers
from murmuration.mtce.handlers.paths import PathHandlers
from murmuration.mtce.handlers.storms import StormHandlers
from murmuration.mtce.handlers.verdicts import VerdictHandlers
from murmuration.mtce.metrics import MonitorCollector, Transitions
from murmuration.mtce.monitor import Monitor
from murmuration.mtce.tasks import MonitorTasks
from murmuration.mtce.tasks_asks import AskTasks
from murmuration.mtce.watch import Watch
from murmuration.proto import registry
from murmuration.proto.fm_derived import DegradeAsserted, DegradeCleared
from murmuration.proto.mtce import AskPlan, AskWhy, HostOrder
from murmuration.proto.node import (
    AskHealth,
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
from murmuration.runtime.effects import Executor
from murmuration.runtime.service import Context, Work, run_service, service_context
from murmuration.runtime.trace import TraceFile

MIGRATIONS = Path(__file__).parent / "store" / "migrations"
SITE_SECRET = "site-secret"  # noqa: S105 - the file's name


async def run(config: ServiceConfig, *, stop: asyncio.Event) -> None:
    """Run mtce until `stop`. Raises Rejected for what is wrong in the configuration."""
    registry.load()
    section = config.own(MtceSection)
    monitor = _monitor(config, section)
    transitions = Transitions()
    clock = SystemClock()
    machines = _machines(section, clock)
    verdicts = VerdictHandlers(clock, monitor, machines, instance=monitor.instance)
    inventory = HostHandlers(clock, monitor, transitions, machines, agents=section.agent_orders)
    orders = OrderHandlers(clock, monitor, transitions, machines)
    outcomes = OutcomeHandlers(clock, monitor, transitions, machines)
    agents = ObservedHandlers(clock)
    out_of_band = BmcParts(config, section, clock, monitor)
    out_of_band.fences.on_released = outcomes.released
    out_of_band.handlers.on_power = outcomes.power_seen
    asks = AskHandlers(
        clock,
        monitor,
        transitions,
        machines,
        policy=section.sensors(),
        own_host=_own_host(section),
    )
    paths = PathHandlers(clock, monitor, machines)
    republish = one_after_another(verdicts.republish, agents.republish)
    republish = one_after_another(republish, paths.assert_alarms)
    with open_udp(section.udp_listen) as udp:
        async with (
            service_context(
                config,
                listen=section.listen,
                migrations=MIGRATIONS,
                republish=one_after_another(republish, out_of_band.republish),
                foreign=("FM_INTAKE",),
            ) as context,
            out_of_band.opened(context) as bmc,
        ):
            context.registry.register(MonitorCollector(monitor, transitions))
            _follow(context, inventory, agents, outcomes, out_of_band)
            context.follow("MTCE_ORDERS", {HostOrder: orders.act})
            questions = Questions(context.database, clock, monitor, machines)
            context.server.answer(AskHealth, partial(agents.answer, context.database))
            context.server.answer(AskWhy, questions.why)
            context.server.answer(AskPlan, questions.plan)
            performers = {
                **agent_performers(context.bus, context.database, monitor),
                **bmc.performers,
            }
            follow = out_of_band.followed(outcomes.follow)
            executor = Executor(context.database, performers, follow=follow)
            watch = Watch(
                monitor=monitor,
                source=_paths(config, udp),
                database=context.database,
                bus=context.bus,
                verdicts=verdicts,
                transitions=transitions,
                active=lambda: context.active,
            )
            storms = StormHandlers(clock, monitor, machines, section.storms())
            tasks = MonitorTasks(watch, context.database, storms, paths)
            active: dict[str, Work] = {
                "monitor": tasks.run,
                "deadlines": Deadlines(context.database, clock, outcomes).run,
                "asks": AskTasks(context.database, asks).run,
                "effects": executor.run,
                **bmc.active,
            }
            await run_service(context, stop, always={"watch": watch.run}, active=active)


def _follow(
    context: Context,
    inventory: HostHandlers,
    agents: ObservedHandlers,
    outcomes: OutcomeHandlers,
    out_of_band: BmcParts,
) -> None:
    """What is taken in of sysinv's and fm's events and of agents' observations."""
    bmcs = out_of_band.handlers
    declared = one_after_another(inventory.declared, bmcs.declared)
    removed = one_after_another(agents.removed, inventory.removed)
    context.follow(
        "SYSINV",
        {
            HostDiscovered: declared,
            HostAccepted: declared,
            HostChanged: declared,
            HostRemoved: one_after_another(removed, bmcs.removed),
            StatePublished: one_after_another(inventory.told_afresh, bmcs.told_afresh),
        },
        states={"sysinv_hosts": one_after_another(inventory.bridged, bmcs.bridged)},
    )
    context.follow(
        "FM",
        {DegradeAsserted: outcomes.degraded, DegradeCleared: outcomes.relieved},
        states={"fm_degrades": outcomes.degrade_bridged},
    )
    context.follow(
        "MTCE_OBSERVED",
        {
            HostHealth: one_after_another(agents.health, outcomes.health),
            HostBooted: agents.booted,
            HostEnding: agents.ending,
            HostTested: one_after_another(agents.tested, outcomes.result),
            ServicesSwitched: one_after_another(agents.switched, outcomes.result),
        },
    )


def _machines(section: MtceSection, clock: SystemClock) -> Machines:
    policy = section.policy()
    window = dead_office(
        uptime_s=boottime_ns() / 1e9,
        now=clock.now(),
        window_s=policy.dead_office_s,
    )
    if section.trace:
        return TracedMachines(policy, window, TraceFile(Path(section.trace)).write)
    return Machines(policy, window)


def _own_host(section: MtceSection) -> str:
    return section.own_host or socket.gethostname()


def _monitor(config: ServiceConfig, section: MtceSection) -> Monitor:
    machine = _own_host(section)
    instance = f"{machine}-{os.getpid()}-{secrets.token_hex(2)}"
    return Monitor(
        config.secret(SITE_SECRET),
        boottime_ns(),
        thresholds=section.thresholds(),
        observers=Observers(instance=instance, machine=machine),
        own_host=machine,
    )


def _paths(config: ServiceConfig, udp: socket.socket) -> PulsePaths:
    link = OwnLink(udp.getsockname()[0], udp)
    return PulsePaths(config.bus, config.credentials().bus, udp, link)
