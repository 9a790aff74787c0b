"""Effects by BMC: done when seen, refused when senseless, unknown when no answer came."""

from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
import pytest

from murmuration.bmc.connect import bmc_clients
from murmuration.bmc.errors import BmcRefused
from murmuration.bmc.secrets import FileSecrets
from murmuration.kernel.errors import NotFound, Rejected
from murmuration.mtce.adapters.bmc import Bmcs
from murmuration.mtce.adapters.bmc_effects import BmcOrder, performers
from murmuration.mtce.app import MIGRATIONS
from murmuration.mtce.core.model import Observation, unobserved
from murmuration.mtce.handlers.fences import FenceHandlers
from murmuration.proto.ids import HostName
from murmuration.proto.sysinv import BmcProtocol, BmcTrust, HostBmc
from murmuration.runtime.clock import SystemClock
from murmuration.runtime.effects import Executor
from murmuration.sim.bmc import PASSWORD, USER, Fault, SimBmc, serving
from murmuration.store import effects
from murmuration.store.database import Database, Unit, open_database
from murmuration.store.effects import Effect
from murmuration.testkit.ports import short_folder
from murmuration.testkit.postgres import Postgres

HOST = HostName("worker-1")


class Ear:
    """An observer that hears everybody or nobody."""

    def __init__(self) -> None:
        self.heard = False

    def observe(self, name: HostName) -> Observation:
        del name
        return replace(unobserved(), heard=self.heard, silent_ms=50)


FENCES = FenceHandlers(SystemClock(), Ear())


class Site:
    """A machine, and the executor of effects on it."""

    def __init__(self, database: Database, machine: SimBmc, source: Bmcs) -> None:
        self.database = database
        self.machine = machine
        self.source = source
        self.observer = Ear()
        self.outcomes: list[tuple[str, bool]] = []

    async def order(self, kind: str, *, once: bool = False, silent: bool = False) -> bool:
        """Decide an effect and let it be done; whether nothing is left to try."""
        async with self.database.unit() as unit:
            await effects.request(
                unit,
                operation_id=f"{kind}-{len(self.machine.actions)}-{len(self.outcomes)}",
                kind=kind,
                entity=HOST,
                once=once,
                body=BmcOrder(host=HOST, silent=silent),
            )
        kinds = performers(self.source, self.database, self.observer, FENCES, SystemClock())
        return await Executor(self.database, kinds, follow=self._follow).round()

    async def _follow(self, _unit: Unit, effect: Effect, done: bool) -> None:
        self.outcomes.append((effect.kind, done))


@pytest.fixture
async def site(postgres: Postgres) -> AsyncIterator[Site]:
    machine, clock, login = SimBmc("worker-1"), SystemClock(), postgres.database("mtce")
    with short_folder() as folder:
        secrets = FileSecrets(folder / "bmc")
        secrets.write(HOST, PASSWORD)
        async with (
            serving([machine]),
            bmc_clients(answer_s=0.5) as clients,
            open_database(postgres.section, login, migrations=MIGRATIONS) as database,
        ):
            async with database.connection():
                database.verified.set()
            source = Bmcs(clients, secrets, clock)
            declared = HostBmc(
                protocol=BmcProtocol.REDFISH,
                address=machine.address,
                user=USER,
                redfish_port=machine.port,
                trust=BmcTrust.PLAINTEXT,
            )
            await source.declare({HOST: declared})
            yield Site(database, machine, source)
            await source.close()


async def test_power_is_switched_and_settled_as_seen(site: Site) -> None:
    for kind in ("bmc.power_off", "bmc.power_off", "bmc.power_on", "bmc.netboot"):
        assert await site.order(kind)
    assert site.outcomes == [
        ("bmc.power_off", True),
        ("bmc.power_off", True),
        ("bmc.power_on", True),
        ("bmc.netboot", True),
    ]
    assert (site.machine.actions, site.machine.boot) == (["ForceOff", "On"], "Pxe")


async def test_reset_is_sent_once_and_fails_when_the_machine_is_off(site: Site) -> None:
    assert await site.order("bmc.reset", once=True)
    assert await site.order("bmc.power_cycle", once=True)
    site.machine.power = "Off"
    assert await site.order("bmc.reset", once=True)
    assert site.machine.actions == ["ForceRestart", "PowerCycle"]
    assert [done for _, done in site.outcomes] == [True, True, False]


@pytest.mark.parametrize("kind", ["bmc.reset", "bmc.power_cycle", "bmc.power_off"])
async def test_host_that_is_heard_again_is_not_restarted_for_its_silence(
    site: Site, kind: str
) -> None:
    site.observer.heard = True
    assert not await site.order(kind, once=kind != "bmc.power_off", silent=True)
    assert not site.machine.actions
    assert not site.outcomes


async def test_reset_that_an_operator_wants_is_sent_to_a_host_that_is_heard(site: Site) -> None:
    site.observer.heard = True
    assert await site.order("bmc.reset", once=True)
    assert site.machine.actions == ["ForceRestart"]


async def test_reset_is_never_sent_again_when_its_answer_was_lost(site: Site) -> None:
    bmc = await site.source.of(HOST)
    await bmc.power_state()
    site.machine.deaf_after = 3  # power, the system, its reset types; then the reset
    assert not await site.order("bmc.reset", once=True)
    site.machine.deaf_after = -1
    kinds = performers(site.source, site.database, site.observer, FENCES, SystemClock())
    executor = Executor(site.database, kinds, follow=site._follow)
    assert not await executor.round()
    assert site.outcomes == []
    assert site.machine.actions == ["ForceRestart"]


async def test_power_off_is_not_settled_while_the_bmc_lies_or_is_away(site: Site) -> None:
    site.machine.faults.add(Fault.WRONG_SHAPE)
    assert not await site.order("bmc.power_off")
    assert site.outcomes == []


async def test_secret_is_asked_for_when_none_is_stored_and_names_are_checked(site: Site) -> None:
    with pytest.raises(NotFound, match="has no BMC"):
        await site.source.of(HostName("worker-2"))
    with short_folder() as folder:
        secrets = FileSecrets(folder / "bmc")
        with pytest.raises(NotFound, match="no password"):
            secrets.read("worker-1")
        for wrong in ("../x", "", "a" * 80):
            with pytest.raises(Rejected):
                secrets.write(wrong, "x")
        secrets.write("worker-1", "x")
        secrets.remove("worker-1")
        secrets.remove("worker-1")
    assert BmcRefused.status == 409
    assert msgspec.json.encode(BmcOrder(host="a"))
