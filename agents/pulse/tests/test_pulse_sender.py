"""The sender as the process it is: started by path, in isolated mode, against a real server."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import murmuration.pulse
from murmuration.proto.pulse import FLAG_BUS_DOWN, FLAG_REBOOTING, FLAG_STOPPING, authentic
from murmuration.security.ed25519 import fresh_user_seed
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.pulses import Heard, Listener, listening

pytest_plugins = ["murmuration.testkit.plugin"]

PROGRAM = Path(murmuration.pulse.__file__ or "").parent / "__main__.py"
KEY = bytes(range(32))
BOOT = UUID("6b1f2e0a-6a52-4a8e-9d0b-1f2e0a6a524a")
PERIOD_MS = 100
PSS_KB_MAX = 10_240


class Sender:
    def __init__(self, folder: Path, server: NatsServer, port: int) -> None:
        login = server.login("pulse@worker-1", index=7)
        self.folder = folder
        self.content: dict[str, Any] = {
            "host": "worker-1",
            "index": 7,
            "shard": 0,
            "period_ms": PERIOD_MS,
            "key": KEY.hex(),
            "boot_id": str(BOOT),
            "bus": {
                "host": "127.0.0.1",
                "port": server.port,
                "jwt": login.jwt,
                "seed": login.seed,
            },
            "udp": [["127.0.0.1", port]],
        }
        self.output = folder / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-E", str(PROGRAM), str(folder)],
                stdout=output,
                stderr=output,
            )

    def write(self, **changed: object) -> None:
        self.content |= changed
        draft = self.folder / "draft"
        draft.write_text(json.dumps(self.content))
        draft.replace(self.folder / "pulse.json")

    def said(self) -> list[str]:
        return self.output.read_text().splitlines()

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=30)


@pytest.fixture
async def listener(nats_server: NatsServer) -> AsyncIterator[Listener]:
    async with listening(nats_server.section, nats_server.credentials_dir) as found:
        yield found


@pytest.fixture
def sender(tmp_path: Path, nats_server: NatsServer, listener: Listener) -> Iterator[Sender]:
    started = Sender(tmp_path, nats_server, listener.port)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()


async def beats(sender: Sender, listener: Listener) -> None:
    """Beating on both paths, without a flag."""
    sender.write()
    await reaches(lambda: listener.nats and listener.udp and not listener.udp[-1].pulse.flags)


def sequences(heard: list[Heard]) -> list[int]:
    return [one.pulse.sequence for one in heard]


async def test_frames_go_by_both_paths_once_the_file_appears(
    sender: Sender, listener: Listener
) -> None:
    await beats(sender, listener)
    await reaches(lambda: len(listener.nats) >= 10)

    first, last = listener.nats[0], listener.nats[-1]
    assert last.subject == "mtce.pulse.00.00007"
    assert authentic(last.frame, KEY)
    assert (last.pulse.index, last.pulse.period_ms, last.pulse.boot) == (7, PERIOD_MS, str(BOOT))
    start = first.pulse.sequence
    assert sequences(listener.nats) == list(range(start, start + len(listener.nats)))
    assert listener.udp[0].pulse.sequence == 1
    await reaches(lambda: set(sequences(listener.udp)) >= {first.pulse.sequence, start + 9})
    by_sequence = {one.pulse.sequence: one.frame for one in listener.udp}
    assert by_sequence[start + 5] == listener.nats[5].frame


async def test_frames_are_never_faster_than_the_schedule(
    sender: Sender, listener: Listener
) -> None:
    await beats(sender, listener)
    await reaches(lambda: len(listener.nats) >= 15)

    first, last = listener.nats[0].pulse, listener.nats[14].pulse
    periods = (last.sent_ns - first.sent_ns) / (PERIOD_MS * 1e6)
    assert periods > last.sequence - first.sequence - 1  # never faster than the schedule


async def test_good_bye_is_said_three_times_when_it_is_stopped(
    sender: Sender, listener: Listener
) -> None:
    await beats(sender, listener)

    assert sender.end() == 0

    await reaches(lambda: sum(one.pulse.flags & FLAG_STOPPING for one in listener.nats) == 3)
    await reaches(lambda: sum(one.pulse.flags & FLAG_STOPPING for one in listener.udp) == 3)
    assert sequences(listener.nats)[-3:] == sequences(listener.udp)[-3:]


@pytest.mark.parametrize(
    ("boot", "flag"), [(str(BOOT), FLAG_REBOOTING), ("another-boot", 0)], ids=["own", "older"]
)
async def test_good_bye_says_that_the_host_reboots_when_the_agent_noted_it(
    sender: Sender, listener: Listener, boot: str, flag: int
) -> None:
    await beats(sender, listener)
    (sender.folder / "ending").write_text(f"{boot} rebooting\n")

    assert sender.end() == 0

    await reaches(lambda: listener.udp[-1].pulse.flags & FLAG_STOPPING)
    assert listener.udp[-1].pulse.flags & FLAG_REBOOTING == flag


async def test_changed_file_is_used_without_a_new_start(
    sender: Sender, listener: Listener, nats_server: NatsServer
) -> None:
    await beats(sender, listener)
    before = listener.nats[-1].pulse.sequence

    login = nats_server.login("pulse@worker-1", index=8)
    bus = sender.content["bus"] | {"jwt": login.jwt, "seed": login.seed}
    sender.write(index=8, key="cd" * 16, bus=bus)

    await reaches(lambda: listener.nats[-1].subject == "mtce.pulse.00.00008")
    assert authentic(listener.nats[-1].frame, b"\xcd" * 16)
    assert listener.nats[-1].pulse.sequence > before


async def test_bad_file_is_said_once_and_the_last_good_one_stays(
    sender: Sender, listener: Listener
) -> None:
    await beats(sender, listener)

    sender.write(index=-1)

    await reaches(lambda: any("index is not a number" in line for line in sender.said()))
    count = len(listener.nats)
    await reaches(lambda: len(listener.nats) > count + 5)
    assert listener.nats[-1].subject == "mtce.pulse.00.00007"


async def test_udp_goes_on_and_no_frame_comes_late_when_the_server_freezes(
    sender: Sender, listener: Listener, nats_server: NatsServer
) -> None:
    await beats(sender, listener)

    nats_server.signal(signal.SIGSTOP)
    try:
        await reaches(lambda: listener.udp[-1].pulse.flags & FLAG_BUS_DOWN)
        noticed = listener.udp[-1].pulse.sequence
        await reaches(lambda: listener.udp[-1].pulse.sequence > noticed + 15)
    finally:
        nats_server.signal(signal.SIGCONT)
    await reaches(lambda: not listener.udp[-1].pulse.flags & FLAG_BUS_DOWN)
    healed = next(
        one.pulse.sequence
        for one in listener.udp
        if one.pulse.sequence > noticed and not one.pulse.flags & FLAG_BUS_DOWN
    )
    await reaches(lambda: listener.nats and listener.nats[-1].pulse.sequence > healed)

    between = [n for n in sequences(listener.nats) if noticed <= n < healed - 1]
    assert between == []
    assert sender.said()[-1] == "pulse: bus: connected"


async def test_connection_is_made_again_when_the_server_was_killed(
    sender: Sender, listener: Listener, nats_server: NatsServer
) -> None:
    await beats(sender, listener)

    nats_server.kill()
    await reaches(lambda: listener.udp[-1].pulse.flags & FLAG_BUS_DOWN)
    lost = listener.udp[-1].pulse.sequence
    nats_server.start()

    await reaches(lambda: not listener.udp[-1].pulse.flags & FLAG_BUS_DOWN)
    await reaches(lambda: listener.nats[-1].pulse.sequence > lost)
    await asyncio.to_thread(sender.end)
    downs = [line for line in sender.said() if "bus: down" in line]
    assert 1 <= len(downs) <= 3  # closed, then refused: each said once, not at every attempt


async def test_nothing_is_caught_up_when_the_sender_itself_was_stopped(
    sender: Sender, listener: Listener
) -> None:
    await beats(sender, listener)
    await reaches(lambda: len(listener.udp) >= 5)

    sender.process.send_signal(signal.SIGSTOP)
    stopped = len(listener.udp)
    await asyncio.sleep(2)  # twenty periods: the stall itself, not a wait for something
    sender.process.send_signal(signal.SIGCONT)
    await reaches(lambda: len(listener.udp) >= stopped + 10)

    sent = [one.pulse.sent_ns for one in listener.udp]
    gap = max(range(1, len(sent)), key=lambda place: sent[place] - sent[place - 1])
    assert sequences(listener.udp)[gap] == sequences(listener.udp)[gap - 1] + 1
    after = [t for t in sent[gap:] if t - sent[gap] < 500_000_000]
    assert len(after) <= 6


async def test_wrong_password_is_said_once_and_udp_goes_on(
    sender: Sender, listener: Listener
) -> None:
    stranger = fresh_user_seed(bytes(range(32)))
    sender.write(bus=sender.content["bus"] | {"seed": stranger})

    await reaches(lambda: listener.udp and listener.udp[-1].pulse.sequence > 20)

    assert listener.udp[-1].pulse.flags & FLAG_BUS_DOWN
    assert listener.nats == []
    assert sender.said()[1:] == ["pulse: bus: down, Authorization Violation"]


async def test_refused_subject_is_said_and_does_not_end_the_connection(
    sender: Sender, listener: Listener
) -> None:
    sender.write(index=8)  # another host's: the server lets this one speak for 7 alone

    await reaches(lambda: any("Permissions Violation" in line for line in sender.said()))
    assert sender.process.poll() is None


async def test_memory_stays_under_its_limit(sender: Sender, listener: Listener) -> None:
    await beats(sender, listener)

    rollup = Path(f"/proc/{sender.process.pid}/smaps_rollup").read_text()
    pss_kb = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    assert pss_kb <= PSS_KB_MAX


def test_use_is_said_when_the_folder_is_not_given() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-E", str(PROGRAM)], capture_output=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr == b"pulse: use: pulse STATE_DIR\n"


def test_path_without_a_socket_is_down_and_ends_nobody() -> None:
    program = (
        "import resource; from murmuration.pulse.udp import Udp;"
        " resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3));"  # as for a family the kernel lacks
        " udp = Udp([('127.0.0.1', 9), ('::1', 9)]); udp.send(b'x'); print(udp.down)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout == "True\n"
