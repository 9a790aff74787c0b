"""The composition of fm: the only file that knows all of it."""

import asyncio
from pathlib import Path

from murmuration.bus.follower import Many
from murmuration.fm import catalogue
from murmuration.fm.config import FmSection
from murmuration.fm.handlers.intake import Intake
from murmuration.fm.handlers.operators import Operators
from murmuration.fm.handlers.queries import Queries
from murmuration.fm.metrics import FmCollector
from murmuration.fm.store import alarms, policies
from murmuration.fm.store.policies import Policies
from murmuration.fm.store.writing import say_suppression, told_afresh
from murmuration.fm.tasks import Tasks
from murmuration.proto import registry
from murmuration.proto.fm import ClearAlarm, ClearBelow, RaiseAlarm, RecordLog, Tick
from murmuration.proto.fm_operators import (
    AcknowledgeAlarm,
    AddSuppression,
    ClearAlarmByOperator,
    CommentAlarm,
    GetAlarmCounts,
    GetAlarmsAt,
    GetCatalogue,
    GetHistory,
    RaiseAlarmByOperator,
    RecordLogByOperator,
    RemoveSuppression,
    SetProfile,
)
from murmuration.runtime.config import ServiceConfig
from murmuration.runtime.service import Context, run_service, service_context
from murmuration.store.database import Unit

MIGRATIONS = Path(__file__).parent / "store" / "migrations"
SAYS = (RaiseAlarm, ClearAlarm, ClearBelow, RecordLog, Tick)


async def run(config: ServiceConfig, *, stop: asyncio.Event) -> None:
    """Run fm until `stop` is set."""
    registry.load()
    section = config.own(FmSection)
    kept = Policies(catalogue.shipped())
    async with service_context(
        config,
        listen=section.listen,
        migrations=MIGRATIONS,
        republish=republish,
        foreign=("FM_INTAKE",),
    ) as context:
        intake = Intake(context.clock, kept)
        together = Many(intake.take)
        context.follow("FM_INTAKE", dict.fromkeys(SAYS, together), refuse=intake.refuse)
        context.registry.register(FmCollector(intake.counts))
        serve_commands(context, Operators(context.database, context.clock, kept))
        serve_queries(context, Queries(context.database, context.clock, kept))
        tasks = Tasks(context.database, context.clock, kept, section)
        await run_service(context, stop, active=tasks.all())


def serve_commands(context: Context, operators: Operators) -> None:
    """What the gateway may tell fm to do."""
    server, database = context.server, context.database
    server.command(ClearAlarmByOperator, database, operators.clear)
    server.command(AcknowledgeAlarm, database, operators.acknowledge)
    server.command(CommentAlarm, database, operators.comment)
    server.command(RemoveSuppression, database, operators.remove_suppression)
    server.command(SetProfile, database, operators.set_profile)
    server.answer(RaiseAlarmByOperator, operators.raise_alarm)
    server.answer(RecordLogByOperator, operators.record)
    server.answer(AddSuppression, operators.add_suppression)


def serve_queries(context: Context, queries: Queries) -> None:
    """What the gateway may ask fm."""
    context.server.answer(GetHistory, queries.history)
    context.server.answer(GetAlarmsAt, queries.alarms_at)
    context.server.answer(GetAlarmCounts, queries.counts)
    context.server.answer(GetCatalogue, queries.catalogue)


async def republish(unit: Unit) -> None:
    """Say the whole state anew: after a new epoch, or to a stream that lost it."""
    after = ("", "")
    while page := await alarms.page(unit.connection, after):
        for (alarm_id, entity), record in page:
            unit.say(told_afresh(alarm_id, entity, record))
        after = page[-1][0]
    for each in await policies.suppressions(unit.connection):
        say_suppression(unit, each, active=True, reason="told afresh")
