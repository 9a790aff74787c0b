"""LLDP: what a frame says, whose neighbour counts, and the real thing over a veth pair."""

import asyncio
import json
import random
import socket
import subprocess
import sys

import pytest
from agents.node.tests.test_node_adapters import LOOK

from murmuration.node.core.lldp import PARTING_S, Heard, Neighbours, parse
from murmuration.proto.sysinv import Neighbour
from murmuration.testkit.netns import network_namespace

MAC = bytes.fromhex("020000000001")
LEAF = Heard(Neighbour(system="leaf-1", port="Ethernet7"), 120)
OTHER = Heard(Neighbour(system="leaf-2", port="Ethernet7"), 120)
PARTING = Heard(LEAF.neighbour, 0)


def tlv(kind: int, value: bytes) -> bytes:
    return (kind << 9 | len(value)).to_bytes(2, "big") + value


def frame(
    *,
    chassis: bytes = b"\x04" + MAC,
    port: bytes = b"\x05Ethernet7",
    ttl: int = 120,
    name: str = "",
) -> bytes:
    named = tlv(5, name.encode()) if name else b""
    return tlv(1, chassis) + tlv(2, port) + tlv(3, ttl.to_bytes(2, "big")) + named + tlv(0, b"")


@pytest.mark.parametrize(
    ("given", "system", "port"),
    [
        (frame(name="leaf-1"), "leaf-1", "Ethernet7"),
        (frame(), "02:00:00:00:00:01", "Ethernet7"),
        (frame(chassis=b"\x05\x01\x0a\x00\x00\x01"), "10.0.0.1", "Ethernet7"),
        (frame(port=b"\x03" + MAC, name="leaf-1"), "leaf-1", "02:00:00:00:00:01"),
        (frame(name="le\x1baf\n-1"), "leaf-1", "Ethernet7"),
        (frame(chassis=b"\x07local"), "local", "Ethernet7"),
    ],
)
def test_frame_names_system_and_port(given: bytes, system: str, port: str) -> None:
    found = parse(given)
    assert found == Heard(Neighbour(system=system, port=port), 120)


def test_what_is_no_whole_frame_is_passed_over() -> None:
    whole = frame(name="leaf-1")
    assert parse(b"") is None
    assert parse(tlv(1, b"\x04" + MAC) + tlv(2, b"\x05x")) is None
    assert parse(frame(chassis=b"")) is None
    dice = random.Random(1)
    for length in range(len(whole)):
        parse(whole[:length])
        parse(dice.randbytes(length))


def test_neighbour_stays_while_it_is_heard_and_expires_under_a_carrier_alone() -> None:
    table = Neighbours()
    assert table.hear("eth0", LEAF, 0)
    assert not table.hear("eth0", LEAF, 30)
    assert not table.hear("eth0", OTHER, 31), "the first one speaks still"
    assert table.of("eth0", 100, carrier=True) == LEAF.neighbour
    assert table.of("eth0", 1_000, carrier=False) == LEAF.neighbour, "its switch is dead"
    assert table.next_s() == 120
    table.keep({"eth0"})
    assert table.of("eth0", 1_121, carrier=True) is None
    assert table.hear("eth0", OTHER, 1_122)
    assert table.of("eth0", 1_123, carrier=False) == OTHER.neighbour
    assert table.hear("eth0", LEAF, 1_124), "the cable may end elsewhere now"


def test_switch_that_parts_is_forgotten_soon_unless_it_takes_the_carrier_with_it() -> None:
    table = Neighbours()
    assert not table.hear("eth0", PARTING, 0)
    table.hear("eth0", LEAF, 0)
    assert not table.hear("eth0", PARTING, 10)
    assert table.of("eth0", 11, carrier=False) == LEAF.neighbour
    assert table.of("eth0", 12 + PARTING_S, carrier=True) is None


async def test_real_frame_over_a_veth_pair_becomes_the_links_neighbour() -> None:
    async with network_namespace() as namespace:
        process = await asyncio.create_subprocess_exec(
            *namespace.command(sys.executable, "-c", LOOK), stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        stdout = process.stdout

        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)

        async def neighbour(expected: object, said: bytes = b"") -> None:
            """Wait for it; `said` is sent before each look, as a switch does again and again."""
            async with asyncio.timeout(60):
                while True:
                    if said:
                        wire.send(said)
                    links = {link["name"]: link for link in json.loads(await stdout.readline())}
                    if links.get("eth0", {}).get("neighbour") == expected:
                        return

        try:
            await neighbour(None)  # it listens from its first look on
            wire.bind((namespace.veth, 0x88CC))
            head = bytes.fromhex("0180c200000e") + MAC + bytes.fromhex("88cc")
            await neighbour({"system": "leaf-1", "port": "Ethernet7"}, head + frame(name="leaf-1"))
            wire.send(head + frame(name="leaf-1", ttl=0))
            await neighbour(None)
        finally:
            wire.close()
            process.kill()
            await process.wait()
