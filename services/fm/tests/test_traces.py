"""Recorded traces, replayed: each comes to the outcome that stands beside it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from murmuration.fm.core.picture import Active, Cleared, Input, Placed
from murmuration.fm.core.rules import read_rules
from murmuration.fm.core.topology import Place, Uplink
from murmuration.fm.core.trace import Outcome, decode, encode, replay
from murmuration.fm.replay import main
from murmuration.fm.rules import builtin
from murmuration.kernel.errors import Rejected

TRACES = Path(__file__).parent / "traces"
RULES = read_rules(builtin())


class Recorder:
    """Writes traces as they would be recorded."""

    def __init__(self) -> None:
        self.inputs: list[Input] = []
        self.count = 0

    def raises(self, alarm_id: str, entity: str, at: float, severity: str = "critical") -> bytes:
        self.count += 1
        uuid = self.count.to_bytes(16, "big")
        self.inputs.append(
            Active(
                uuid=uuid,
                alarm_id=alarm_id,
                entity=entity,
                severity=severity,
                producer="mtce",
                raised_at=1_700_000_000 + at,
                raised=True,
                management=True,
                degrade=alarm_id == "200.005",
            )
        )
        return uuid

    def clears(self, uuid: bytes, at: float) -> None:
        known = next(one for one in self.inputs if isinstance(one, Active) and one.uuid == uuid)
        self.inputs.append(
            Cleared(
                uuid=uuid,
                alarm_id=known.alarm_id,
                entity=known.entity,
                raised_at=known.raised_at,
                at=1_700_000_000 + at,
            )
        )


def switch_outage() -> Iterator[Input]:
    """leaf-1 loses its power; a hundred hosts behind it, one of them on two switches."""
    record = Recorder()
    for n in range(100):
        uplinks = {"eth0": Uplink("leaf-1", f"Ethernet{n}")}
        if n == 7:
            uplinks["eth1"] = Uplink("leaf-2", "Ethernet7")
        place = Place(personality="worker", uplinks=uplinks)
        record.inputs.append(Placed(host=f"worker-{n}", place=place))
    for n in range(100):
        if n == 7:
            record.raises("100.108", "host=worker-7.port=eth0", 0.4, "major")
            continue
        record.raises("200.005", f"host=worker-{n}", 1 + n / 200)
        record.raises("200.004", f"host=worker-{n}", 1 + n / 200)
    record.raises("300.020", "switch=leaf-1", 2)
    return iter(record.inputs)


def host_failure() -> Iterator[Input]:
    """worker-1 dies and takes its service group with it; worker-10 has a trouble of its own."""
    record = Recorder()
    record.raises("200.006", "host=worker-10.process=kubelet", 0, "major")
    record.raises("200.005", "host=worker-1", 10)
    record.raises("200.004", "host=worker-1", 10)
    record.raises("400.001", "service_domain=d.service_group=g.host=worker-1", 11)
    record.raises("400.002", "service_domain=d.service_group=g", 11, "major")
    record.raises("200.009", "host=worker-1", 12)
    return iter(record.inputs)


def silent_bmc() -> Iterator[Input]:
    """The BMC of worker-1 stops answering; its sensors are unreadable; then it is back."""
    record = Recorder()
    record.raises("200.007", "host=worker-1.sensor=fan-1", 0, "minor")
    bmc = record.raises("200.010", "host=worker-1", 60, "warning")
    record.raises("200.015", "host=worker-1", 61, "major")
    record.raises("200.010", "host=worker-2", 62, "warning")
    record.raises("200.014", "host=worker-2", 70, "minor")
    record.clears(bmc, 90)
    return iter(record.inputs)


def unwatched_switch() -> Iterator[Input]:
    """As the outage, where nobody watches the switch: fm concludes it."""
    return (
        one for one in switch_outage() if not (isinstance(one, Active) and "switch" in one.entity)
    )


def storm() -> Iterator[Input]:
    """Three hosts of one network fall silent together; worker-9 dies a little later, by itself."""
    record = Recorder()
    network = "network=10.0.0.0/24"
    record.inputs.append(Placed(host="worker-9", place=Place(personality="worker")))
    for n in range(3):
        record.raises("200.005", f"host=worker-{n}", n / 10)
        record.raises("200.004", f"host=worker-{n}", n / 10)
        record.raises("200.006", f"host=worker-{n}.process=p", 1, "major")
    record.raises("200.017", network, 0.5)
    for n in range(3):
        place = Place(personality="worker", storm=network)
        record.inputs.append(Placed(host=f"worker-{n}", place=place))
    record.raises("200.005", "host=worker-9", 20)
    record.raises("200.004", "host=worker-9", 20)
    return iter(record.inputs)


GOLDEN: dict[str, Callable[[], Iterator[Input]]] = {
    "switch-outage": switch_outage,
    "host-failure": host_failure,
    "silent-bmc": silent_bmc,
    "unwatched-switch": unwatched_switch,
    "storm": storm,
}


@pytest.mark.parametrize("name", GOLDEN)
def test_trace_comes_to_what_stands_beside_it(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = TRACES / f"{name}.jsonl"
    assert trace.read_bytes() == b"".join(map(encode, GOLDEN[name]()))
    assert main([str(trace)]) == 0
    expected = (TRACES / f"{name}.outcome.json").read_text()
    assert capsys.readouterr().out == expected


def test_switch_outage_of_a_hundred_hosts_has_one_root() -> None:
    found = _outcome("switch-outage")
    assert found.roots == ("300.020 switch=leaf-1",)
    assert len(found.causes) == 199
    assert _outcome("unwatched-switch").lost_switches == ("leaf-1",)


def test_alarms_of_hosts_that_fell_silent_together_have_their_storm_as_root() -> None:
    found = _outcome("storm")
    assert found.roots == ("200.017 network=10.0.0.0/24", "200.004 host=worker-9")
    assert len(found.causes) == 10


def _outcome(name: str) -> Outcome:
    return msgspec.json.decode((TRACES / f"{name}.outcome.json").read_bytes(), type=Outcome)


def test_storm_of_a_hundred_thousand_has_the_one_cause_on_top() -> None:
    record = Recorder()
    for n in range(99_999):
        record.raises("200.006", f"host=worker-1.process=p-{n}", n / 10_000, "major")
    record.raises("200.004", "host=worker-1", 5)
    found = replay(record.inputs, RULES)
    assert found.roots == ("200.004 host=worker-1",)
    assert len(found.causes) == 99_999
    assert found.gates["strict"] == found.gates["relaxed"] == 100_000


def test_trace_is_refused_with_its_line_when_it_is_broken(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="line 2"):
        list(decode([encode(next(host_failure())), b"{}"]))
    broken = tmp_path / "trace"
    broken.write_bytes(b"no trace\n")
    assert main([str(broken)]) == 2
    assert main([str(broken), str(tmp_path), "more"]) == 2


if __name__ == "__main__":  # to make them anew
    for name, make in GOLDEN.items():
        path = TRACES / f"{name}.jsonl"
        path.write_bytes(b"".join(map(encode, make())))
        made = replay(decode(path.open("rb")), RULES)
        text = msgspec.json.format(msgspec.json.encode(made)).decode()
        path.with_suffix(".outcome.json").write_text(f"{text}\n")
