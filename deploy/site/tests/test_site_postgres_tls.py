"""PostgreSQL by TCP, with the distribution's build: TLS alone, and nobody in another's database."""

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec
import pytest

from murmuration.kernel.errors import Rejected, Unavailable
from murmuration.runtime.config import DatabaseCredentials, StoreSection, read_credentials
from murmuration.security import identities
from murmuration.security.certificates import keep
from murmuration.security.tls import BUNDLE, folder_of
from murmuration.site import layout, postgres
from murmuration.site.errors import Refused
from murmuration.site.helpers import Helper
from murmuration.site.keeper import Phase
from murmuration.site.layout import Layout
from murmuration.site.levels import Changes
from murmuration.site.logfile import Journal, LogFile
from murmuration.site.postgres import Place
from murmuration.site.probes import Door
from murmuration.site.supervisor import Supervisor
from murmuration.store.connecting import Connector
from murmuration.store.database import open_database
from murmuration.store.singleton import SingletonLock
from murmuration.testkit.levels import reaches
from murmuration.testkit.ports import free_port, short_folder

LEAVES = {"postgres": ["127.0.0.1"]}


def distribution_binaries() -> str:
    return str(max(Path("/usr/lib/postgresql").glob("*/bin")))


@pytest.fixture
async def served() -> AsyncIterator[tuple[Supervisor, Place]]:
    """PostgreSQL with TCP, brought up as the site does it."""
    with short_folder() as folder:
        place = layout.find({"MUR_STATE_DIR": str(folder / "state")})
        layout.make(place)
        identities.ensure(place.credentials)
        keep(place.credentials, LEAVES, now=datetime.now(UTC))

        def log_of(name: str) -> LogFile:
            return LogFile(place.log_of(name), size_bytes_max=1_000_000, older_count=1)

        chosen = postgres.choose(
            place, listen=f"127.0.0.1:{free_port()}", binaries=distribution_binaries()
        )
        first = postgres.initdb_spec(chosen)
        assert first is not None
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
            try:
                databases = supervisor.keepers["databases"]
                await reaches(lambda: databases.phase is Phase.DONE, what="databases made")
                yield supervisor, chosen
            finally:
                await supervisor.stop()


def login_of(place: Layout, service: str) -> DatabaseCredentials:
    found = read_credentials(place.credentials, service).database
    assert found is not None
    return found


def section_of(chosen: Place) -> StoreSection:
    bundle = folder_of(chosen.layout.credentials) / BUNDLE
    return StoreSection(host=chosen.address, port=chosen.port, ca=str(bundle))


async def test_services_reach_it_by_tls_and_nobody_else_does(
    served: tuple[Supervisor, Place], tmp_path: Path
) -> None:
    supervisor, chosen = served
    place, section = chosen.layout, section_of(chosen)
    fm = login_of(place, "fm")
    async with (
        open_database(section, fm, migrations=None) as database,
        SingletonLock(section, fm).hold(),
        database.connection() as connection,
    ):
        told = await connection.fetchrow(
            "select ssl, version from pg_stat_ssl where pid = pg_backend_pid()"
        )
        assert told is not None and tuple(told) == (True, "TLSv1.3")

        plain = {"host": chosen.address, "port": chosen.port, "user": fm.user, "ssl": False}
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(**plain, password=fm.password, database=fm.name)  # type: ignore[arg-type]
        for service, name in (("fm", "mtce"), ("mtce", "fm"), ("fm", "postgres")):
            other = msgspec.structs.replace(login_of(place, service), name=name)
            with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
                await Connector(section, other)()
        wrong = msgspec.structs.replace(fm, password="guessed")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await Connector(section, wrong)()
        superuser = DatabaseCredentials(
            name="postgres", user="postgres", password=postgres.superuser_password(chosen)
        )
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await Connector(section, superuser)()

        keep(tmp_path, {}, now=datetime.now(UTC))
        strange = msgspec.structs.replace(section, ca=str(folder_of(tmp_path) / BUNDLE))
        named = msgspec.structs.replace(section, host="localhost")
        for doubtful in (strange, named):
            with pytest.raises(ssl.SSLCertVerificationError):
                await Connector(doubtful, fm)()

        # The authority is replaced: who is there stays, who comes trusts and is shown the new one.
        for _ in range(3):
            keep(place.credentials, LEAVES, now=datetime.now(UTC), asked=True, hurry=True)
        postgres.show_certificate(chosen)
        before = await Door(chosen.address, chosen.port, postgres=True).shown()
        supervisor.keepers["postgres"].signal(signal.SIGHUP)

        async def shown() -> bool:
            return await Door(chosen.address, chosen.port, postgres=True).shown() != before

        await reaches(shown)
        assert await connection.fetchval("select 1") == 1
        late = await Connector(section, fm)()
        await late.close()


async def test_server_without_tls_is_not_spoken_to(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(8))
        writer.write(b"N")
        heard.append(await reader.read(100))
        writer.close()

    door = await asyncio.start_server(plain, "127.0.0.1", 0)
    keep(tmp_path, {}, now=datetime.now(UTC))
    section = StoreSection(
        host="127.0.0.1",
        port=door.sockets[0].getsockname()[1],
        ca=str(folder_of(tmp_path) / BUNDLE),
    )
    login = DatabaseCredentials(name="fm", user="fm", password="secret")
    with pytest.raises(Unavailable):
        async with open_database(section, login, migrations=None):
            pass
    door.close()
    assert heard and all(len(said) in (0, 8) for said in heard), "SSLRequest, and nothing after"
    with pytest.raises(Rejected, match="ca is missing"):
        Connector(msgspec.structs.replace(section, ca=""), login)


def test_embedded_build_is_not_opened_to_tcp(tmp_path: Path) -> None:
    place = layout.find({"MUR_STATE_DIR": str(tmp_path / "state")})
    layout.make(place)
    with pytest.raises(Refused, match="built without"):
        postgres.choose(place, listen="127.0.0.1:5433")
    with pytest.raises(Refused, match="There is no PostgreSQL in"):
        postgres.choose(place, listen="127.0.0.1:5433", binaries=str(tmp_path))
