"""The agent's talk with mtce and fm over a real bus, with real processes and scripts."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from murmuration.bus.connection import Bus
from murmuration.bus.reader import StreamReader
from murmuration.kernel.errors import Rejected, Stale, Unavailable
from murmuration.node.config import NodeConfig, load
from murmuration.node.plugins import Plugins
from murmuration.proto.fm import ClearAlarm, RaiseAlarm, Severity
from murmuration.proto.node import (
    Condition,
    ConditionKind,
    EndKind,
    HostBooted,
    HostEnding,
    HostHealth,
    HostTested,
    InTestScope,
    Observation,
    OrderOutcome,
    OrderReply,
    PreviousEnd,
    ProcessState,
    RebootHost,
    RunInTest,
    ServicesAction,
    ServicesGroup,
    ServicesSwitched,
    SwitchServices,
)
from murmuration.proto.registry import CHANNELS, channel_of
from murmuration.testkit.levels import reaches
from murmuration.testkit.plugin import Connect
from murmuration.testkit.ports import free_port

pytest_plugins = ["murmuration.testkit.plugin"]

HOST = "worker-1"
BOOT, NEXT_BOOT = "6b1f2e0a-6a52-4a8e-9d0b-000000000001", "6b1f2e0a-6a52-4a8e-9d0b-000000000002"
CONFIG = """\
[host]
name = "worker-1"
state_dir = "{folder}/host"
observe_only = {observe_only}
[maintenance]
reboot = ["{folder}/bin/reboot"]
test_dir = "{folder}/goenabled.d"
services_dir = "{services_dir}"
systemctl = ""
[processes]
dir = "{folder}/pmon.d"
active_port = {port}
[traces]
pstore_dir = "{folder}/pstore"
"""
INIT = """\
#!/bin/sh
echo "$1" >>{folder}/{name}.calls
if [ -e {folder}/{name}.broken ]; then exit 3; fi
sleep 1000 </dev/null >/dev/null 2>&1 &
echo $! >{folder}/{name}.pid
"""
PMON = """\
[process]
process = {name}
style = lsb
script = {folder}/bin/{name}
pidfile = {folder}/{name}.pid
severity = {severity}
restarts = {restarts}
interval = 0
debounce = 0
startuptime = 1
quorum = 1
"""


class World:
    """One host's folder, and what mtce and fm hear of it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.heard: list[Observation] = []
        self.alarms: list[RaiseAlarm | ClearAlarm] = []
        for name in ("bin", "goenabled.d", "services.d/worker", "pmon.d", "pstore"):
            (folder / name).mkdir(parents=True)

    def config(self, *, observe_only: bool = False, services: bool = True) -> NodeConfig:
        path = self.folder / "node.toml"
        path.write_text(
            CONFIG.format(
                folder=self.folder,
                port=self.port,
                observe_only=str(observe_only).lower(),
                services_dir=self.folder / "services.d" if services else "",
            )
        )
        return load(path)

    def script(self, path: str, text: str) -> Path:
        target = self.folder / path
        target.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
        target.chmod(0o755)
        return target

    def process(self, name: str, *, severity: str = "critical", restarts: int = 3) -> None:
        self.script(f"bin/{name}", INIT.format(folder=self.folder, name=name))
        (self.folder / "pmon.d" / f"{name}.conf").write_text(
            PMON.format(folder=self.folder, name=name, severity=severity, restarts=restarts)
        )

    def pid(self, name: str) -> int:
        try:
            return int((self.folder / f"{name}.pid").read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def health(self) -> HostHealth | None:
        found = [m for m in self.heard if isinstance(m, HostHealth)]
        return found[-1] if found else None

    def state(self, name: str) -> ProcessState | None:
        health = self.health()
        return next((p.state for p in health.processes if p.name == name), None) if health else None

    def conditions(self) -> tuple[Condition, ...]:
        health = self.health()
        return health.conditions if health else ()

    def of(self, kind: type[Observation]) -> list[Observation]:
        """Each once: a message whose acknowledgement came late is sent again under its number."""
        found = {(m.incarnation, m.n): m for m in self.heard if isinstance(m, kind)}
        return list(found.values())


@pytest.fixture
async def world(tmp_path: Path, connect: Connect) -> AsyncIterator[World]:
    found = World(tmp_path, free_port())
    mtce, fm = await connect("mtce"), await connect("fm")
    try:
        async with asyncio.TaskGroup() as group:
            tasks = (
                group.create_task(_hear(mtce, "MTCE_OBSERVED", found.heard)),
                group.create_task(_hear(fm, "FM_INTAKE", found.alarms)),
            )
            yield found
            for task in tasks:
                task.cancel()
    finally:
        for path in tmp_path.glob("*.pid"):
            os.kill(int(path.read_text()), signal.SIGKILL)


async def _hear(bus: Bus, stream: str, into: list[Any]) -> None:
    async for batch in StreamReader(bus, stream, start=1).batches():
        for found in batch:
            payload = CHANNELS[found.headers["ce-type"]].payload
            assert payload is not None
            into.append(msgspec.json.decode(found.body, type=payload))


@asynccontextmanager
async def agent(config: NodeConfig, bus: Bus, *, boot_id: str = BOOT) -> AsyncIterator[Plugins]:
    plugins = Plugins(config, boot_id=boot_id)
    plugins.begin()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(plugins.monitor()),
            group.create_task(plugins.serve(bus.nc)),
        ]
        try:
            yield plugins
        finally:
            for task in tasks:
                task.cancel()


def order_fields(operation_id: str, change: int = 1) -> dict[str, Any]:
    return {
        "operation_id": operation_id,
        "host": HOST,
        "epoch": 1,
        "change": change,
        "expires_at": datetime.now(UTC) + timedelta(seconds=60),
    }


async def ask(bus: Bus, order: RebootHost | RunInTest | SwitchServices) -> OrderReply:
    async def attempt() -> OrderReply | None:
        try:
            return await bus.request(order, OrderReply, host=HOST)
        except Unavailable:  # the agent does not listen yet
            return None

    reply = await reaches(attempt)
    assert reply is not None
    return reply


async def test_killed_process_is_started_again_and_its_end_in_failure_alarmed(
    world: World, connect: Connect
) -> None:
    world.process("beater", restarts=1)
    node = await connect(f"node@{HOST}")
    async with agent(world.config(), node) as plugins:
        await reaches(lambda: world.state("beater") is ProcessState.RUNNING)
        first = world.pid("beater")

        os.kill(first, signal.SIGKILL)
        await reaches(lambda: world.pid("beater") not in (0, first))
        await reaches(lambda: world.state("beater") is ProcessState.RUNNING)
        assert not world.alarms

        (world.folder / "beater.broken").touch()
        os.kill(world.pid("beater"), signal.SIGKILL)
        await reaches(lambda: world.alarms)
        await reaches(lambda: world.state("beater") is ProcessState.FAILED)
        raised = world.alarms[0]
        assert isinstance(raised, RaiseAlarm)
        assert (raised.alarm_id, raised.severity) == ("200.006", Severity.CRITICAL)
        assert raised.entity == f"host={HOST}.process=beater"
        assert world.conditions()[0].kind is ConditionKind.PROCESS
        assert plugins.quorum_lost

        (world.folder / "beater.broken").unlink()
        await reaches(lambda: isinstance(world.alarms[-1], ClearAlarm))
        await reaches(lambda: not plugins.quorum_lost)


async def test_alarm_of_an_earlier_life_is_cleared_when_the_process_is_well(
    world: World, connect: Connect
) -> None:
    world.process("beater", restarts=0)
    node = await connect(f"node@{HOST}")
    async with agent(world.config(), node):
        await reaches(lambda: world.alarms)
    assert isinstance(world.alarms[-1], RaiseAlarm)

    world.process("beater", restarts=3)
    async with agent(world.config(), node):
        await reaches(lambda: isinstance(world.alarms[-1], ClearAlarm))


async def test_unsafe_file_is_refused_and_the_others_are_kept(
    world: World, connect: Connect
) -> None:
    world.process("good")
    world.process("bad")
    (world.folder / "bin" / "bad").chmod(0o777)
    node = await connect(f"node@{HOST}")
    async with agent(world.config(), node):
        await reaches(lambda: world.state("good") is ProcessState.RUNNING)
        await reaches(world.conditions)

    assert "can be written by others" in world.conditions()[0].reason
    assert not world.pid("bad")


async def test_reboot_is_said_noted_and_asked_for_once(world: World, connect: Connect) -> None:
    world.script("bin/reboot", f"echo rebooting >>{world.folder}/reboots; sleep 1000")
    node, mtce = await connect(f"node@{HOST}"), await connect("mtce")
    order = RebootHost(**order_fields("reboot-0001"))
    async with agent(world.config(), node):
        await reaches(lambda: world.of(HostBooted))
        replies = [await ask(mtce, order) for _ in range(3)]
        await reaches((world.folder / "reboots").exists)
        await reaches(lambda: world.of(HostEnding))

    assert {reply.outcome for reply in replies} == {OrderOutcome.BEGUN}
    assert (world.folder / "reboots").read_text() == "rebooting\n"
    ending = world.of(HostEnding)[0]
    assert isinstance(ending, HostEnding)
    assert ending.kind is EndKind.REBOOTING

    async with agent(world.config(), node, boot_id=NEXT_BOOT):
        again = await ask(mtce, order)
        await reaches(lambda: len(world.of(HostBooted)) == 2)
    booted = world.of(HostBooted)[1]
    assert isinstance(booted, HostBooted)
    assert (again.outcome, again.boot_id) == (OrderOutcome.DONE, NEXT_BOOT)
    assert (booted.previous_boot_id, booted.previous_end) == (BOOT, PreviousEnd.ORDERLY)


async def test_end_without_a_word_is_told_as_lost_or_as_panic(
    world: World, connect: Connect
) -> None:
    node = await connect(f"node@{HOST}")
    ends: list[PreviousEnd] = []
    for boot in range(4):
        if boot == 2:
            (world.folder / "pstore" / "dmesg-efi-1").write_text("Kernel panic - not syncing\n")
        async with agent(world.config(), node, boot_id=f"boot-{boot}"):
            await reaches(lambda count=boot + 1: len(world.of(HostBooted)) == count)
            await reaches(
                lambda name=f"boot-{boot}": (
                    name in (world.folder / "host/boot.json").read_text()
                    if (world.folder / "host/boot.json").exists()
                    else False
                )
            )
    for booted in world.of(HostBooted):
        assert isinstance(booted, HostBooted)
        ends.append(booted.previous_end)

    assert ends == [PreviousEnd.FIRST_BOOT, PreviousEnd.LOST, PreviousEnd.PANIC, PreviousEnd.LOST]


async def test_in_test_runs_all_scripts_and_its_pass_is_kept(
    world: World, connect: Connect
) -> None:
    world.script("goenabled.d/a.sh", f"echo a >>{world.folder}/ran")
    world.script("goenabled.d/b.sh", "echo the disk is absent >&2; exit 4")
    node, mtce = await connect(f"node@{HOST}"), await connect("mtce")
    async with agent(world.config(), node):
        await ask(mtce, RunInTest(**order_fields("test-0001")))
        await reaches(lambda: world.of(HostTested))
        world.script("goenabled.d/b.sh", "exit 0")
        for number in (2, 3):
            order = RunInTest(**order_fields(f"test-000{number}"))
            await ask(mtce, order)
            await reaches(lambda count=number: len(world.of(HostTested)) == count)
            reply = await ask(mtce, order)
            assert reply.outcome is OrderOutcome.DONE
        sub = RunInTest(**order_fields("test-0004"), scope=InTestScope.SUBFUNCTION)
        await ask(mtce, sub)
        await reaches(lambda: len(world.of(HostTested)) == 4)

    results = [r for r in world.of(HostTested) if isinstance(r, HostTested)]
    assert [(r.passed, r.cached, r.script_count) for r in results] == [
        (False, False, 2),
        (True, False, 2),
        (True, True, 2),
        (True, False, 0),
    ]
    assert results[0].failures[0].reason == "b.sh ended with exit code 4: the disk is absent"
    assert (world.folder / "ran").read_text() == "a\na\n"


async def test_stopped_services_are_left_alone_until_they_are_started(
    world: World, connect: Connect
) -> None:
    world.process("beater")
    world.script("services.d/worker/01", f'echo "$1" >>{world.folder}/switched')
    node, mtce = await connect(f"node@{HOST}"), await connect("mtce")

    async def switch(action: ServicesAction, operation_id: str, count: int) -> None:
        await ask(
            mtce,
            SwitchServices(
                **order_fields(operation_id),
                action=action,
                group=ServicesGroup.WORKER,
            ),
        )
        await reaches(lambda: len(world.of(ServicesSwitched)) == count)

    async with agent(world.config(), node):
        await reaches(lambda: world.state("beater") is ProcessState.RUNNING)
        await switch(ServicesAction.STOP, "services-1", 1)
        stopped = world.pid("beater")
        os.kill(stopped, signal.SIGKILL)
        await reaches(lambda: world.state("beater") is ProcessState.WAITING)
        await switch(ServicesAction.START, "services-2", 2)
        await reaches(lambda: world.pid("beater") != stopped)
    assert (world.folder / "switched").read_text() == "stop\nstart\n"


async def test_host_without_scripts_of_services_is_enabled_all_the_same(
    world: World, connect: Connect
) -> None:
    node, mtce = await connect(f"node@{HOST}"), await connect("mtce")
    start = SwitchServices(
        **order_fields("services-1"), action=ServicesAction.START, group=ServicesGroup.WORKER
    )
    async with agent(world.config(services=False), node):
        await ask(mtce, start)
        await reaches(lambda: world.of(ServicesSwitched))
    [switched] = [each for each in world.heard if isinstance(each, ServicesSwitched)]
    assert (switched.passed, switched.script_count) == (True, 0)


async def test_observed_host_and_wrong_orders_are_refused_with_the_reason(
    world: World, connect: Connect
) -> None:
    node, mtce = await connect(f"node@{HOST}"), await connect("mtce")
    late = order_fields("reboot-0002")
    late["expires_at"] = datetime(2020, 1, 1, tzinfo=UTC)
    async with agent(world.config(), node):
        with pytest.raises(Stale, match="expired"):
            await ask(mtce, RebootHost(**late))
        answer = await mtce.nc.request(f"node.cmd.{HOST}.reboot", b"{}", timeout=5)
        assert answer.headers is not None
        assert answer.headers["Mur-Error"] == "rejected"
    async with agent(world.config(observe_only=True), node):
        with pytest.raises(Rejected, match="observe-only"):
            await ask(mtce, RebootHost(**order_fields("reboot-0003")))


async def test_orders_of_one_host_cannot_be_heard_or_given_by_another(connect: Connect) -> None:
    other, sysinv = await connect("node@worker-2"), await connect("sysinv")
    for bus, attempt in (
        (other, other.nc.subscribe(channel_of(RebootHost).subject.format(host=HOST))),
        (other, other.nc.publish(channel_of(HostHealth).subject.format(host=HOST), b"{}")),
        (sysinv, sysinv.nc.publish(channel_of(RebootHost).subject.format(host=HOST), b"{}")),
    ):
        before = bus.error_count
        await attempt
        await reaches(lambda bus=bus, before=before: bus.error_count > before)
        assert "permissions violation" in bus.errors[-1]
