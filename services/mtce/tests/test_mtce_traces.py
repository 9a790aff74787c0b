"""Traces of the machines: what was recorded comes out again, or it is said what does not."""

from pathlib import Path

import msgspec
import pytest
from services.mtce.tests.machine_world import World

from murmuration.kernel.errors import Rejected
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.trace import CALLS, Line, TracedMachines, decode, replay
from murmuration.mtce.replay import main

TRACES = Path(__file__).parent / "traces"


def recorded(seed: int) -> list[bytes]:
    """The trace of one random history."""
    lines: list[bytes] = []
    world = World(seed)
    known = world.machines
    world.machines = TracedMachines(known.policy, known.dead_office, lines.append)
    world.play()
    return lines


def test_every_call_of_the_machines_is_traced() -> None:
    public = [name for name, part in vars(Machines).items() if callable(part) and name[0] != "_"]
    assert sorted(CALLS) == sorted(public)


def test_random_histories_come_to_what_was_recorded() -> None:
    seen: set[str] = set()
    for seed in range(25):
        for line in decode(recorded(seed)):
            assert replay(line) == line.steps
            seen.add(line.call)
    assert set(CALLS) - seen == {"admit", "forget"}  # these are before and after a history


def test_host_is_admitted_and_forgotten_as_recorded() -> None:
    lines: list[bytes] = []
    world = World(1)
    machines = TracedMachines(world.machines.policy, world.machines.dead_office, lines.append)
    machines.admit(world.declared, world.seen(), world.now)
    machines.forget(world.record, world.declared, world.seen(), world.now)
    for line, call in zip(decode(lines), ("admit", "forget"), strict=True):
        assert line.call == call
        assert line.host == "worker-1"
        assert replay(line) == line.steps
        assert len(line.steps) == 1


@pytest.mark.parametrize("trace", sorted(TRACES.glob("*.jsonl")), ids=lambda path: path.stem)
def test_recorded_trace_comes_to_what_was_recorded(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([str(trace)])
    assert code == 0, capsys.readouterr().out


def test_what_comes_out_otherwise_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [msgspec.json.decode(line, type=Line) for line in recorded(3)]
    at = next(n for n, line in enumerate(lines) if line.steps)
    lines[at].steps[0]["reason"] = "because"
    trace = tmp_path / "trace"
    trace.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    assert main([str(trace)]) == 1
    told = capsys.readouterr().out
    assert f" worker-1 {lines[at].call}: OTHERWISE in reason\n" in told
    assert "  then: because\n" in told
    assert told.endswith(f"{len(lines) - 1} of {len(lines)} calls came to what was recorded\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{}\n", "line 1 of the trace"),
        (b'{"call":"__init__","policy":{},"patience":null,"given":{},"steps":[]}\n', "no call"),
        (
            b'{"call":"due","policy":{"a":1},"patience":null,"given":{"record":{},"declared":{},"seen":{},"now":1},"steps":[]}\n',
            "not one of this version",
        ),
        (
            b'{"call":"due","policy":{},"patience":null,"given":{"x":1},"steps":[]}\n',
            "due of this version does not take x",
        ),
    ],
)
def test_what_is_no_trace_is_refused(
    line: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Rejected, match=said):
        replay(next(decode([line])))
    trace = tmp_path / "trace"
    trace.write_bytes(line)
    assert main([str(trace)]) == 2
    assert said in capsys.readouterr().err


def test_replay_says_how_it_is_called(tmp_path: Path) -> None:
    assert main([]) == 2
    assert main([str(tmp_path / "none")]) == 2
