"""Causes, flapping, gates and lost switches, on a real NATS and a real PostgreSQL."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from murmuration.bus.connection import Bus
from murmuration.bus.state import load_bucket
from murmuration.fm import app
from murmuration.fm.core.rules import read_rules
from murmuration.fm.core.trace import decode, replay
from murmuration.fm.rules import builtin
from murmuration.kernel.errors import NotFound
from murmuration.proto.envelope import encode
from murmuration.proto.fm import Alarm, ClearAlarm, RaiseAlarm
from murmuration.proto.fm_derived import GateState, HostDegrade
from murmuration.proto.fm_operators import GetHistory, GetWhy, HistoryPage, Why
from murmuration.proto.fm_vocabulary import AlarmType, Severity
from murmuration.proto.mtce import (
    Availability,
    HeartbeatState,
    HostForgotten,
    HostState,
    HostStateChanged,
    Operational,
)
from murmuration.proto.sysinv import (
    Administrative,
    Admission,
    Host,
    HostChanged,
    HostRemoved,
    Link,
    Neighbour,
    Origin,
    Personality,
)
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import running, service_config


class Site:
    """What stands around fm in a test."""

    def __init__(self, mtce: Bus, sysinv: Bus, gateway: Bus) -> None:
        self.mtce = mtce
        self.sysinv = sysinv
        self.gateway = gateway
        self.n = 0
        self.change = 0
        self.start = datetime.now(UTC) - timedelta(minutes=1)

    async def send(self, verb: str, message: msgspec.Struct) -> None:
        self.n += 1
        await self.mtce.js.publish(
            f"fm.intake.mtce.{verb}",
            encode(message),
            headers={
                "Mur-Epoch": "1",
                "Mur-Change": str(self.n),
                "Mur-Prev": str(self.n - 1),
                "ce-type": f"fm.alarm.{verb}.v1",
            },
        )

    async def raises(
        self, alarm_id: str, entity: str, at_s: float = 0, severity: Severity = Severity.CRITICAL
    ) -> None:
        await self.send(
            "raise",
            RaiseAlarm(
                alarm_id=alarm_id,
                entity=entity,
                severity=severity,
                reason_text="test",
                alarm_type=AlarmType.COMMUNICATION,
                probable_cause="unknown",
                raised_at=self.start + timedelta(seconds=at_s),
            ),
        )

    async def clears(self, alarm_id: str, entity: str, at_s: float = 0) -> None:
        at = self.start + timedelta(seconds=at_s)
        await self.send("clear", ClearAlarm(alarm_id=alarm_id, entity=entity, cleared_at=at))

    async def say(self, bus: Bus, verb: str, payload: msgspec.Struct, host: str) -> None:
        """One event of sysinv or mtce about a host."""
        self.change += 1
        await bus.js.publish(
            f"{bus.identity}.event.host.{verb}.{host}",
            encode(payload),
            headers={
                "ce-type": f"{bus.identity}.host.{verb}.v1",
                "ce-subject": host,
                "Mur-Epoch": "1",
                "Mur-Change": str(self.change),
            },
        )

    async def cables(self, host: str, *switches: str) -> None:
        links = tuple(
            Link(
                name=f"eth{n}", index=n, kind="ether", neighbour=Neighbour(system=switch, port=host)
            )
            for n, switch in enumerate(switches)
        )
        made = Host(
            name=host,
            index=1,
            shard=0,
            personality=Personality.WORKER,
            origin=Origin.SIMULATED,
            observe_only=False,
            admission=Admission.ACCEPTED,
            intended_administrative=Administrative.UNLOCKED,
            links=links,
        )
        changed = HostChanged(host=made, changed=("links",), reason="test")
        await self.say(self.sysinv, "changed", changed, host)

    async def locks(self, host: str) -> None:
        state = HostState(
            host=host,
            index=1,
            administrative=Administrative.LOCKED,
            operational=Operational.DISABLED,
            availability=Availability.ONLINE,
            heartbeat=HeartbeatState.WELL,
            episode=1,
            changed_at=self.start,
            reason="test",
        )
        changed = HostStateChanged(state=state, previous="", evidence={})
        await self.say(self.mtce, "state_changed", changed, host)

    async def active(self) -> dict[str, Alarm]:
        """Active alarms by `<id> <entity>`, as the bucket has them."""
        keys, _ = await load_bucket(self.gateway, "fm_alarms")
        alarms = [
            msgspec.json.decode(stored.value.data, type=Alarm)
            for stored in keys.values()
            if not stored.value.deleted
        ]
        return {f"{alarm.alarm_id} {alarm.entity}": alarm for alarm in alarms}

    async def causes(self) -> dict[str, tuple[str, str]]:
        """Who is the root of whom, and by which rule."""
        alarms = await self.active()
        names = {alarm.uuid: name for name, alarm in alarms.items()}
        return {
            name: (names.get(alarm.root_cause, "?"), alarm.correlated_by)
            for name, alarm in alarms.items()
            if alarm.root_cause
        }

    async def why(self, name: str) -> Why:
        alarm = (await self.active())[name]
        return await self.gateway.request(GetWhy(uuid=alarm.uuid), Why)

    async def gates(self) -> dict[str, GateState]:
        keys, _ = await load_bucket(self.gateway, "fm_gates")
        return {
            key: msgspec.json.decode(stored.value.data, type=GateState)
            for key, stored in keys.items()
        }

    async def degrades(self) -> dict[str, HostDegrade]:
        keys, _ = await load_bucket(self.gateway, "fm_degrades")
        return {
            key: msgspec.json.decode(stored.value.data, type=HostDegrade)
            for key, stored in keys.items()
            if not stored.value.deleted
        }


@pytest.fixture
async def site(connect: Connect) -> Site:
    return Site(await connect("mtce"), await connect("sysinv"), await connect("gateway"))


CHAIN = {
    "100.109 host=c-1.interface=m": ("100.108 host=c-1.port=p", "management-port-down"),
    "200.005 host=c-1": ("100.108 host=c-1.port=p", "management-interface-down"),
}


async def test_recorded_trace_replays_to_the_causes_that_were_named(
    site: Site, site_nats: NatsServer, postgres: Postgres, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    config = service_config("fm", site_nats, postgres, trace=str(trace))

    async def chained() -> bool:
        return await site.causes() == CHAIN

    for _ in range(2):  # the second life begins anew, with what the first one left
        async with running(app.run, config):
            await site.raises("200.005", "host=c-1", 3)
            await site.raises("100.109", "host=c-1.interface=m", 2)
            await site.raises("100.108", "host=c-1.port=p", 1)
            await reaches(chained)
        found = replay(decode(trace.read_bytes().splitlines()), read_rules(builtin()))
        assert found.causes == CHAIN
        assert found.roots == ("100.108 host=c-1.port=p",)


async def test_cause_is_named_explained_and_found_anew_when_fm_was_away(
    site: Site, site_nats: NatsServer, postgres: Postgres
) -> None:
    config = service_config("fm", site_nats, postgres)

    async def chained() -> bool:
        return await site.causes() == CHAIN

    async with running(app.run, config):
        await site.raises("200.005", "host=c-1", 3)
        await site.raises("100.109", "host=c-1.interface=m", 2)
        await site.raises("100.108", "host=c-1.port=p", 1)
        await reaches(chained)
        why = await site.why("200.005 host=c-1")
        assert [cause.rule for cause in why.causes] == [
            "management-interface-down",
            "management-port-down",
        ]
        assert "both name host=c-1, raised 1.0 s after 100.109" in why.causes[0].reason
        assert (why.sibling_count, why.impacted_count) == (1, 2)
        assert why.impacted == ("host=c-1", "host=c-1.interface=m")
        root = await site.why("100.108 host=c-1.port=p")
        assert (root.causes, root.sibling_count, root.impacted_count) == ((), 0, 2)
        with pytest.raises(NotFound):
            await site.gateway.request(GetWhy(uuid="0" * 36), Why)
        page = await site.gateway.request(GetHistory(), HistoryPage)
        assert [entry.kind.value for entry in page.items] == ["raised"] * 3
    await site.clears("100.108", "host=c-1.port=p", 5)
    async with running(app.run, config):

        async def shortened() -> bool:
            return await site.causes() == {
                "200.005 host=c-1": (
                    "100.109 host=c-1.interface=m",
                    "management-interface-down",
                )
            }

        await reaches(shortened)


async def test_switch_is_concluded_lost_from_its_hosts_and_cleared_when_they_are_back(
    site: Site, site_nats: NatsServer, postgres: Postgres
) -> None:
    async with running(app.run, service_config("fm", site_nats, postgres)):
        for n in range(5):
            await site.cables(f"c-{n}", "leaf-1")
        await site.locks("c-4")
        for n in range(4):
            await site.raises("200.005", f"host=c-{n}", n)

        async def concluded() -> bool:
            switch = ("300.020 switch=leaf-1", "switch-lost")
            return await site.causes() == {f"200.005 host=c-{n}": switch for n in range(4)}

        await reaches(concluded)
        switch = (await site.active())["300.020 switch=leaf-1"]
        assert switch.reason_text.startswith("switch leaf-1 is lost: 4 of the 4 unlocked hosts")
        assert switch.producer == "fm"
        why = await site.why("200.005 host=c-3")
        assert "host=c-3 is cabled to leaf-1 c-3 by LLDP" in why.causes[0].reason
        for n in range(3):
            await site.clears("200.005", f"host=c-{n}", 10)

        async def taken_back() -> bool:
            return list(await site.active()) == ["200.005 host=c-3"]

        await reaches(taken_back)
        await site.say(site.mtce, "forgotten", HostForgotten(host="c-4", reason="test"), "c-4")
        await site.say(
            site.sysinv, "removed", HostRemoved(host="c-4", index=1, reason="test"), "c-4"
        )


async def test_flapping_is_marked_in_the_list_and_in_history(
    site: Site, site_nats: NatsServer, postgres: Postgres
) -> None:
    async with running(app.run, service_config("fm", site_nats, postgres)):
        for n in range(3):
            await site.raises("300.001", "host=c-1.port=p", 10 * n, Severity.MAJOR)
            await site.clears("300.001", "host=c-1.port=p", 10 * n + 5)
        await site.raises("300.001", "host=c-1.port=p", 40, Severity.MAJOR)

        async def marked() -> bool:
            alarm = (await site.active()).get("300.001 host=c-1.port=p")
            return alarm is not None and alarm.flapping and alarm.flap_count == 7

        await reaches(marked)
        page = await site.gateway.request(GetHistory(), HistoryPage)
        assert page.items[0].changed == ("flapping", "flap_count")
        assert page.items[0].reason == "raised and cleared 7 times"


async def test_gates_and_degrades_are_told_when_alarms_come_and_go_also_over_a_restart(
    site: Site, site_nats: NatsServer, postgres: Postgres
) -> None:
    config = service_config("fm", site_nats, postgres)

    async def blocked() -> bool:
        gates = await site.gates()
        return {name: gate.blocked for name, gate in gates.items()} == {
            "strict": True,
            "relaxed": True,
            "permissive": False,
        } and list(await site.degrades()) == ["c-1"]

    async with running(app.run, config):
        await site.raises("100.101", "host=c-1", 0)
        await reaches(blocked)
        (alarm,) = (await site.active()).values()
        assert (await site.gates())["relaxed"].causes == (alarm.uuid,)
        assert (await site.degrades())["c-1"].causes == (alarm.uuid,)
    await site.clears("100.101", "host=c-1", 5)
    async with running(app.run, config):

        async def free() -> bool:
            gates = await site.gates()
            return not any(gate.blocked for gate in gates.values()) and not await site.degrades()

        await reaches(free)
