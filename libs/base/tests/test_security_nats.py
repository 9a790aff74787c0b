"""Users come and go on a running server, and disturb nobody."""

import asyncio
from pathlib import Path
from typing import Any

import nats
import nats.errors
import pytest
from nats.aio.client import Client

from murmuration.bus.connection import open_bus
from murmuration.kernel.errors import MurmurationError, Unavailable
from murmuration.security import jwt, users
from murmuration.security.authority import open_authority
from murmuration.security.login import login_options
from murmuration.security.nats import push
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect


async def with_creds(server: NatsServer, creds: Path, name: str, said: list[str]) -> Client:
    async def on_error(error: Exception) -> None:
        said.append(str(error))

    options: dict[str, Any] = {"error_cb": on_error, "allow_reconnect": False}
    return await nats.connect(
        server.section.url,
        user_credentials=str(creds),
        inbox_prefix=f"_INBOX_reader-{name}".encode(),
        **options,
    )


async def test_reader_hears_looks_back_and_is_shut_out_when_revoked(
    connect: Connect, site_nats: NatsServer, tmp_path: Path
) -> None:
    fm, folder = await connect("fm"), site_nats.credentials_dir
    node = await connect("node@worker-1")
    said: list[str] = []
    clients: list[Client] = []
    for name in ("billing", "audit"):
        path = tmp_path / f"{name}.creds"
        path.write_text(users.create(folder, role="reader", name=name))
        clients.append(await with_creds(site_nats, path, name, said))
    billing, audit = clients
    heard = await billing.subscribe("fm.event.>")
    await billing.flush()
    await fm.js.publish("fm.event.alarm.raised.100_2E101.x", b"1", headers={"ce-type": "t"})
    message = await heard.next_msg(20)
    assert (message.data, (message.headers or {})["ce-type"]) == (b"1", "t")
    back = await billing.request("$JS.API.DIRECT.GET.FM", b'{"seq":1}', timeout=5)
    assert back.data == b"1"
    for subject in ("fm.event.x.y.z", "fm.cmd.alarm.clear", "$JS.API.CONSUMER.CREATE.FM.x"):
        await billing.publish(subject, b"")
    await billing.flush()
    await reaches(lambda: len(said) == 3 and all("permissions violation" in s for s in said))

    await users.revoke(folder, "billing", bus=site_nats.section)

    await reaches(lambda: billing.is_closed)
    assert audit.is_connected and fm.connected and node.connected
    assert (fm.error_count, node.error_count) == (0, 0)
    with pytest.raises(nats.errors.Error):
        await with_creds(site_nats, tmp_path / "billing.creds", "billing", said)
    site_nats.kill()
    site_nats.start()
    with pytest.raises(nats.errors.Error):
        await with_creds(site_nats, tmp_path / "billing.creds", "billing", said)
    again = await with_creds(site_nats, tmp_path / "audit.creds", "audit", said)
    await again.close()
    await audit.close()


async def test_agent_is_shut_out_by_its_key_and_let_in_with_what_is_issued_later(
    connect: Connect, site_nats: NatsServer
) -> None:
    folder, other = site_nats.credentials_dir, await connect("node@worker-2")
    login = site_nats.login("node@worker-1")
    key = jwt.key_of(login.seed)
    async with open_bus(site_nats.section, login, identity="node@worker-1", wait_s=5) as bus:
        await users.revoke(folder, key.public, bus=site_nats.section)
        await reaches(lambda: not bus.connected)
    with pytest.raises(MurmurationError, match="refuses the credentials"):
        async with open_bus(site_nats.section, login, identity="node@worker-1", wait_s=5):
            pass
    assert other.connected and other.error_count == 0

    async def let_in() -> bool:
        with open_authority(folder) as authority:
            fresh = authority.user("node@worker-1", key.public)
        later = type(login)(jwt=fresh, seed=key.seed)
        try:
            async with open_bus(site_nats.section, later, identity="node@worker-1", wait_s=5):
                return True
        except MurmurationError:
            return False  # issued within the second of the revocation

    await reaches(let_in)


async def test_users_are_let_in_that_were_made_while_the_server_runs(
    nats_server: NatsServer,
) -> None:
    async with open_bus(
        nats_server.section, nats_server.login("node@new-host"), identity="node@new-host"
    ) as bus:
        assert bus.connected


async def test_strangers_are_refused(nats_server: NatsServer, tmp_path: Path) -> None:
    with open_authority(tmp_path) as elsewhere:
        stranger = elsewhere.login("fm")
        thief = type(stranger)(jwt=nats_server.login("fm").jwt, seed=jwt.fresh_user().seed)
    with open_authority(nats_server.credentials_dir) as authority:
        expired = authority.login("join@worker-1", expires_at=1)
        own = jwt.fresh_user()
        claims = {
            "sub": own.public,
            "name": "node@worker-1",
            "nats": {
                "pub": {"allow": [">"]},
                "sub": {"allow": [">"]},
                "issuer_account": authority.accounts["HOSTS"].public,
                "type": "user",
                "version": 2,
            },
        }
        wide = type(stranger)(jwt=jwt.encode(claims, authority.scopes["node"]), seed=own.seed)
    for login in (stranger, thief, expired, wide):
        with pytest.raises(MurmurationError, match="refuses the credentials"):
            async with open_bus(nats_server.section, login, identity="fm", wait_s=5):
                pass
    for nobody in ({}, {"user": "fm", "password": "x"}):
        with pytest.raises(nats.errors.Error):
            await nats.connect(nats_server.section.url, allow_reconnect=False, **nobody)


async def test_accounts_of_another_site_are_not_taken(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    with open_authority(tmp_path) as elsewhere, pytest.raises(Unavailable, match="let the"):
        await push(elsewhere, nats_server.section)


async def test_answers_cannot_be_directed_into_another_zone(
    connect: Connect, site_nats: NatsServer
) -> None:
    sysinv, mtce, fm = [await connect(name) for name in ("sysinv", "mtce", "fm")]
    heard: list[str] = []

    async def on_message(message: Any) -> None:
        heard.append(message.subject)

    for bus, subject in ((mtce, "_INBOX_mtce.>"), (fm, "fm.query.mark")):
        await bus.nc.subscribe(subject, cb=on_message)
        await bus.nc.flush()
    inbox = await sysinv.nc.subscribe("sysinv.cmd.host.enrol.*", cb=_answer)
    await sysinv.nc.flush()
    targets = ("_INBOX_mtce.x", "fm.intake.mtce.raise", "mtce.event.host.forgotten.x")
    login = site_nats.login("node@worker-1")
    async with open_bus(site_nats.section, login, identity="node@worker-1") as node:
        for target in targets:
            for subject in ("sysinv.cmd.host.enrol.worker-1", "sysinv.observed.worker-1.report"):
                await node.nc.publish(subject, b"{}", reply=target)
        ack = await node.js.publish("sysinv.observed.worker-1.report", b"last")
    reader = site_nats.login("reader@billing")
    options = login_options(reader, "reader@billing")
    outside = await nats.connect(site_nats.section.url, **options)
    for target in targets:
        await outside.publish("$JS.API.DIRECT.GET.SYSINV", b'{"seq":1}', reply=target)
    await outside.flush()
    await outside.close()
    await asyncio.gather(*(bus.nc.flush() for bus in (sysinv, mtce, fm)))
    assert ack.seq == len(targets) + 1
    assert heard == []
    for stream in ("FM_INTAKE", "MTCE"):
        admin = await connect("provisioner")
        assert (await admin.js.stream_info(stream)).state.messages == 0
    await inbox.unsubscribe()


async def _answer(message: Any) -> None:
    await message.respond(b"enrolled")
