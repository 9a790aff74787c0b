"""The monitors that look at regular intervals: processor and memory, sensors; and at links."""

import asyncio
from pathlib import Path

import structlog

from murmuration.node.adapters.netlink import NetlinkLinks
from murmuration.node.adapters.procfs import read_text
from murmuration.node.board import Board, Finding
from murmuration.node.config import LinksSection, ResourcesSection, SensorsSection
from murmuration.node.core.link_roles import faults_of
from murmuration.node.core.links import by_name
from murmuration.node.core.resources import CpuTicks, cpu_percent, cpu_ticks, memory_percent
from murmuration.node.core.sensors import (
    SENSORS_MAX,
    Sensor,
    action_of,
    asked_of,
    limits_of,
    policy_of,
    sensors_of,
)
from murmuration.node.core.thresholds import Level, Limit, judge
from murmuration.proto.fm import Severity
from murmuration.proto.node import ConditionKind, Reading

CHIP_FILES_MAX = 2_000
log = structlog.get_logger()


async def watch_resources(section: ResourcesSection, board: Board) -> None:
    """Processor and memory against their thresholds, for ever."""
    limits = {
        "cpu": _limits(section.cpu_major_percent, section.cpu_critical_percent),
        "memory": _limits(section.memory_major_percent, section.memory_critical_percent),
    }
    levels = dict.fromkeys(limits, Level())
    ticks: CpuTicks | None = None
    proc = Path(section.root) / "proc"
    while True:
        before, ticks = ticks, cpu_ticks(read_text(proc / "stat"))
        values = {
            "cpu": cpu_percent(before, ticks) if before and ticks else None,
            "memory": memory_percent(read_text(proc / "meminfo")),
        }
        for name, value in values.items():
            if value is not None:
                levels[name] = judge(
                    levels[name],
                    value,
                    limits[name],
                    samples=section.samples,
                    slack=section.clear_below,
                )
        board.put_readings(
            "resources",
            [
                Reading(
                    kind=ConditionKind.RESOURCE,
                    name=name,
                    value=value,
                    unit="%",
                    severity=levels[name].severity,
                )
                for name, value in values.items()
                if value is not None
            ],
        )
        findings = [
            Finding(
                ConditionKind.RESOURCE,
                name,
                severity,
                f"{name} use is {values[name]} %, over its {severity.value} threshold",
            )
            for name, level in levels.items()
            if (severity := level.severity) is not None
        ]
        await board.put("resources", (ConditionKind.RESOURCE,), findings)
        await asyncio.sleep(section.every_s)


async def watch_sensors(section: SensorsSection, board: Board) -> None:
    """All sensors against their limits, for ever; read in a thread, for a chip can be slow."""
    levels: dict[str, Level] = {}
    while True:
        sensors = await asyncio.to_thread(read_sensors, Path(section.dir))
        findings: list[Finding] = []
        readings: list[Reading] = []
        for sensor in sensors:
            before = levels.get(sensor.name, Level())
            level = _judge_sensor(section, sensor, before)
            levels[sensor.name] = level
            readings.append(
                Reading(
                    kind=ConditionKind.SENSOR,
                    name=sensor.name,
                    value=sensor.value,
                    unit=sensor.unit,
                    severity=level.severity,
                )
            )
            if level.severity is not None:
                findings += _sensor_findings(section, sensor, level.severity, before)
        board.put_readings("sensors", readings)
        await board.put("sensors", (ConditionKind.SENSOR,), findings)
        await asyncio.sleep(section.every_s)


def _judge_sensor(section: SensorsSection, sensor: Sensor, level: Level) -> Level:
    if sensor.faulty:
        return level  # it says itself that its value means nothing
    limits = limits_of(sensor, policy_of(sensor, section.limits))
    return judge(level, sensor.value, limits, samples=section.samples, slack=0.0)


def _sensor_findings(
    section: SensorsSection, sensor: Sensor, severity: Severity, before: Level
) -> list[Finding]:
    action = action_of(severity, policy_of(sensor, section.limits))
    reason = (
        f"{sensor.name} is at {sensor.value:g} {sensor.unit}, out of its {severity.value} range"
    )
    if action == "ignore":
        return []
    if action == "log":
        if before.severity is not severity:
            log.warning("sensor.out_of_range", sensor=sensor.name, reason=reason)
        return []
    return [Finding(ConditionKind.SENSOR, sensor.name, severity, reason, asked_of(action))]


def read_sensors(folder: Path) -> list[Sensor]:
    """The sensors of all chips below `folder`, at most SENSORS_MAX; what cannot be read is not."""
    found: list[Sensor] = []
    try:
        chips = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []
    for chip in chips:
        files = _texts(chip)
        name = files.get("name", "").strip() or chip.name
        found += sensors_of(name, files)
    return found[:SENSORS_MAX]


def _texts(chip: Path) -> dict[str, str]:
    try:
        paths = [path for path in chip.iterdir() if path.is_file()][:CHIP_FILES_MAX]
    except OSError:
        return {}
    return {path.name: read_text(path) for path in paths}


async def watch_links(section: LinksSection, board: Board) -> None:
    """The links with a part in the site, looked at when the kernel tells of a change."""
    async with NetlinkLinks() as links:
        while True:
            faults = faults_of(section.interfaces, by_name(await links.look()))
            if faults and section.debounce_s:
                await asyncio.sleep(section.debounce_s)
                again = faults_of(section.interfaces, by_name(await links.look()))
                faults = [fault for fault in again if fault in faults]
            findings = [
                Finding(ConditionKind.LINK, fault.name, fault.severity, fault.reason)
                for fault in faults
            ]
            await board.put("links", (ConditionKind.LINK,), findings)
            await links.changed()


def _limits(major: float, critical: float) -> tuple[Limit, ...]:
    return (
        Limit(severity=Severity.MAJOR, at=major),
        Limit(severity=Severity.CRITICAL, at=critical),
    )
