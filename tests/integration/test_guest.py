"""A real machine behind a BMC: power, reset, heartbeat and watchdog; `./just lab-libvirt`."""

import json
from collections.abc import Iterator

import pytest

from murmuration.bmc.connect import bmc_clients
from murmuration.bmc.model import PowerAction, PowerState, Secret
from murmuration.bmc.ports import Bmc
from murmuration.bmc.power import prove_off, reach_on
from murmuration.proto.pulse import authentic
from murmuration.runtime.clock import SystemClock
from murmuration.testkit.bmc import PASSWORD, SYSTEM
from murmuration.testkit.guests import GATEWAY, Guest, guest
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.pulses import Heard, listening

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
BOOT_S = 60.0
KEY = bytes(range(32))
START = """mkdir -p /run/pulse /run/watchdog
sed "s/BOOT/$boot/" /etc/pulse.json >/run/pulse/pulse.json
agent pulse /run/pulse
agent watchdog socket=/run/watchdog/socket folder=/run/watchdog timeout_s=10
echo $! >/run/watchdog/pid
"""
CLOCK = SystemClock()


@pytest.fixture
def machine() -> Iterator[Guest]:
    with guest({"/etc/start": ""}) as found:
        yield found


async def booted(machine: Guest, count: int) -> str:
    """The boot id of its boot number `count`, once that has come to its end."""
    await reaches(lambda: len(machine.boots) >= count, deadline_s=BOOT_S, what=f"boot {count}")
    return machine.boots[count - 1]


async def is_off(bmc: Bmc) -> bool:
    return await bmc.power_state() is PowerState.OFF


async def test_machine_really_boots_and_ends_when_redfish_says_so(machine: Guest) -> None:
    async with bmc_clients() as clients:
        bmc = await clients.connect(machine.bmc.target, Secret(PASSWORD))
        assert (await bmc.identity()).uuid == SYSTEM
        assert not (await prove_off(bmc, CLOCK)).switched

        assert await reach_on(bmc, CLOCK)
        first = await booted(machine, 1)
        assert machine.libvirtd.virsh("domstate", "guest").strip() == "running"

        await bmc.power(PowerAction.RESET)
        second = await booted(machine, 2)

        await bmc.power(PowerAction.GRACEFUL_OFF)
        await reaches(lambda: is_off(bmc), deadline_s=BOOT_S, what="off by its power button")
        assert machine.console.count("guest: power button") == 1

        await bmc.boot_network_once()
        assert "<boot order='1'/>" in machine.libvirtd.virsh("dumpxml", "--inactive", "guest")

        assert await reach_on(bmc, CLOCK)
        third = await booted(machine, 3)
        assert (await prove_off(bmc, CLOCK)).switched
        assert machine.libvirtd.virsh("domstate", "guest").strip() == "shut off"
        assert len({first, second, third}) == 3


def pulses(server: NatsServer, udp_port: int) -> str:
    """What the sender in the guest is told, as its node agent would."""
    login = server.login("pulse@worker-1", index=7)
    return json.dumps(
        {
            "host": "worker-1",
            "index": 7,
            "shard": 0,
            "period_ms": 100,
            "key": KEY.hex(),
            "boot_id": "BOOT",
            "bus": {
                "host": GATEWAY,
                "port": server.port,
                "jwt": login.jwt,
                "seed": login.seed,
            },
            "udp": [[GATEWAY, udp_port]],
        }
    )


async def heard(ways: tuple[list[Heard], ...], boot: str) -> None:
    """Ten authentic frames of this boot on every way."""

    def there() -> bool:
        return all(sum(one.pulse.boot == boot for one in way) >= 10 for way in ways)

    await reaches(there, deadline_s=BOOT_S, what=f"pulses of {boot}")
    assert all(authentic(one.frame, KEY) for way in ways for one in way)


async def test_heart_of_a_machine_is_heard_until_its_power_or_its_watchdog_ends_it(
    nats_server: NatsServer,
) -> None:
    async with listening(nats_server.section, nats_server.credentials_dir) as ears:
        files = {"/etc/start": START, "/etc/pulse.json": pulses(nats_server, ears.port)}
        with guest(files) as machine:
            async with bmc_clients() as clients:
                bmc = await clients.connect(machine.bmc.target, Secret(PASSWORD))
                ways = (ears.nats, ears.udp)

                assert await reach_on(bmc, CLOCK)
                await heard(ways, await booted(machine, 1))

                assert (await prove_off(bmc, CLOCK)).switched
                assert machine.libvirtd.virsh("domstate", "guest").strip() == "shut off"

                assert await reach_on(bmc, CLOCK)
                await heard(ways, await booted(machine, 2))

                machine.type("kill -KILL $(cat /run/watchdog/pid)")
                await heard(ways, await booted(machine, 3))
                assert await bmc.power_state() is PowerState.ON
                for way in ways:  # one boot after the other, and none of another machine
                    assert list(dict.fromkeys(one.pulse.boot for one in way)) == machine.boots
