"""The Python program in docs/subscribers.md, run as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

from murmuration.security import users
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect

DOCUMENT = Path(__file__).parents[2] / "docs" / "subscribers.md"


async def test_python_example_hears_alarms(
    connect: Connect, site_nats: NatsServer, tmp_path: Path
) -> None:
    found = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)
    assert len(found) == 1
    program, creds, output = (tmp_path / n for n in ("subscriber.py", "billing.creds", "output"))
    program.write_text(found[0])
    creds.write_text(users.create(site_nats.credentials_dir, role="reader", name="billing"))
    fm = await connect("fm")
    with output.open("wb") as file:
        running = subprocess.Popen(
            [sys.executable, str(program), site_nats.section.url, str(creds), "billing"],
            stdout=file,
            stderr=file,
        )
    try:

        async def heard() -> bool:
            headers = {"ce-type": "fm.alarm.raised.v1"}
            await fm.js.publish("fm.event.alarm.raised.100_2E101.x", b"{}", headers=headers)
            return b"fm.alarm.raised.v1 fm.event.alarm.raised.100_2E101.x {}" in output.read_bytes()

        await reaches(heard)
        assert b"refused" not in output.read_bytes()
    finally:
        running.kill()
        running.wait()
