"""Reads of fm: what is heard is there to be read, and no read leaves anything behind."""

from datetime import timedelta

import pytest
from services.fm.tests.conftest import Rows
from services.fm.tests.test_fm_service import cleared, raised, send

from murmuration.bus.connection import Bus
from murmuration.bus.reader import StreamReader
from murmuration.fm import app
from murmuration.kernel.errors import NotFound, Rejected
from murmuration.proto.fm_operators import (
    GetAlarmCounts,
    GetAlarmsAt,
    GetCatalogue,
    GetHistory,
    HistoryPage,
)
from murmuration.testkit.nats import NatsServer
from murmuration.testkit.plugin import Connect
from murmuration.testkit.postgres import Postgres
from murmuration.testkit.services import asks, running, service_config

IDLE = "select count(*) from pg_stat_activity where state like 'idle in transaction%'"


async def test_history_has_a_transition_when_its_event_is_heard(
    connect: Connect, site_nats: NatsServer, postgres: Postgres, admin: Bus
) -> None:
    mtce, gateway = await connect("mtce"), await connect("gateway")
    kinds: list[str] = []
    async with running(app.run, service_config("fm", site_nats, postgres)):
        await asks(gateway, GetHistory(), HistoryPage)  # it is there
        said = [raised(), cleared(), raised()]
        await send(mtce, 1, said[0])
        async for batch in StreamReader(gateway, "FM", start=1).batches():
            for delivery in batch:
                if not delivery.type.startswith("fm.alarm."):
                    continue
                kinds.append(delivery.type.split(".")[2])
                page = await gateway.request(GetHistory(oldest_first=True), HistoryPage)
                assert [entry.kind.value for entry in page.items] == kinds
                if len(kinds) < len(said):
                    await send(mtce, len(kinds) + 1, said[len(kinds)])
            if len(kinds) == len(said):
                break
    assert kinds == ["raised", "cleared", "raised"]


async def test_reads_leave_no_transaction_open_when_they_answer_or_refuse(
    rows: Rows, postgres: Postgres
) -> None:
    now = rows.clock.now()
    await rows.say(raised())
    await rows.queries.history(GetHistory())
    await rows.queries.alarms_at(GetAlarmsAt(at=now))
    await rows.queries.counts(GetAlarmCounts(since=now - timedelta(hours=1), bucket_s=60))
    await rows.queries.catalogue(GetCatalogue())
    with pytest.raises(Rejected):
        await rows.queries.history(GetHistory(after="none such"))
    with pytest.raises(Rejected):
        await rows.queries.alarms_at(GetAlarmsAt(at=now, after="none such"))
    with pytest.raises(NotFound):
        await rows.queries.catalogue(GetCatalogue(id="999.999"))
    assert postgres.execute(IDLE).stdout == b"0\n"
