"""Says whether the committed build of the console was made from these sources.

`build.json` beside the build holds a digest of the sources and one of every built file. Checking
needs neither Node nor a package: `python console/digest.py --check` exits 0 when both are as
recorded, else 1 with one sentence. `--write` records them after a build, `--print` shows the digest
of the sources.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REBUILD = "run `npm ci && npm run build` in console/"
STATIC = HERE.parent / "services/gateway/src/murmuration/gateway/static"
RECORD = "build.json"

# What the build is made from. Tests, the fixture and this file do not reach it.
FILES = (
    ".npmrc",
    "index.html",
    "package-lock.json",
    "package.json",
    "svelte.config.js",
    "tsconfig.json",
    "vite.config.ts",
)
FOLDERS = ("public", "src")
TEST_SUFFIX = ".test.ts"


def sources() -> list[Path]:
    """The files the build is made from, in a stable order."""
    found = [HERE / name for name in FILES]
    for folder in FOLDERS:
        found += [p for p in (HERE / folder).rglob("*") if p.is_file()]
    return sorted(p for p in found if not p.name.endswith(TEST_SUFFIX))


def sources_digest() -> str:
    """SHA-256 over name, length and content of every source file."""
    total = hashlib.sha256()
    for path in sources():
        content = path.read_bytes()
        total.update(f"{path.relative_to(HERE).as_posix()}\0{len(content)}\0".encode())
        total.update(content)
    return f"sha256:{total.hexdigest()}"


def built_files() -> dict[str, str]:
    """SHA-256 of every built file but the record, by its path below the static folder."""
    found = sorted(p for p in STATIC.rglob("*") if p.is_file() and p.name != RECORD)
    return {
        path.relative_to(STATIC).as_posix(): "sha256:"
        + hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
    }


def check() -> str:
    """What is wrong with the committed build, in one sentence; empty when nothing is."""
    record_path = STATIC / RECORD
    if not record_path.is_file():
        return f"the console is not built: {REBUILD}"
    record = json.loads(record_path.read_text())
    if record.get("sources") != sources_digest():
        return f"the console's sources changed since its build: {REBUILD}"
    built = built_files()
    recorded = record.get("files", {})
    differing = sorted(n for n in built.keys() | recorded.keys() if built.get(n) != recorded.get(n))
    if differing:
        return f"the console's build differs from its record: {', '.join(differing)}"
    return ""


def write() -> None:
    """Record the sources and the files of the build that was just made."""
    record = {"sources": sources_digest(), "files": built_files()}
    (STATIC / RECORD).write_text(json.dumps(record, indent=2) + "\n")


def main() -> int:
    """Run one of the three actions; the exit code says how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="exit 1 unless the build is current")
    action.add_argument("--write", action="store_true", help="record a build that was just made")
    action.add_argument("--print", action="store_true", help="print the digest of the sources")
    options = parser.parse_args()
    if options.write:
        write()
        return 0
    if options.print:
        sys.stdout.write(sources_digest() + "\n")
        return 0
    wrong = check()
    if wrong:
        sys.stderr.write(wrong + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
