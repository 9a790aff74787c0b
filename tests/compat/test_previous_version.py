"""The services of the previous version beside today's, on today's databases and streams.

The previous version is the tree of the last tag. While there is none it is a commit named below,
moved on by whoever breaks on purpose what was never released.
Today's services go first, so that databases and streams are as today makes them; then each version
in turn is the one that writes.
"""

import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import aiohttp
import msgspec
import pytest

from murmuration.alarms.client import open_alarms
from murmuration.bus.reader import StreamReader
from murmuration.bus.state import load_bucket
from murmuration.proto.envelope import Version
from murmuration.proto.fm import Alarm, AlarmType, RaiseAlarm, Severity
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.ports import free_port, short_folder
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import service_config

ROOT = Path(__file__).parents[2]
SERVICES = ("sysinv", "mtce", "fm")
UNTAGGED = "40ec1deb644a649e006a222f5404e6f5129cd3d7"
DEADLINE_S = 60.0
SOURCES = ("proto/src", "libs/base/src", *(f"services/{name}/src" for name in SERVICES))


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


def previous_version() -> str:
    """The last tag before this commit; while there is none, UNTAGGED."""
    tags = git("tag", "--list", "v*", "--sort=-creatordate", "--merged", "HEAD^").split()
    return tags[0].decode() if tags else UNTAGGED


@pytest.fixture(scope="module")
def previous() -> Iterator[Path]:
    """The tree of the previous version."""
    with short_folder() as folder:
        archive = git("archive", "--format=tar", previous_version(), "proto", "libs", "services")
        with tarfile.open(fileobj=BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        yield folder


class Replica:
    """One service process of one version."""

    def __init__(self, service: str, tree: Path, folder: Path) -> None:
        self.service = service
        self._port = free_port()
        self._log = folder / f"{service}-{self._port}.log"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(tree / source) for source in SOURCES),
            "MUR_CONFIG": str(folder / "site.toml"),
            f"MUR_{service.upper()}_LISTEN": f"127.0.0.1:{self._port}",
            "MUR_MTCE_UDP_LISTEN": f"127.0.0.1:{free_port()}",
        }
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"murmuration.{service}"],
                env=environment,
                stdout=output,
                stderr=output,
                cwd=tree,
            )

    async def role(self) -> str:
        """active or standby once it is ready, else empty."""
        assert self._process.poll() is None, self._log.read_text()[-3000:]
        try:
            async with (
                aiohttp.ClientSession() as web,
                web.get(f"http://127.0.0.1:{self._port}/readyz") as answer,
            ):
                status = msgspec.json.decode(await answer.read())
        except (aiohttp.ClientError, OSError):
            return ""
        return str(status["role"]) if status.get("ready") else ""

    async def becomes(self, role: str) -> None:
        async def is_it() -> bool:
            return await self.role() == role

        await reaches(is_it, deadline_s=DEADLINE_S, what=f"{self.service} being {role}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Versions:
    """The replicas of all versions that run; none is left behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[list[Replica]] = []

    async def start(self, tree: Path, role: str) -> None:
        """One more version, until all its services are in that role."""
        self._running.append([Replica(service, tree, self.folder) for service in SERVICES])
        for replica in self._running[-1]:
            await replica.becomes(role)

    async def succeed(self) -> None:
        """The oldest is killed, the next one takes over."""
        for replica in self._running.pop(0):
            replica.kill()
        for replica in self._running[0]:
            await replica.becomes("active")

    def end(self) -> None:
        for replicas in self._running:
            for replica in replicas:
                replica.kill()


@pytest.fixture
def versions() -> Iterator[Versions]:
    with short_folder() as folder:
        made = Versions(folder)
        try:
            yield made
        finally:
            made.end()


def an_alarm(entity: str) -> RaiseAlarm:
    return RaiseAlarm(
        alarm_id="200.005",
        entity=entity,
        severity=Severity.MAJOR,
        reason_text="versions side by side",
        alarm_type=AlarmType.COMMUNICATION,
        probable_cause="unknown",
        raised_at=datetime.now(UTC),
    )


async def test_previous_version_works_beside_this_one_on_its_databases_and_streams(
    previous: Path,
    versions: Versions,
    site_nats: NatsServer,
    connect: Connect,
    postgres: Postgres,
) -> None:
    for service in SERVICES:
        service_config(service, site_nats, postgres)
    (versions.folder / "site.toml").write_text(
        f'[site]\ncredentials_dir = "{site_nats.credentials_dir}"\n'
        f'[bus]\nurl = "{site_nats.section.url}"\n'
        f'[store]\nhost = "{postgres.section.host}"\n'
    )
    gateway = await connect("gateway")
    raised: set[str] = set()

    async def active() -> set[str]:
        keys, _ = await load_bucket(gateway, "fm_alarms")
        return {
            msgspec.json.decode(stored.value.data, type=Alarm).entity
            for stored in keys.values()
            if not stored.value.deleted
        }

    async def shown() -> bool:
        return await active() == raised

    async with open_alarms(gateway, producer="gateway", spool=versions.folder / "spool") as alarms:

        async def one_more(entity: str) -> None:
            await alarms.raise_alarm(an_alarm(entity))
            raised.add(entity)
            await reaches(shown, deadline_s=DEADLINE_S, what=f"the alarm of {entity}")

        await versions.start(ROOT, "active")
        await one_more("writer=today")
        await versions.start(previous, "standby")
        await one_more("writer=today, with the previous version beside it")
        await versions.succeed()
        await one_more("writer=previous")
        await versions.start(ROOT, "standby")
        await one_more("writer=previous, with today's beside it")
        await versions.succeed()
        await one_more("writer=today again")

    told: list[Version] = []
    async for batch in StreamReader(gateway, "FM", start=1).batches():
        told += [each.version for each in batch if each.type == "fm.alarm.raised.v1"]
        if len(told) >= len(raised):
            break
    assert told == sorted(set(told))
    assert len(told) == len(raised)
