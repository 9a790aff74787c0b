"""Releases in mtce as a whole: real NATS, PostgreSQL, pulses and ipmi_sim."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec
import pytest

from murmuration.bmc.secrets import FileSecrets
from murmuration.bus.connection import Bus
from murmuration.mtce import app
from murmuration.proto.mtce import HostState, HostStateChanged, Operational
from murmuration.proto.mtce_bmc import (
    HostReleased,
    Proof,
    ReleasePlanned,
    ReleaseWithdrawn,
)
from murmuration.proto.sysinv import BmcProtocol, HostBmc
from murmuration.runtime.config import ServiceConfig
from murmuration.testkit.beats import Beat, Beats, beating
from murmuration.testkit.bmc import PASSWORD, USER, IpmiSim
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.ports import free_port
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import running, service_config

EVENTS = {
    "state_changed": HostStateChanged,
    "release_planned": ReleasePlanned,
    "released": HostReleased,
    "release_withdrawn": ReleaseWithdrawn,
}


@dataclass
class Site:
    """mtce with hosts that beat."""

    beats: Beats
    admin: Bus
    config: ServiceConfig

    async def story(self, name: str) -> list[object]:
        """What was said of a host's states and releases, in order."""
        info = await self.admin.js.stream_info("MTCE")
        found: list[object] = []
        for sequence in range(1, info.state.last_seq + 1):
            message = await self.admin.js.get_msg("MTCE", seq=sequence)
            _, _, noun, verb, host = (message.subject or "....").split(".")[:5]
            if (noun, host) == ("host", name) and verb in EVENTS:
                found.append(msgspec.json.decode(message.data or b"", type=EVENTS[verb]))
        return found

    async def serves(self, *beats: Beat) -> None:
        """Wait until these hosts are in service in their present boots."""
        for beat in beats:
            await reaches(lambda beat=beat: self._serves(beat), what=f"service of {beat.name}")

    async def _serves(self, beat: Beat) -> bool:
        said = await self.story(beat.name)
        states = [each.state for each in said if isinstance(each, HostStateChanged)]
        return bool(states) and _serves(states[-1], beat)

    async def released(self, name: str, count: int) -> list[HostReleased]:
        """Wait for so many releases of a host; all there are."""

        async def there() -> list[HostReleased]:
            found = [e for e in await self.story(name) if isinstance(e, HostReleased)]
            return found if len(found) >= count else []

        return await reaches(there, what=f"{count} releases of {name}")


def _serves(state: HostState, beat: Beat) -> bool:
    boot = state.boot_id.replace("-", "")
    return state.operational is Operational.ENABLED and boot == beat.boot.hex()


@pytest.fixture
async def site(
    connect: Connect, admin: Bus, site_nats: NatsServer, postgres: Postgres
) -> AsyncIterator[Site]:
    port = free_port()
    config = service_config(
        "mtce",
        site_nats,
        postgres,
        udp_listen=f"127.0.0.1:{port}",
        agent_orders=False,
        unlock_reboots=False,
        heartbeat_soak_s=0.5,
        recovery_listen_s=1.0,
        dead_office_s=0.0,
        bmc_audit_s=1.0,
    )
    FileSecrets(site_nats.credentials_dir / "bmc").write("worker-1", PASSWORD)
    secret = bytes.fromhex((site_nats.credentials_dir / "site-secret").read_text())
    sysinv, hosts = await connect("sysinv"), await connect("sim")
    async with beating(sysinv, hosts, secret, ("127.0.0.1", port)) as beats:
        yield Site(beats, admin, config)


async def test_lost_host_is_released_once_by_its_bmc_and_powered_on_again(
    site: Site, ipmi_sim: IpmiSim
) -> None:
    bmc = HostBmc(
        protocol=BmcProtocol.IPMI, address="127.0.0.1", user=USER, ipmi_port=ipmi_sim.port
    )
    async with running(app.run, site.config):
        lost = await site.beats.declare("worker-1", bmc=bmc, fence="fast")
        others = [await site.beats.declare(f"worker-{n}") for n in (2, 3, 4)]
        await site.serves(lost, *others)
        lost.beats = False
        (event,) = await site.released("worker-1", 1)
        assert event.release.proof is Proof.POWER_OFF
        assert "power 0" in ipmi_sim.calls
        await reaches(lambda: ipmi_sim.power_on, what="power on, as it is wanted in service")
    async with running(app.run, site.config):  # a restart releases nothing again
        lost.reboot()
        lost.beats = True
        await site.serves(lost)
    said = [type(each) for each in await site.story("worker-1")]
    assert said.count(HostReleased) == said.count(ReleasePlanned) == 1
    withdrawn = [e for e in await site.story("worker-1") if isinstance(e, ReleaseWithdrawn)]
    assert [each.contradicts for each in withdrawn] == [False]


async def test_lost_host_without_bmc_is_released_when_its_promise_has_run_out(site: Site) -> None:
    async with running(app.run, site.config):
        fast = await site.beats.declare("worker-1", fence_s=3, fence="fast")
        mute = await site.beats.declare("worker-2", fence="fast")
        others = [await site.beats.declare(f"worker-{n}") for n in (3, 4, 5)]
        await site.serves(fast, mute, *others)
        fast.beats = mute.beats = False
        (event,) = await site.released("worker-1", 1)
        assert event.release.proof is Proof.WATCHDOG
        assert int(event.release.evidence["silent_ms"]) >= 3_000
        mute.beats = True
        await site.serves(mute)
        said = [type(each) for each in await site.story("worker-2")]
        assert HostReleased not in said
        assert said.count(ReleaseWithdrawn) == 1
