"""Where a site keeps what: one state folder, one short run folder, one lock.

| path | what | survives `down` |
|---|---|---|
| state/site.toml | the configuration every part reads | yes, written anew at each `up` |
| state/credentials/ | a file of secrets per identity | yes |
| state/postgres/ | the databases, unless postgres.json says where they are | yes |
| state/nats/ | JetStream's store and nats-server's configuration | yes |
| state/hosts/NAME/ | node.toml, and what the agents of a host keep | yes |
| state/logs/ | a log per process, rotated | yes |
| state/site.json | where the running site is, and its token, for tools (0600) | no |
| state/supervisor.lock | held by the living supervisor | yes |
| run/ | sockets: their paths must be short (108 bytes, unix(7)) | no |

Invariant: whoever holds the lock is the only one that writes into the state folder.
"""

import fcntl
import hashlib
import os
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from murmuration.site.errors import Refused

SOCKET_PATH_BYTES_MAX = 107  # sun_path of unix(7), without its final zero
RUN_DIR_BYTES_MAX = SOCKET_PATH_BYTES_MAX - len("/postgres/.s.PGSQL.5432.lock")


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The paths of one site; `token` is eight hex digits that tell its state folder from others."""

    state: Path
    run: Path
    token: str

    @property
    def site_toml(self) -> Path:
        """The configuration every part reads."""
        return self.state / "site.toml"

    @property
    def site_json(self) -> Path:
        """Where the running site is."""
        return self.state / "site.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.state / "supervisor.lock"

    @property
    def credentials(self) -> Path:
        """The secrets."""
        return self.state / "credentials"

    @property
    def postgres(self) -> Path:
        """The databases, unless postgres.json says otherwise."""
        return self.state / "postgres"

    @property
    def nats(self) -> Path:
        """JetStream's store, and nats-server's configuration."""
        return self.state / "nats"

    @property
    def hosts(self) -> Path:
        """A folder per host."""
        return self.state / "hosts"

    @property
    def logs(self) -> Path:
        """A file per process."""
        return self.state / "logs"

    @property
    def control(self) -> Path:
        """The supervisor's control socket."""
        return self.run / "control.sock"

    @property
    def postgres_sockets(self) -> Path:
        """The folder of PostgreSQL's socket."""
        return self.run / "postgres"

    def log_of(self, process: str) -> Path:
        """The log file of one process."""
        return self.logs / f"{process}.log"


def state_dir(environ: Mapping[str, str]) -> Path:
    """The state folder: MUR_STATE_DIR, else below the XDG state directory (0.8)."""
    if named := environ.get("MUR_STATE_DIR"):
        return Path(named).expanduser().absolute()
    base = environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser().absolute() / "murmuration"


def config_file(environ: Mapping[str, str]) -> Path:
    """The operator's optional settings, below the XDG configuration directory."""
    base = environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser().absolute() / "murmuration" / "config.toml"


def find(environ: Mapping[str, str]) -> Layout:
    """The layout of the site this environment names; makes nothing."""
    state = state_dir(environ)
    token = hashlib.blake2s(str(state).encode(), digest_size=4).hexdigest()
    return Layout(state=state, run=_run_dir(token, environ), token=token)


def _run_dir(token: str, environ: Mapping[str, str]) -> Path:
    uid = os.geteuid()
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if uid == 0:
        candidates = [Path("/run/murmuration") / token]
    elif runtime and os.access(runtime, os.W_OK):
        candidates = [Path(runtime) / "murmuration" / token]
    else:
        candidates = []
    candidates.append(Path("/tmp") / f"mur-{uid}-{token}")  # noqa: S108 - ownership is checked
    return next(path for path in candidates if len(os.fsencode(path)) <= RUN_DIR_BYTES_MAX)


def make(layout: Layout) -> None:
    """Make the folders, for their owner alone. Repeatable. Raises Refused when that cannot be."""
    try:
        layout.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (layout.nats, layout.hosts, layout.logs):
            folder.mkdir(mode=0o700, exist_ok=True)
        layout.run.parent.mkdir(parents=True, exist_ok=True)
        if layout.run.parent.name == "murmuration":
            layout.run.parent.chmod(0o711)
        layout.run.mkdir(exist_ok=True)
    except OSError as error:
        raise Refused(
            f"Cannot make {error.filename}: {error.strerror}.",
            "Set MUR_STATE_DIR to a folder that this user may write.",
        ) from error
    found = layout.run.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise Refused(f"{layout.run} belongs to somebody else.", "Remove it, then run `up` again.")
    layout.run.chmod(0o711)  # whoever runs PostgreSQL must get to its socket's folder


def write_private(path: Path, text: str) -> None:
    """Replace `path` as a whole, readable by its owner only; a crash leaves the old or the new."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


class SiteLock:
    """The lock of a state folder, a POSIX record lock: its holder's pid is known to the kernel.

    The kernel drops it when the holder dies, and a forked child does not have it. Invariant: a
    holder opens the file once, for closing any descriptor of it would drop the lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquire(self) -> int | None:
        """Take the lock. Returns None when taken, else the pid of its holder."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(descriptor)
            return holder(self._path) or 0
        self._descriptor = descriptor
        return None

    def release(self) -> None:
        """Let go of the lock; not holding it is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def holder(lock: Path) -> int | None:
    """The pid of the living process that holds `lock`, or None; takes nothing. Not for the holder.

    0 stands for a holder in another pid namespace.
    """
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        found: tuple[int, ...] = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    return None if found[0] == fcntl.F_UNLCK else max(found[4], 0)


_FLOCK = struct.Struct("hhqqi4x")  # struct flock of a 64-bit Linux: type, whence, start, len, pid
