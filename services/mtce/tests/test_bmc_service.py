"""BMCs in mtce as a whole: real NATS, PostgreSQL and HTTP; the BMC is the simulator's."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
import pytest

from murmuration.bus.connection import Bus
from murmuration.kernel.errors import NotFound, Unavailable
from murmuration.mtce import app
from murmuration.proto.envelope import encode
from murmuration.proto.fm import ClearAlarm, RaiseAlarm
from murmuration.proto.mtce import Availability, HostStateChanged
from murmuration.proto.mtce_bmc import (
    AskBmc,
    BmcPower,
    BmcStateChanged,
    BmcView,
    SecretKept,
    SetBmcSecret,
)
from murmuration.proto.sysinv import (
    Administrative,
    Admission,
    BmcProtocol,
    BmcTrust,
    Host,
    HostBmc,
    HostChanged,
    Origin,
    Personality,
)
from murmuration.runtime.config import ServiceConfig
from murmuration.sim.bmc import PASSWORD, USER, Fault, SimBmc, serving
from murmuration.testkit.levels import reaches
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.ports import free_port
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import running, service_config


@dataclass
class Site:
    """What stands around mtce: sysinv's side of the bus, the gateway's, and machines."""

    sysinv: Bus
    gateway: Bus
    admin: Bus
    config: ServiceConfig
    nats: NatsServer
    change: int = 0
    machines: dict[str, SimBmc] = field(default_factory=dict[str, SimBmc])

    async def declare(self, name: str, bmc: HostBmc | None, **labels: str) -> None:
        """As sysinv: this host, locked, with this BMC."""
        self.change += 1
        host = Host(
            name=name,
            index=self.change if name not in self.machines else sorted(self.machines).index(name),
            shard=0,
            personality=Personality.WORKER,
            origin=Origin.MACHINE,
            observe_only=False,
            admission=Admission.ACCEPTED,
            intended_administrative=Administrative.LOCKED,
            bmc=bmc,
            labels=labels,
        )
        headers = {
            "ce-type": "sysinv.host.changed.v1",
            "ce-subject": name,
            "Mur-Epoch": "1",
            "Mur-Change": str(self.change),
        }
        event = HostChanged(host=host, changed=("bmc",), reason="test")
        subject = f"sysinv.event.host.changed.{name}"
        await self.sysinv.js.publish(subject, encode(event), headers=headers)

    def bmc_of(self, name: str) -> HostBmc:
        machine = self.machines[name]
        return HostBmc(
            protocol=BmcProtocol.REDFISH,
            address=machine.address,
            user=USER,
            redfish_port=machine.port,
            trust=BmcTrust.PLAINTEXT,
        )

    async def keep(self, name: str, password: str) -> SecretKept:
        """As the gateway: the password of a BMC."""
        request = SetBmcSecret(operation_id="secret-1", host=name, password=password)

        async def asked() -> SecretKept | None:
            with contextlib.suppress(Unavailable):
                return await self.gateway.request(request, SecretKept, timeout_s=5)
            return None

        found = await reaches(asked)
        assert found is not None
        return found

    async def ask(self, name: str) -> BmcView:
        return await self.gateway.request(AskBmc(host=name), BmcView, timeout_s=5)

    async def power(self, name: str, power: BmcPower) -> None:
        async def there() -> bool:
            try:
                view = await self.ask(name)
            except NotFound:
                return False
            return view.state is not None and view.state.power is power

        await reaches(there, what=f"power {power} of {name}")

    async def is_off(self, name: str) -> bool:
        """Whether the host's states say that it is off."""
        states = [
            msgspec.json.decode(body, type=HostStateChanged).state.availability
            for subject, body in await self.said("MTCE")
            if subject == f"mtce.event.host.state_changed.{name}"
        ]
        return states[-1:] == [Availability.POWER_OFF]

    async def said(self, stream: str) -> list[tuple[str, bytes]]:
        info = await self.admin.js.stream_info(stream)
        found: list[tuple[str, bytes]] = []
        for sequence in range(1, info.state.last_seq + 1):
            message = await self.admin.js.get_msg(stream, seq=sequence)
            found.append((message.subject or "", message.data or b""))
        return found

    async def alarms(self) -> list[str]:
        found: list[str] = []
        for subject, body in await self.said("FM_INTAKE"):
            if subject == "fm.intake.mtce.raise":
                raised = msgspec.json.decode(body, type=RaiseAlarm)
                found.append(f"{raised.alarm_id} {raised.entity}")
            elif subject == "fm.intake.mtce.clear":
                cleared = msgspec.json.decode(body, type=ClearAlarm)
                found.append(f"{cleared.alarm_id} {cleared.entity} cleared")
        return found


@pytest.fixture
async def site(
    connect: Connect, admin: Bus, site_nats: NatsServer, postgres: Postgres
) -> AsyncIterator[Site]:
    machines = {name: SimBmc(name) for name in ("worker-1", "worker-2")}
    config = service_config(
        "mtce",
        site_nats,
        postgres,
        udp_listen=f"127.0.0.1:{free_port()}",
        bmc_audit_s=1.0,
        bmc_sensors_s=1.0,
    )
    async with serving(machines.values()):
        yield Site(
            sysinv=await connect("sysinv"),
            gateway=await connect("gateway"),
            admin=admin,
            config=config,
            nats=site_nats,
            machines=machines,
        )


async def test_bmc_is_audited_once_declared_and_its_password_is_kept(site: Site) -> None:
    machine = site.machines["worker-1"]
    async with running(app.run, site.config):
        await site.declare("worker-1", site.bmc_of("worker-1"))
        assert "stored" in (await site.keep("worker-1", PASSWORD)).reason
        await site.power("worker-1", BmcPower.ON)
        file = site.nats.credentials_dir / "bmc" / "worker-1"
        assert file.read_text() == PASSWORD
        assert file.stat().st_mode & 0o777 == 0o600
        view = await site.ask("worker-1")
        assert view.secret_stored
        assert view.state is not None
        assert (view.state.protocol, view.state.serial) == ("redfish", "worker-1")
        machine.power = "Off"
        await site.power("worker-1", BmcPower.OFF)
        await reaches(lambda: site.is_off("worker-1"), what="the state of the host")
        machine.faults.add(Fault.GARBAGE)
        await site.power("worker-1", BmcPower.UNKNOWN)
        machine.faults.clear()
        machine.celsius = 95.0

        async def alarmed() -> bool:
            return "200.007 host=worker-1.sensor=Inlet" in await site.alarms()

        await reaches(alarmed)
        for fault in (True, False):  # the sensors are known, and cannot be read any more
            (machine.faults.add if fault else machine.faults.discard)(Fault.NO_SENSORS)

            async def unread(said: str = "" if fault else " cleared") -> bool:
                return f"200.015 host=worker-1{said}" in await site.alarms()

            await reaches(unread, what=f"the alarm with the fault {fault}")
        await site.declare("worker-1", None)

        async def cleared() -> bool:
            return "200.007 host=worker-1.sensor=Inlet cleared" in await site.alarms()

        await reaches(cleared)
        said = [*await site.said("MTCE"), *await site.said("FM_INTAKE")]
        assert PASSWORD.encode() not in b"".join(body for _, body in said)
        states = [
            msgspec.json.decode(body, type=BmcStateChanged).state.power
            for subject, body in await site.said("MTCE")
            if subject == "mtce.event.bmc.state_changed.worker-1"
        ]
        assert BmcPower.ON in states
        assert states.index(BmcPower.OFF) > states.index(BmcPower.ON)


async def test_bmc_whose_sensors_were_never_read_says_so_until_they_are(site: Site) -> None:
    machine = site.machines["worker-1"]
    machine.faults.add(Fault.NO_SENSORS)
    async with running(app.run, site.config):
        await site.declare("worker-1", site.bmc_of("worker-1"))
        await site.keep("worker-1", PASSWORD)

        async def unset() -> bool:
            return "200.014 host=worker-1" in await site.alarms()

        await reaches(unset, what="the alarm")
    machine.faults.clear()
    async with running(app.run, site.config):

        async def cleared() -> bool:
            return "200.014 host=worker-1 cleared" in await site.alarms()

        await reaches(cleared, what="its end, after a restart of mtce")


async def test_slow_bmc_delays_no_other_and_a_wrong_password_is_not_tried_again(
    site: Site,
) -> None:
    site.machines["worker-1"].faults.add(Fault.MUTE)
    async with running(app.run, site.config):
        for name in ("worker-1", "worker-2"):
            await site.declare(name, site.bmc_of(name))
            await site.keep(name, PASSWORD)
        await site.power("worker-2", BmcPower.ON)
        site.machines["worker-2"].power = "Off"
        await site.power("worker-2", BmcPower.OFF)
        await site.keep("worker-2", "wrong")

        async def refused() -> bool:
            state = (await site.ask("worker-2")).state
            return state is not None and "refuses user" in state.reason

        await reaches(refused)
        tried = site.machines["worker-2"].requests
        await asyncio.sleep(2.5)  # two audits: a level cannot show that nothing is done
        assert site.machines["worker-2"].requests == tried
