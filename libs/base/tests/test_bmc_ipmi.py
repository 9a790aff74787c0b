"""IPMI against openipmi's simulator, with ipmitool as the second opinion."""

import asyncio
import signal
from collections.abc import AsyncIterator

import msgspec
import pytest

from murmuration.bmc.connect import BmcClients, bmc_clients
from murmuration.bmc.errors import BmcAway, BmcLogin, BmcRefused, BmcSilent
from murmuration.bmc.model import PowerAction, PowerState, Protocol, Secret, SensorState
from murmuration.bmc.power import prove_off, reach_on
from murmuration.runtime.clock import SystemClock
from murmuration.testkit.bmc import PASSWORD, IpmiSim
from murmuration.testkit.levels import reaches

SECRET = Secret(PASSWORD)


@pytest.fixture
async def clients() -> AsyncIterator[BmcClients]:
    async with bmc_clients() as made:
        yield made


async def test_ipmi_switches_power_as_ipmitool_sees_it(
    ipmi_sim: IpmiSim, clients: BmcClients
) -> None:
    bmc = await clients.connect(ipmi_sim.target, SECRET)
    assert bmc.protocol is Protocol.IPMI
    assert await bmc.power_state() is PowerState.ON
    proof = await prove_off(bmc, SystemClock())
    assert proof.switched
    assert proof.confirmed_at > proof.first_at
    assert "off" in ipmi_sim.ipmitool("chassis", "power", "status")
    assert not (await prove_off(bmc, SystemClock())).switched
    assert await reach_on(bmc, SystemClock())
    assert not await reach_on(bmc, SystemClock())
    assert "on" in ipmi_sim.ipmitool("chassis", "power", "status")
    await bmc.power(PowerAction.RESET)
    assert ipmi_sim.calls == ["power 0", "power 1", "reset 1"]
    await bmc.close()


async def test_ipmi_reads_sensors_identity_and_event_log(
    ipmi_sim: IpmiSim, clients: BmcClients
) -> None:
    bmc = await clients.connect(ipmi_sim.target, SECRET)
    (reading,) = await bmc.sensors()
    assert (reading.name, reading.group, reading.state) == ("CPU0 Temp", "temperature", "ok")
    assert reading.value == pytest.approx(42, abs=1)
    identity = await bmc.identity()
    assert identity.uuid
    assert identity.firmware.startswith("9.")
    ipmi_sim.temperature = 91

    async def critical() -> bool:
        return (await bmc.sensors())[0].state is SensorState.CRITICAL

    await reaches(critical)
    entries = await bmc.event_log()
    assert len(entries) == len(ipmi_sim.ipmitool("sel", "list").strip().splitlines()) == 2
    assert all("CPU0 Temp" in entry.text for entry in entries)
    with pytest.raises(BmcRefused, match="Secure Boot"):
        await bmc.secure_boot()
    await bmc.boot_network_once()
    assert ipmi_sim.calls == ["boot pxe"]


async def test_ipmi_off_is_not_believed_when_the_machine_does_not_switch(
    ipmi_sim: IpmiSim, clients: BmcClients
) -> None:
    bmc = await clients.connect(ipmi_sim.target, SECRET)
    ipmi_sim.stick()
    with pytest.raises(BmcSilent, match="not seen off"):
        await prove_off(bmc, SystemClock(), settle_s=0.5)


async def test_ipmi_says_whose_fault_it_is_when_login_or_bmc_fails(
    ipmi_sim: IpmiSim, clients: BmcClients
) -> None:
    wrong = await clients.connect(ipmi_sim.target, Secret("wrong-password"))
    with pytest.raises((BmcLogin, BmcAway)) as refused:
        await wrong.power_state()
    assert "wrong-password" not in str(refused.value)
    bmc = await clients.connect(ipmi_sim.target, SECRET)
    assert await bmc.power_state() is PowerState.ON
    ipmi_sim.signal(signal.SIGSTOP)
    with pytest.raises((BmcAway, BmcSilent)):
        async with asyncio.timeout(60):
            await bmc.power(PowerAction.RESET)
    ipmi_sim.signal(signal.SIGCONT)
    assert ipmi_sim.calls.count("reset 1") <= 1


async def test_protocol_is_learnt_when_it_is_dynamic(
    ipmi_sim: IpmiSim, clients: BmcClients
) -> None:
    from dataclasses import replace

    target = replace(ipmi_sim.target, protocol=Protocol.DYNAMIC, redfish_port=1, pin="00" * 32)
    bmc = await clients.connect(target, SECRET)
    assert bmc.protocol is Protocol.IPMI
    assert msgspec.json.encode(bmc.protocol) == b'"ipmi"'
