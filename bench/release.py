"""From the loss of a host to the release of its workload, policy fast, one loss after the other.

mtce runs whole, on a real NATS and PostgreSQL; hosts beat every 100 ms from this process on both
paths. Measured is from the last frame that a host sent to the arrival of
`mtce.event.host.released` at a subscriber.
- bmc_ms: the host's BMC is openipmi's ipmi_sim, the proof is power off.
- nobmc_over_watchdog_ms: there is no BMC; the host promised to be reset within WATCHDOG_S. Measured
  is how much later than that the release comes.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from bench.harness import Options, Row
from murmuration.bmc.secrets import FileSecrets
from murmuration.bus.connection import Bus, open_bus
from murmuration.bus.provision import provision
from murmuration.bus.reader import StreamReader
from murmuration.mtce import app
from murmuration.proto import registry
from murmuration.proto.mtce import HostState, HostStateChanged, Operational
from murmuration.proto.mtce_bmc import HostReleased, Proof
from murmuration.proto.sysinv import BmcProtocol, HostBmc
from murmuration.testkit.beats import Beat, Beats, beating
from murmuration.testkit.bmc import PASSWORD, USER, IpmiSim
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import free_port, short_folder
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import running, service_config

TITLE = "release: host loss until its workload may move, policy fast"
ROWS = (
    Row(name="bmc_ms", unit="ms", target=3_000),
    Row(name="bmc_most_ms", unit="ms"),
    Row(name="nobmc_over_watchdog_ms", unit="ms", target=2_000),
    Row(name="nobmc_most_over_watchdog_ms", unit="ms"),
)
WATCHDOG_S = 4
WITH_BMC, WITHOUT = "worker-1", "worker-2"
OTHERS = ("worker-3", "worker-4", "worker-5", "worker-6")
WAIT_S = 60.0


class Watch:
    """What is told of hosts: their last state, and when their last release came."""

    def __init__(self) -> None:
        self.states: dict[str, HostState] = {}
        self.released: dict[str, tuple[float, HostReleased]] = {}

    async def follow(self, bus: Bus) -> None:
        """Read mtce's events as any subscriber does, until cancelled."""
        async for deliveries in StreamReader(bus, "MTCE", start=1).batches():
            at = time.monotonic()
            for each in deliveries:
                if each.subject.startswith("mtce.event.host.state_changed."):
                    state = msgspec.json.decode(each.body, type=HostStateChanged).state
                    self.states[state.host] = state
                elif each.subject.startswith("mtce.event.host.released."):
                    event = msgspec.json.decode(each.body, type=HostReleased)
                    self.released[event.release.host] = (at, event)

    def serves(self, beat: Beat) -> bool:
        """Whether the host is in service in its present boot."""
        state = self.states.get(beat.name)
        return (
            state is not None
            and state.operational is Operational.ENABLED
            and state.boot_id.replace("-", "") == beat.boot.hex()
        )


@asynccontextmanager
async def site(ipmi: IpmiSim) -> AsyncIterator[tuple[Beats, Watch]]:
    """mtce with hosts that beat, one of which has this BMC."""
    registry.load()
    async with contextlib.AsyncExitStack() as stack:
        folders = [Path(stack.enter_context(short_folder())) for _ in range(2)]
        postgres, nats = Postgres(folders[0]), NatsServer(folders[1])
        postgres.start()
        stack.callback(postgres.abandon)
        nats.start()
        stack.callback(nats.kill)

        async def connect(identity: str) -> Bus:
            opened = open_bus(nats.section, nats.login(identity), identity=identity)
            return await stack.enter_async_context(opened)

        await provision(await connect("provisioner"))
        FileSecrets(nats.credentials_dir / "bmc").write(WITH_BMC, PASSWORD)
        port = free_port()
        config = service_config(
            "mtce",
            nats,
            postgres,
            udp_listen=f"127.0.0.1:{port}",
            agent_orders=False,
            unlock_reboots=False,
            bmc_audit_s=2.0,
            dead_office_s=0.0,
            heartbeat_soak_s=0.5,
            recovery_listen_s=1.0,
        )
        await stack.enter_async_context(running(app.run, config))
        gateway, watch = await connect("gateway"), Watch()
        task = asyncio.create_task(watch.follow(gateway))
        stack.callback(task.cancel)
        secret = bytes.fromhex((nats.credentials_dir / "site-secret").read_text())
        hosts = beating(await connect("sysinv"), await connect("sim"), secret, ("127.0.0.1", port))
        beats = await stack.enter_async_context(hosts)
        declared = HostBmc(
            protocol=BmcProtocol.IPMI, address="127.0.0.1", user=USER, ipmi_port=ipmi.port
        )
        await beats.declare(WITH_BMC, bmc=declared, fence="fast")
        await beats.declare(WITHOUT, fence_s=WATCHDOG_S, fence="fast")
        for name in OTHERS:
            await beats.declare(name)
        yield beats, watch


async def once(beat: Beat, watch: Watch, proof: Proof) -> float:
    """One loss: milliseconds from its last frame to its release; it is back in service after."""
    await reaches(lambda: watch.serves(beat), deadline_s=WAIT_S, what=f"service of {beat.name}")
    watch.released.pop(beat.name, None)
    beat.beats = False
    await reaches(lambda: beat.name in watch.released, deadline_s=WAIT_S, what="a release")
    at, event = watch.released[beat.name]
    assert event.release.proof is proof, event.release
    assert event.release.boot_id.replace("-", "") == beat.boot.hex()
    beat.reboot()
    beat.beats = True
    return (at - beat.sent_at) * 1_000


async def run(options: Options) -> Mapping[str, float]:
    """Measure; returns a value for each of ROWS."""
    with_bmc: list[float] = []
    over: list[float] = []
    with short_folder() as folder:
        ipmi = IpmiSim(Path(folder))
        ipmi.start()
        try:
            async with site(ipmi) as (beats, watch):
                for _ in range(2 if options.quick else 8):
                    one = once(beats.hosts[WITH_BMC], watch, Proof.POWER_OFF)
                    two = once(beats.hosts[WITHOUT], watch, Proof.WATCHDOG)
                    found, late = await asyncio.gather(one, two)
                    ipmi.power_on = True
                    with_bmc.append(found)
                    over.append(late - WATCHDOG_S * 1_000)
                    options.sample("bmc_ms", found)
                    options.sample("nobmc_over_watchdog_ms", over[-1])
        finally:
            ipmi.stop()
    return {
        "bmc_ms": statistics.median(with_bmc),
        "bmc_most_ms": max(with_bmc),
        "nobmc_over_watchdog_ms": statistics.median(over),
        "nobmc_most_over_watchdog_ms": max(over),
    }
