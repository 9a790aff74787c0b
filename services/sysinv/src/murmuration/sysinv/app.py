"""The composition of sysinv: the only file that knows all of it."""

import asyncio
from pathlib import Path

from murmuration.kernel.errors import Rejected
from murmuration.proto import registry
from murmuration.proto.mtce import OperationCompleted, OperationFailed, OperationRefused
from murmuration.proto.sysinv import (
    AcceptHost,
    ActOnHost,
    CheckAction,
    EnrolHost,
    HostChanged,
    HostDelta,
    HostReport,
    JoinHost,
    LabelHost,
    SetAdministrative,
    SetHostBmc,
)
from murmuration.runtime.config import ServiceConfig
from murmuration.runtime.service import run_service, service_context
from murmuration.security.joining import Issuer
from murmuration.store.database import Unit
from murmuration.sysinv.config import SysinvSection
from murmuration.sysinv.handlers import declarations
from murmuration.sysinv.handlers.actions import Actions
from murmuration.sysinv.handlers.enrolment import Enrolment
from murmuration.sysinv.handlers.joining import Joining
from murmuration.sysinv.handlers.reports import Reports
from murmuration.sysinv.handlers.said import say
from murmuration.sysinv.store import hosts

MIGRATIONS = Path(__file__).parent / "store" / "migrations"


async def run(config: ServiceConfig, *, stop: asyncio.Event) -> None:
    """Run sysinv until `stop` is set."""
    registry.load()
    section = config.own(SysinvSection)
    signing = config.credentials().signing
    if signing is None:
        raise Rejected("the credentials of sysinv lack the keys that it signs hosts' with")
    issuer = Issuer(signing)
    async with service_context(
        config,
        listen=section.listen,
        migrations=MIGRATIONS,
        republish=republish,
        foreign=("MTCE_ORDERS",),
    ) as context:
        enrolment = Enrolment(
            context.database,
            section,
            site_secret=config.secret("site-secret"),
            clock=context.clock,
            issuer=issuer,
            bundle=config.bus.ca,
        )
        reports = Reports(context.bus)
        context.server.answer(EnrolHost, enrolment.enrol)
        context.server.answer(JoinHost, Joining(context.database, issuer, context.clock).join)
        context.server.command(AcceptHost, context.database, declarations.accept)
        context.server.command(SetAdministrative, context.database, declarations.set_administrative)
        context.server.command(SetHostBmc, context.database, declarations.set_bmc)
        context.server.command(LabelHost, context.database, declarations.label)
        actions = Actions(context.database, context.clock)
        context.server.command(ActOnHost, context.database, actions.act)
        context.server.answer(CheckAction, actions.check)
        context.follow(
            "MTCE",
            {
                OperationRefused: actions.refused,
                OperationFailed: actions.failed,
                OperationCompleted: actions.completed,
            },
        )
        context.follow("SYSINV_OBSERVED", {HostReport: reports.report, HostDelta: reports.delta})
        await run_service(context, stop)


async def republish(unit: Unit) -> None:
    """Say the whole state anew: after a new epoch, or to a stream that lost it."""
    for host in await hosts.every(unit.connection):
        say(unit, HostChanged(host=host, changed=(), reason="published afresh"), host)
