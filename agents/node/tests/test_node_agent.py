"""The agent as the process it is, in a namespace of its own, against a real bus."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from murmuration.kernel.errors import Rejected
from murmuration.node.adapters import state
from murmuration.node.core.enrolment import grant
from murmuration.proto.sysinv import HostDelta, Origin, Personality
from murmuration.security.ed25519 import public_of
from murmuration.security.joining import issue_token
from murmuration.testkit.inventory import PERIOD_MS, FakeInventory, fake_inventory
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.netns import Namespace, network_namespace, tcp_relay

pytest_plugins = ["murmuration.testkit.plugin"]

BOOT = "6b1f2e0a-6a52-4a8e-9d0b-1f2e0a6a524a"
HOST = "worker-1"
CONFIG = """\
[host]
name = "{host}"
personality = "worker"
origin = "namespace"
observe_only = true
address = "{inside}"
boot_id = "{boot}"
state_dir = "{folder}/host"
[bus]
url = "nats://{outside}:{port}"
[pulse]
udp = ["{outside}:8790"]
[telemetry]
log_level = "debug"
"""
PSS_KB_MAX = 60 * 1_024


class Node:
    """One agent process inside the namespace."""

    def __init__(self, folder: Path, namespace: Namespace, server: NatsServer, port: int) -> None:
        self.state_dir = folder / "host"
        self.namespace = namespace
        self.output = folder / "output"
        self.config = folder / "node.toml"
        self.write(namespace, server, port)
        self.state_dir.mkdir()
        token = issue_token(server.credentials_dir, HOST)
        (self.state_dir / "join.token").write_text(token)
        self.start()

    def write(self, namespace: Namespace, server: NatsServer, port: int, boot: str = BOOT) -> None:
        self.config.write_text(
            CONFIG.format(
                host=HOST,
                boot=boot,
                folder=self.config.parent,
                inside=namespace.inside,
                outside=namespace.outside,
                port=port,
            )
        )

    def start(self) -> None:
        program = [sys.executable, "-m", "murmuration.node", "--config", str(self.config)]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.namespace.command(*program), stdout=output, stderr=output
            )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def said(self, event: str) -> int:
        return self.output.read_text().count(f'"event": "{event}"')


@pytest.fixture
async def namespace() -> AsyncIterator[Namespace]:
    async with network_namespace() as found:
        yield found


@pytest.fixture
async def door(namespace: Namespace, site_nats: NatsServer) -> AsyncIterator[int]:
    async with tcp_relay(namespace.outside, site_nats.port) as port:
        yield port


@pytest.fixture
def node(tmp_path: Path, namespace: Namespace, site_nats: NatsServer, door: int) -> Iterator[Node]:
    started = Node(tmp_path, namespace, site_nats, door)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()


@pytest.fixture
async def inventory(site_nats: NatsServer) -> AsyncIterator[FakeInventory]:
    async with fake_inventory(site_nats) as found:
        yield found


async def test_host_is_enrolled_then_reported_whole(
    node: Node, inventory: FakeInventory, site_nats: NatsServer, door: int
) -> None:
    report = (await reaches(lambda: inventory.reports(HOST)))[0]

    asked = inventory.enrolments[0]
    assert (asked.host, asked.personality, asked.origin) == (
        HOST,
        Personality.WORKER,
        Origin.NAMESPACE,
    )
    assert (asked.observe_only, asked.boot_id, asked.address) == (
        True,
        BOOT,
        node.namespace.inside,
    )
    assert (report.n, report.boot_id) == (1, BOOT)
    assert report.facts.cpu_count >= 1
    links = {link.name: link for link in report.links}
    assert links.keys() == {"lo", "eth0"}
    assert f"{node.namespace.inside}/30" in links["eth0"].addresses
    assert inventory.headers[0]["ce-type"] == "sysinv.host.reported.v1"
    assert inventory.headers[0]["ce-subject"] == HOST

    written = state.read(node.state_dir)
    assert written is not None
    assert (written.index, written.period_ms, written.boot_id) == (1, PERIOD_MS, BOOT)
    outside = node.namespace.outside
    assert (written.bus.host, written.bus.port) == (outside, door)
    assert inventory.enrolments[0].pulse_nkey == public_of(written.bus.seed)
    assert grant(written.bus.jwt)["sub"] == public_of(written.bus.seed)
    assert not (node.state_dir / "join.token").exists()
    assert written.udp == ((outside, 8790),)


async def test_link_changes_are_told_as_contiguous_deltas(
    node: Node, inventory: FakeInventory
) -> None:
    await reaches(lambda: inventory.reports(HOST))

    ip = node.namespace.ip
    ip("link", "add", "mur-a", "type", "veth", "peer", "name", "mur-b")
    await reaches(lambda: inventory.links(HOST).keys() >= {"mur-a", "mur-b"})
    ip("link", "set", "mur-a", "up")
    ip("link", "set", "mur-b", "up")
    await reaches(lambda: inventory.links(HOST)["mur-a"].oper_up)
    ip("link", "set", "mur-b", "down")
    await reaches(lambda: not inventory.links(HOST)["mur-a"].oper_up)
    ip("link", "del", "mur-a")
    await reaches(lambda: inventory.links(HOST).keys() == {"lo", "eth0"})

    assert len(inventory.reports(HOST)) == 1
    assert all(isinstance(message, HostDelta) for message in inventory.messages[1:])


async def test_full_report_is_sent_when_it_is_asked_for(
    node: Node, inventory: FakeInventory
) -> None:
    await reaches(lambda: inventory.reports(HOST))

    for _ in range(50):
        await inventory.ask(HOST)

    await reaches(lambda: len(inventory.reports(HOST)) >= 2)
    assert len(inventory.reports(HOST)) <= 3  # not one for each time it was asked


async def test_enrolment_is_retried_with_one_id_until_it_is_answered(
    node: Node, inventory: FakeInventory
) -> None:
    inventory.refusal = Rejected("this host is not wanted here")
    await reaches(lambda: len(inventory.enrolments) >= 3)
    assert state.read(node.state_dir) is None

    inventory.refusal = None

    await reaches(lambda: inventory.reports(HOST))
    assert len({asked.operation_id for asked in inventory.enrolments}) == 1
    assert "this host is not wanted here" in node.output.read_text()
    assert 1 <= node.said("host.enrol_failed") <= 2  # sysinv away first, then its refusal
    assert node.said("host.enrol_recovered") == 1


async def test_new_start_has_a_new_id_and_a_higher_incarnation(
    node: Node, inventory: FakeInventory
) -> None:
    first = (await reaches(lambda: inventory.reports(HOST)))[0]

    node.stop(signal.SIGKILL)
    node.start()

    await reaches(lambda: len(inventory.reports(HOST)) == 2)
    second = inventory.reports(HOST)[1]
    assert (second.incarnation > first.incarnation, second.n) == (True, 1)
    assert len({asked.operation_id for asked in inventory.enrolments}) == 2


async def test_heartbeat_of_a_new_boot_needs_no_inventory(
    node: Node, namespace: Namespace, site_nats: NatsServer, door: int
) -> None:
    async with fake_inventory(site_nats) as inventory:
        await reaches(lambda: inventory.reports(HOST))
        before = state.read(node.state_dir)
        assert before is not None
    assert node.stop() == 0

    boot = "00000000-6a52-4a8e-9d0b-1f2e0a6a524a"
    node.write(namespace, site_nats, door, boot)
    node.start()

    await reaches(lambda: getattr(state.read(node.state_dir), "boot_id", "") == boot)
    after = state.read(node.state_dir)
    assert after is not None
    assert (after.index, after.key) == (before.index, before.key)


async def test_everything_is_told_anew_when_the_server_froze(
    node: Node, inventory: FakeInventory, site_nats: NatsServer
) -> None:
    await reaches(lambda: inventory.reports(HOST))

    site_nats.signal(signal.SIGSTOP)
    try:
        node.namespace.ip("link", "add", "mur-a", "type", "veth", "peer", "name", "mur-b")
        await reaches(lambda: node.said("host.report_failed"))
        await reaches(lambda: node.said("bus.lost"))
    finally:
        site_nats.signal(signal.SIGCONT)

    await reaches(lambda: len(inventory.reports(HOST)) >= 2)
    assert inventory.links(HOST).keys() == {"lo", "eth0", "mur-a", "mur-b"}
    await reaches(lambda: node.said("host.report_recovered"))


async def test_everything_is_told_anew_when_the_server_was_killed(
    node: Node, inventory: FakeInventory, site_nats: NatsServer
) -> None:
    await reaches(lambda: inventory.reports(HOST))

    site_nats.kill()
    node.namespace.ip("link", "set", "eth0", "mtu", "1400")
    await reaches(lambda: node.said("bus.lost"))
    site_nats.start()

    await reaches(lambda: inventory.links(HOST)["eth0"].mtu_bytes == 1_400)
    assert node.said("bus.lost") == 1


async def test_agent_ends_when_told_while_nothing_answers(
    node: Node, site_nats: NatsServer
) -> None:
    await reaches(lambda: node.said("host.join_failed"))
    site_nats.signal(signal.SIGSTOP)

    assert node.stop() == 0
    site_nats.signal(signal.SIGCONT)


async def test_memory_stays_under_its_limit(node: Node, inventory: FakeInventory) -> None:
    await reaches(lambda: inventory.reports(HOST))

    rollup = Path(f"/proc/{node.process.pid}/smaps_rollup").read_text()
    pss_kb = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    assert pss_kb <= PSS_KB_MAX


def test_wrong_configuration_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text("[host]\nnmae = 'worker-1'\n")

    done = subprocess.run(
        [sys.executable, "-m", "murmuration.node", "--config", str(tmp_path / "node.toml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "[host]" in done.stderr
