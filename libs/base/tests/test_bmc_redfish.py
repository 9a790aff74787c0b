"""Redfish against the simulator, fault by fault, and against sushy's emulator and client."""

import asyncio
import contextlib
import hashlib
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import sushy

from murmuration.bmc.connect import BmcClients, bmc_clients
from murmuration.bmc.errors import (
    BmcAway,
    BmcLogin,
    BmcRefused,
    BmcSilent,
    BmcUnreadable,
    BmcUntrusted,
)
from murmuration.bmc.model import PowerAction, PowerState, Protocol, Secret, Target, Trust
from murmuration.bmc.ports import Bmc
from murmuration.bmc.power import prove_off, reach_on
from murmuration.runtime.clock import SystemClock
from murmuration.sim.bmc import PASSWORD, USER, Fault, SimBmc, serving
from murmuration.testkit.bmc import SYSTEM, SushyEmulator

CLOCK = SystemClock()


def target_of(bmc: SimBmc) -> Target:
    return Target(
        address=bmc.address,
        user=USER,
        protocol=Protocol.REDFISH,
        redfish_port=bmc.port,
        trust=Trust.PLAINTEXT,
    )


@pytest.fixture
async def clients() -> AsyncIterator[BmcClients]:
    async with bmc_clients() as made:
        yield made


@pytest.fixture
async def machine() -> AsyncIterator[SimBmc]:
    made = SimBmc("worker-1")
    async with serving([made]):
        yield made


@pytest.fixture
async def bmc(machine: SimBmc, clients: BmcClients) -> Bmc:
    return await clients.connect(target_of(machine), Secret(PASSWORD))


async def test_redfish_switches_power_and_believes_only_what_it_sees(
    machine: SimBmc, bmc: Bmc
) -> None:
    machine.settle_s = 0.4
    assert await bmc.power_state() is PowerState.ON
    proof = await prove_off(bmc, CLOCK)
    assert proof.switched
    assert not (await prove_off(bmc, CLOCK)).switched
    assert await reach_on(bmc, CLOCK)
    await bmc.power(PowerAction.RESET)
    await bmc.power(PowerAction.POWER_CYCLE)
    assert machine.actions == ["ForceOff", "On", "ForceRestart", "PowerCycle"]
    machine.faults.add(Fault.STUCK)
    with pytest.raises(BmcSilent, match="not seen off"):
        await prove_off(bmc, CLOCK, settle_s=0.4)


async def test_redfish_reads_sensors_log_secure_boot_and_identity(
    machine: SimBmc, bmc: Bmc
) -> None:
    machine.celsius = 91.0
    machine.log = [
        {"Id": "2", "Created": "2026-01-02T00:00:00Z", "Severity": "Critical", "Message": "hot"},
        {"Id": "1", "Created": "2026-01-01T00:00:00Z", "Severity": "OK", "Message": "up"},
    ]
    found = {reading.name: reading for reading in await bmc.sensors()}
    assert (found["Inlet"].state, found["Inlet"].value) == ("critical", 91.0)
    assert (found["Fan 1"].state, found["Fan 2"].state) == ("ok", "offline")
    assert [entry.text for entry in await bmc.event_log()] == ["up", "hot"]
    assert (await bmc.secure_boot()).active
    assert (await bmc.identity()).serial == "worker-1"


async def test_redfish_renews_its_session_once_and_gives_it_back_at_the_end(
    machine: SimBmc, bmc: Bmc
) -> None:
    await bmc.power_state()
    machine.sessions.clear()
    assert await bmc.power_state() is PowerState.ON
    assert len(machine.sessions) == 1
    await bmc.close()
    assert machine.sessions == {}


async def test_redfish_logs_in_by_basic_authentication_when_there_are_no_sessions(
    machine: SimBmc, bmc: Bmc
) -> None:
    machine.basic_only = True
    assert await bmc.power_state() is PowerState.ON
    assert machine.sessions == {}


async def test_redfish_waits_for_the_task_when_an_action_becomes_one(
    machine: SimBmc, bmc: Bmc
) -> None:
    machine.tasks = True
    await bmc.power(PowerAction.FORCE_OFF)
    assert machine.task_polls == 2


async def test_redfish_patch_is_tried_again_with_a_new_etag_when_the_resource_moved(
    machine: SimBmc, bmc: Bmc
) -> None:
    await bmc.boot_network_once()
    assert machine.boot == "Pxe"
    machine.faults.add(Fault.ETAG_MOVES)
    with pytest.raises(BmcRefused, match="changed under"):
        await bmc.boot_network_once()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.TRUNCATED, BmcUnreadable),
        (Fault.GARBAGE, BmcUnreadable),
        (Fault.WRONG_SHAPE, BmcUnreadable),
        (Fault.HUGE, BmcUnreadable),
        (Fault.REDIRECT, BmcUnreadable),
        (Fault.UNAVAILABLE, BmcAway),
    ],
)
async def test_redfish_says_what_is_wrong_and_never_off_when_the_bmc_is(
    machine: SimBmc, bmc: Bmc, fault: Fault, error: type[Exception]
) -> None:
    assert await bmc.power_state() is PowerState.ON
    machine.faults.add(fault)
    with pytest.raises(error):
        await bmc.power_state()
    with pytest.raises((BmcAway, BmcSilent, BmcUnreadable)):
        await prove_off(bmc, CLOCK, settle_s=0.2)
    machine.faults.clear()
    assert await bmc.power_state() is PowerState.ON


async def test_redfish_outcome_is_unknown_when_no_answer_came_to_an_action(
    machine: SimBmc,
) -> None:
    async with bmc_clients(answer_s=0.3) as clients:
        await _lost_answers(machine, await clients.connect(target_of(machine), Secret(PASSWORD)))


async def _lost_answers(machine: SimBmc, bmc: Bmc) -> None:
    await bmc.power_state()
    machine.faults.add(Fault.MUTE)
    with pytest.raises(BmcAway):
        await bmc.power_state()
    machine.faults.clear()
    await bmc.power(PowerAction.ON)
    machine.faults.add(Fault.MUTE)
    with pytest.raises(BmcSilent):
        await bmc.power(PowerAction.RESET)
    assert machine.actions == ["On"]


async def test_redfish_refuses_a_wrong_login_without_telling_the_password(
    machine: SimBmc, clients: BmcClients
) -> None:
    secret = Secret("not-this-one")
    bmc = await clients.connect(target_of(machine), secret)
    with pytest.raises(BmcLogin) as refused:
        await bmc.power_state()
    assert "not-this-one" not in str(refused.value) + repr(secret)
    away = await clients.connect(replace(target_of(machine), redfish_port=1), secret)
    with pytest.raises(BmcAway):
        await away.power_state()


async def test_redfish_switches_no_neighbour_when_the_system_is_not_named(
    machine: SimBmc, clients: BmcClients
) -> None:
    wrong = replace(target_of(machine), system="another")
    bmc = await clients.connect(wrong, Secret(PASSWORD))
    with pytest.raises(BmcRefused, match="no system"):
        await bmc.power(PowerAction.FORCE_OFF)
    assert machine.actions == []


async def test_redfish_says_nothing_secret_when_the_certificate_is_another(
    clients: BmcClients, tmp_path: Path
) -> None:
    context, pin = certificate(tmp_path)
    machine = SimBmc("worker-1")
    async with serving([machine], tls=context):
        plain = target_of(machine)
        for trust, wrong in ((Trust.PIN, "00" * 32), (Trust.CA, "")):
            bmc = await clients.connect(replace(plain, trust=trust, pin=wrong), Secret(PASSWORD))
            with pytest.raises(BmcUntrusted):
                await bmc.power_state()
        assert machine.requests == 0
        for trust in (Trust.PIN, Trust.INSECURE):
            bmc = await clients.connect(replace(plain, trust=trust, pin=pin), Secret(PASSWORD))
            assert await bmc.power_state() is PowerState.ON


def certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A certificate that signed itself, and its pin."""
    files = [str(folder / "key.pem"), str(folder / "cert.pem")]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    output = ["-subj", "/CN=bmc", "-days", "1", "-keyout", files[0], "-out", files[1]]
    subprocess.run(["openssl", "req", *kind, *output], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])
    der = ssl.PEM_cert_to_DER_cert(Path(files[1]).read_text())
    return context, hashlib.sha256(der).hexdigest()


async def test_redfish_agrees_with_sushy_about_sushys_emulator(
    sushy_emulator: SushyEmulator, clients: BmcClients
) -> None:
    url = f"http://127.0.0.1:{sushy_emulator.port}/redfish/v1"
    oracle = await asyncio.to_thread(lambda: sushy.Sushy(url, verify=False).get_system(PATH))
    bmc = await clients.connect(sushy_emulator.target, Secret("any"))
    assert await bmc.power_state() is PowerState.ON
    assert (await bmc.identity()).uuid == SYSTEM
    assert (await bmc.secure_boot()).enabled == oracle.secure_boot.enabled
    assert await prove_off(bmc, CLOCK)
    await asyncio.to_thread(oracle.refresh, force=True)
    assert oracle.power_state is sushy.PowerState.OFF
    await bmc.boot_network_once()
    await asyncio.to_thread(oracle.refresh, force=True)
    assert oracle.boot["target"] is sushy.BootSource.PXE
    assert {reading.group for reading in await bmc.sensors()} <= {"temperature", "fans", "voltage"}
    with contextlib.suppress(BmcRefused):
        await bmc.event_log()


PATH = f"/redfish/v1/Systems/{SYSTEM}"
