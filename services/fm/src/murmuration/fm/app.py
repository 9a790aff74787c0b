"""The composition of fm: the only file that knows all of it."""

import asyncio
from pathlib import Path

from murmuration.fm.config import FmSection
from murmuration.fm.handlers.intake import on_clear, on_raise
from murmuration.fm.handlers.operators import Operators
from murmuration.fm.handlers.said import say
from murmuration.fm.store import alarms
from murmuration.proto import registry
from murmuration.proto.fm import (
    AlarmChanged,
    ClearAlarm,
    RaiseAlarm,
)
from murmuration.proto.fm_operators import ClearAlarmByOperator
from murmuration.runtime.config import ServiceConfig
from murmuration.runtime.service import run_service, service_context
from murmuration.store.database import Unit

MIGRATIONS = Path(__file__).parent / "store" / "migrations"


async def run(config: ServiceConfig, *, stop: asyncio.Event) -> None:
    """Run fm until `stop` is set."""
    registry.load()
    section = config.own(FmSection)
    async with service_context(
        config, listen=section.listen, migrations=MIGRATIONS, republish=republish
    ) as context:
        operators = Operators(context.clock)
        context.server.command(ClearAlarmByOperator, context.database, operators.clear)
        context.follow("FM_INTAKE", {RaiseAlarm: on_raise, ClearAlarm: on_clear})
        await run_service(context, stop)


async def republish(unit: Unit) -> None:
    """Say the whole state anew: after a new epoch, or to a stream that lost it."""
    for alarm in await alarms.every(unit.connection):
        say(unit, AlarmChanged(alarm=alarm, changed=()), alarm)
