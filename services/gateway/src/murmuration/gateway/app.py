"""The composition root: what the gateway is made of, in which order it starts and stops.

HTTP comes first and goes last: a page that is open sees that the bus is away, instead of nothing.
"""

import asyncio
import math
import os
import socket
from collections.abc import Sequence
from importlib.metadata import version as distribution_version
from pathlib import Path

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from murmuration.bus.connection import open_bus
from murmuration.gateway.adapters.bus import BusSite
from murmuration.gateway.adapters.certificates import CertificateFile
from murmuration.gateway.api.alarms import CACHE
from murmuration.gateway.api.console import add_console, read_console
from murmuration.gateway.api.context import API, Api
from murmuration.gateway.api.fm_compat.routes import add_fm_compat
from murmuration.gateway.api.openapi import add_document
from murmuration.gateway.api.pages import PageCache
from murmuration.gateway.api.routes import add_routes
from murmuration.gateway.config import GatewaySection, read_token
from murmuration.gateway.core.health import starting
from murmuration.gateway.core.model import SENDERS
from murmuration.gateway.handlers import feed
from murmuration.gateway.handlers.live import LiveSite
from murmuration.gateway.handlers.watch import HealthWatch
from murmuration.gateway.metrics import CertificateCollector, LiveCollector
from murmuration.gateway.ports import SitePort
from murmuration.kernel.clock import Clock
from murmuration.proto import registry as contract
from murmuration.proto.platform import ServiceStatus
from murmuration.runtime.clock import SystemClock
from murmuration.runtime.config import BusCredentials, BusSection, ServiceConfig
from murmuration.security.tls import pair_of, server_context
from murmuration.web.guard import GuardPolicy
from murmuration.web.ops import StatusOf, add_ops
from murmuration.web.server import listening_socket, make_app, serve


class Gateway:
    """One replica: what it shows, and what it says of itself."""

    def __init__(
        self, site: BusSite, clock: Clock, *, name: str, certificates: CertificateFile
    ) -> None:
        self.site = site
        self.version = distribution_version("murmuration-gateway")
        self.instance = f"{socket.gethostname()}-{os.getpid()}"
        self._clock = clock
        self._started = clock.monotonic()
        self.live = LiveSite(
            name=name,
            version=self.version,
            started_at=clock.now(),
            health=starting(clock.now()),
        )
        self.watch = HealthWatch(
            site,
            self.live,
            clock,
            undecodable=lambda: site.undecodable,
            certificates=certificates,
        )
        self.certificates = CertificateCollector(certificates, clock)

    def status(self) -> ServiceStatus:
        """How this replica is, as /readyz and the status query tell it."""
        reason = "" if self.live.loaded.is_set() else "loads the state of the site"
        if not self.site.connected:
            reason = "NATS is away"
        return ServiceStatus(
            service="gateway",
            instance=self.instance,
            ready=not reason,
            reason=reason,
            parked=self.site.undecodable,
            uptime_s=round(self._clock.monotonic() - self._started, 1),
        )

    async def work(self, bus_section: BusSection, login: BusCredentials) -> None:
        """Do everything but HTTP, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.live.hub.keep_awake(), name="comments")
            group.create_task(self.watch.run(), name="health")
            group.create_task(self._feed(bus_section, login), name="feed")

    async def _feed(self, bus_section: BusSection, login: BusCredentials) -> None:
        """Connect, however long that takes, and keep the read model fed."""
        site, live = self.site, self.live
        async with (
            open_bus(bus_section, login, identity="gateway", wait_s=math.inf) as bus,
            asyncio.TaskGroup() as group,
        ):
            site.attach(bus)
            for sender in SENDERS:
                group.create_task(feed.follow(site, live, sender), name=f"follow {sender}")
            group.create_task(feed.open_in_time(live), name="open")
            group.create_task(feed.reload(site, live), name="reload")
            group.create_task(feed.pass_pulses(site, live), name="pulses")
            group.create_task(site.serve_status(self.status, version=self.version), name="status")


def make_gateway_app(
    live: LiveSite,
    site: SitePort,
    *,
    policy: GuardPolicy,
    status: StatusOf,
    version: str,
    more: Sequence[Collector] = (),
) -> web.Application:
    """The HTTP side: ops, API, document, console, in this order of precedence.

    `more` is counted besides the read model.
    """
    app = make_app(policy)
    app[API] = Api(live=live, site=site)
    app[CACHE] = PageCache()
    registry = CollectorRegistry()
    for collector in (LiveCollector(live), *more):
        registry.register(collector)
    add_ops(app, status=status, registry=registry)
    add_routes(app)
    add_fm_compat(app)
    add_document(app, version=version)
    add_console(app, read_console())

    async def end_streams(_app: web.Application) -> None:
        live.hub.close()

    app.on_shutdown.append(end_streams)
    return app


async def run(config: ServiceConfig, *, stop: asyncio.Event) -> None:
    """Serve until `stop`. Raises Rejected for what is wrong in the configuration."""
    structlog.contextvars.bind_contextvars(service="gateway")
    contract.load()
    section = config.own(GatewaySection)
    login = config.credentials().bus
    policy = GuardPolicy(token=read_token(config), names=frozenset(section.names))
    credentials, clock = Path(config.site.credentials_dir), SystemClock()
    gateway = Gateway(
        BusSite(),
        clock,
        name=config.site.name,
        certificates=CertificateFile(credentials, clock),
    )
    app = make_gateway_app(
        gateway.live,
        gateway.site,
        policy=policy,
        status=gateway.status,
        version=gateway.version,
        more=(gateway.certificates,),
    )
    listener = listening_socket("gateway.http", section.listen, authenticated=True)
    secure = None
    if section.tls_listen:
        pair = pair_of(credentials, "gateway")
        door = listening_socket(
            "gateway.https", section.tls_listen, authenticated=True, secured=True
        )
        secure = (door, server_context(pair))
    async with serve(app, listener, secure=secure), asyncio.TaskGroup() as group:
        work = group.create_task(gateway.work(config.bus, login), name="gateway")
        await stop.wait()
        work.cancel()
