"""The watchdog's keeper: its table, its leases, and the process on a device double (a FIFO)."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from murmuration.kernel.errors import Rejected
from murmuration.node import quorum
from murmuration.node.config import WatchdogSection, load
from murmuration.node.plugins import Plugins
from murmuration.testkit.levels import reaches
from murmuration.testkit.ports import free_port
from murmuration.watchdog import record, settings
from murmuration.watchdog.keeper import Keeper
from murmuration.watchdog.leases import CONDITIONS_MAX, Leases, Refused
from murmuration.watchdog.petting import IGNORED, TABLE, Action, Input, Phase, step

PROGRAM = Path(settings.__file__).parent / "__main__.py"
PSS_KB_MAX = 14 * 1_024


def test_every_pair_stands_in_exactly_one_place() -> None:
    for pair in product(Phase, Input):
        assert (pair in TABLE) + (pair in IGNORED) == 1, pair


def test_nothing_pets_once_it_is_to_bite() -> None:
    for given in Input:
        phase, action = step(Phase.BITING, given)
        assert action is not Action.PET
        assert phase in (Phase.BITING, Phase.DISARMED, Phase.ENDED)
    assert step(Phase.BITING, Input.STOP) == (Phase.ENDED, Action.LEAVE)


def test_lease_lapses_unless_it_is_renewed_or_dropped() -> None:
    leases = Leases()
    leases.hold("pmon", 10, owner=0, now=100)
    leases.hold("sm", 20, owner=0, now=100)
    assert leases.lapsed(109.9) == ""
    leases.hold("pmon", 10, owner=0, now=109)
    assert leases.lapsed(118) == ""
    leases.drop("pmon", owner=0)
    assert "sm (by 1.0 s)" in leases.lapsed(121)


def test_condition_belongs_to_its_first_holder_and_to_root() -> None:
    leases = Leases()
    leases.hold("pmon", 10, owner=1_000, now=0)
    for attempt in (
        lambda: leases.hold("pmon", 10, owner=1_001, now=0),
        lambda: leases.drop("pmon", owner=1_001),
        lambda: leases.fail("pmon", owner=1_001, now=0),
        lambda: leases.fail("nobody", owner=1_001, now=0),
        lambda: leases.hold("a b", 10, owner=0, now=0),
        lambda: leases.hold("a", 1e9, owner=0, now=0),
        lambda: leases.hold("a", float("nan"), owner=0, now=0),
    ):
        with pytest.raises(Refused):
            attempt()
    leases.drop("pmon", owner=0)
    for number in range(CONDITIONS_MAX):
        leases.hold(f"c{number}", 10, owner=0, now=0)
    with pytest.raises(Refused, match="already"):
        leases.hold("one-more", 10, owner=0, now=0)


def keeper(folder: Path, *arguments: str) -> Keeper:
    places = (f"device={folder}/watchdog", f"socket={folder}/socket", f"folder={folder}")
    return Keeper(settings.parse([*places, "boot_id=b1", *arguments]))


def test_reason_is_on_disk_and_stays_decided_for_the_boot(tmp_path: Path) -> None:
    (tmp_path / "watchdog").touch()
    first = keeper(tmp_path)
    first.tick(0)
    first.answer("hold pmon 5", 0, 0)
    first.tick(4)
    assert first.phase is Phase.PETTING
    petted = (tmp_path / "watchdog").read_bytes()
    first.tick(6)
    first.tick(7)
    assert first.phase is Phase.BITING
    assert (tmp_path / "watchdog").read_bytes() == petted
    boot_id, reason = record.read(str(tmp_path))
    assert (boot_id, reason[:24]) == ("b1", "not renewed in time: pmo")

    again = keeper(tmp_path)
    again.tick(100)
    assert again.phase is Phase.BITING
    assert keeper(tmp_path, "boot_id=b2").phase is Phase.OPENING


def test_disarm_in_words_closes_in_order_and_takes_the_record_back(tmp_path: Path) -> None:
    (tmp_path / "watchdog").touch()
    found = keeper(tmp_path)
    found.tick(0)
    found.answer("hold pmon 5", 0, 0)
    found.answer("fail pmon the quorum is lost", 0, 1)
    assert record.read(str(tmp_path)) == ("b1", "pmon: the quorum is lost")
    with pytest.raises(Refused):
        found.answer("disarm", 12_345, 2)
    assert "phase=disarmed" in found.answer("disarm", 0, 2)
    assert (tmp_path / "watchdog").read_bytes().endswith(b"V")
    assert record.read(str(tmp_path)) == ("", "")
    found.answer("drop pmon", 0, 3)
    found.answer("arm", 0, 3)
    found.tick(4)
    assert found.phase is Phase.PETTING


def test_failure_before_the_device_is_there_bites_when_it_comes(tmp_path: Path) -> None:
    found = keeper(tmp_path)
    found.tick(0)
    found.answer("hold pmon 60", 0, 0)
    found.answer("fail pmon gone", 0, 1)
    assert found.phase is Phase.OPENING
    (tmp_path / "watchdog").touch()
    found.tick(2)
    assert found.phase is Phase.BITING


@pytest.mark.parametrize(
    "arguments",
    [["devise=/dev/x"], ["timeout_s=0"], ["timeout_s=soon"], ["device"], ["require=pmon"]],
)
def test_wrong_argument_is_said_in_one_sentence(tmp_path: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-E", str(PROGRAM), f"folder={tmp_path}", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


class Dog:
    """The process, its device double and a client."""

    def __init__(self, folder: Path) -> None:
        os.mkfifo(folder / "watchdog")
        self.device = os.open(folder / "watchdog", os.O_RDONLY | os.O_NONBLOCK)
        self.path = str(folder / "socket")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", "-E", str(PROGRAM)),
                *(f"device={folder}/watchdog", f"socket={self.path}", f"folder={folder}"),
                *("timeout_s=2", "boot_id=b1"),
            ]
        )

    def ask(self, *requests: str) -> list[str]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.settimeout(30)
            client.connect(self.path)
            answers: list[str] = []
            for request in requests:
                client.send(request.encode())
                answers.append(client.recv(4_096).decode())
            return answers

    def petted(self) -> bytes:
        """What the device got since the last time."""
        data = b""
        while select.select([self.device], [], [], 0)[0]:
            piece = os.read(self.device, 4_096)
            if not piece:
                break
            data += piece
        return data

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.device)


@pytest.fixture
def dog(tmp_path: Path) -> Iterator[Dog]:
    started = Dog(tmp_path)
    try:
        yield started
    finally:
        started.stop()


async def test_process_pets_while_conditions_hold_and_not_after(dog: Dog, tmp_path: Path) -> None:
    await reaches(dog.petted)
    await reaches(dog.petted)
    assert dog.ask("hold pmon 60", "status")[1].startswith("ok phase=petting")
    rollup = Path(f"/proc/{dog.process.pid}/smaps_rollup").read_text()
    pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    assert pss < PSS_KB_MAX
    assert dog.ask("fail pmon sshd cannot be kept running", "bark")[1].startswith("refused")
    dog.petted()
    assert "phase=biting" in dog.ask("hold pmon 60")[0]
    dog.process.send_signal(signal.SIGTERM)
    assert dog.process.wait(timeout=30) == 0
    assert dog.petted() == b""  # neither a pet nor the magic close
    assert (tmp_path / "bite").read_text() == "b1 pmon: sshd cannot be kept running\n"


async def test_process_disarms_when_it_is_stopped_while_all_is_well(dog: Dog) -> None:
    await reaches(dog.petted)
    dog.process.send_signal(signal.SIGTERM)
    assert dog.process.wait(timeout=30) == 0
    assert dog.petted().endswith(b"V")


async def test_quorum_of_processes_is_a_condition_that_the_agent_holds(
    dog: Dog, tmp_path: Path
) -> None:
    section = WatchdogSection(socket=dog.path, lease_s=60)
    lost: list[str] = []
    await reaches(dog.petted)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(quorum.keep(section, lambda: lost[0] if lost else ""))
        await reaches(lambda: "pmon:" in dog.ask("status")[0])
        lost.append("sshd cannot be kept running")
        await reaches(lambda: "phase=biting" in dog.ask("status")[0])
        task.cancel()
    assert (tmp_path / "bite").read_text() == "b1 pmon: sshd cannot be kept running\n"


async def test_quorum_that_is_lost_is_said_to_a_keeper_that_was_started_anew(dog: Dog) -> None:
    section = WatchdogSection(socket=dog.path, lease_s=60)
    await reaches(dog.petted)
    async with asyncio.TaskGroup() as group:  # which knows of no condition yet
        task = group.create_task(quorum.keep(section, lambda: "sshd cannot be kept running"))
        await reaches(lambda: "phase=biting" in dog.ask("status")[0])
        task.cancel()


def test_lease_that_a_busy_agent_cannot_renew_in_time_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    host = f'[host]\nname = "worker-1"\nstate_dir = "{tmp_path}"\n'
    path.write_text(f"{host}[watchdog]\nlease_s = 2\n")
    with pytest.raises(Rejected, match="lease_s"):
        load(path)


async def test_agent_that_ends_does_not_vouch_once_more_after_its_last_word(
    dog: Dog, tmp_path: Path
) -> None:
    (tmp_path / "pmon.d").mkdir()
    path = tmp_path / "node.toml"
    path.write_text(
        f'[host]\nname = "worker-1"\nstate_dir = "{tmp_path}/host"\n'
        '[maintenance]\nsystemctl = ""\n'
        f'[processes]\ndir = "{tmp_path}/pmon.d"\nactive_port = {free_port()}\n'
        f'[watchdog]\nsocket = "{dog.path}"\nlease_s = 10\n'
    )
    await reaches(dog.petted)
    plugins = Plugins(load(path), boot_id="b1")
    plugins.begin()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(plugins.monitor())
        await reaches(lambda: "pmon:" in dog.ask("status")[0])
        assert "quorum" in {each.get_name() for each in asyncio.all_tasks()}
        await plugins.gasp()
        vouching = [each for each in asyncio.all_tasks() if each.get_name() == "quorum"]
        task.cancel()
    assert not vouching, "it might vouch once more"
    assert dog.ask("status")[0].endswith("conditions=")


async def test_agent_that_ends_in_order_is_no_condition_any_more(dog: Dog) -> None:
    section = WatchdogSection(socket=dog.path, lease_s=60)
    await reaches(dog.petted)
    dog.ask("hold pmon 1")
    await quorum.leave(section)
    assert dog.ask("status")[0].endswith("conditions=")
