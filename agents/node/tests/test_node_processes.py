"""The process monitor as a whole, on real processes: begun again, and told to leave them alone."""

import contextlib
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from murmuration.node.adapters.orderbook import OrderBook
from murmuration.node.board import Board
from murmuration.node.config import MaintenanceSection, ProcessesSection
from murmuration.node.orders import Orders
from murmuration.node.processes import ProcessMonitor
from murmuration.node.telling import Telling
from murmuration.proto.node import (
    OrderOutcome,
    ServicesAction,
    ServicesGroup,
    SwitchServices,
)
from murmuration.proto.sysinv import Personality
from murmuration.testkit.levels import reaches
from murmuration.testkit.ports import free_port
from murmuration.testkit.services import alongside

BOOT = "6b1f2e0a-6a52-4a8e-9d0b-000000000001"
SCRIPT = """\
#!/bin/sh
sleep 1000 </dev/null >/dev/null 2>&1 &
echo $! >{folder}/beater.pid
"""
CONF = """\
[process]
process = beater
script = {folder}/beater
pidfile = {folder}/beater.pid
restarts = 3
startuptime = 5
quorum = 1
"""


class World:
    """One process that is monitored, and the agent's parts about it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pmon.d").mkdir()
        script = folder / "beater"
        script.write_text(SCRIPT.format(folder=folder))
        script.chmod(0o755)
        (folder / "pmon.d" / "beater.conf").write_text(CONF.format(folder=folder))
        self.section = ProcessesSection(dir=str(folder / "pmon.d"), active_port=free_port())
        self.monitor = ProcessMonitor(self.section, Board(), systemctl="")
        self.suspended: list[bool] = []

    def pid(self) -> int:
        try:
            return int((self.folder / "beater.pid").read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def orders(self, *, services: str = "", boot_id: str = BOOT) -> Orders:
        async def gasp(_reason: str) -> None:
            raise AssertionError("nothing is to end")

        section = MaintenanceSection(services_dir=services, test_dir=str(self.folder / "tests"))
        return Orders(
            section,
            OrderBook(self.folder),
            Telling(Board(), host="worker-1", boot_id=boot_id),
            host="worker-1",
            boot_id=boot_id,
            personality=Personality.WORKER,
            gasp=gasp,
            suspend=self.suspended.append,
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    yield found
    with contextlib.suppress(ProcessLookupError):
        if found.pid():
            os.kill(found.pid(), signal.SIGKILL)


async def test_processes_are_kept_by_a_monitor_that_was_begun_again(world: World) -> None:
    async with alongside(world.monitor.run()):
        await reaches(lambda: world.pid() > 0)
    first = world.pid()
    async with alongside(world.monitor.run()):
        os.kill(first, signal.SIGKILL)
        await reaches(lambda: world.pid() != first)


def stop_services() -> SwitchServices:
    return SwitchServices(
        operation_id="services-1",
        host="worker-1",
        epoch=1,
        change=1,
        expires_at=datetime.now(UTC) + timedelta(seconds=60),
        action=ServicesAction.STOP,
        group=ServicesGroup.WORKER,
    )


def services(world: World, script: str) -> str:
    folder = world.folder / "services.d" / "worker"
    folder.mkdir(parents=True)
    found = folder / "01"
    found.write_text(f"#!/bin/sh\n{script}\n")
    found.chmod(0o755)
    return str(folder.parent)


def outcome(world: World) -> OrderOutcome:
    return OrderBook(world.folder).read().entries[-1].outcome


async def test_processes_are_kept_again_when_services_could_not_be_stopped(world: World) -> None:
    orders = world.orders(services=services(world, "exit 1"))
    async with alongside(orders.run()):
        await orders.take(stop_services())
        await reaches(lambda: outcome(world) is OrderOutcome.FAILED)
    assert world.suspended == [True, False], "its host stays in service"


async def test_services_stay_stopped_when_the_agent_starts_anew_in_that_boot(world: World) -> None:
    orders = world.orders(services=services(world, "exit 0"))
    async with alongside(orders.run()):
        await orders.take(stop_services())
        await reaches(lambda: outcome(world) is OrderOutcome.DONE)
    world.suspended.clear()
    world.orders().resume()
    assert world.suspended == [True]
    world.suspended.clear()
    world.orders(boot_id="6b1f2e0a-6a52-4a8e-9d0b-000000000002").resume()
    assert world.suspended == [], "a boot starts its services"
