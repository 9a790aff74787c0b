"""Rules of the tree that no other tool checks, one function each; `./just check` runs them.

A check takes a `Tree` and yields findings, each one sentence at a file and a line. Who may import
whom is in .importlinter; here is what that cannot see: files that must not exist, texts that must
not be written, the standard library inside core/, sizes, and that all services look alike.

Run as a program from the root of the tree: prints the findings, exits 1 when there are any.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import cast

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
TEXT_BYTES_MAX = 4 * 1024 * 1024  # what is larger is a picture or a build, not read for texts

Table = dict[str, object]


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Finding:
    """What is wrong at one line of one file; line 0 is the file itself."""

    path: str
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.sentence}"


def at(path: PurePosixPath, line: int, sentence: str) -> Finding:
    """A finding at a line of a file; line 0 is the file itself."""
    return Finding(path=str(path), line=line, sentence=sentence)


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The files of the project: what git tracks or would, as paths relative to `root`."""

    root: Path
    files: tuple[PurePosixPath, ...]
    _texts: dict[PurePosixPath, str] = field(default_factory=dict[PurePosixPath, str])

    @classmethod
    def of(cls, root: Path) -> "Tree":
        """The tree at `root`, by git where it is a repository of its own, else every file."""
        if (root / ".git").exists():
            listed = subprocess.run(
                ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                cwd=root,
                check=True,
                capture_output=True,
            )
            names = sorted(set(listed.stdout.decode().split("\0")) - {""})
        else:
            names = sorted(str(p.relative_to(root)) for p in root.rglob("*"))
        paths = (PurePosixPath(name) for name in names)
        return cls(root=root, files=tuple(p for p in paths if (root / p).is_file()))

    def text(self, path: PurePosixPath) -> str:
        """The text of a file; empty when it is not UTF-8 or too large to have been written."""
        if path not in self._texts:
            data = (self.root / path).read_bytes()
            try:
                text = "" if len(data) > TEXT_BYTES_MAX else data.decode()
            except UnicodeDecodeError:
                text = ""
            self._texts[path] = text
        return self._texts[path]

    def python(self) -> Iterator[tuple[PurePosixPath, ast.Module]]:
        """Every Python file that parses (ruff speaks of those that do not)."""
        for path in self.files:
            if path.suffix == ".py":
                try:
                    yield path, ast.parse(self.text(path))
                except SyntaxError:
                    continue

    def table(self, path: PurePosixPath) -> Table:
        """A TOML file as a table."""
        return tomllib.loads(self.text(path))


def is_made(path: PurePosixPath) -> bool:
    """Whether a file is generated, a golden sample, a built page or a table: sizes do not apply."""
    return bool({"generated", "golden", "static", "contracts"} & set(path.parts)) or bool(
        re.search(r"(^|_)(tables?|catalogue)\.py$|\.lock$|^package-lock\.json$", path.name)
    )


def stray_init(tree: Tree) -> Iterator[Finding]:
    """`murmuration` is a namespace of many distributions (PEP 420): one __init__.py hides all."""
    for path in tree.files:
        if path.name == "__init__.py" and path.parent.name == "murmuration":
            yield at(
                path, 0, "an __init__.py here hides every other murmuration package: remove it."
            )


REGISTRY = re.compile(
    r"(pypi\.org|pythonhosted\.org|npmjs\.(org|com)|yarnpkg\.com|jsdelivr\.net|unpkg\.com"
    r"|(deb|security|snapshot)\.debian\.org|(archive|security|ports)\.ubuntu\.com"
    r"|docker\.io|ghcr\.io|quay\.io|gcr\.io|registry\.k8s\.io|mcr\.microsoft\.com)\b"
)
INDEX_URL = re.compile(
    r"(--(extra-|default-)?index(-url)?|--find-links|--trusted-host|--registry)"
    r"""[ =]["']?\w+[:.][\w/]"""
    r"""|^\s*(extra-|default-)?index-url\s*=|^\s*(@\w+:)?registry\s*=\s*["']?(https?:)?//"""
)


def registry_hosts(tree: Tree) -> Iterator[Finding]:
    """Where packages come from is the machine's business: no registry host, no index URL."""
    for path in tree.files:
        text = tree.text(path)
        if not REGISTRY.search(text) and "index" not in text and "regist" not in text:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            found = REGISTRY.search(line) or INDEX_URL.search(line)
            if found:
                yield at(
                    path,
                    number,
                    f"{found[0].strip()!r} names a package registry: that is"
                    " configured on the machine, never in the tree.",
                )


def npm_sources(tree: Tree) -> Iterator[Finding]:
    """A package-lock.json names no place to fetch from (omit-lockfile-registry-resolved)."""
    for path in tree.files:
        if path.name == "package-lock.json":
            for number, line in enumerate(tree.text(path).splitlines(), 1):
                if re.search(r'"resolved":\s*"https?:', line):
                    yield at(
                        path,
                        number,
                        "a resolved URL: npm install with omit-lockfile-registry-resolved.",
                    )


PRIVATE_PATH = re.compile(r"(?<![\w.~-])/(home/\w[\w.-]*|Users/\w[\w.-]*|root)/\w[\w.-]*")


def private_paths(tree: Tree) -> Iterator[Finding]:
    """No path of somebody's machine: a home folder's, or where this very tree happens to stand."""
    root = tree.root.resolve()
    here = [str(place) for place in (root, root.parent) if len(place.parts) > 2]
    local = re.compile(rf"(?<![\w.~-])({'|'.join(map(re.escape, here)) or '(?!)'})(?![\w.-])")
    for path in tree.files:
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            found = local.search(line) or PRIVATE_PATH.search(line)
            if found:
                yield at(
                    path,
                    number,
                    f"{found[0]} is a path of one machine: make it relative or an argument.",
                )


CORE_STANDARD = [
    "__future__",
    "abc",
    "array",
    "base64",
    "binascii",
    "bisect",
    "collections",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "graphlib",
    "hashlib",
    "heapq",
    "ipaddress",
    "itertools",
    "math",
    "operator",
    "re",
    "statistics",
    "string",
    "struct",
    "types",
    "typing",
]
CORE_OTHERS = frozenset({"msgspec", "numpy"})  # the contract's Structs; arithmetic on whole columns
CLOCK_READS = frozenset({"now", "utcnow", "today"})


def core_purity(tree: Tree) -> Iterator[Finding]:
    """core/ is a function of (state, input, now): no I/O, clock, dice, coroutine, third party."""
    for path, module in tree.python():
        service = _core_of(path)
        if service is None:
            continue
        for node in ast.walk(module):
            for sentence in _impurities(node, service):
                line = getattr(node, "lineno", 0)
                yield at(path, line, sentence)


def _core_of(path: PurePosixPath) -> str | None:
    """The service whose core/ this file belongs to."""
    match path.parts[path.parts.index("src") :] if "src" in path.parts else ():
        case ("src", "murmuration", service, "core", *_):
            return service
        case _:
            return None


def _impurities(node: ast.AST, service: str) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            for name in names:
                if not _core_may_import(name.name, service):
                    yield f"core/ may not import {name.name}."
        case ast.ImportFrom(module=None) | ast.ImportFrom(level=1 | 2 | 3):
            yield "a relative import: name the package in full."
        case ast.ImportFrom(module=str(name)):
            if not _core_may_import(name, service):
                yield f"core/ may not import {name}."
        case ast.AsyncFunctionDef(name=name):
            yield f"{name} is a coroutine: core/ does not wait."
        case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in CLOCK_READS:
            if _last_name(value) in {"datetime", "date"}:
                yield f"{attr}() reads the clock: take the instant as an argument."
        case ast.Call(func=ast.Name(id="open" | "print" | "input" as name)):
            yield f"{name}() is I/O."
        case _:
            return


def _core_may_import(name: str, service: str) -> bool:
    top = name.partition(".")[0]
    if top == "murmuration":
        if name.startswith(("murmuration.kernel", "murmuration.proto")):
            return True
        own = "[a-z]+" if service == "sim" else service  # the world is made of the others' cores
        return re.match(rf"murmuration\.{own}\.core(\.|$)", name) is not None
    return top in CORE_STANDARD or top in CORE_OTHERS


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def sizes(tree: Tree) -> Iterator[Finding]:
    """No file above 600 lines, no function above 70; what is generated and tables excepted."""
    for path in tree.files:
        if path.suffix in {".py", ".sh", ".ts", ".svelte", ".css"} and not is_made(path):
            count = len(tree.text(path).splitlines())
            if count > FILE_LINES_MAX:
                yield at(
                    path,
                    count,
                    f"{count} lines, {FILE_LINES_MAX} is the roof: split it by subject.",
                )
    for path, module in tree.python():
        if is_made(path):
            continue
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or node.lineno) - node.lineno + 1
                if count > FUNCTION_LINES_MAX:
                    yield at(
                        path,
                        node.lineno,
                        f"{node.name} has {count} lines, {FUNCTION_LINES_MAX} is the roof.",
                    )


SERVICE_FILES = ("__main__.py", "app.py", "config.py")
SERVICE_PARTS = ("handlers",)
OWNER_PARTS = ("core", "handlers", "store")  # of a service that owns facts, and so has migrations


def service_shape(tree: Tree) -> Iterator[Finding]:
    """A service looks like every other service: the same names in the same places."""
    services = {p.parts[1] for p in tree.files if len(p.parts) > 2 and p.parts[0] == "services"}
    for name in sorted(services):
        folder = PurePosixPath("services", name)
        package = folder / "src" / "murmuration" / name
        inside = {p.relative_to(package).parts[0] for p in tree.files if p.is_relative_to(package)}
        if inside == {"__init__.py"}:
            continue
        if folder / "Dockerfile" not in tree.files:
            yield at(folder / "Dockerfile", 0, "every service has an image; this is missing.")
        owns = any("migrations" in p.parts for p in tree.files if p.is_relative_to(folder))
        for wanted in (*SERVICE_FILES, *(OWNER_PARTS if owns else SERVICE_PARTS)):
            if wanted not in inside:
                yield at(package / wanted, 0, "every service has this; it is missing.")


def declared_packages(tree: Tree) -> Iterator[Finding]:
    """What a distribution depends on is ours or stands in requirements.in, so that it is locked."""
    listed = {
        _normal(found[0])
        for line in tree.text(PurePosixPath("requirements.in")).splitlines()
        if (found := re.match(r"[A-Za-z0-9][\w.-]*", line))
    }
    for path in tree.files:
        if path.name != "pyproject.toml" or len(path.parts) < 2:
            continue
        project = cast("Table", tree.table(path).get("project", {}))
        for text in cast("list[str]", project.get("dependencies", [])):
            found = re.match(r"[A-Za-z0-9][\w.-]*", text)
            name = _normal(found[0] if found else text)
            if not name.startswith("murmuration-") and name not in listed:
                yield at(
                    path,
                    _line_of(tree.text(path), text),
                    f"{name} is not in requirements.in, so it is not locked: add it there.",
                )


def locks_agree(tree: Tree) -> Iterator[Finding]:
    """The product's lock is a part of the whole lock: what is tested is what runs."""
    whole: dict[str, set[str]] = {}  # several versions of one, where it depends on the Python
    for name, version in _pins(tree.text(PurePosixPath("requirements.lock"))):
        whole.setdefault(name, set()).add(version)
    product = PurePosixPath("requirements-product.lock")
    for number, line in enumerate(tree.text(product).splitlines(), 1):
        for name, version in _pins(line):
            known = whole.get(name, set())
            if version not in known:
                there = ", ".join(sorted(known)) or "none"
                yield at(
                    product,
                    number,
                    f"{name} {version} here, {there} in requirements.lock: run ./just lock.",
                )


def _pins(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^([a-z0-9][\w.-]*)==([^\s;]+)", text, re.MULTILINE)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _line_of(text: str, part: str) -> int:
    numbered = enumerate(text.splitlines(), 1)
    return next((number for number, line in numbered if part in line), 0)


CHECKS: tuple[Callable[[Tree], Iterator[Finding]], ...] = (
    stray_init,
    registry_hosts,
    npm_sources,
    private_paths,
    core_purity,
    sizes,
    service_shape,
    declared_packages,
    locks_agree,
)


def main() -> int:
    """Print what is wrong with the tree in the current folder; the exit code says whether."""
    tree = Tree.of(Path.cwd())
    findings = sorted(finding for check in CHECKS for finding in check(tree))
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
