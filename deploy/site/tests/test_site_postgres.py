"""PostgreSQL as the site runs it: every way of not being root, crashes, and closed doors."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from murmuration.security import identities
from murmuration.site import layout, leftovers, postgres
from murmuration.site.helpers import Helper
from murmuration.site.keeper import Phase
from murmuration.site.layout import Layout
from murmuration.site.levels import Changes
from murmuration.site.logfile import Journal, LogFile
from murmuration.site.postgres import Place
from murmuration.site.process import RunAs
from murmuration.site.supervisor import Supervisor
from murmuration.testkit.levels import reaches

GONE = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # in the midst of a statement
    OSError,
)


def new_place(state: Path) -> Layout:
    found = layout.find({"MUR_STATE_DIR": str(state)})
    layout.make(found)
    identities.ensure(found.credentials)
    return found


def remove_place(place: Layout) -> None:
    shutil.rmtree(postgres.shared_folder(place), ignore_errors=True)
    shutil.rmtree(place.run, ignore_errors=True)


@pytest.fixture
def empty_place(tmp_path: Path) -> Iterator[Layout]:
    """A site before its first start."""
    found = new_place(tmp_path / "state")
    yield found
    remove_place(found)


@pytest.fixture(scope="session")
def stopped_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a site that was started and stopped once: making it takes longest."""
    made = new_place(tmp_path_factory.mktemp("postgres") / "state")

    async def start_and_stop() -> None:
        async with server(made):
            pass

    with asyncio.Runner() as runner:
        runner.run(start_and_stop())
    remove_place(made)
    return made.state


@pytest.fixture
def place(tmp_path: Path, stopped_state: Path) -> Iterator[Layout]:
    """A site before its second start."""
    shutil.copytree(stopped_state, tmp_path / "state")
    found = new_place(tmp_path / "state")
    yield found
    remove_place(found)


@asynccontextmanager
async def server(place: Layout, *, may_map: bool = True) -> AsyncIterator[tuple[Supervisor, Place]]:
    """PostgreSQL brought up as the site does it."""

    def log_of(name: str) -> LogFile:
        return LogFile(place.log_of(name), size_bytes_max=1_000_000, older_count=1)

    chosen = postgres.choose(place, may_map=may_map)
    first = postgres.initdb_spec(chosen)
    if first is not None:
        await Helper(environment=dict(os.environ), log=log_of("helpers")).run(first)
    postgres.adopt(chosen)
    postgres.configure(chosen)
    supervisor = Supervisor(
        changes=Changes(),
        journal=Journal(log_of("supervisor")),
        environment=dict(os.environ),
        log_of=log_of,
    )
    supervisor.add([postgres.server_spec(chosen), postgres.databases_spec(chosen)])
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await asyncio.sleep(0)
        try:
            databases = supervisor.keepers["databases"]
            await reaches(lambda: databases.phase is Phase.DONE, what="databases made")
            yield supervisor, chosen
        finally:
            await supervisor.stop()


async def connect(
    place: Layout, service: str, *, database: str | None = None
) -> asyncpg.Connection:
    login = json.loads((place.credentials / f"{service}.json").read_text())["database"]
    return await asyncpg.connect(
        host=str(place.postgres_sockets),
        port=postgres.PORT,
        user=login["user"],
        password=login["password"],
        database=database or login["name"],
    )


@pytest.mark.parametrize("may_map", [True, False])
async def test_server_runs_under_root_as_somebody_else(empty_place: Layout, may_map: bool) -> None:
    assert os.geteuid() == 0, "run as root: it is about not running as root"
    place = empty_place
    async with server(place, may_map=may_map) as (supervisor, chosen):
        assert chosen.run_as is (RunAs.MAPPED if may_map else RunAs.NOBODY)
        assert chosen.data.stat().st_uid == (0 if may_map else 65534)
        connection = await connect(place, "fm")
        assert Path(f"/proc/{supervisor.keepers['postgres'].pid}/cwd").readlink() == chosen.data
        assert await connection.fetchval("show fsync") == "on"
        assert await connection.fetchval("show listen_addresses") == ""
        await connection.close()
        if not may_map:
            note = json.loads((place.state / "postgres.json").read_text())
            assert note == {"run_as": "nobody", "data": str(chosen.data)}
        pid = supervisor.keepers["postgres"].pid
    await reaches(lambda: not Path(f"/proc/{pid}").exists())


def test_programs_out_of_nobody_s_reach_are_copied_to_where_it_gets(tmp_path: Path) -> None:
    assert os.geteuid() == 0, "run as root: it is about becoming nobody"
    shared = Path(tempfile.mkdtemp(prefix="mur-t"))
    mask = os.umask(0o077)  # as the supervisor has it
    try:
        shared.chmod(0o711)
        copied = postgres.copy_binaries(postgres.wheel_binaries(), shared)
        assert copied == postgres.copy_binaries(postgres.wheel_binaries(), shared)
        said = subprocess.run(
            [copied / "initdb", "--version"],
            user=65534, group=65534, cwd="/", capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "(PostgreSQL) 18" in said.stdout
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        assert not postgres.open_to_others(closed)
        assert postgres.open_to_others(copied)
    finally:
        os.umask(mask)
        shutil.rmtree(shared)


async def test_data_is_there_after_the_server_was_killed_and_after_a_stop(place: Layout) -> None:
    async with server(place) as (supervisor, _):
        connection = await connect(place, "fm")
        await connection.execute("create table t (n int); insert into t values (1)")
        keeper = supervisor.keepers["postgres"]
        first = keeper.pid
        os.kill(first, signal.SIGKILL)
        with pytest.raises(GONE):
            while True:
                await connection.execute("select 1")
        connection.terminate()
        await reaches(lambda: keeper.phase is Phase.READY and keeper.pid != first, what="restart")
        connection = await connect(place, "fm")
        assert await connection.fetchval("select n from t") == 1
        await connection.close()
    async with server(place):
        connection = await connect(place, "fm")
        assert await connection.fetchval("select n from t") == 1
        await connection.close()


async def test_service_gets_into_its_own_database_and_no_other(place: Layout) -> None:
    refused = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InsufficientPrivilegeError)
    async with server(place):
        for service in postgres.DATABASES:
            await (await connect(place, service)).close()
            for other in (*postgres.DATABASES, "postgres", "template1"):
                if other != service:
                    with pytest.raises(refused):
                        await connect(place, service, database=other)
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(
                host=str(place.postgres_sockets), user="fm", password="guess", database="fm"
            )
        with pytest.raises(refused):
            await asyncpg.connect(host=str(place.postgres_sockets), user="root", database="fm")


async def test_password_that_changed_is_the_new_one_after_the_next_start(place: Layout) -> None:
    file = place.credentials / "fm.json"
    content = json.loads(file.read_text())
    content["database"]["password"] = "another-one"
    file.write_text(json.dumps(content))
    async with server(place):
        await (await connect(place, "fm")).close()


def break_draft(chosen: Place) -> None:
    """Killed within initdb."""
    shutil.rmtree(chosen.data)
    draft = chosen.data.with_name("postgres.new")
    draft.mkdir()
    (draft / "base").mkdir()


def break_finished_draft(chosen: Place) -> None:
    """Killed between initdb's end and the rename: the draft is made anew or taken."""
    chosen.data.replace(chosen.data.with_name("postgres.new"))


def break_pid_file(chosen: Place) -> None:
    """The pid of a dead server that another process of ours has now."""
    (chosen.data / "postmaster.pid").write_text(
        f"{os.getpid()}\n{chosen.data}\n1\n5432\n\n\n 0 0\n"
    )


@pytest.mark.parametrize("harm", [break_draft, break_finished_draft, break_pid_file])
async def test_server_starts_whatever_a_crash_has_left(
    place: Layout, harm: Callable[[Place], None]
) -> None:
    harm(postgres.choose(place, may_map=True))
    async with server(place):
        await (await connect(place, "fm")).close()


async def test_server_of_a_dead_supervisor_is_found_and_ended(place: Layout) -> None:
    async with server(place) as (supervisor, chosen):
        keeper = supervisor.keepers["postgres"]
        found = leftovers.find(place.state, postgres.data_folders(place))
        assert keeper.pid in found
        keeper.hold()
        assert leftovers.sweep(place.state, [chosen.data]) >= 1
        await reaches(lambda: keeper.phase is Phase.HELD)
        assert not leftovers.find(place.state, [chosen.data])


def test_scram_verifier_is_what_the_standard_says() -> None:
    # The worked example of RFC 7677, section 3: its client proof follows from this StoredKey.
    import base64
    import hashlib
    import hmac

    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    verifier = postgres.scram_verifier("pencil", salt=salt)
    assert verifier.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
    stored, server_key = (base64.b64decode(part) for part in verifier.split("$")[2].split(":"))
    message = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    signature = hmac.digest(stored, message, "sha256")
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored
    assert base64.b64encode(hmac.digest(server_key, message, "sha256")) == (
        b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    )
