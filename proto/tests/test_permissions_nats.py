"""A real nats-server enforces what `permissions` says, and clients can still do their work."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import nats
import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.micro import add_service
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, ServiceConfig

from murmuration.proto.permissions import IDENTITIES, MANY, READER, inbox_prefix
from murmuration.proto.registry import BUCKETS, CHANNELS, STREAMS, Channel, Kind
from murmuration.proto.subjects import fill
from murmuration.security.login import login_options
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.ports import short_folder

DEADLINE_S = 20
HOST, INDEX = "worker-1", 12  # the agents node@worker-1 and pulse@worker-1 of these tests
EVERYBODY = [f"{role}@{HOST}" if role in MANY else role for role in IDENTITIES]


@dataclass
class Member:
    """One connected identity and what the server told it asynchronously."""

    nc: Client
    errors: list[str] = field(default_factory=list[str])

    @property
    def js(self) -> JetStreamContext:
        return self.nc.jetstream(timeout=5)

    async def settle(self) -> None:
        """Return when the server has taken in everything sent so far.

        A flush sends its ping ahead of what is still buffered, so that only a second one, sent
        after the first was answered, is behind all of it.
        """
        await self.nc.flush(DEADLINE_S)
        await self.nc.flush(DEADLINE_S)

    async def refused(self) -> set[str]:
        """Subjects refused so far: the server sends its errors before it answers a ping."""
        await self.settle()
        return {e.split('"')[1] for e in self.errors if "permissions violation" in e}


@asynccontextmanager
async def member(
    server: NatsServer, identity: str, *, index: int | None = None
) -> AsyncGenerator[Member]:
    """`role`, or `role@name` for roles of which there are many."""
    errors: list[str] = []

    async def on_error(error: Exception) -> None:
        errors.append(str(error))

    nc = await nats.connect(
        server.section.url,
        **login_options(server.login(identity, index=index), identity),
        error_cb=on_error,
        allow_reconnect=False,
    )
    try:
        yield Member(nc, errors)
    finally:
        await nc.close()


@pytest.fixture(scope="module")
def shared_server() -> Iterator[NatsServer]:
    """One server for all tests that leave nothing behind; it has no streams."""
    with short_folder() as folder:
        server = NatsServer(folder)
        server.start()
        try:
            yield server
        finally:
            server.kill()


def filled(channel: Channel, producer: str) -> str:
    """A subject of the channel as `producer` would write it."""
    role, _, name = producer.partition("@")
    itself = inbox_prefix(producer).removeprefix("_INBOX_")
    own = {"producer": itself, "sender": itself}
    if role in MANY:
        own |= {"host": name, "index": f"{INDEX:05d}"}
    return fill(channel.subject, own, otherwise="x")


@pytest.mark.parametrize("identity", EVERYBODY)
async def test_publishing_is_refused_when_the_contract_does_not_name_the_identity(
    shared_server: NatsServer, identity: str
) -> None:
    role = identity.partition("@")[0]
    foreign: set[str] = {f"{inbox_prefix(i)}.abc" for i in (*EVERYBODY, "node@worker-2")}
    foreign |= {f"$KV.{b.name}.key" for b in BUCKETS.values() if b.owner != identity}
    own: set[str] = {f"$KV.{b.name}.key" for b in BUCKETS.values() if b.owner == identity}
    for channel in CHANNELS.values():
        subject = filled(channel, identity)
        (own if role in channel.publishers else foreign).add(subject)
    if identity != "provisioner":
        foreign |= {
            f"$JS.API.STREAM.{call}.{name}"
            for call in ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE")
            for name in (*STREAMS, *(f"KV_{name}" for name in BUCKETS))
        }
    async with member(shared_server, identity, index=INDEX) as someone:
        for subject in sorted(own | foreign):
            await someone.nc.publish(subject, b"{}")
        assert await someone.refused() == {subject.lower() for subject in foreign}


@pytest.mark.parametrize("identity", EVERYBODY)
async def test_subscribing_is_refused_when_the_contract_does_not_name_the_identity(
    shared_server: NatsServer, identity: str
) -> None:
    role = identity.partition("@")[0]
    foreign = {f"{inbox_prefix(i)}.>" for i in (*EVERYBODY, "node@worker-2") if i != identity}
    foreign |= {">", "*.>", "$JS.>", "$KV.>", "_INBOX.>", "$SYS.>"}
    own = {f"{inbox_prefix(identity)}.>"}
    for channel in CHANNELS.values():
        hears = role in channel.subscribers and channel.stream is None
        hears |= role == READER and channel.kind is Kind.EVENT
        (own if hears else foreign).add(filled(channel, identity))
    async with member(shared_server, identity, index=INDEX) as someone:
        for subject in sorted(own | foreign):
            await someone.nc.subscribe(subject)
        assert await someone.refused() == {subject.lower() for subject in foreign}


async def test_owner_publishes_and_reader_reads_by_an_ordered_consumer(
    site_nats: NatsServer,
) -> None:
    async with member(site_nats, "sysinv") as sysinv, member(site_nats, "gateway") as gateway:
        for number in range(10):
            ack = await sysinv.js.publish(f"sysinv.event.host.changed.worker-{number}", b"{}")
            assert ack.stream == "SYSINV"
        read = await gateway.js.subscribe(
            "sysinv.event.>", stream="SYSINV", ordered_consumer=True, idle_heartbeat=1
        )
        heard = [(await read.next_msg(DEADLINE_S)).subject for _ in range(10)]
        assert heard == [f"sysinv.event.host.changed.worker-{number}" for number in range(10)]
        assert (await read.consumer_info()).stream_name == "SYSINV"
        await read.unsubscribe()
        tail = await sysinv.js.get_last_msg("SYSINV", "sysinv.event.>")
        assert tail.seq == 10
        last = await sysinv.js.get_msg("SYSINV", seq=10, direct=True)
        assert last.subject == "sysinv.event.host.changed.worker-9"
        assert (await sysinv.js.stream_info("SYSINV")).state.messages == 10
        assert await sysinv.refused() == set()
        assert await gateway.refused() == set()


async def test_ordered_consumer_is_made_again_when_it_was_lost(site_nats: NatsServer) -> None:
    async with member(site_nats, "mtce") as mtce, member(site_nats, "gateway") as gateway:
        read = await gateway.js.subscribe(
            "mtce.event.>", stream="MTCE", ordered_consumer=True, idle_heartbeat=0.5
        )
        await mtce.js.publish("mtce.event.host.forgotten.worker-1", b"1")
        assert (await read.next_msg(DEADLINE_S)).data == b"1"
        name = (await read.consumer_info()).name
        assert await gateway.js._jsm.delete_consumer("MTCE", name)
        await mtce.js.publish("mtce.event.host.forgotten.worker-1", b"2")
        assert (await read.next_msg(DEADLINE_S)).data == b"2"
        assert await gateway.refused() == set()


async def test_named_consumer_is_pulled_from_and_deleted(site_nats: NatsServer) -> None:
    async with member(site_nats, "fm") as fm, member(site_nats, "mtce") as mtce:
        for kind in ("raise", "clear"):
            await mtce.js.publish(f"fm.intake.mtce.{kind}", b"{}")
        made = await fm.nc.request(
            "$JS.API.CONSUMER.CREATE.FM_INTAKE.fm-0123456789ab",
            json.dumps(
                {
                    "stream_name": "FM_INTAKE",
                    "config": {
                        "name": "fm-0123456789ab",
                        "deliver_policy": "by_start_sequence",
                        "opt_start_seq": 1,
                        "ack_policy": "none",
                        "mem_storage": True,
                        "inactive_threshold": 10**10,
                    },
                    "action": "create",
                }
            ).encode(),
            timeout=DEADLINE_S,
        )
        assert "error" not in json.loads(made.data)
        inbox = fm.nc.new_inbox()
        heard = await fm.nc.subscribe(inbox)
        await fm.nc.publish(
            "$JS.API.CONSUMER.MSG.NEXT.FM_INTAKE.fm-0123456789ab", b'{"batch": 2}', reply=inbox
        )
        subjects = [(await heard.next_msg(DEADLINE_S)).subject for _ in range(2)]
        assert subjects == ["fm.intake.mtce.raise", "fm.intake.mtce.clear"]
        gone = await fm.nc.request(
            "$JS.API.CONSUMER.DELETE.FM_INTAKE.fm-0123456789ab", b"", timeout=DEADLINE_S
        )
        assert json.loads(gone.data)["success"]
        assert await fm.refused() == set()


async def test_state_is_written_by_its_owner_and_read_by_its_readers(site_nats: NatsServer) -> None:
    async with member(site_nats, "fm") as fm, member(site_nats, "gateway") as gateway:
        own = await fm.js.key_value("fm_alarms")
        revision = await own.create("200_2E004", b"1")
        await own.update("200_2E004", b"2", last=revision)
        with pytest.raises(nats.js.errors.KeyWrongLastSequenceError):
            await own.update("200_2E004", b"3", last=revision)
        theirs = await gateway.js.key_value("fm_alarms")
        assert (await theirs.get("200_2E004")).value == b"2"
        watcher = await theirs.watchall()
        async with asyncio.timeout(DEADLINE_S):
            async for entry in watcher:
                if entry is None:  # a mark that may come before or after what was there already
                    continue
                if entry.operation == "DEL":
                    break
                assert entry.value == b"2"
                await own.delete("200_2E004")
        await watcher.stop()
        assert await fm.refused() == set()
        assert await gateway.refused() == set()


async def test_whole_bucket_is_read_in_one_request(site_nats: NatsServer) -> None:
    async with member(site_nats, "mtce") as mtce, member(site_nats, "sysinv") as sysinv:
        own = await mtce.js.key_value("mtce_hosts")
        for number in range(3):
            await own.put(f"worker-{number}", b"{}")
        inbox = sysinv.nc.new_inbox()
        heard = await sysinv.nc.subscribe(inbox)
        await sysinv.nc.publish(
            "$JS.API.DIRECT.GET.KV_mtce_hosts",
            b'{"multi_last": ["$KV.mtce_hosts.>"], "batch": 1000}',
            reply=inbox,
        )
        found = [await heard.next_msg(DEADLINE_S) for _ in range(4)]
        subjects = [(m.headers or {}).get("Nats-Subject") for m in found[:3]]
        assert subjects == [f"$KV.mtce_hosts.worker-{number}" for number in range(3)]
        assert (found[3].headers or {}).get("Status") == "204"


async def test_foreign_stream_and_bucket_are_refused(site_nats: NatsServer) -> None:
    async with member(site_nats, "fm") as fm, member(site_nats, f"node@{HOST}") as node:
        with pytest.raises(nats.errors.TimeoutError):
            await node.nc.jetstream(timeout=0.2).publish("sysinv.event.host.removed.x", b"{}")
        with pytest.raises(nats.errors.TimeoutError):
            await fm.nc.jetstream(timeout=0.2).subscribe(
                "sysinv.observed.>", stream="SYSINV_OBSERVED", ordered_consumer=True
            )
        with pytest.raises(nats.errors.TimeoutError):
            await fm.nc.jetstream(timeout=0.2).key_value("sysinv_sent")
        theirs = await fm.js.key_value("mtce_hosts")
        await fm.nc.publish("$KV.mtce_hosts.worker-1", b"{}")
        assert await node.refused() == {"sysinv.event.host.removed.x"}
        assert await fm.refused() == {
            "$js.api.consumer.create.sysinv_observed",
            "$js.api.stream.info.kv_sysinv_sent",
            "$kv.mtce_hosts.worker-1",
        }
        with pytest.raises(nats.js.errors.KeyNotFoundError):
            await theirs.get("worker-1")


async def test_command_is_answered_when_the_caller_is_named(site_nats: NatsServer) -> None:
    async with member(site_nats, "sysinv") as sysinv, member(site_nats, "gateway") as gateway:

        async def accept(request: Request) -> None:
            await request.respond(b"done:" + request.data)

        service = await add_service(sysinv.nc, ServiceConfig(name="sysinv", version="1.0.0"))
        await service.add_endpoint(
            EndpointConfig(name="accept", subject="sysinv.cmd.host.accept", handler=accept)
        )
        await sysinv.settle()
        answer = await gateway.nc.request("sysinv.cmd.host.accept", b"x", timeout=DEADLINE_S)
        assert answer.data == b"done:x"
        ping = await gateway.nc.request("$SRV.PING.sysinv", b"", timeout=DEADLINE_S)
        assert json.loads(ping.data)["name"] == "sysinv"
        await service.stop()
        assert await sysinv.refused() == set()
        assert await gateway.refused() == set()


async def test_request_is_answered_once_and_only_by_who_serves(site_nats: NatsServer) -> None:
    async with (
        member(site_nats, "mtce") as mtce,
        member(site_nats, "tool") as tool,
        member(site_nats, "sim") as sim,
    ):

        async def answer(message: Msg) -> None:
            await message.respond(b"one")
            await message.respond(b"two")

        await mtce.nc.subscribe("mtce.query.status", cb=answer)
        await sim.nc.subscribe("mtce.query.status", cb=answer)
        await mtce.settle()
        heard = await tool.nc.subscribe(inbox := tool.nc.new_inbox())
        await tool.nc.publish("mtce.query.status", b"{}", reply=inbox)
        assert (await heard.next_msg(DEADLINE_S)).data == b"one"
        assert await mtce.refused() == {inbox.lower()}
        assert await sim.refused() == {"mtce.query.status"}
        await tool.settle()
        assert heard.pending_msgs == 0


async def test_agent_of_one_host_cannot_speak_for_another(
    site_nats: NatsServer,
) -> None:
    server = site_nats
    async with (
        member(server, f"node@{HOST}") as node,
        member(server, f"pulse@{HOST}", index=INDEX) as pulse,
        member(server, "mtce") as mtce,
    ):
        heard = await mtce.nc.subscribe("mtce.pulse.*.*")
        await mtce.settle()
        ack = await node.js.publish(f"sysinv.observed.{HOST}.report", b"{}")
        assert ack.stream == "SYSINV_OBSERVED"
        assert (await node.js.publish(f"fm.intake.node-{HOST}.raise", b"{}")).stream == "FM_INTAKE"
        foreign = {
            "sysinv.observed.worker-2.report",
            "fm.intake.node-worker-2.raise",
            "fm.intake.mtce.raise",
        }
        for subject in foreign:
            await node.nc.publish(subject, b"{}")
        await pulse.nc.publish("mtce.pulse.00.00013", b"foreign")
        await pulse.nc.publish(f"mtce.pulse.00.{INDEX:05d}", b"own")
        assert await node.refused() == foreign
        assert await pulse.refused() == {"mtce.pulse.00.00013"}
        assert (await heard.next_msg(DEADLINE_S)).data == b"own"
