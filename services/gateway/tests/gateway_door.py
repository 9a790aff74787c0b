"""A gateway on a port, around a site held in memory, and a client that has its token."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from services.gateway.tests.gateway_site import (
    BEGIN,
    FakeSite,
    a_host,
    a_state,
    an_alarm,
    declared,
    observed,
    raised,
)

from murmuration.gateway.app import make_gateway_app
from murmuration.gateway.core.health import starting
from murmuration.gateway.core.model import SENDERS
from murmuration.gateway.core.projection import Loaded
from murmuration.gateway.handlers import feed
from murmuration.gateway.handlers.live import LiveSite
from murmuration.gateway.handlers.watch import HealthWatch
from murmuration.kernel.clock import ManualClock
from murmuration.proto.envelope import Version
from murmuration.proto.fm_vocabulary import Severity
from murmuration.proto.platform import ServiceStatus
from murmuration.web.guard import GuardPolicy
from murmuration.web.server import listening_socket, serve

TOKEN = "a-long-secret-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@dataclass
class Door:
    """A running gateway and a client that has its token."""

    port: int
    live: LiveSite
    watch: HealthWatch
    web: aiohttp.ClientSession

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def get(self, path: str, status: int = 200) -> Any:
        async with self.web.get(self.url(path)) as response:
            assert response.status == status, await response.text()
            return await response.json(content_type=None)

    async def change(self, method: str, path: str, body: object, status: int = 200) -> Any:
        async with self.web.request(method, self.url(path), json=body) as response:
            assert response.status == status, await response.text()
            return await response.json(content_type=None)


@asynccontextmanager
async def a_gateway(site: FakeSite, *, feed_it: bool = True) -> AsyncGenerator[Door, None]:
    clock = ManualClock()
    live = LiveSite(name="test", version="1", started_at=BEGIN, health=starting(BEGIN))
    watch = HealthWatch(site, live, clock, undecodable=lambda: site.undecodable)
    status = ServiceStatus(service="gateway", instance="1", ready=True)
    app = make_gateway_app(
        live, site, policy=GuardPolicy(token=TOKEN), status=lambda: status, version="1"
    )
    listener = listening_socket("test.http", "127.0.0.1:0", authenticated=True)
    async with (
        serve(app, listener, stop_budget_s=1) as port,
        aiohttp.ClientSession(headers=BEARER) as web,
        asyncio.TaskGroup() as group,
    ):
        tasks = [group.create_task(feed.reload(site, live))]
        if feed_it:
            tasks += [group.create_task(feed.follow(site, live, sender)) for sender in SENDERS]
            await live.wait_loaded(timeout_s=20)
        yield Door(port, live, watch, web)
        for task in tasks:
            task.cancel()


def a_site() -> FakeSite:
    """Three hosts, and two alarms."""
    site = FakeSite()
    hosts = [a_host(name) for name in ("c-0", "c-1", "w-1")]
    site.states["sysinv"] = {
        host.name: Loaded(Version(1, n + 1), host) for n, host in enumerate(hosts)
    }
    site.states["mtce"] = {"c-0": Loaded(Version(1, 1), a_state("c-0"))}
    site.history["sysinv"] = [declared(host, n + 1) for n, host in enumerate(hosts)]
    site.history["mtce"] = [observed(a_state("c-0"), 1)]
    site.history["fm"] = [
        raised(an_alarm("u1", entity="host=c-0"), 1),
        raised(an_alarm("u2", entity="host=c-1", severity=Severity.MINOR), 2),
    ]
    return site
