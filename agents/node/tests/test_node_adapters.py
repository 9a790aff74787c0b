"""The real host: its files, also under another root, and its links by netlink."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from murmuration.node.adapters.netlink import NetlinkLinks
from murmuration.node.adapters.processes import pid_in
from murmuration.node.adapters.procfs import ProcHost, read_text
from murmuration.node.core.facts import host_facts
from murmuration.testkit.netns import network_namespace

LOOK = """
import asyncio, msgspec
from murmuration.node.adapters.netlink import NetlinkLinks
async def main():
    async with NetlinkLinks() as links:
        print(msgspec.json.encode(await links.look()).decode(), flush=True)
        while True:
            await links.changed()
            print(msgspec.json.encode(await links.look()).decode(), flush=True)
asyncio.run(main())
"""


def test_this_host_tells_what_every_linux_tells() -> None:
    host = ProcHost()

    facts = host_facts(host.texts())

    assert facts.cpu_count >= 1
    assert facts.memory_bytes > 2**20
    assert facts.kernel and facts.architecture and facts.os
    assert len(host.boot_id()) == 36


def test_host_is_read_under_another_root(tmp_path: Path) -> None:
    for name, text in {
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: Chip\n",
        "proc/sys/kernel/random/boot_id": "b1\n",
        "usr/lib/os-release": 'PRETTY_NAME="Some OS"\n',
        "sys/class/dmi/id/sys_vendor": "Maker\n",
        "sys/class/dmi/id/product_serial": "S1\n",
        "sys/devices/system/node/online": "0-3\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    host = ProcHost(tmp_path)
    facts = host_facts(host.texts())

    assert host.boot_id() == "b1"
    assert (facts.vendor, facts.serial, facts.os) == ("Maker", "S1", "Some OS")
    assert (facts.cpu_model, facts.cpu_count, facts.numa_node_count) == ("Chip", 1, 4)


def test_text_that_cannot_be_read_is_empty(tmp_path: Path) -> None:
    assert read_text(tmp_path / "none") == ""
    assert read_text(tmp_path) == ""


async def test_own_links_are_told_with_loopback_up() -> None:
    async with NetlinkLinks() as links:
        found = {link.name: link for link in await links.look()}

    assert found["lo"].kind == "loopback"
    assert found["lo"].admin_up and found["lo"].oper_up
    assert "127.0.0.1/8" in found["lo"].addresses


async def test_changes_in_a_namespace_are_noticed_and_told() -> None:
    async with network_namespace() as namespace:
        process = await asyncio.create_subprocess_exec(
            *namespace.command(sys.executable, "-c", LOOK), stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        stdout = process.stdout

        async def until(name: str, **expected: object) -> None:
            async with asyncio.timeout(30):
                while True:
                    links = {link["name"]: link for link in json.loads(await stdout.readline())}
                    if expected.items() <= links.get(name, {}).items():
                        return

        async def until_gone(name: str) -> None:
            async with asyncio.timeout(30):
                while name in {link["name"] for link in json.loads(await stdout.readline())}:
                    continue

        try:
            await until("eth0", kind="veth", admin_up=True, oper_up=True, speed_mbps=10_000)
            namespace.ip("link", "set", "eth0", "down")
            await until("eth0", admin_up=False, oper_up=False, speed_mbps=0)
            namespace.ip("link", "add", "mur-a", "type", "veth", "peer", "name", "mur-b")
            await until("mur-a", kind="veth", admin_up=False, mtu_bytes=1_500)
            namespace.ip("link", "set", "mur-a", "up", "mtu", "1400")
            await until("mur-a", admin_up=True, oper_up=False, mtu_bytes=1_400)
            namespace.ip("addr", "add", "198.19.255.1/24", "dev", "mur-a")
            await until("mur-a", addresses=["198.19.255.1/24"])
            async with network_namespace() as container:
                far = f"/proc/{container.pid}/ns/net"
                namespace.ip("link", "set", "mur-b", "netns", far)
                namespace.ip("addr", "flush", "dev", "mur-a")
                await until_gone("mur-a")
        finally:
            process.kill()
            await process.wait()


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process.pid
        process.kill()


def test_process_is_known_by_its_pidfile_though_the_clock_has_stepped_since(
    sleeper: int, tmp_path: Path
) -> None:
    pidfile = tmp_path / "sleep.pid"
    pidfile.write_text(f"{sleeper}\n")
    assert pid_in(pidfile, name="anything") == sleeper
    hour_ago = time.time() - 3_600  # as a clock dated it that was an hour behind
    os.utime(pidfile, (hour_ago, hour_ago))
    assert pid_in(pidfile, name="sleep") == sleeper
    assert pid_in(pidfile, name="anything") == 0, "its pid was given to another process"
