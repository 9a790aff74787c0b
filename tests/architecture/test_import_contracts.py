"""Each contract of .importlinter breaks when a package imports what it must not."""

import configparser
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# The module that sins, its one line, and the contract that must break.
SINS = {
    "services": ("fm/handlers/alarm.py", "from murmuration.mtce import core"),
    "programs": ("sysinv/app.py", "import murmuration.node"),
    "core": ("mtce/core/host_fsm.py", "import asyncio"),
    "proto": ("proto/fm.py", "import murmuration.kernel"),
    "libs": ("store/rows.py", "import murmuration.fm"),
    "kernel": ("kernel/step.py", "import murmuration.bus"),
    "pulse": ("pulse/frame.py", "import murmuration.proto"),
    "watchdog": ("watchdog/app.py", "import murmuration.proto"),
    "node": ("node/facts.py", "import murmuration.sysinv"),
    "cli": ("cli/hosts.py", "import murmuration.bus"),
    "sim": ("web/page.py", "import murmuration.sim"),
    "site": ("site/supervisor.py", "import murmuration.gateway"),
}


def contracts() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter")
    return config


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter with the project's contracts on the packages under `tree`."""
    return subprocess.run(
        [
            *(
                sys.executable,
                "-c",
                "import sys; from importlinter.cli import lint_imports_command"
                " as main; sys.exit(main())",
            ),
            *("--config", str(ROOT / ".importlinter"), "--no-cache"),
        ],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def plant(tree: Path, lines: dict[str, str]) -> None:
    roots = contracts()["importlinter"]["root_packages"].split()
    for name in roots:
        folder = tree.joinpath(*name.split("."))
        for package in (folder, *((folder / "core",) if folder.name in {"fm", "mtce"} else ())):
            package.mkdir(parents=True)
            (package / "__init__.py").touch()
    for name, line in lines.items():
        path = tree / "murmuration" / name
        path.parent.mkdir(exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(f"{line}\n")


def test_every_contract_is_kept_when_nothing_sins(tmp_path: Path) -> None:
    plant(tmp_path, {"site/compact.py": "import murmuration.fm", "fm/app.py": "import asyncio"})
    done = lint(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_every_contract_breaks_when_a_package_imports_what_it_must_not(tmp_path: Path) -> None:
    config = contracts()
    prefix = "importlinter:contract:"
    names = {s.removeprefix(prefix): config[s]["name"] for s in config.sections() if prefix in s}
    assert names.keys() == SINS.keys()
    plant(tmp_path, dict(SINS.values()))
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    kept = [name for name in names.values() if f"{name} BROKEN" not in done.stdout]
    assert kept == [], done.stdout
