"""With MUR_NO_SKIPS=1 a test that does not run to its end fails, however it got out of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WAYS_OUT = {
    "call": "import pytest\ndef test_a():\n    pytest.skip('no root')\n",
    "mark": "import pytest\n@pytest.mark.skip(reason='no root')\ndef test_a():\n    pass\n",
    "fixture": "import pytest\n@pytest.fixture\ndef f():\n    pytest.skip('no root')\n"
    "def test_a(f):\n    pass\n",
    "module": "import pytest\npytest.skip('no root', allow_module_level=True)\n",
    "xfail": "import pytest\n@pytest.mark.xfail(reason='no root')\ndef test_a():\n    assert 0\n",
}


def run(folder: Path, files: dict[str, str], *, no_skips: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "--continue-on-collection-errors",
        ],
        cwd=folder,
        env=os.environ | {"MUR_NO_SKIPS": no_skips, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_run_fails_and_says_why_for_each_way_a_test_can_skip(tmp_path: Path) -> None:
    done = run(tmp_path, WAYS_OUT, no_skips="1")
    assert done.returncode != 0
    for way in WAYS_OUT:
        assert f"test_{way}.py" in done.stdout
    assert done.stdout.count("did not run to its end, and nothing may: ") >= len(WAYS_OUT)
    assert done.stdout.count("no root") >= len(WAYS_OUT)
    assert "2 failed, 3 errors" in done.stdout.splitlines()[-1]


def test_run_skips_as_usual_when_not_asked_otherwise(tmp_path: Path) -> None:
    done = run(tmp_path, {"call": WAYS_OUT["call"]}, no_skips="")
    assert "1 skipped" in done.stdout.splitlines()[-1]


def test_run_passes_when_nothing_is_skipped(tmp_path: Path) -> None:
    done = run(tmp_path, {"whole": "def test_a():\n    pass\n"}, no_skips="1")
    assert done.returncode == 0
