"""The newcomer's first minutes, on a fresh machine that has Python and nothing else."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.architecture.checks import Tree
from tests.e2e.fresh_machine import FreshMachine, make_image, suite_here

ROOT = Path(__file__).parents[2]
HALF_MADE = (
    "mkdir -p .venv/bin; touch .venv/bin/just; chmod +x .venv/bin/just; ln -s gone .venv/bin/uv"
)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[FreshMachine]:
    root = tmp_path / "root"
    try:
        fresh = FreshMachine(make_image(suite_here()), root)
        fresh.put(ROOT, [str(path) for path in Tree.of(ROOT).files])
        yield fresh
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.mark.timeout(420)
def test_fresh_machine_makes_its_tools_and_runs_a_site_when_it_has_only_python(
    machine: FreshMachine,
) -> None:
    refused = machine.run("./just", user="nobody")
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr.startswith("just: this needs Python 3.11 or newer with its venv module")
    assert len(refused.stderr.splitlines()) == 1

    first = machine.run(f"{HALF_MADE}; ./just")
    assert first.returncode == 0, first.stderr
    assert "up *ARGS" in first.stdout
    again = machine.run("./just")
    assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, "")

    installed = machine.run("./just _product && .venv/bin/python -m pytest --version")
    assert "just: installing requirements-product.lock" in installed.stderr
    assert installed.stderr.endswith("No module named pytest\n")  # a site does not need it
    quick = machine.run("./just _product")
    assert (quick.returncode, quick.stderr) == (0, "")
