"""Two replicas of mtce on one database: both hear, one acts, and a host that either hears lives."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import msgspec
import pytest
from nats.aio.msg import Msg

from murmuration.bus.connection import Bus
from murmuration.bus.state import load_bucket
from murmuration.mtce import app
from murmuration.mtce.adapters.pulses import boottime_ns
from murmuration.mtce.core.observers import unpack
from murmuration.proto import pulse
from murmuration.proto.envelope import encode
from murmuration.proto.mtce import HeartbeatState, HostState, ObserverTold
from murmuration.proto.sysinv import (
    Administrative,
    Admission,
    Host,
    HostAccepted,
    Origin,
    Personality,
)
from murmuration.runtime.config import DatabaseCredentials, ServiceConfig
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.ports import free_port
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import running, service_config

PERIOD_MS = 50
NAMES = ("worker-1", "worker-2", "worker-3", "worker-4")


@dataclass
class Hosts:
    """The heartbeats of a few hosts, by NATS and to whichever UDP ports are wanted."""

    bus: Bus
    secret: bytes
    ports: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    on_bus: set[str] = field(default_factory=set[str])
    sequence: int = 0

    async def beat(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            while True:
                self.sequence += 1
                for index, name in enumerate(NAMES):
                    frame = self.frame(index, name)
                    if name in self.on_bus:
                        await self.bus.publish_raw(pulse.subject(0, index), frame)
                    for port in self.ports[name]:
                        udp.sendto(frame, ("127.0.0.1", port))
                await asyncio.sleep(PERIOD_MS / 1_000)

    def frame(self, index: int, name: str) -> bytes:
        sent = pulse.Pulse(
            flags=0,
            period_ms=PERIOD_MS,
            index=index,
            load_percent=10,
            sequence=self.sequence,
            sent_ns=boottime_ns(),
            boot_id=(index + 1).to_bytes(16, "big"),
        )
        return pulse.pack(sent, pulse.pulse_key(self.secret, name, index))


@dataclass
class Site:
    hosts: Hosts
    gateway: Bus
    observer: Bus
    configs: list[ServiceConfig]
    ports: list[int]
    login: DatabaseCredentials
    postgres: Postgres

    async def heartbeats(self) -> dict[str, HeartbeatState]:
        keys, _ = await load_bucket(self.gateway, "mtce_hosts")
        states = (
            msgspec.json.decode(stored.value.data, type=HostState) for stored in keys.values()
        )
        return {state.host: state.heartbeat for state in states}

    async def become(self, **wanted: HeartbeatState) -> None:
        async def there() -> bool:
            found = await self.heartbeats()
            return all(found.get(name) is one for name, one in wanted.items())

        await reaches(there, what=str(wanted))

    async def verdicts(self) -> list[tuple[str, bool]]:
        """Every verdict: of which host, and whether it was settled."""
        section = self.postgres.section
        connection = await asyncpg.connect(
            host=section.host,
            port=section.port,
            user=self.login.user,
            password=self.login.password,
            database=self.login.name,
        )
        try:
            rows = await connection.fetch("select host, settled_at from verdict order by host")
        finally:
            await connection.close()
        return [(row["host"], row["settled_at"] is not None) for row in rows]


@pytest.fixture
async def site(
    connect: Connect, site_nats: NatsServer, postgres: Postgres
) -> AsyncGenerator[Site, None]:
    login = postgres.database("mtce")
    ports = [free_port(), free_port()]
    configs = [
        service_config(
            "mtce",
            site_nats,
            postgres,
            database=login,
            udp_listen=f"127.0.0.1:{port}",
            own_host=f"controller-{place}",
        )
        for place, port in enumerate(ports)
    ]
    secret = bytes.fromhex((site_nats.credentials_dir / "site-secret").read_text())
    hosts = Hosts(await connect("sim"), secret)
    hosts.on_bus = set(NAMES)
    hosts.ports = {name: list(ports) for name in NAMES}
    sysinv = await connect("sysinv")
    for index, name in enumerate(NAMES):
        await accept(sysinv, index, name)
    task = asyncio.create_task(hosts.beat())
    try:
        gateway, observer = await connect("gateway"), await connect("mtce")
        yield Site(hosts, gateway, observer, configs, ports, login, postgres)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def accept(sysinv: Bus, index: int, name: str) -> None:
    host = Host(
        name=name,
        index=index,
        shard=0,
        personality=Personality.WORKER,
        origin=Origin.SIMULATED,
        observe_only=False,
        admission=Admission.ACCEPTED,
        intended_administrative=Administrative.UNLOCKED,
        pulse_period_ms=PERIOD_MS,
    )
    await sysinv.js.publish(
        f"sysinv.event.host.accepted.{name}",
        encode(HostAccepted(host=host, reason="test")),
        headers={
            "ce-type": "sysinv.host.accepted.v1",
            "ce-subject": name,
            "Mur-Epoch": "1",
            "Mur-Change": str(index + 1),
        },
    )


@asynccontextmanager
async def both(site: Site) -> AsyncGenerator[asyncio.Event, None]:
    """Both replicas; the first is active, and ends when the event is set."""
    heard: dict[str, int] = {}
    end = asyncio.Event()

    async def note(message: Msg) -> None:
        told = msgspec.json.decode(message.data, type=ObserverTold)
        heard[told.machine] = int(unpack(told.heard).sum())

    async def first() -> None:
        async with running(app.run, site.configs[0]):
            await end.wait()

    await site.observer.nc.subscribe("mtce.observer.*", cb=note)
    async with asyncio.TaskGroup() as group:
        group.create_task(first())
        try:
            await site.become(**dict.fromkeys(NAMES, HeartbeatState.WELL))
            async with running(app.run, site.configs[1]):
                await reaches(lambda: list(heard.values()) == [4, 4], what="both to hear all")
                yield end
        finally:
            end.set()


async def silent_for_both(site: Site, name: str) -> None:
    site.hosts.on_bus.discard(name)
    site.hosts.ports[name] = []
    await site.become(**{name: HeartbeatState.LOST})


async def test_host_is_lost_by_one_verdict_although_both_replicas_find_it_silent(
    site: Site,
) -> None:
    async with both(site):
        await silent_for_both(site, "worker-1")
        assert await site.verdicts() == [("worker-1", True)]
        others = dict.fromkeys(NAMES[1:], HeartbeatState.WELL)
        assert await site.heartbeats() == {"worker-1": HeartbeatState.LOST, **others}


async def test_host_that_the_other_replica_hears_is_not_lost(site: Site) -> None:
    async with both(site):
        site.hosts.on_bus.discard("worker-1")
        site.hosts.ports["worker-1"] = site.ports[1:]
        site.hosts.on_bus.discard("worker-2")  # the active one hears it by UDP alone
        await silent_for_both(site, "worker-3")
        await silent_for_both(site, "worker-4")
        found = await site.heartbeats()
        assert (found["worker-1"], found["worker-2"]) == (HeartbeatState.WELL, HeartbeatState.WELL)
        await silent_for_both(site, "worker-1")
        assert [name for name, _ in await site.verdicts()] == ["worker-1", "worker-3", "worker-4"]


async def test_standby_goes_on_where_the_active_replica_ends_and_no_host_changes(
    site: Site,
) -> None:
    async with both(site) as end:
        end.set()
        await silent_for_both(site, "worker-2")
        assert await site.verdicts() == [("worker-2", True)]
        found = await site.heartbeats()
        assert [found[name] for name in ("worker-1", "worker-3")] == [HeartbeatState.WELL] * 2
