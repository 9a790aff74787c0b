"""Real namespaces, a real bridge, real faults: frames pass or do not between real sockets."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from murmuration.site import namespaces, network, syscalls
from murmuration.site.errors import Refused
from murmuration.site.network import Network
from murmuration.testkit.levels import reaches

HOSTS = ("worker-1", "worker-2")
PORT = 9000


def owner(state: str, *, alive: bool = True) -> Network:
    """A record's owner: this process, or one that is no more."""
    started = network.process_started(os.getpid())
    return Network(
        prefix="",
        subnet=0,
        hosts=(),
        state=state,
        owner_pid=os.getpid(),
        owner_started=started if alive else started + 1,
    )


@contextmanager
def made(
    state: Path, prefix: str, *, hosts: tuple[str, ...] = HOSTS, alive: bool = True
) -> Iterator[Network]:
    assert os.geteuid() == 0, "run as root: network namespaces need it"
    with network.records_locked():
        found = namespaces.claim(
            prefix=prefix, token="0123abcd", hosts=hosts, owner=owner(str(state), alive=alive)
        )
        namespaces.build(found)
    try:
        yield found
    finally:
        with network.records_locked():
            namespaces.remove(found)


@pytest.fixture
def prefix() -> str:
    return f"mur-t{os.getpid()}"


@pytest.fixture
def net(tmp_path: Path, prefix: str) -> Iterator[Network]:
    with made(tmp_path, prefix) as found:
        yield found


class Ear:
    """A UDP socket in a namespace that tells whether it has heard a word."""

    def __init__(self, path: str | None, address: str) -> None:
        self.address = address
        with syscalls.visiting_network(path):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind((address, PORT))
        self.socket.setblocking(False)

    def say(self, word: bytes, to: "Ear") -> None:
        with contextlib.suppress(OSError):  # no route, no buffer: not said
            self.socket.sendto(word, (to.address, PORT))

    def heard(self) -> set[bytes]:
        words: set[bytes] = set()
        while True:
            try:
                words.add(self.socket.recv(64))
            except BlockingIOError:
                return words


@contextmanager
def ears(net: Network) -> Iterator[tuple[Ear, Ear, Ear, Ear]]:
    """Ears at both hosts, at the site and at the machine."""
    found = (
        Ear(net.path("worker-1"), net.address("worker-1")),
        Ear(net.path("worker-2"), net.address("worker-2")),
        Ear(net.site_path, net.site_address),
        Ear(None, net.machine_address),
    )
    try:
        yield found
    finally:
        for ear in found:
            ear.socket.close()


async def fault(net: Network, host: str, *, link_down: bool, cut: frozenset[str]) -> None:
    """In a thread: pyroute2 has an event loop of its own."""
    await asyncio.to_thread(namespaces.apply_faults, net, host, link_down=link_down, cut=cut)


async def passes(sender: Ear, receiver: Ear) -> None:
    """A word gets through."""
    word = os.urandom(8)

    def got() -> bool:
        sender.say(word, receiver)
        return word in receiver.heard()

    await reaches(got, what=f"a word from {sender.address} to {receiver.address}")


async def is_cut(sender: Ear, receiver: Ear, *, witness: tuple[Ear, Ear]) -> None:
    """Many words do not get through while those of a witness pair do."""
    receiver.heard()
    word = os.urandom(8)
    for _ in range(20):
        sender.say(word, receiver)
        await passes(*witness)
    assert word not in receiver.heard()


async def test_hosts_site_and_machine_hear_each_other(net: Network) -> None:
    with ears(net) as (one, two, site, machine):
        for sender, receiver in (
            (one, two),
            (one, site),
            (site, two),
            (machine, site),
            (one, machine),
        ):
            await passes(sender, receiver)


async def test_partition_drops_frames_both_ways_while_the_link_stays_up(net: Network) -> None:
    with ears(net) as (one, two, site, machine):
        await passes(one, site)
        await fault(net, "worker-1", link_down=False, cut=frozenset({"from", "to"}))
        witness = (two, site)
        for sender, receiver in ((one, site), (site, one), (one, two), (machine, one)):
            await is_cut(sender, receiver, witness=witness)
        assert carrier(net, "worker-1") == "1"
        await fault(net, "worker-1", link_down=False, cut=frozenset())
        await passes(one, site)
        await passes(two, one)


@pytest.mark.parametrize("direction", ["from", "to"])
async def test_partition_of_one_direction_leaves_the_other(net: Network, direction: str) -> None:
    with ears(net) as (one, two, site, _):
        await passes(one, site)  # both know each other's hardware address from here on
        await passes(site, one)
        await fault(net, "worker-1", link_down=False, cut=frozenset({direction}))
        pairs = [(one, site), (site, one)]
        dead, alive = pairs if direction == "from" else reversed(pairs)
        await is_cut(*dead, witness=(two, site))
        await passes(*alive)


async def test_pulled_cable_takes_the_carrier_and_heals(net: Network) -> None:
    with ears(net) as (one, two, site, _):
        await passes(one, site)
        await fault(net, "worker-1", link_down=True, cut=frozenset())
        assert carrier(net, "worker-1") == "0"
        assert carrier(net, "worker-2") == "1"
        await is_cut(site, one, witness=(two, site))
        await fault(net, "worker-1", link_down=False, cut=frozenset())
        await passes(one, site)


async def test_faults_of_one_host_stay_when_another_is_healed(net: Network) -> None:
    both = frozenset({"from", "to"})
    with ears(net) as (one, two, site, machine):
        for host in HOSTS:
            await fault(net, host, link_down=False, cut=both)
        for _ in range(2):  # repeatable
            await fault(net, "worker-2", link_down=False, cut=frozenset())
        await is_cut(one, site, witness=(two, site))
        await fault(net, "worker-1", link_down=False, cut=both)
        await is_cut(one, site, witness=(machine, site))


def carrier(net: Network, host: str) -> str:
    """1 when eth0 of a host has a carrier: asked with ip(8), as an operator would."""
    said = subprocess.run(
        ["ip", "netns", "exec", net.namespace(host), "cat", "/sys/class/net/eth0/carrier"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return said.stdout.strip()


def test_names_are_those_ip_netns_lists(net: Network, prefix: str) -> None:
    said = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    listed = {line.split()[0] for line in said.stdout.splitlines()}
    assert {f"{prefix}-site", f"{prefix}-worker-1", f"{prefix}-worker-2"} <= listed


def test_second_site_gets_another_subnet_and_another_prefix(tmp_path: Path, net: Network) -> None:
    with made(tmp_path / "other", f"{net.prefix}b") as other:
        assert other.subnet != net.subnet
        with pytest.raises(Refused, match=f"{net.prefix}-site is there already"):
            namespaces.claim(
                prefix=net.prefix, token="0", hosts=(), owner=owner(str(tmp_path / "third"))
            )


def test_network_of_a_dead_supervisor_is_removed_by_the_next(tmp_path: Path, prefix: str) -> None:
    with made(tmp_path / "dead", prefix, alive=False) as dead:
        assert Path(dead.site_path).exists()
        with made(tmp_path / "next", f"{prefix}b", hosts=()) as found:
            assert not Path(dead.site_path).exists()
            assert not dead.record.exists()
            assert found.subnet == dead.subnet  # its link and its route are gone too


@pytest.mark.parametrize("step", range(6))
def test_network_half_made_is_made_again(
    tmp_path: Path, prefix: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if killed after any step of the making: what is there does not stop the next try."""
    half = replace(owner(str(tmp_path)), prefix=prefix, subnet=250, hosts=HOSTS)
    network.RECORDS.mkdir(parents=True, exist_ok=True)
    half.record.write_text(half.to_json())
    names = [f"{network.NAMESPACES}/{name}" for name in half.names]
    for path in names[: step if step <= 3 else 0]:
        syscalls.create_network(path)
    if step == 4:
        subprocess.run(["ip", "link", "add", half.machine_link, "type", "veth"], check=True)
    if step == 5:  # the name's file is there, and nothing bound to it yet
        Path(names[0]).touch()
    with made(tmp_path, prefix) as found:
        assert Path(found.site_path).exists()
    assert not [name for name in names if Path(name).exists()]
    assert not half.record.exists()


def test_lab_answers_in_json_when_it_refuses(net: Network) -> None:
    broken = asdict(replace(net, prefix="mur-none"))
    request = {"op": "faults", "network": broken, "host": "worker-1", "link_down": True, "cut": []}
    said = subprocess.run(
        [sys.executable, "-m", "murmuration.site.lab", json.dumps(request)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 2
    assert not Path(network.NAMESPACES, "mur-none-site").exists()
    assert "The kernel does not do that" in json.loads(said.stdout)["error"]


def test_two_sites_that_ask_for_no_prefix_do_not_meet(tmp_path: Path) -> None:
    with network.records_locked():
        claimed = [
            namespaces.claim(prefix=None, token=token, hosts=(), owner=owner(str(tmp_path / token)))
            for token in ("0123abcd", "4567abcd")
        ]
        for each in claimed:
            namespaces.remove(each)
    first, second = claimed
    assert first.prefix != second.prefix and second.prefix.startswith("mur-")
    assert first.subnet != second.subnet
