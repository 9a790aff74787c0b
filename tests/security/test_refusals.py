"""Nobody where they do not belong: every identity tries everything that is another's.

What is another's is read from the registry, not from the permissions under test. One server, one
connection for each identity: it tries everything at once, then the errors that its callback was
told are compared with what should have been refused.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from murmuration.bus.connection import open_bus
from murmuration.bus.provision import provision
from murmuration.proto import registry
from murmuration.proto.permissions import IDENTITIES, MANY, READER, inbox_prefix
from murmuration.proto.registry import (
    BUCKETS,
    CHANNELS,
    STREAMS,
    BucketSpec,
    Channel,
    Kind,
    Permanence,
    StreamSpec,
)
from murmuration.proto.subjects import fill
from murmuration.security.login import login_options
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import short_folder

registry.load()
DEADLINE_S = 20
OWN, FOREIGN = ("worker-1", 12), ("worker-2", 13)
EVERYBODY = [f"{role}@{OWN[0]}" if role in MANY else role for role in IDENTITIES]
OTHERS = [f"{role}@{FOREIGN[0]}" for role in MANY]
STORES: dict[str, StreamSpec | BucketSpec] = {
    **STREAMS,
    **{f"KV_{name}": spec for name, spec in BUCKETS.items()},
}
CONSUMER_CALLS = (
    "CONSUMER.CREATE.{}.a-name",
    "CONSUMER.CREATE.{}.a-name.x.y",
    "CONSUMER.DURABLE.CREATE.{}.a-name",
    "CONSUMER.DELETE.{}.a-name",
    "CONSUMER.INFO.{}.a-name",
    "CONSUMER.MSG.NEXT.{}.a-name",
)
STREAM_CALLS = ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE", "RESTORE", "SNAPSHOT")


@dataclass
class Attempt:
    """One identity's connection, and what the server told it."""

    nc: Client
    errors: list[str] = field(default_factory=list[str])

    async def refused(self, kind: str) -> set[str]:
        """Subjects refused so far; a ping's answer comes behind all errors."""
        await self.nc.flush(DEADLINE_S)
        await self.nc.flush(DEADLINE_S)
        return {e.split('"')[1] for e in self.errors if f"violation for {kind}" in e}


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with short_folder() as folder:
        found = NatsServer(folder)
        found.start()
        try:
            yield found
        finally:
            found.kill()


@pytest.fixture
async def site(server: NatsServer) -> AsyncIterator[NatsServer]:
    async with open_bus(server.section, server.login("provisioner"), identity="provisioner") as bus:
        await provision(bus)
    yield server


@asynccontextmanager
async def trying(server: NatsServer, identity: str) -> AsyncGenerator[Attempt]:
    found = Attempt(Client())

    async def on_error(error: Exception) -> None:
        found.errors.append(str(error))

    login = server.login(identity, index=OWN[1])
    await found.nc.connect(
        server.section.url,
        **login_options(login, identity),
        error_cb=on_error,
        allow_reconnect=False,
    )
    try:
        yield found
    finally:
        await found.nc.close()


def role_of(identity: str) -> str:
    return identity.partition("@")[0]


def as_sent_by(channel: Channel, identity: str) -> str:
    """The channel's subject as this identity writes it of itself."""
    producer = inbox_prefix(identity).removeprefix("_INBOX_")
    name, index = FOREIGN if identity in OTHERS else OWN
    own = {"producer": producer, "sender": producer, "host": name, "index": f"{index:05d}"}
    return fill(channel.subject, own, otherwise="x")


def readers_of(store: str) -> set[str]:
    """Who may read a stream or a bucket, from what the registry says of it."""
    if store.startswith("KV_"):
        bucket = BUCKETS[store.removeprefix("KV_")]
        return {bucket.owner, *bucket.readers}
    return {who for c in CHANNELS.values() if c.stream == store for who in c.subscribers}


def own_subjects(identity: str) -> set[str]:
    role = role_of(identity)
    return {as_sent_by(c, identity) for c in CHANNELS.values() if role in c.publishers}


def forbidden_publishing(identity: str) -> set[str]:
    """Everything somebody may publish, and everything nobody may, that is not this one's."""
    role, own = role_of(identity), own_subjects(identity)
    found = {
        as_sent_by(channel, other)
        for channel in CHANNELS.values()
        for other in (*EVERYBODY, *OTHERS)
        if not _may(role, channel, identity, other)
    }
    found -= own
    found |= {f"$KV.{b.name}.some_key" for b in BUCKETS.values() if b.owner != role}
    found |= {f"{inbox_prefix(other)}.abc" for other in (*EVERYBODY, *OTHERS)}
    found |= {"$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.SERVER.PING"}
    if role == "provisioner":
        return found
    found |= {f"$JS.API.STREAM.{call}.{store}" for call in STREAM_CALLS for store in STORES}
    found |= {"$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.CREATE.NEW"}
    for store, spec in STORES.items():
        if role not in readers_of(store):
            found.add(f"$JS.ACK.{store}.x.1.1.1.1.1")
        calls = set(CONSUMER_CALLS[2:3]) if role in readers_of(store) else set(CONSUMER_CALLS)
        found |= {f"$JS.API.{call.format(store)}" for call in calls}
        looks = role in readers_of(store) or role == spec.owner
        outside = role == READER and _is_events(spec)
        if not looks and not outside:
            found.add(f"$JS.API.DIRECT.GET.{store}")
        if not looks:
            found.add(f"$JS.API.STREAM.MSG.GET.{store}")
    return found


def _is_events(spec: StreamSpec | BucketSpec) -> bool:
    return isinstance(spec, StreamSpec) and spec.permanence is Permanence.EVENTS


def _may(role: str, channel: Channel, identity: str, other: str) -> bool:
    """Whether `identity` may publish the subject that `other` would write of itself."""
    if role not in channel.publishers:
        return False
    if as_sent_by(channel, identity) == as_sent_by(channel, other):
        return True
    if "{producer}" in channel.subject and channel.service != role:
        return False
    return role not in MANY  # the site's own speak of all hosts, an agent of its own


def forbidden_hearing(identity: str) -> set[str]:
    role = role_of(identity)
    found = {f"{inbox_prefix(o)}.>" for o in (*EVERYBODY, *OTHERS) if o != identity}
    found |= {">", "*", "*.>", "$JS.>", "$JS.API.>", "$KV.>", "_INBOX.>", "$SYS.>", "_R_.>"}
    for channel in CHANNELS.values():
        for other in (*EVERYBODY, *OTHERS):
            subject = as_sent_by(channel, other)
            hears = role in channel.subscribers and channel.stream is None
            hears |= role == READER and channel.kind is Kind.EVENT
            if hears and role in MANY and role != READER:
                hears = subject == as_sent_by(channel, identity)
            told_apart = "{producer}" in channel.subject and role not in (channel.service, READER)
            if hears and told_apart:
                hears = subject == as_sent_by(channel, identity)
            if not hears:
                found.add(subject)
    return found


@pytest.mark.parametrize("identity", EVERYBODY)
async def test_what_is_anothers_is_refused_and_said_to_the_client(
    site: NatsServer, identity: str
) -> None:
    publishing, hearing = forbidden_publishing(identity), forbidden_hearing(identity)
    assert len(publishing) > 40 and len(hearing) > 20
    async with trying(site, identity) as someone:
        for subject in sorted(publishing):
            await someone.nc.publish(subject, b"{}")
        for subject in sorted(hearing):
            await someone.nc.subscribe(subject)
        assert await someone.refused("publish") == {s.lower() for s in publishing}
        assert await someone.refused("subscription") == {s.lower() for s in hearing}


@pytest.mark.parametrize("identity", EVERYBODY)
async def test_nothing_was_stored_made_or_removed_by_who_may_not(
    site: NatsServer, identity: str
) -> None:
    """Requests with an answer, as a client makes them: no answer comes, and all is as it was."""
    async with trying(site, "provisioner") as admin, trying(site, identity) as someone:
        before = await _stores(admin.nc)
        if identity == "provisioner":
            return
        inbox = someone.nc.new_inbox()
        answers = await someone.nc.subscribe(inbox)
        for store in STORES:
            for call in ("DELETE", "PURGE"):
                await someone.nc.publish(f"$JS.API.STREAM.{call}.{store}", b"", reply=inbox)
        await someone.refused("publish")
        assert answers.pending_msgs == 0
        assert await _stores(admin.nc) == before


async def _stores(nc: Client) -> dict[str, int]:
    found = await nc.jetstream(timeout=DEADLINE_S).streams_info()
    return {str(each.config.name): each.state.messages for each in found}


@pytest.mark.parametrize(
    "identity", [who for who in EVERYBODY if role_of(who) in MANY or who == "sim"]
)
async def test_nothing_can_be_directed_to_anothers_subject_from_hosts_or_outside(
    site: NatsServer, identity: str
) -> None:
    """Replies of requests, and a consumer's deliver subject: the two that the server looks away."""
    heard: list[str] = []

    async def on_message(message: Msg) -> None:
        heard.append(message.subject)

    async with trying(site, "provisioner") as admin, trying(site, identity) as someone:
        before = await _stores(admin.nc)
        async with trying(site, "mtce") as mtce:
            exact = mtce.nc.new_inbox()
            for subject in (exact, "_INBOX_mtce.>", "mtce.query.status"):
                await mtce.nc.subscribe(subject, cb=on_message)
            await mtce.nc.flush()
            targets = (exact, "_INBOX_mtce.x", "mtce.query.status", "fm.intake.mtce.raise")
            asked = [s for s in own_subjects(identity) if not s.startswith(("mtce.pulse", "fm.in"))]
            if identity.startswith(READER):
                asked = [f"$JS.API.DIRECT.GET.{name}" for name in ("FM", "MTCE", "SYSINV")]
            for target in targets:
                for subject in asked:
                    await someone.nc.publish(subject, b'{"seq":1}', reply=target)
                config = {"name": "thief", "deliver_subject": target, "ack_policy": "none"}
                for store in STORES:
                    body = json.dumps({"stream_name": store, "config": config}).encode()
                    await someone.nc.publish(f"$JS.API.CONSUMER.CREATE.{store}.thief", body)
            refused = await someone.refused("publish")
            await mtce.nc.flush(DEADLINE_S)
        assert len(refused) == len(STORES)
        assert heard == []
        after = await _stores(admin.nc)
        grown = {name for name in after if after[name] != before[name]}
        assert grown <= {"SYSINV_OBSERVED", "MTCE_OBSERVED"}  # its own reports


@pytest.mark.parametrize("identity", ["sysinv", "mtce", "fm", "gateway"])
async def test_services_cannot_feed_streams_or_inboxes_by_a_foreign_deliver_subject(
    site: NatsServer, identity: str
) -> None:
    """Within the services' account a consumer with any deliver subject can be made; what it names
    is a wildcard's (an inbox, a stream), for which the server delivers nothing."""
    channel = next(c for c in CHANNELS.values() if c.stream and identity in c.subscribers)
    store, heard = str(channel.stream), list[str]()
    writer = next(who for who in channel.publishers if who not in MANY)

    async def on_message(message: Msg) -> None:
        heard.append(message.subject)

    async with (
        trying(site, "provisioner") as admin,
        trying(site, "tool") as tool,
        trying(site, writer) as sender,
        trying(site, identity) as someone,
    ):
        await tool.nc.subscribe("_INBOX_tool.>", cb=on_message)
        await tool.nc.flush()
        js = sender.nc.jetstream(timeout=DEADLINE_S)
        assert (await js.publish(as_sent_by(channel, writer), b"{}")).stream == store
        before = await _stores(admin.nc)
        for target in ("_INBOX_tool.abc", "fm.intake.tool.raise"):
            config = {"name": "thief", "deliver_subject": target, "ack_policy": "none"}
            body = json.dumps({"stream_name": store, "config": config}).encode()
            api = "$JS.API.CONSUMER"
            await someone.nc.request(f"{api}.CREATE.{store}.thief", body, timeout=DEADLINE_S)
            info = json.loads((await someone.nc.request(f"{api}.INFO.{store}.thief")).data)
            assert info["num_pending"] >= 1
            assert info["delivered"]["consumer_seq"] == 0
            await someone.nc.request(f"{api}.DELETE.{store}.thief")
        await tool.nc.flush()
        assert heard == []
        assert await _stores(admin.nc) == before
