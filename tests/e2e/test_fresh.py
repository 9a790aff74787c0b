"""The newcomer's first minutes, on a fresh machine that has Python and nothing else."""

import contextlib
import shutil
import socket
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.architecture.checks import Tree
from tests.e2e.fresh_machine import FreshMachine, make_image, suite_here

ROOT = Path(__file__).parents[2]
HALF_MADE = (
    "mkdir -p .venv/bin; touch .venv/bin/just; chmod +x .venv/bin/just; ln -s gone .venv/bin/uv"
)

# What the README promises a newcomer, with hosts that are network namespaces.
FIVE_MINUTES = """set -e
./just up --detach --hosts controllers=1,workers=1 --prefix mur-fresh --port {port}
./just status
./just mur host list
./just mur lab partition worker-1
./just mur lab heal worker-1
./just down --wipe
"""
# An installation that was interrupted: msgspec looks installed, and nothing of it is there.
INTERRUPTED = """set -e
: >.venv/.installing
version=$(sed -n 's/^msgspec==\\([^ ]*\\).*/\\1/p' requirements-product.lock)
info=$(echo .venv/lib/python3*/site-packages)/msgspec-$version.dist-info
mkdir "$info"
printf 'Metadata-Version: 2.1\\nName: msgspec\\nVersion: %s\\n' "$version" >"$info/METADATA"
echo uv >"$info/INSTALLER"
echo "msgspec-$version.dist-info/METADATA,," >"$info/RECORD"
"""


@contextlib.contextmanager
def fresh_machine(suite: str, folder: Path) -> Generator[FreshMachine]:
    root = folder / "root"
    try:
        machine = FreshMachine(make_image(suite), root)
        machine.put(ROOT, [str(path) for path in Tree.of(ROOT).files])
        yield machine
    finally:
        shutil.rmtree(root, ignore_errors=True)


def free_ports(count: int) -> int:
    """The first of so many consecutive TCP ports that nobody listens on at this moment."""
    for first in range(28_780, 60_000, count):
        try:
            with contextlib.ExitStack() as stack:
                for port in range(first, first + count):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
        except OSError:
            continue
        return first
    raise AssertionError(f"no {count} free ports in a row")


def first_minutes(machine: FreshMachine) -> None:
    refused = machine.run("./just", user="nobody")
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr.startswith("just: this needs Python 3.11 or newer with its venv module")
    assert len(refused.stderr.splitlines()) == 1

    first = machine.run(f"{HALF_MADE}; ./just")
    assert first.returncode == 0, first.stderr
    assert "up *ARGS" in first.stdout
    again = machine.run("./just")
    assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, "")

    assert machine.run(INTERRUPTED).returncode == 0
    installed = machine.run("./just _product && .venv/bin/python -m pytest --version")
    assert "just: installing requirements-product.lock" in installed.stderr
    assert installed.stderr.endswith("No module named pytest\n")  # a site does not need it
    quick = machine.run("./just _product && .venv/bin/python -c 'import msgspec.json'")
    assert (quick.returncode, quick.stderr) == (0, "")

    site = machine.run(FIVE_MINUTES.format(port=free_ports(8)))
    assert site.returncode == 0, site.stderr + site.stdout
    assert "/?token=" in site.stdout
    assert site.stdout.endswith("is removed.\n")

    again = machine.run("echo '# changed' >>requirements-product.lock; ./just _product")
    assert (again.returncode, again.stderr) == (0, "just: installing requirements-product.lock\n")


@pytest.mark.timeout(420)
def test_site_comes_up_when_a_machine_has_only_python(tmp_path: Path) -> None:
    with fresh_machine(suite_here(), tmp_path) as machine:
        first_minutes(machine)


@pytest.mark.soak
@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_site_comes_up_when_a_fresh_machine_runs_another_debian(suite: str, tmp_path: Path) -> None:
    with fresh_machine(suite, tmp_path) as machine:
        first_minutes(machine)
