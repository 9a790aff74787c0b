"""Producers of alarms as a process that may be killed at any moment; run by test_chaos_fm.

Each producer says the same sequence whatever happens to it: its spool knows how far it came. The
process ends when fm has confirmed everything.
"""

import asyncio
import contextlib
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from murmuration.alarms.client import open_alarms
from murmuration.bus.connection import open_bus
from murmuration.kernel.errors import Unavailable
from murmuration.proto import registry
from murmuration.proto.fm import AlarmType, ClearAlarm, RaiseAlarm, Severity
from murmuration.runtime.config import BusCredentials, BusSection

PORTS = 5
TOGETHER = 20
Step = tuple[str, Severity | None]  # entity, and the severity it is raised with; None: cleared


class Plan(msgspec.Struct, kw_only=True):
    """What a process of producers is told."""

    url: str
    spools: str
    seed: int
    steps: int
    hosts: dict[str, BusCredentials]


def steps_of(host: str, *, seed: int, count: int) -> Iterator[Step]:
    """What the agent of a host says, in its order."""
    dice = random.Random(f"{seed} {host}")
    for _ in range(count):
        entity = f"host={host}.port={dice.randrange(PORTS)}"
        severity = dice.choice((Severity.MAJOR, Severity.MAJOR, Severity.CRITICAL, None))
        yield entity, severity


def request_of(step: Step) -> RaiseAlarm | ClearAlarm:
    """What is said in a step."""
    entity, severity = step
    now = datetime.now(UTC)
    if severity is None:
        return ClearAlarm(alarm_id="300.001", entity=entity, cleared_at=now)
    return RaiseAlarm(
        alarm_id="300.001",
        entity=entity,
        severity=severity,
        reason_text=severity.value,
        alarm_type=AlarmType.EQUIPMENT,
        probable_cause="loss-of-signal",
        raised_at=now,
    )


async def produce(plan: Plan, host: str, login: BusCredentials) -> None:
    """Everything one agent has to say, from where its spool came to."""
    steps = list(steps_of(host, seed=plan.seed, count=plan.steps))
    spool = Path(plan.spools) / f"{host}.db"
    async with (
        open_bus(BusSection(url=plan.url), login, identity=f"node@{host}", wait_s=120) as bus,
        open_alarms(bus, producer=f"node-{host}", spool=spool) as client,
    ):
        while client.said < len(steps):
            said = steps[client.said : client.said + TOGETHER]
            with contextlib.suppress(Unavailable):  # nothing was said: the same again
                await client.say([request_of(step) for step in said])
        while client.unconfirmed:
            await asyncio.sleep(0.05)


async def main(path: Path) -> None:
    """All agents of the plan at once."""
    registry.load()
    plan = msgspec.json.decode(path.read_bytes(), type=Plan)
    async with asyncio.TaskGroup() as group:
        for host, login in plan.hosts.items():
            group.create_task(produce(plan, host, login))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
