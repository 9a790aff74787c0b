"""Each check of the tree finds what it is there for, at its line, and nothing in a sound tree."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.architecture import checks
from tests.architecture.checks import Finding, Tree

Check = Callable[[Tree], Iterator[Finding]]
CORE = "services/fm/src/murmuration/fm/core/policy.py"
WORLD = "sim/src/murmuration/sim/core/world.py"
ALPHA = "alpha==1.0 \\\n    --hash=sha256:00\n"
PINNED = ALPHA + "beta==2.0 ; sys_platform == 'linux' \\\n    --hash=sha256:11\n"

SOUND = {
    "requirements.in": "# product\nalpha>=1\nBeta.Two\n",
    "requirements.lock": PINNED,
    "requirements-product.lock": ALPHA,
    "proto/pyproject.toml": '[project]\ndependencies = ["alpha", "beta_two>=2", "murmuration-x"]\n',
    "services/fm/Dockerfile": "FROM murmuration-base\n",
    "services/fm/src/murmuration/fm/store/migrations/0001.sql": "create table alarm ();\n",
    "services/fm/src/murmuration/fm/__init__.py": "",
    "services/fm/src/murmuration/fm/__main__.py": "",
    "services/fm/src/murmuration/fm/app.py": "import asyncio\nimport uuid\n",
    "services/fm/src/murmuration/fm/config.py": "",
    "services/fm/src/murmuration/fm/handlers/alarm.py": "",
    "services/fm/src/murmuration/fm/store/alarm.py": "",
    CORE: "from datetime import datetime\n\nimport msgspec\n\n"
    "from murmuration.fm.core.model import A\nfrom murmuration.kernel import Step\n\n\n"
    "def step(now: datetime) -> None:\n    pass\n",
    "services/sysinv/src/murmuration/sysinv/__init__.py": "",
    WORLD: "from murmuration.fm.core.policy import step\nfrom murmuration.sim.core import host\n",
    "console/package-lock.json": '{"a": {"resolved": "file:x", "integrity": "sha512-x"}}\n',
    "deploy/images/Dockerfile": "FROM python:3.11-slim\nRUN pip install -r a.lock\n",
    "docs/a.md": "Set PIP_INDEX_URL; see ~/.local/state/murmuration.\n",
}


def plant(root: Path, files: dict[str, str]) -> Tree:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tree.of(root)


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_check_is_silent_when_the_tree_is_sound(check: Check, tmp_path: Path) -> None:
    assert list(check(plant(tmp_path, SOUND))) == []


HOST = "pypi" + ".org"  # in two pieces, or this file itself would be found
FAULTS: list[tuple[Check, str, str, int]] = [
    (checks.stray_init, "sim/src/murmuration/__init__.py", "", 0),
    (checks.registry_hosts, "requirements.lock", PINNED + f"# from https://{HOST}/simple\n", 5),
    (checks.registry_hosts, "a.lock", "--index" + "-url https://mirror.example/simple\n", 1),
    (checks.registry_hosts, "pip.conf", "[global]\nindex" + "-url = https://mirror.example\n", 2),
    (checks.registry_hosts, "console/.npmrc", "a=1\nregistry" + "=https://mirror.example\n", 2),
    (checks.registry_hosts, "Dockerfile", "FROM ghcr" + ".io/a/b:1\n", 1),
    (
        checks.npm_sources,
        "console/package-lock.json",
        '{"a": {\n"resolved": "https://mirror.example/a.tgz"}}\n',
        2,
    ),
    (checks.private_paths, "docs/a.md", "Fine.\nSee /home" + "/somebody/notes.\n", 2),
    (checks.private_paths, "a.sh", "cd /root" + "/murmuration\n", 1),
    (checks.core_purity, CORE, "import asyncio\n", 1),
    (checks.core_purity, CORE, "\nfrom time import monotonic\n", 2),
    (checks.core_purity, CORE, "import logging.handlers\n", 1),
    (checks.core_purity, CORE, "from asyncpg import Record\n", 1),
    (checks.core_purity, CORE, "from murmuration.bus import Bus\n", 1),
    (checks.core_purity, CORE, "from murmuration.mtce.core import model\n", 1),
    (checks.core_purity, CORE, "from murmuration.fm.store import alarm\n", 1),
    (checks.core_purity, CORE, "from . import model\n", 1),
    (checks.core_purity, WORLD, "from murmuration.fm.handlers import alarm\n", 1),
    (checks.core_purity, CORE, "def f():\n    import random\n", 2),
    (checks.core_purity, CORE, "import datetime\nAT = datetime.datetime.now()\n", 2),
    (checks.core_purity, CORE, "async def f() -> None:\n    pass\n", 1),
    (checks.core_purity, CORE, "def f():\n    print(1)\n", 2),
    (checks.sizes, "cli/a.py", "a = 1\n" * (checks.FILE_LINES_MAX + 1), checks.FILE_LINES_MAX + 1),
    (
        checks.sizes,
        "cli/a.py",
        "\ndef f():\n" + "    a = 1\n" * checks.FUNCTION_LINES_MAX,
        2,
    ),
    (checks.service_shape, "services/mtce/src/murmuration/mtce/app.py", "", 0),
    (checks.service_shape, "services/mtce/src/murmuration/mtce/store/migrations/0001.sql", "", 0),
    (checks.declared_packages, "cli/pyproject.toml", '[project]\ndependencies = ["gamma"]\n', 2),
    (checks.locks_agree, "requirements-product.lock", "alpha==1.1 \\\n    --hash=sha256:00\n", 1),
    (checks.locks_agree, "requirements-product.lock", "gamma==1.0\n", 1),
]


@pytest.mark.parametrize(
    ("check", "path", "text", "line"), FAULTS, ids=lambda value: getattr(value, "__name__", "")
)
def test_check_names_file_and_line_when_the_tree_breaks_its_rule(
    check: Check, path: str, text: str, line: int, tmp_path: Path
) -> None:
    findings = list(check(plant(tmp_path, SOUND | {path: text})))
    assert findings
    assert (Path(findings[0].path).parts[0], findings[0].line) == (Path(path).parts[0], line)
    assert all(str(finding).endswith(".") for finding in findings)


def test_every_check_can_fail() -> None:
    assert {check for check, *_ in FAULTS} == set(checks.CHECKS)


def test_private_paths_finds_where_the_tree_itself_stands(tmp_path: Path) -> None:
    tree = plant(tmp_path, {"a.toml": f'b = "{tmp_path.resolve()}/state"\n'})
    assert [finding.line for finding in checks.private_paths(tree)] == [1]


def test_sizes_pass_over_what_is_generated_or_a_table(tmp_path: Path) -> None:
    long = "a = 1\n" * (checks.FILE_LINES_MAX + 1)
    names = ("proto/generated/types.ts", "services/fm/core/alarm_table.py")
    assert list(checks.sizes(plant(tmp_path, dict.fromkeys(names, long)))) == []


def test_tree_holds_what_git_would_when_there_is_a_repository(tmp_path: Path) -> None:
    checks.subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    tree = plant(tmp_path, {".gitignore": "out/\n", "out/a.py": "", "b.py": "", "c/d.py": ""})
    assert {str(path) for path in tree.files} == {".gitignore", "b.py", "c/d.py"}
