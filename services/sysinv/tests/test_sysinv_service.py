"""sysinv as a whole, on a real NATS and a real PostgreSQL."""

from datetime import UTC, datetime

import pytest

from murmuration.bus.connection import Bus
from murmuration.bus.state import load_bucket
from murmuration.kernel.errors import Conflict, NotFound, Rejected
from murmuration.proto.envelope import encode
from murmuration.proto.sysinv import (
    Accepted,
    AcceptHost,
    Administrative,
    Admission,
    EnrolHost,
    EnrolReply,
    Host,
    HostDelta,
    HostFacts,
    HostReport,
    Link,
    Origin,
    Personality,
    SetAdministrative,
)
from murmuration.sysinv import app
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import running, service_config


def enrol(name: str, *, observe_only: bool = False, operation: str = "operation-1") -> EnrolHost:
    return EnrolHost(
        operation_id=operation,
        host=name,
        personality=Personality.WORKER,
        subfunctions=(Personality.WORKER,),
        origin=Origin.NAMESPACE,
        observe_only=observe_only,
        boot_id="b1",
    )


def link(name: str, index: int, *, up: bool = True) -> Link:
    return Link(name=name, index=index, kind="veth", admin_up=True, oper_up=up)


def report(n: int, *links: Link) -> HostReport:
    return HostReport(
        host="worker-1",
        incarnation=1,
        n=n,
        boot_id="b1",
        facts=HostFacts(cpu_count=4),
        links=links,
        observed_at=datetime.now(UTC),
    )


def delta(n: int, *links: Link, removed: tuple[str, ...] = ()) -> HostDelta:
    return HostDelta(
        host="worker-1",
        incarnation=1,
        n=n,
        links_changed=links,
        links_removed=removed,
        observed_at=datetime.now(UTC),
    )


async def send(node: Bus, message: HostReport | HostDelta) -> None:
    verb = "report" if isinstance(message, HostReport) else "delta"
    await node.js.publish(f"sysinv.observed.worker-1.{verb}", encode(message))


async def hosts(bus: Bus) -> dict[str, Host]:
    import msgspec

    keys, _ = await load_bucket(bus, "sysinv_hosts")
    return {key: msgspec.json.decode(s.value.data, type=Host) for key, s in keys.items()}


async def links(bus: Bus) -> dict[str, bool]:
    found = await hosts(bus)
    return {link.name: link.oper_up for host in found.values() for link in host.links}


@pytest.fixture
async def buses(connect: Connect) -> tuple[Bus, Bus]:
    return await connect("sim"), await connect("gateway")


async def test_hosts_get_an_index_for_good_when_they_enrol(
    buses: tuple[Bus, Bus], site_nats: NatsServer, postgres: Postgres
) -> None:
    node, gateway = buses
    config = service_config("sysinv", site_nats, postgres, accept="automatic")
    async with running(app.run, config):
        first = await reaches_enrolled(node, "worker-1")
        second = await node.request(enrol("worker-2"), EnrolReply)
        again = await node.request(enrol("worker-1", operation="operation-2"), EnrolReply)
        assert (first.index, second.index, again.index) == (0, 1, 0)
        assert first.pulse_key == again.pulse_key != second.pulse_key
        with pytest.raises(Rejected, match="not a host name"):
            await node.request(enrol("Worker_1"), EnrolReply)

        async def both() -> bool:
            return len(await hosts(gateway)) == 2

        await reaches(both)
        found = await hosts(gateway)
        assert {host.admission for host in found.values()} == {Admission.ACCEPTED}
        assert {host.subfunctions for host in found.values()} == {(Personality.WORKER,)}


async def reaches_enrolled(node: Bus, name: str) -> EnrolReply:
    from murmuration.kernel.errors import MurmurationError

    async def enrolled() -> EnrolReply | None:
        try:
            return await node.request(enrol(name), EnrolReply)
        except MurmurationError:
            return None

    reply = await reaches(enrolled)
    assert reply is not None
    return reply


async def test_operator_accepts_and_locks_when_the_site_is_manual(
    buses: tuple[Bus, Bus], site_nats: NatsServer, postgres: Postgres
) -> None:
    node, gateway = buses
    async with running(app.run, service_config("sysinv", site_nats, postgres, accept="manual")):
        await reaches_enrolled(node, "worker-1")
        lock = SetAdministrative(
            operation_id="operation-a", host="worker-1", administrative=Administrative.LOCKED
        )
        with pytest.raises(Conflict, match="accept it first"):
            await gateway.request(lock, Accepted)
        with pytest.raises(NotFound):
            await gateway.request(AcceptHost(operation_id="operation-b", host="x"), Accepted)
        request = AcceptHost(operation_id="operation-c", host="worker-1")
        first = await gateway.request(request, Accepted)
        assert await gateway.request(request, Accepted) == first
        await gateway.request(lock, Accepted)

        async def locked() -> bool:
            found = [host.intended_administrative for host in (await hosts(gateway)).values()]
            return found == [Administrative.LOCKED]

        await reaches(locked)


async def test_deltas_apply_in_turn_and_a_gap_asks_for_a_full_report(
    buses: tuple[Bus, Bus], site_nats: NatsServer, postgres: Postgres
) -> None:
    node, gateway = buses
    config = service_config("sysinv", site_nats, postgres, accept="automatic")
    async with running(app.run, config):
        await reaches_enrolled(node, "worker-1")
        asked = await node.nc.subscribe("sysinv.ask.worker-1.report")
        await node.nc.flush()
        await send(node, report(1, link("lo", 1), link("eth0", 2)))
        await send(node, delta(2, link("eth0", 2, up=False)))

        async def down() -> bool:
            return await links(gateway) == {"lo": True, "eth0": False}

        await reaches(down)
        await send(node, delta(4, removed=("eth0",)))
        await asked.next_msg(timeout=20)
        await send(node, report(5, link("lo", 1)))

        async def gone() -> bool:
            return list(await links(gateway)) == ["lo"]

        await reaches(gone)
        await send(node, report(3, link("old", 9)))
        await send(node, delta(6, link("eth1", 3)))

        async def newest() -> bool:
            return list(await links(gateway)) == ["lo", "eth1"]

        await reaches(newest)
