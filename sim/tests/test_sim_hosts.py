"""The simulator as the process it is, on a real bus, steered through its socket."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from murmuration.kernel.errors import Rejected
from murmuration.proto.pulse import authentic, pulse_key
from murmuration.proto.sysinv import Origin
from murmuration.security import identities
from murmuration.sim.config import load
from murmuration.testkit.inventory import SECRET, FakeInventory, fake_inventory
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import short_folder
from murmuration.testkit.pulses import Listener, listening

pytest_plugins = ["murmuration.testkit.plugin"]

HEAD = """\
[sim]
state_dir = "{folder}"
flap_every_s = 0
[bus]
url = "nats://127.0.0.1:{port}"
credentials_dir = "{credentials}"
[pulse]
udp = ["127.0.0.1:{udp}"]
"""
HOST = """\
[[host]]
name = "{name}"
personality = "worker"
origin = "simulated"
observe_only = false
address = "10.20.0.{number}"
boot_id = ""
state_dir = "x"
"""
NAMES = [f"worker-{number}" for number in range(1, 6)]


class Simulation:
    def __init__(self, folder: Path, server: NatsServer, udp: int) -> None:
        self.folder = folder
        text = HEAD.format(
            folder=folder, port=server.port, credentials=server.credentials_dir, udp=udp
        )
        text += "".join(HOST.format(name=name, number=n) for n, name in enumerate(NAMES))
        (folder / "sim.toml").write_text(text)
        program = [sys.executable, "-m", "murmuration.sim", "hosts"]
        with (folder / "output").open("wb") as output:
            self.process = subprocess.Popen(
                [*program, "--config", str(folder / "sim.toml")], stdout=output, stderr=output
            )

    def output(self) -> str:
        return (self.folder / "output").read_text()

    async def do(self, line: object) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(self.folder / "sim.sock")
        text = line if isinstance(line, str) else json.dumps(line)
        writer.write(text.encode() + b"\n")
        answer = await asyncio.wait_for(reader.readline(), 30)
        writer.close()
        return json.loads(answer)


@pytest.fixture
async def inventory(site_nats: NatsServer) -> AsyncIterator[FakeInventory]:
    async with fake_inventory(site_nats) as found:
        yield found


@pytest.fixture
async def listener(site_nats: NatsServer) -> AsyncIterator[Listener]:
    async with listening(site_nats.section, site_nats.credentials_dir) as found:
        yield found


@pytest.fixture
def simulation(site_nats: NatsServer, listener: Listener) -> Iterator[Simulation]:
    with short_folder() as folder:
        started = Simulation(folder, site_nats, listener.port)
        try:
            yield started
        finally:
            started.process.kill()
            started.process.wait()


async def all_beat(listener: Listener) -> None:
    await reaches(lambda: {one.pulse.index for one in listener.nats} == {1, 2, 3, 4, 5})
    await reaches(lambda: {one.pulse.index for one in listener.udp} == {1, 2, 3, 4, 5})


async def test_all_hosts_enrol_report_and_beat_on_both_paths(
    simulation: Simulation, inventory: FakeInventory, listener: Listener
) -> None:
    await all_beat(listener)
    await reaches(lambda: all(inventory.reports(name) for name in NAMES))

    assert {asked.origin for asked in inventory.enrolments} == {Origin.SIMULATED}
    asked = [request.host for request in inventory.enrolments]
    for heard in listener.nats[-5:]:
        name = list(dict.fromkeys(asked))[heard.pulse.index - 1]
        assert authentic(heard.frame, pulse_key(SECRET, name, heard.pulse.index))
    assert inventory.headers[0]["ce-type"] == "sysinv.host.reported.v1"


async def test_host_is_broken_and_healed_through_the_socket(
    simulation: Simulation, inventory: FakeInventory, listener: Listener
) -> None:
    await all_beat(listener)
    victim = inventory.enrolments[0].host
    index = 1

    assert await simulation.do({"op": "kill", "host": victim}) == {
        "ok": True,
        "host": victim,
        "condition": "killed",
    }
    status = await simulation.do({"op": "status"})
    assert status["hosts"] == dict.fromkeys(NAMES, "well") | {victim: "killed"}
    last = max(one.pulse.sequence for one in listener.nats if one.pulse.index == index)
    others = len(listener.nats)
    await reaches(lambda: len(listener.nats) > others + 40)
    heard = [one.pulse.sequence for one in listener.nats if one.pulse.index == index]
    assert max(heard) <= last + 1  # one may have been on its way

    boot = inventory.reports(victim)[0].boot_id
    assert (await simulation.do({"op": "heal", "host": victim}))["condition"] == "well"

    await reaches(lambda: len(inventory.reports(victim)) == 2)
    booted = inventory.reports(victim)[1].boot_id
    assert booted != boot
    await reaches(lambda: any(one.pulse.boot == booted for one in listener.nats))


async def test_wrong_commands_are_answered_with_a_sentence(
    simulation: Simulation, inventory: FakeInventory, listener: Listener
) -> None:
    await all_beat(listener)

    for line, said in (
        ({"op": "kill", "host": "worker-77"}, "worker-77"),
        ({"op": "explode", "host": "worker-1"}, "kill, freeze, link-down, partition, heal"),
        ({"op": "partition", "host": "worker-1", "direction": "up"}, "both, from, to"),
        ("nonsense", "does not decode"),
        ({"host": "worker-1"}, "op"),
    ):
        answer = await simulation.do(line)
        assert not answer["ok"]
        assert said in answer["error"]
    assert (simulation.folder / "sim.sock").stat().st_mode & 0o777 == 0o600


async def test_everything_goes_on_when_the_server_froze_and_was_killed(
    simulation: Simulation, inventory: FakeInventory, listener: Listener, site_nats: NatsServer
) -> None:
    await all_beat(listener)
    await reaches(lambda: all(inventory.reports(name) for name in NAMES))

    site_nats.signal(signal.SIGSTOP)
    by_udp = len(listener.udp)
    await reaches(lambda: len(listener.udp) > by_udp + 100)
    site_nats.kill()
    frozen = listener.udp[-1].pulse.sent_ns
    site_nats.start()

    await reaches(lambda: listener.nats[-1].pulse.sent_ns > frozen)
    await reaches(lambda: len({o.pulse.index for o in listener.nats[-20:]}) == 5)
    await inventory.ask(NAMES[0])
    await reaches(lambda: len(inventory.reports(NAMES[0])) >= 2)


async def test_simulator_stops_when_told(
    simulation: Simulation, inventory: FakeInventory, listener: Listener
) -> None:
    await all_beat(listener)

    simulation.process.send_signal(signal.SIGTERM)

    assert await asyncio.to_thread(simulation.process.wait, 30) == 0
    assert not (simulation.folder / "sim.sock").exists()


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("flap_every_s", "flip", "flip"),
        ('name = "a"', 'name = "A"', "host name"),
        ('name = "a"', 'name = "b"', "two hosts are named b"),
        ('"simulated"', '"machine"', "origin"),
        ("[[host]]", "[[host]", "sim.toml"),
    ],
)
def test_configuration_is_refused_naming_what_is_wrong(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    identities.ensure(tmp_path / "credentials")
    text = HEAD.format(folder=tmp_path, port=1, credentials=tmp_path / "credentials", udp=1)
    text += "".join(HOST.format(name=name, number=1) for name in "ab")
    path = tmp_path / "sim.toml"
    path.write_text(text)
    assert [host.name for host in load(path).hosts] == ["a", "b"]

    path.write_text(text.replace(old, new))

    with pytest.raises(Rejected, match=named):
        load(path)
