"""mtce as a whole, on a real NATS and a real PostgreSQL, with real frames on both paths."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import aiohttp
import msgspec
import pytest

from murmuration.bus.connection import Bus
from murmuration.bus.state import load_bucket
from murmuration.mtce import app
from murmuration.mtce.adapters.pulses import boottime_ns
from murmuration.proto import pulse
from murmuration.proto.envelope import encode
from murmuration.proto.fm import ClearAlarm, RaiseAlarm
from murmuration.proto.mtce import HostState, HostStateChanged, PulseDigest
from murmuration.proto.sysinv import (
    Administrative,
    Admission,
    Host,
    HostAccepted,
    HostChanged,
    HostDiscovered,
    HostRemoved,
    Origin,
    Personality,
)
from murmuration.runtime.config import ServiceConfig
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.ports import free_port
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import running, service_config

PERIOD_MS = 50


@dataclass
class Sender:
    """A host's heartbeat, as agents/pulse sends it."""

    name: str
    index: int
    beats: bool = True
    bus: bool = True
    udp: bool = True
    boot: bytes = field(default_factory=lambda: (1).to_bytes(16, "big"))
    sequence: int = 0
    flags: int = 0


@dataclass
class Site:
    """What stands around mtce in a test: sysinv's and the hosts' side of the bus."""

    sysinv: Bus
    hosts: Bus
    gateway: Bus
    admin: Bus
    config: ServiceConfig
    secret: bytes
    udp_address: tuple[str, int]
    senders: list[Sender] = field(default_factory=list[Sender])
    change: int = 0

    def host(self, name: str, **changes: object) -> Host:
        index = next(sender.index for sender in self.senders if sender.name == name)
        made = Host(
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
        return msgspec.structs.replace(made, **changes)

    async def say(self, verb: str, payload: msgspec.Struct, name: str) -> None:
        """One event of sysinv."""
        self.change += 1
        headers = {
            "ce-type": f"sysinv.host.{verb}.v1",
            "ce-subject": name,
            "Mur-Epoch": "1",
            "Mur-Change": str(self.change),
        }
        await self.sysinv.js.publish(
            f"sysinv.event.host.{verb}.{name}", encode(payload), headers=headers
        )

    async def accept(self, *names: str) -> None:
        for name in names:
            self.senders.append(Sender(name, len(self.senders)))
            await self.say("accepted", HostAccepted(host=self.host(name), reason="test"), name)

    def sender(self, name: str) -> Sender:
        return next(sender for sender in self.senders if sender.name == name)

    async def beat(self) -> None:
        """Every sender that beats, once a period, until cancelled."""
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with udp:
            while True:
                for sender in self.senders:
                    if sender.beats:
                        await self._beat(sender, udp)
                await asyncio.sleep(PERIOD_MS / 1_000)

    async def _beat(self, sender: Sender, udp: socket.socket) -> None:
        sender.sequence += 1
        sent = pulse.Pulse(
            flags=sender.flags,
            period_ms=PERIOD_MS,
            index=sender.index,
            load_percent=25,
            sequence=sender.sequence,
            sent_ns=boottime_ns(),
            boot_id=sender.boot,
        )
        frame = pulse.pack(sent, pulse.pulse_key(self.secret, sender.name, sender.index))
        if sender.bus:
            await self.hosts.publish_raw(pulse.subject(0, sender.index), frame)
        if sender.udp:
            udp.sendto(frame, self.udp_address)

    async def states(self) -> dict[str, HostState]:
        keys, _ = await load_bucket(self.gateway, "mtce_hosts")
        return {
            key: msgspec.json.decode(stored.value.data, type=HostState)
            for key, stored in keys.items()
            if not stored.value.deleted
        }

    async def reaches(self, name: str, condition: str) -> HostState:
        """Wait until the published state is this one."""

        async def there() -> HostState | None:
            state = (await self.states()).get(name)
            return state if state is not None and words(state) == condition else None

        found = await reaches(there, what=f"{name} {condition}")
        assert found is not None
        return found

    async def messages(self, stream: str) -> list[tuple[str, bytes]]:
        info = await self.admin.js.stream_info(stream)
        found: list[tuple[str, bytes]] = []
        for sequence in range(1, info.state.last_seq + 1):
            message = await self.admin.js.get_msg(stream, seq=sequence)
            found.append((message.subject or "", message.data or b""))
        return found

    async def story(self, name: str) -> list[str]:
        """The states a host went through, without changes of its heartbeat alone."""
        found: list[str] = []
        for subject, body in await self.messages("MTCE"):
            if subject == f"mtce.event.host.state_changed.{name}":
                state = words(msgspec.json.decode(body, type=HostStateChanged).state)
                if found[-1:] != [state]:
                    found.append(state)
        return found

    async def alarms(self, name: str) -> list[str]:
        """What fm was told of a host, in order."""
        found: list[str] = []
        for subject, body in await self.messages("FM_INTAKE"):
            if subject == "fm.intake.mtce.raise":
                raised = msgspec.json.decode(body, type=RaiseAlarm)
                if raised.entity == f"host={name}":
                    found.append(f"{raised.alarm_id} {raised.severity.value}")
            elif subject == "fm.intake.mtce.clear":
                cleared = msgspec.json.decode(body, type=ClearAlarm)
                if cleared.entity == f"host={name}":
                    found.append(f"{cleared.alarm_id} cleared")
        return found


async def locked_alarm(site: Site) -> bool:
    return await site.alarms("worker-1") == ["200.001 warning"]


def words(state: HostState) -> str:
    return f"{state.administrative}-{state.operational}-{state.availability}"


OFFLINE = "unlocked-disabled-offline"
INTEST = "unlocked-disabled-intest"
AVAILABLE = "unlocked-enabled-available"
DEGRADED = "unlocked-enabled-degraded"
FAILED = "unlocked-disabled-failed"


@contextlib.asynccontextmanager
async def beating(
    connect: Connect, admin: Bus, nats: NatsServer, postgres: Postgres
) -> AsyncGenerator[Site, None]:
    port = free_port()
    site = Site(
        sysinv=await connect("sysinv"),
        hosts=await connect("sim"),
        gateway=await connect("gateway"),
        admin=admin,
        config=service_config(
            "mtce",
            nats,
            postgres,
            udp_listen=f"127.0.0.1:{port}",
            heartbeat_soak_s=0.2,
            dead_office_s=0,
        ),
        secret=bytes.fromhex((nats.credentials_dir / "site-secret").read_text()),
        udp_address=("127.0.0.1", port),
    )
    task = asyncio.create_task(site.beat())
    try:
        yield site
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def site(
    connect: Connect, admin: Bus, site_nats: NatsServer, postgres: Postgres
) -> AsyncGenerator[Site, None]:
    async with beating(connect, admin, site_nats, postgres) as made:
        yield made


async def test_hosts_come_into_service_fail_and_return_and_fm_is_told_each_time(site: Site) -> None:
    async with running(app.run, site.config):
        await site.accept("worker-1", "worker-2", "worker-3")
        for name in ("worker-1", "worker-2", "worker-3"):
            await site.reaches(name, AVAILABLE)
        site.sender("worker-1").beats = False
        failed = await site.reaches("worker-1", FAILED)
        assert failed.heartbeat == "lost"
        assert failed.last_heard_at is not None
        assert "missed on NATS and UDP" in failed.reason
        site.sender("worker-1").beats = True
        back = await site.reaches("worker-1", AVAILABLE)
        assert back.episode == failed.episode + 1

        async def told() -> bool:
            return len(await site.alarms("worker-1")) == 5

        await reaches(told)
    assert await site.story("worker-1") == [OFFLINE, INTEST, AVAILABLE, DEGRADED, FAILED, AVAILABLE]
    assert await site.alarms("worker-1") == [
        "200.005 major",
        "200.004 critical",
        "200.005 critical",
        "200.005 cleared",
        "200.004 cleared",
    ]
    assert await site.story("worker-2") == [OFFLINE, INTEST, AVAILABLE]
    assert await site.alarms("worker-2") == []


async def test_digest_tells_what_was_heard_and_metrics_count_it(site: Site) -> None:
    digests: list[PulseDigest] = []

    async def keep(message: object) -> None:
        digests.append(msgspec.json.decode(message.data, type=PulseDigest))  # type: ignore[attr-defined]

    await site.gateway.nc.subscribe("mtce.digest.pulse", cb=keep)
    async with running(app.run, site.config):
        await site.accept("worker-1", "worker-2")
        site.sender("worker-2").udp = False
        await site.reaches("worker-1", AVAILABLE)
        await site.reaches("worker-2", AVAILABLE)

        def whole() -> bool:
            heard = {sample.host: sample for sample in digests[-1].hosts} if digests else {}
            one, two = heard.get("worker-1"), heard.get("worker-2")
            return bool(one and two and one.received and one.received_udp and two.received)

        await reaches(whole)
        assert all(s.received_udp == 0 for d in digests for s in d.hosts if s.host == "worker-2")
        listen = site.config.sections["mtce"]["listen"]
        async with aiohttp.ClientSession() as client:

            async def counted() -> bool:
                async with client.get(f"http://{listen}/metrics") as answer:
                    text = await answer.text()
                return all(line in text for line in lines)

            lines = (
                'mur_pulse_frames_total{outcome="fresh",path="udp"}',
                'mur_hosts{state="unlocked-enabled-available"} 2.0',
                'mur_host_transitions_total{previous="unlocked-disabled-offline",state="unlocked-',
            )
            await reaches(counted)
            async with client.get(f"http://{listen}/readyz") as answer:
                assert answer.status == 200


async def test_intent_is_carried_out_and_a_removed_host_leaves_nothing_behind(site: Site) -> None:
    async with running(app.run, site.config):
        await site.accept("worker-1", "worker-2")
        await site.reaches("worker-1", AVAILABLE)
        await site.reaches("worker-2", AVAILABLE)
        locked = site.host("worker-1", intended_administrative=Administrative.LOCKED)
        change = HostChanged(host=locked, changed=("intended_administrative",), reason="test")
        await site.say("changed", change, "worker-1")
        await site.reaches("worker-1", "locked-disabled-online")
        site.sender("worker-1").beats = False
        await site.reaches("worker-1", "locked-disabled-offline")
        await reaches(lambda: locked_alarm(site))
        unlocked = HostChanged(host=site.host("worker-1"), changed=(), reason="test")
        await site.say("changed", unlocked, "worker-1")
        await site.reaches("worker-1", FAILED)
        removed = HostRemoved(host="worker-1", index=0, reason="test")
        await site.say("removed", removed, "worker-1")

        async def gone() -> bool:
            return list(await site.states()) == ["worker-2"]

        await reaches(gone)

        async def cleared() -> bool:
            return (await site.alarms("worker-1"))[-2:] == ["200.004 cleared", "200.005 cleared"]

        await reaches(cleared)


async def test_discovered_host_is_not_watched_until_it_is_accepted(site: Site) -> None:
    async with running(app.run, site.config):
        site.senders.append(Sender("worker-1", 0))
        waiting = site.host("worker-1", admission=Admission.DISCOVERED)
        await site.say("discovered", HostDiscovered(host=waiting, reason="test"), "worker-1")
        site.senders.append(Sender("worker-2", 1))
        await site.say("accepted", HostAccepted(host=site.host("worker-2"), reason="t"), "worker-2")
        await site.reaches("worker-2", AVAILABLE)
        assert list(await site.states()) == ["worker-2"]
        accepted = HostAccepted(host=site.host("worker-1"), reason="test")
        await site.say("accepted", accepted, "worker-1")
        await site.reaches("worker-1", AVAILABLE)


async def test_restart_disturbs_no_living_host_and_finds_the_one_that_died_meanwhile(
    site: Site,
) -> None:
    async with running(app.run, site.config):
        await site.accept("worker-1", "worker-2", "worker-3")
        for name in ("worker-1", "worker-2", "worker-3"):
            await site.reaches(name, AVAILABLE)
    before = len(await site.messages("MTCE"))
    site.sender("worker-1").beats = False
    async with running(app.run, site.config):
        await site.reaches("worker-1", FAILED)
        await site.reaches("worker-2", AVAILABLE)
    after = [subject.rpartition(".")[2] for subject, _ in (await site.messages("MTCE"))[before:]]
    assert after == ["worker-1"]


async def test_reboot_between_two_pulses_takes_the_host_out_of_service_until_it_is_well(
    site: Site,
) -> None:
    async with running(app.run, site.config):
        await site.accept("worker-1", "worker-2")
        first = await site.reaches("worker-1", AVAILABLE)
        await site.reaches("worker-2", AVAILABLE)
        sender = site.sender("worker-1")
        sender.boot, sender.sequence = (2).to_bytes(16, "big"), 0

        async def rebooted() -> bool:
            state = (await site.states())["worker-1"]
            return state.boot_id != first.boot_id and words(state) == AVAILABLE

        await reaches(rebooted)
    assert await site.story("worker-1") == [
        OFFLINE,
        INTEST,
        AVAILABLE,
        "unlocked-disabled-online",
        INTEST,
        AVAILABLE,
    ]


async def test_frozen_broker_fails_no_host_while_udp_is_heard(
    site: Site, site_nats: NatsServer
) -> None:
    async with running(app.run, site.config):
        await site.accept("worker-1", "worker-2")
        await site.reaches("worker-1", AVAILABLE)
        await site.reaches("worker-2", AVAILABLE)
        site_nats.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(
                PERIOD_MS / 1_000 * 40
            )  # the fault's length, not a wait for a level
        finally:
            site_nats.signal(signal.SIGCONT)
        site.sender("worker-1").beats = False
        await site.reaches("worker-1", FAILED)
    assert await site.story("worker-1") == [OFFLINE, INTEST, AVAILABLE, DEGRADED, FAILED]
    assert await site.story("worker-2") == [OFFLINE, INTEST, AVAILABLE]


async def test_verdict_is_kept_while_the_database_is_away(
    connect: Connect, admin: Bus, site_nats: NatsServer, own_postgres: Postgres
) -> None:
    async with (
        beating(connect, admin, site_nats, own_postgres) as site,
        running(app.run, site.config),
    ):
        await site.accept("worker-1", "worker-2")
        await site.reaches("worker-1", AVAILABLE)
        await site.reaches("worker-2", AVAILABLE)
        own_postgres.kill()
        site.sender("worker-1").beats = False
        await asyncio.sleep(PERIOD_MS / 1_000 * 30)  # the fault's length
        own_postgres.start()
        await site.reaches("worker-1", FAILED)
        assert (await site.story("worker-2")) == [OFFLINE, INTEST, AVAILABLE]
