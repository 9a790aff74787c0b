"""A fresh machine: a minimal Debian root file system with Python, certificates and nothing else.

It is made once by mmdebstrap, from where this machine's own apt fetches, and kept under the cache
folder; each machine is a copy. What runs in it runs in a mount and a process namespace of its own:
when the command ends, whatever it started or mounted is gone with them, also when it was killed.
How this machine reaches package indexes (apt, pip and uv settings, proxies, certificates, local
folders they name) is carried into it, whatever it is.

Needs root, and mmdebstrap of Debian.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

PACKAGES = "python3,ca-certificates"
BUILD_S_MAX = 240  # 25 s on two idle cores; the rest is for a slow mirror
RUN_S_MAX = 240  # the longest, downloads included, takes 10 s on two idle cores
CARRIED = re.compile(
    r"(PIP_\w+|UV_(\w*INDEX\w*|FIND_LINKS|CONFIG_FILE)|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE"
    r"|(https?|no|all|ftp)_proxy)",
    re.IGNORECASE,
)
APT_SETTINGS = re.compile(r"^Acquire::(https?|ftp|Retries|Check-|ForceIPv)[\w:.-]* \"[^\"]+\";$")
SETTINGS_FILES = (".config/pip/pip.conf", ".pip/pip.conf", ".config/uv/uv.toml")


def suite_here() -> str:
    """The code name of the Debian or Ubuntu release that runs here."""
    found = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE)
    if not found:
        raise RuntimeError("/etc/os-release has no VERSION_CODENAME: this needs Debian or Ubuntu.")
    return found[1]


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def apt_sources(suite: str) -> list[str]:
    """Where this machine fetches `suite` from, as lines of a sources.list; all components."""
    lines = _output(
        *("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"),
        "Created-By: Packages",
    )
    here = suite_here()
    targets = (line.split() for line in lines.splitlines())
    found = {f"deb {uri} {suite} {part}" for uri, release, part in targets if release == here}
    return sorted(found)


def apt_settings() -> str:
    """How this machine's apt reaches its sources: proxies, certificates, retries."""
    lines = _output("apt-config", "dump").splitlines()
    return "".join(f"{line}\n" for line in lines if APT_SETTINGS.match(line))


def make_image(suite: str) -> Path:
    """The root file system as a tar file, from the cache or made now (25 s)."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "murmuration"
    cache.mkdir(parents=True, exist_ok=True)
    options = [
        *("--mode=root", "--variant=minbase", "--format=tar", f"--include={PACKAGES}"),
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "locale", "man")),
        *(f"--aptopt={line}" for line in apt_settings().splitlines()),
    ]
    sources = apt_sources(suite)
    key = hashlib.sha256("\n".join([suite, *options, *sources]).encode()).hexdigest()[:12]
    image = cache / f"fresh-{suite}-{key}.tar"
    if not image.exists():
        made = image.with_suffix(f".{os.getpid()}.tmp")
        try:
            done = subprocess.run(
                ["mmdebstrap", *options, suite, str(made), *sources],
                check=False,
                capture_output=True,
                text=True,
                timeout=BUILD_S_MAX,
            )
            if done.returncode:
                raise RuntimeError(f"mmdebstrap could not make {suite}: {done.stderr[-2000:]}")
            for older in cache.glob(f"fresh-{suite}-*.tar"):
                older.unlink(missing_ok=True)
            made.rename(image)
        finally:
            made.unlink(missing_ok=True)
    return image


Done = subprocess.CompletedProcess[str]
USERS = {"root": (0, "/root"), "nobody": (65534, "/nonexistent")}


class FreshMachine:
    """One machine in a folder; `tree` is where the project stands on it."""

    def __init__(self, image: Path, root: Path) -> None:
        self.root = root
        self.tree = Path("/srv/murmuration")
        root.mkdir()
        subprocess.run(["tar", "-C", str(root), "--exclude=./dev/*", "-xf", str(image)], check=True)
        self._carry_settings()

    def _carry_settings(self) -> None:
        # Links in the machine point to files of this one: what is replaced is removed first.
        certificates = self.root / "etc/ssl/certs"
        shutil.rmtree(certificates)
        shutil.copytree("/etc/ssl/certs", certificates, ignore_dangling_symlinks=True)
        texts = [value for name, value in self._environment() if name != "PATH"]
        texts.append(apt_settings())
        for file in ("/etc/pip.conf", "/etc/uv/uv.toml", "/etc/resolv.conf", "/etc/hosts"):
            texts.append(self._copy(Path(file), self.root / file[1:]))
        for file in SETTINGS_FILES:
            texts.append(self._copy(Path.home() / file, self.root / "root" / file))
        named = {Path(found) for text in texts for found in re.findall(r"/[^\s'\",:]+", text)}
        for path in named:
            if path.is_file():
                self._copy(path, self.root / str(path)[1:])
        # A folder that is an index is called simple, and what it offers often lies beside it.
        folders = {p.parent if p.name == "simple" else p for p in named if p.is_dir()}
        self._folders = [str(p) for p in folders if not (self.root / str(p)[1:]).exists()]

    @staticmethod
    def _copy(source: Path, target: Path) -> str:
        """Copy a file if it exists; returns its text if it is one."""
        if not source.is_file():
            return ""
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)
        return source.read_text() if source.suffix in {".conf", ".toml"} else ""

    @staticmethod
    def _environment() -> Iterator[tuple[str, str]]:
        yield "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        for name, value in os.environ.items():
            if CARRIED.fullmatch(name):
                yield name, value

    def put(self, root: Path, files: list[str]) -> None:
        """Copy files, named relative to `root`, into the machine's tree."""
        target = self.root / str(self.tree)[1:]
        target.mkdir(parents=True)
        archive = self.root / "tree.tar"
        with tarfile.open(archive, "w") as tar:
            for name in files:
                tar.add(root / name, arcname=name)
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="fully_trusted")
        archive.unlink()

    def run(self, script: str, *, user: str = "root", timeout_s: float = RUN_S_MAX) -> Done:
        """Run a shell script in the project's tree; whatever it leaves running is killed.

        Raises subprocess.TimeoutExpired after `timeout_s`, with nothing left behind either.
        """
        number, home = USERS[user]
        steps = [f"mount --rbind /dev {self.root}/dev"]
        for folder in self._folders:
            steps.append(f"mkdir -p {self.root}{folder}; mount --bind {folder} {self.root}{folder}")
        steps.append(
            f"exec chroot {self.root} setpriv --reuid {number} --regid {number} --clear-groups"
            f' sh -c "cd {self.tree}; $1"'
        )
        return subprocess.run(
            [
                *("unshare", "--mount", "--propagation", "private", "--pid", "--fork"),
                *("--kill-child", f"--mount-proc={self.root}/proc"),
                *("sh", "-euc", "\n".join(steps), "enter", script),
            ],
            env=dict(self._environment()) | {"HOME": home},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
