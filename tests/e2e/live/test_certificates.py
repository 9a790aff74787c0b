"""The authority of a live site is replaced while the site runs: nobody is cut off, nothing lost."""

import asyncio
import contextlib
import json
import os
import re
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import nats
import nats.errors
import pytest
from nats.aio.client import Client

from murmuration.testkit.levels import reaches
from murmuration.testkit.site import Site

CUT_OFF = re.compile(r'"event": ?"(bus\.lost|bus\.error|process\.ended)"')


def certificates(live: Site) -> dict[str, str]:
    listed = live.mur("site", "certs", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    found = json.loads(listed.stdout)["summary"]["certificates"]
    return {each["name"]: each["sha256"] for each in found}


def cut_off(live: Site) -> int:
    """How often somebody was cut off or ended, as the logs tell."""
    return sum(
        len(CUT_OFF.findall(path.read_text())) for path in (live.state_dir / "logs").glob("*.log")
    )


@asynccontextmanager
async def asking(live: Site) -> AsyncIterator[list[int]]:
    """Ask over HTTPS, each time by a new connection, until the end; the answers' statuses."""
    told = json.loads((live.state_dir / "site.json").read_text())
    statuses: list[int] = []

    async def ask() -> None:
        while True:
            context = ssl.create_default_context(cafile=told["ca"])
            async with (
                aiohttp.ClientSession(headers=live.headers) as session,
                session.get(f"{told['api']}/api/v1/hosts", ssl=context) as answer,
            ):
                statuses.append(answer.status)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(ask())
    try:
        yield statuses
        assert not task.done(), task.result()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until_well(live: Site) -> None:
    async def well() -> bool:
        done = await asyncio.to_thread(live.mur, "--json", "health")
        return done.returncode == 0 and json.loads(done.stdout)["status"] == "ok"

    await reaches(well)


async def test_authority_and_certificates_change_while_everybody_goes_on(
    live: Site, tmp_path: Path
) -> None:
    creds = tmp_path / "watch.creds"
    live.mur("nats-user", "create", "--name", "watch", "--output", str(creds))
    told = json.loads((live.state_dir / "site.json").read_text())
    old = ssl.create_default_context(cafile=told["ca"])

    async def connect(context: ssl.SSLContext) -> Client:
        return await nats.connect(
            told["nats_url"],
            user_credentials=str(creds),
            inbox_prefix=b"_INBOX_reader-watch",
            tls=context,
            tls_handshake_first=True,
            allow_reconnect=False,
        )

    await until_well(live)
    before, processes, cuts = certificates(live), live.processes(), cut_off(live)
    reader = await connect(old)
    heard = await reader.subscribe("sysinv.event.host.changed.*")
    await reader.flush()
    changes = 0
    async with asking(live) as statuses:
        for action in ("renew", "rotate"):
            more = ("--now",) if action == "rotate" else ()
            done = asyncio.create_task(asyncio.to_thread(live.mur, "site", "certs", action, *more))
            while not done.done() or changes % 2:
                label = "rotating-" if changes % 2 else "rotating=yes"
                changed = await asyncio.to_thread(live.mur, "host", "label", "worker-2", label)
                assert changed.returncode == 0, changed.stderr
                changes += 1
            assert done.result().returncode == 0, done.result().stderr
    assert set(statuses) == {200}
    for _ in range(changes):
        await heard.next_msg(10)
    await reader.close()
    after = certificates(live)
    assert all(after[name] != before[name] for name in ("ca", "nats", "gateway"))
    assert live.processes() == processes
    assert cut_off(live) == cuts, "somebody was cut off"
    with pytest.raises((nats.errors.Error, OSError)):
        await connect(old)

    # Who was there before has only seen the old authority, and comes back by the new one.
    os.kill(processes["nats"], signal.SIGKILL)
    await reaches(lambda: live.processes().get("nats", processes["nats"]) != processes["nats"])
    await until_well(live)
    fresh = await connect(ssl.create_default_context(cafile=told["ca"]))
    await fresh.close()
    now = live.processes()
    assert {name: pid for name, pid in now.items() if name != "nats"} == {
        name: pid for name, pid in processes.items() if name != "nats"
    }


async def test_programs_elsewhere_are_given_the_authority_to_trust(
    live: Site, tmp_path: Path
) -> None:
    told = json.loads((live.state_dir / "site.json").read_text())
    printed = live.mur("site", "certs", "ca")
    assert printed.stdout == Path(told["ca"]).read_text()
    elsewhere = {**live.environment, "MUR_STATE_DIR": str(tmp_path), "MUR_TOKEN": live.token}
    there = Site(
        state_dir=tmp_path, url="", token="", control="",
        environment=elsewhere | {"MUR_URL": told["api"]},
    )  # fmt: skip
    refused = there.mur("site")
    assert refused.returncode == 3 and "cannot be trusted" in refused.stderr
    there.environment["MUR_CA"] = told["ca"]  # type: ignore[index]  # a dict of ours
    assert there.mur("site").returncode == 0
