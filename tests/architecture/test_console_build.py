"""The console's committed build is made from the committed sources, and is as small as promised."""

import gzip
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "services/gateway/src/murmuration/gateway/static"
BUILD_BYTES_MAX = 150_000  # a phone on a poor line at a far edge site loads it in a second or two
PACKED = {".woff2"}  # compressed already
TEXT = (".html", ".css", ".js", ".svg")
RESOURCE = re.compile(r"""(?:src|href)=["']?(?:https?:)?//|url\(["']?(?:https?:)?//|@import""")


def test_console_build_is_current_when_checked_against_its_sources() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "console/digest.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_console_build_stays_under_its_size_when_compressed() -> None:
    total = 0
    for path in STATIC.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            total += len(content if path.suffix in PACKED else gzip.compress(content))
    assert 0 < total < BUILD_BYTES_MAX


def test_console_build_needs_nothing_from_elsewhere_when_it_runs() -> None:
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", page), "inline script"
    assert " style=" not in page and "<style" not in page, "inline style"
    for path in STATIC.rglob("*"):
        if path.suffix in TEXT:
            assert not RESOURCE.search(path.read_text()), f"{path.name} loads from elsewhere"


def test_console_lock_names_no_registry_host() -> None:
    assert '"resolved"' not in (ROOT / "console/package-lock.json").read_text()
