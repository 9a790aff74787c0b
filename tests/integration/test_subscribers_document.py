"""The Python program in docs/subscribers.md, run as it stands there."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from murmuration.bus.connection import open_bus
from murmuration.bus.provision import provision
from murmuration.security import users
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import short_folder

DOCUMENT = Path(__file__).parents[2] / "docs" / "subscribers.md"


@pytest.fixture
async def secure() -> AsyncIterator[NatsServer]:
    """A provisioned NATS server as a site has it."""
    with short_folder() as folder:
        server = NatsServer(folder, tls=True)
        server.start()
        try:
            login = server.login("provisioner")
            async with open_bus(server.section, login, identity="provisioner") as bus:
                await provision(bus)
            yield server
        finally:
            server.kill()


async def test_python_example_hears_alarms(secure: NatsServer, tmp_path: Path) -> None:
    found = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)
    assert len(found) == 1
    program, creds, output = (tmp_path / n for n in ("subscriber.py", "billing.creds", "output"))
    program.write_text(found[0])
    creds.write_text(users.create(secure.credentials_dir, role="reader", name="billing"))
    with output.open("wb") as file:
        arguments = [secure.section.url, str(secure.bundle), str(creds), "billing"]
        running = subprocess.Popen(
            [sys.executable, str(program), *arguments], stdout=file, stderr=file
        )
    try:

        async def heard() -> bool:
            headers = {"ce-type": "fm.alarm.raised.v1"}
            await fm.js.publish("fm.event.alarm.raised.100_2E101.x", b"{}", headers=headers)
            return b"fm.alarm.raised.v1 fm.event.alarm.raised.100_2E101.x {}" in output.read_bytes()

        async with open_bus(secure.section, secure.login("fm"), identity="fm") as fm:
            await reaches(heard)
        assert b"refused" not in output.read_bytes()
    finally:
        running.kill()
        running.wait()
