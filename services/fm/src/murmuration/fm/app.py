"""The composition of fm: the only file that knows all of it."""

import asyncio
from pathlib import Path

import aiohttp

from murmuration.bus.follower import Many
from murmuration.fm import catalogue
from murmuration.fm.adapters.senders import Sender
from murmuration.fm.config import FmSection
from murmuration.fm.core.rules import read_rules
from murmuration.fm.correlating import Correlating
from murmuration.fm.delivering import Delivering
from murmuration.fm.handlers import places
from murmuration.fm.handlers.derived import say_again
from murmuration.fm.handlers.intake import Intake
from murmuration.fm.handlers.notifications import Notifications
from murmuration.fm.handlers.operators import Operators
from murmuration.fm.handlers.queries import Queries
from murmuration.fm.handlers.why import WhyQuery
from murmuration.fm.metrics import FmCollector
from murmuration.fm.notifying import Notifying
from murmuration.fm.rules import builtin, files
from murmuration.fm.store import alarms, derived, policies
from murmuration.fm.store.policies import Policies
from murmuration.fm.store.writing import say_suppression, told_afresh
from murmuration.fm.tasks import Tasks
from murmuration.kernel.errors import Rejected
from murmuration.proto import registry
from murmuration.proto.fm import ClearAlarm, ClearBelow, RaiseAlarm, RecordLog, Tick
from murmuration.proto.fm_notify import (
    AddSilence,
    ExpireSilence,
    GetReceivers,
    GetRouting,
    GetSilences,
    RemoveReceiver,
    RetryDeliveries,
    SetReceiver,
    SetRouting,
    TryReceiver,
)
from murmuration.proto.fm_operators import (
    AcknowledgeAlarm,
    AddSuppression,
    ClearAlarmByOperator,
    CommentAlarm,
    GetAlarmCounts,
    GetAlarmsAt,
    GetCatalogue,
    GetHistory,
    GetWhy,
    RaiseAlarmByOperator,
    RecordLogByOperator,
    RemoveSuppression,
    SetProfile,
)
from murmuration.proto.mtce import HostForgotten, HostStateChanged
from murmuration.proto.platform import StatePublished
from murmuration.proto.sysinv import HostAccepted, HostChanged, HostDiscovered, HostRemoved
from murmuration.runtime.config import ServiceConfig
from murmuration.runtime.service import Context, run_service, service_context
from murmuration.runtime.trace import TraceFile
from murmuration.store.database import Unit

MIGRATIONS = Path(__file__).parent / "store" / "migrations"
SAYS = (RaiseAlarm, ClearAlarm, ClearBelow, RecordLog, Tick)


async def run(config: ServiceConfig, *, stop: asyncio.Event) -> None:
    """Run fm until `stop` is set."""
    registry.load()
    section = config.own(FmSection)
    kept = Policies(catalogue.shipped())
    rules = read_rules([*builtin(), *more_rules(section)])
    tell = TraceFile(Path(section.trace)).write if section.trace else None
    async with service_context(
        config,
        listen=section.listen,
        migrations=MIGRATIONS,
        republish=republish,
        foreign=("FM_INTAKE",),
    ) as context:
        intake = Intake(context.clock, kept)
        together = Many(intake.take)
        follow_places(context)
        intake_stream = context.follow(
            "FM_INTAKE", dict.fromkeys(SAYS, together), refuse=intake.refuse
        )
        serve_commands(context, Operators(context.database, context.clock, kept))
        serve_queries(context, Queries(context.database, context.clock, kept))
        context.server.answer(GetWhy, WhyQuery(context.database, rules).answer)
        tasks = Tasks(context.database, context.clock, kept, section)
        correlating = Correlating(
            context.database,
            context.clock,
            kept,
            rules,
            waiting=lambda: intake_stream.lag,
            tell=tell,
        )
        site = config.site.name
        serve_notifications(context, Notifications(context.database, context.clock, site=site))
        notifying = Notifying(context.database, context.clock, site=site)
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            sender = Sender(session, context.clock, Path(config.site.credentials_dir))
            delivering = Delivering(context.database, context.clock, sender)
            counted = FmCollector(intake.counts, correlating.counts, delivering.counts)
            context.registry.register(counted)
            active = {
                **tasks.all(),
                "correlation": correlating.run,
                "notifying": notifying.run,
                "delivering": delivering.run,
            }
            await run_service(context, stop, active=active)


def follow_places(context: Context) -> None:
    """Where hosts stand, as sysinv and mtce say."""
    context.follow(
        "SYSINV",
        {
            HostDiscovered: places.on_declared,
            HostAccepted: places.on_declared,
            HostChanged: places.on_declared,
            HostRemoved: places.on_removed,
            StatePublished: places.on_declared_afresh,
        },
        states={"sysinv_hosts": places.declared_bridged},
    )
    context.follow(
        "MTCE",
        {
            HostStateChanged: places.on_state,
            HostForgotten: places.on_forgotten,
            StatePublished: places.on_states_afresh,
        },
        states={"mtce_hosts": places.state_bridged},
    )


def more_rules(section: FmSection) -> list[tuple[str, bytes]]:
    """The operator's own files of rules. Raises Rejected when they cannot be read."""
    if not section.correlation_rules:
        return []
    try:
        return files(Path(section.correlation_rules))
    except OSError as error:
        raise Rejected(f"correlation_rules: {error}") from error


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


def serve_notifications(context: Context, notifications: Notifications) -> None:
    """Who is told of alarms."""
    server, database = context.server, context.database
    server.command(SetReceiver, database, notifications.set_receiver)
    server.command(RemoveReceiver, database, notifications.remove_receiver)
    server.command(TryReceiver, database, notifications.try_receiver)
    server.command(RetryDeliveries, database, notifications.retry)
    server.command(SetRouting, database, notifications.set_routing)
    server.command(ExpireSilence, database, notifications.expire_silence)
    server.answer(AddSilence, notifications.add_silence)
    server.answer(GetReceivers, notifications.receivers)
    server.answer(GetRouting, notifications.routing)
    server.answer(GetSilences, notifications.silences)


async def republish(unit: Unit) -> None:
    """Say the whole state anew: after a new epoch, or to a stream that lost it."""
    after = ("", "")
    while page := await alarms.page(unit.connection, after):
        for (alarm_id, entity), record in page:
            unit.say(told_afresh(alarm_id, entity, record))
        after = page[-1][0]
    for each in await policies.suppressions(unit.connection):
        say_suppression(unit, each, active=True, reason="told afresh")
    say_again(unit, await derived.every(unit.connection))
