"""The runner: a table, a last line of JSON, an exit code that says whether targets were met."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench.harness import Row, report

ROOT = Path(__file__).parents[2]
SAMPLE = """
from bench.harness import Options, Row

TITLE = "A benchmark of nothing"
ROWS = (Row(name="p99_ms", unit="ms", target=5), Row(name="rate_per_s", unit="1/s", target=10,
        better="higher"), Row(name="bytes", unit="B"))


async def run(options: Options) -> dict[str, float]:
    options.sample("p99_ms", 1.0)
    options.sample("p99_ms", 2.0)
    return {"p99_ms": 4.0, "rate_per_s": RATE, "bytes": 7}
"""


def bench(folder: Path, rate: float, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the runner on a package that holds it and one sample benchmark."""
    package = folder / "bench"
    package.mkdir()
    for path in (ROOT / "bench").glob("*.py"):
        if path.stem in {"__init__", "__main__", "harness", "plot"}:
            (package / path.name).write_text(path.read_text())
    (package / "of_nothing.py").write_text(SAMPLE.replace("RATE", str(rate)))
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=folder,
        env=os.environ | {"COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_bench_prints_a_table_and_one_line_of_json_when_it_ran(tmp_path: Path) -> None:
    picture = tmp_path / "run.svg"
    done = bench(tmp_path, 11, "of-nothing", "--quick", "--plot", str(picture))
    assert done.returncode == 0, done.stderr
    assert "A benchmark of nothing" in done.stdout
    last = json.loads(done.stdout.splitlines()[-1])
    assert last.keys() == {"bench", "machine", "load", "rows"}
    assert last["machine"].keys() == {"cpu", "count", "kernel", "python"}
    assert (last["bench"], len(last["load"])) == ("of-nothing", 3)
    assert last["rows"] == [
        {"name": "p99_ms", "value": 4.0, "unit": "ms", "target": 5.0, "met": True},
        {"name": "rate_per_s", "value": 11, "unit": "1/s", "target": 10.0, "met": True},
        {"name": "bytes", "value": 7, "unit": "B", "target": None, "met": None},
    ]
    assert "<svg" in picture.read_text()


def test_bench_exits_1_when_a_target_is_missed(tmp_path: Path) -> None:
    done = bench(tmp_path, 9, "of-nothing")
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[-1])["rows"][1]["met"] is False


def test_bench_names_those_there_are_when_asked_or_misnamed(tmp_path: Path) -> None:
    done = bench(tmp_path, 9, "--list")
    assert done.stdout == "of-nothing  A benchmark of nothing: p99_ms, rate_per_s, bytes\n"
    misnamed = subprocess.run(
        [sys.executable, "-m", "bench", "nothing"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert misnamed.returncode == 2
    assert misnamed.stderr == "bench: no benchmark is called 'nothing'; there are: of-nothing.\n"


def test_report_refuses_when_a_row_has_no_value() -> None:
    with pytest.raises(LookupError, match="differ in p50_ms"):
        report("x", [Row(name="p50_ms", unit="ms")], {}, (0, 0, 0))
