"""Thresholds, and the monitors of resources, filesystems, sensors and links on trees of files."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from murmuration.kernel.errors import Rejected
from murmuration.node.board import Board
from murmuration.node.config import (
    FilesystemsSection,
    LinkRole,
    LinksSection,
    ResourcesSection,
    SensorLimit,
    SensorsSection,
    load,
)
from murmuration.node.core.health import alarm_changes, alarm_key
from murmuration.node.core.link_roles import faults_of
from murmuration.node.core.resources import cpu_percent, cpu_ticks, fill_percent, memory_percent
from murmuration.node.core.sensors import sensors_of
from murmuration.node.core.thresholds import Level, Limit, judge
from murmuration.node.filesystems import watch_filesystems
from murmuration.node.measures import watch_links, watch_resources, watch_sensors
from murmuration.proto.fm import RaiseAlarm, Severity
from murmuration.proto.node import AskedAction, ConditionKind
from murmuration.proto.sysinv import Link
from murmuration.testkit.levels import reaches

LIMITS = (Limit(severity=Severity.MAJOR, at=80), Limit(severity=Severity.CRITICAL, at=90))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def run(values: list[float], *, samples: int = 2, slack: float = 5.0) -> list[Severity | None]:
    level, seen = Level(), []
    for value in values:
        level = judge(level, value, LIMITS, samples=samples, slack=slack)
        seen.append(level.severity)
    return seen


def test_level_rises_after_samples_in_a_row_and_falls_clearly_below() -> None:
    major, critical = Severity.MAJOR, Severity.CRITICAL
    assert run([85, 79, 85, 85]) == [None, None, None, major]
    assert run([95, 95, 88, 88, 84, 84, 76, 76, 74, 74]) == [
        *(None, critical, critical, critical, critical, major),
        *(major, major, major, None),
    ]
    assert run([81, 79] * 10, samples=1) == [major] * 20


def test_falling_limit_holds_below_its_value() -> None:
    limits = (Limit(severity=Severity.CRITICAL, at=500, falling=True),)
    level = judge(Level(), 400, limits, samples=1, slack=100)
    assert level.severity is Severity.CRITICAL
    assert judge(level, 550, limits, samples=1, slack=100).severity is Severity.CRITICAL
    assert judge(level, 700, limits, samples=1, slack=100).severity is None


def test_texts_of_proc_become_percentages() -> None:
    before = cpu_ticks("cpu  100 0 100 800 0 0 0 0 50 0\n")
    after = cpu_ticks("cpu 190 0 100 810 0 0 0 0")
    assert before is not None
    assert after is not None
    assert cpu_percent(before, after) == 90.0
    assert cpu_percent(after, after) is None
    assert memory_percent("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 150 kB\n") == 85.0
    assert memory_percent("MemTotal: 1000 kB\n") is None
    assert fill_percent(blocks=100, free=30, available=20) == 77.8
    assert fill_percent(blocks=0, free=0, available=0) is None


def test_files_of_a_chip_become_sensors_with_the_drivers_limits() -> None:
    files = {
        "name": "coretemp",
        "temp1_input": "71500\n",
        "temp1_label": "Package id 0\n",
        "temp1_crit": "100000",
        "temp1_max": "80000",
        "fan2_input": "900",
        "fan2_min": "500",
        "in0_input": "broken",
        "power1_average": "45000000",
    }
    sensors = {sensor.name: sensor for sensor in sensors_of("coretemp", files)}

    assert sensors.keys() == {"coretemp/Package id 0", "coretemp/fan2", "coretemp/power1"}
    package = sensors["coretemp/Package id 0"]
    assert (package.value, package.unit) == (71.5, "C")
    assert [(limit.severity, limit.at) for limit in package.limits] == [
        (Severity.MAJOR, 80),
        (Severity.CRITICAL, 100),
    ]
    assert sensors["coretemp/fan2"].limits[0].falling
    assert sensors["coretemp/power1"].value == 45


def link(name: str, *, up: bool = True, admin: bool = True) -> Link:
    return Link(name=name, index=1, kind="ether", admin_up=admin, oper_up=up)


def test_ports_and_interfaces_are_told_by_what_is_left() -> None:
    roles = (
        LinkRole(name="bond0", network="management", ports=("eth0", "eth1")),
        LinkRole(name="eth2", network="oam"),
    )
    one = {"eth0": link("eth0", up=False), "eth1": link("eth1"), "eth2": link("eth2")}
    none = {"eth0": link("eth0", up=False, admin=False), "eth2": link("eth2", up=False)}

    assert faults_of(roles, {n: link(n) for n in ("eth0", "eth1", "eth2")}) == []
    assert [(fault.name, fault.severity) for fault in faults_of(roles, one)] == [
        ("management:port:eth0", Severity.MAJOR),
        ("management:interface:bond0", Severity.MAJOR),
    ]
    lost = {fault.name: fault for fault in faults_of(roles, none)}
    assert lost["management:interface:bond0"].severity is Severity.CRITICAL
    assert lost["oam:interface:eth2"].severity is Severity.CRITICAL
    assert "switched off" in lost["management:port:eth0"].reason
    assert "is not there" in lost["management:port:eth1"].reason


@asynccontextmanager
async def running(monitor: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(monitor)
        try:
            yield
        finally:
            task.cancel()


async def test_resources_are_told_with_their_alarms(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    memory = tmp_path / "proc" / "meminfo"
    memory.write_text("MemTotal: 1000 kB\nMemAvailable: 50 kB\n")
    board = Board()
    section = ResourcesSection(enabled=True, root=str(tmp_path), every_s=0.05, samples=2)
    async with running(watch_resources(section, board)):
        await reaches(lambda: board.conditions)
        [found] = board.conditions
        assert (found.kind, found.name, found.severity) == (
            ConditionKind.RESOURCE,
            "memory",
            Severity.CRITICAL,
        )
        assert str(alarm_key("h1", found)) == "100.103/host=h1"
        memory.write_text("MemTotal: 1000 kB\nMemAvailable: 900 kB\n")
        await reaches(lambda: not board.conditions)
        assert [reading.value for reading in board.readings] == [10.0]


async def test_filesystem_that_cannot_be_written_is_told_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "fine").mkdir()
    board = Board()
    section = FilesystemsSection(
        paths=(str(tmp_path),),
        probe_dirs=(str(tmp_path / "gone"), str(tmp_path / "fine")),
        every_s=0.05,
        stall_after_s=20,
        major_percent=100,
        critical_percent=100,
    )
    async with running(watch_filesystems(section, board)):
        await reaches(lambda: board.conditions)
        [found] = board.conditions
        assert (found.kind, found.severity) == (ConditionKind.STALL, Severity.MAJOR)
        assert "No such file" in found.reason
        (tmp_path / "gone").mkdir()
        await reaches(lambda: not board.conditions)
        await reaches(lambda: board.readings)


async def test_filesystem_that_hangs_is_told_and_delays_no_other(tmp_path: Path) -> None:
    board, freed = Board(), threading.Event()
    for name in ("hangs", "fine"):
        (tmp_path / name).mkdir()

    def touch(folder: str) -> float:
        if folder.endswith("hangs"):
            freed.wait(60)
        return 0.0

    section = FilesystemsSection(
        probe_dirs=(str(tmp_path / "hangs"), str(tmp_path / "fine")),
        every_s=0.05,
        stall_after_s=0.3,
    )
    try:
        async with running(watch_filesystems(section, board, probe=touch)):
            await reaches(lambda: board.conditions)
            [found] = board.conditions
            assert (found.name, found.severity) == (str(tmp_path / "hangs"), Severity.CRITICAL)
            freed.set()
            await reaches(lambda: not board.conditions)
    finally:
        freed.set()


async def test_sensor_out_of_range_asks_for_what_its_policy_says(tmp_path: Path) -> None:
    chip = tmp_path / "hwmon0"
    chip.mkdir()
    for name, text in {
        "name": "board",
        "temp1_input": "90000",
        "temp2_input": "40000",
        "fan1_input": "0",
        "fan1_min": "300",
    }.items():
        (chip / name).write_text(text)
    board = Board()
    limits = (SensorLimit(match="board/temp*", critical_above=85, critical="power-cycle"),)
    section = SensorsSection(dir=str(tmp_path), every_s=0.05, limits=limits)
    async with running(watch_sensors(section, board)):
        await reaches(lambda: board.conditions)
        [found] = board.conditions  # the fan's major is only logged without a policy
        assert (found.name, found.severity) == ("board/temp1", Severity.CRITICAL)
        assert found.asked is AskedAction.POWER_CYCLE
        assert str(alarm_key("h1", found)) == "200.007/host=h1.sensor=board/temp1"
        assert {reading.name: reading.severity for reading in board.readings} == {
            "board/temp1": Severity.CRITICAL,
            "board/temp2": None,
            "board/fan1": Severity.MAJOR,
        }
        (chip / "temp1_input").write_text("60000")
        await reaches(lambda: not board.conditions)


async def test_link_that_is_not_there_is_told_by_its_network() -> None:
    board = Board()
    roles = (
        LinkRole(name="mur-none", network="oam"),
        LinkRole(name="lo", network="management"),
    )
    async with running(watch_links(LinksSection(interfaces=roles, debounce_s=0.01), board)):
        await reaches(lambda: len(board.conditions) == 2)
    keys = {str(alarm_key("h1", each)) for each in board.conditions}
    assert keys == {"100.107/host=h1.interface=mur-none", "100.106/host=h1.port=mur-none"}


async def test_alarms_of_kinds_not_yet_spoken_of_are_left() -> None:
    held: dict[str, RaiseAlarm | None] = dict.fromkeys(
        ("200.006/host=h1.process=sshd", "100.104/host=h1.filesystem=/")
    )
    board = Board()
    assert alarm_changes(held, (), board.spoken, host="h1", now=NOW) == ()
    await board.put("filesystems", (ConditionKind.FILESYSTEM,), ())
    [cleared] = alarm_changes(held, (), board.spoken, host="h1", now=NOW)
    assert cleared.alarm_id == "100.104"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[links]\ninterfaces = [{name = "eth0", network = "wan"}]', "network of eth0"),
        ('[sensors]\nlimits = [{match = "*", major = "reset"}]', "major of '\\*'"),
        ("[resources]\ncpu_major_percent = 0", "cpu_major_percent"),
    ],
)
def test_wrong_policy_is_refused_with_its_key(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "node.toml"
    path.write_text(f'[host]\nname = "h1"\nstate_dir = "/tmp/x"\n{text}\n')
    with pytest.raises(Rejected, match=says):
        load(path)
