"""On a live site a program outside is let in and shut out, and nobody else notices."""

import json
import ssl
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.aio.client import Client

from murmuration.security.ed25519 import public_of
from murmuration.testkit.levels import reaches
from murmuration.testkit.site import Site


async def test_reader_is_let_in_and_shut_out_while_all_processes_stay(
    live: Site, tmp_path: Path
) -> None:
    creds = tmp_path / "audit.creds"
    made = live.mur("nats-user", "create", "--name", "audit", "--output", str(creds))
    assert made.returncode == 0, made.stderr
    before = live.processes()
    told = json.loads((live.state_dir / "site.json").read_text())

    async def connect() -> Client:
        return await nats.connect(
            told["nats_url"],
            user_credentials=str(creds),
            inbox_prefix=b"_INBOX_reader-audit",
            tls=ssl.create_default_context(cafile=told["ca"]),
            tls_handshake_first=True,
            allow_reconnect=False,
        )

    client = await connect()
    heard = await client.subscribe("sysinv.event.>")
    await client.flush()
    assert live.mur("host", "label", "worker-2", "audited=yes").returncode == 0
    assert live.mur("host", "label", "worker-2", "audited-").returncode == 0
    assert (await heard.next_msg(20)).subject.startswith("sysinv.event.host.")

    revoked = live.mur("nats-user", "revoke", "audit")
    assert revoked.returncode == 0, revoked.stderr
    await reaches(lambda: client.is_closed)
    with pytest.raises(nats.errors.Error):
        await connect()
    assert live.processes() == before
    listed = json.loads(live.mur("nats-user", "list", "--json").stdout)["users"]
    assert ("audit", True) in [(each["name"], bool(each["revoked_at"])) for each in listed]


async def test_every_host_has_keys_of_its_own_and_no_token_is_left(live: Site) -> None:
    seeds: set[str] = set()
    folders = [path for path in (live.state_dir / "hosts").iterdir() if path.is_dir()]
    # One that boots has none for a moment: its agent is told anew how to send heartbeats.
    await reaches(lambda: all((folder / "pulse.json").exists() for folder in folders))
    for folder in folders:
        own = json.loads((folder / "bus.json").read_text())
        pulse = json.loads((folder / "pulse.json").read_text())["bus"]
        assert (folder / "bus.json").stat().st_mode & 0o777 == 0o600
        assert pulse["seed"] == own["pulse_seed"]
        assert public_of(pulse["seed"]) != public_of(own["seed"])
        seeds |= {own["seed"], pulse["seed"]}
        assert not (folder / "join.token").exists()
    assert len(seeds) == 2 * len(folders)
