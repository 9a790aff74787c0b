"""Our own API of alarms: lists, what operators do, what was, files, and what fm concluded."""

import csv
import io
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
import pytest
from services.gateway.tests.gateway_door import Door, a_gateway
from services.gateway.tests.gateway_site import (
    BEGIN,
    FakeSite,
    an_alarm,
    an_event,
    cleared,
    raised,
    restarted,
)

from murmuration.gateway.core.derived import DEGRADE, GATE, SUPPRESSION
from murmuration.gateway.core.export import FORMULA_STARTS, csv_line
from murmuration.gateway.core.projection import Loaded
from murmuration.kernel.errors import NotFound, Unavailable
from murmuration.proto.envelope import Version
from murmuration.proto.fm import Alarm, AlarmChanged
from murmuration.proto.fm_derived import (
    DegradeAsserted,
    DegradeCleared,
    Gate,
    GateBlocked,
    GateFreed,
    GateState,
    HostDegrade,
)
from murmuration.proto.fm_operators import (
    AcknowledgeAlarm,
    AddSuppression,
    AlarmCountsReply,
    AlarmsPage,
    CatalogueEntry,
    CataloguePage,
    ClearAlarmByOperator,
    CommentAlarm,
    GetAlarmCounts,
    GetAlarmsAt,
    GetCatalogue,
    GetHistory,
    GetWhy,
    HistoryEntry,
    HistoryKind,
    HistoryPage,
    RaiseAlarmByOperator,
    Raised,
    Reach,
    RemoveSuppression,
    SetProfile,
    Suppression,
    SuppressionChanged,
    Why,
)
from murmuration.proto.fm_vocabulary import AlarmType, Severity
from murmuration.proto.sysinv import Accepted
from murmuration.testkit.levels import reaches

ROOT = an_alarm("root0000", severity=Severity.MAJOR, minute=1)
ALONE = msgspec.structs.replace(
    an_alarm("alone000", severity=Severity.WARNING, entity="host=c-0"),
    acknowledged_by="ada",
    acknowledged_at=BEGIN,
)
BELOW = msgspec.structs.replace(
    an_alarm("below000", entity="host=worker-1.port=eth0"), root_cause="root0000"
)
MASKED = msgspec.structs.replace(an_alarm("masked00", entity="host=w-3"), masked=True)
HIDDEN = msgspec.structs.replace(an_alarm("hidden00", entity="host=w-4"), suppressed=True)
ALARMS = (ROOT, ALONE, BELOW, MASKED, HIDDEN)


@asynccontextmanager
async def a_door() -> AsyncGenerator[tuple[Door, FakeSite], None]:
    site = FakeSite()
    site.history["fm"] = [raised(alarm, n + 1) for n, alarm in enumerate(ALARMS)]
    async with a_gateway(site) as door:
        yield door, site


async def uuids(door: Door, query: str = "") -> list[str]:
    return [item["uuid"] for item in (await door.get(f"/api/v1/alarms{query}"))["items"]]


async def test_a_list_shows_roots_first_and_hides_what_is_masked_or_suppressed() -> None:
    async with a_door() as (door, _):
        assert await uuids(door) == ["root0000", "alone000", "below000"]
        page = await door.get("/api/v1/alarms?limit=1")
        assert page["items"][0]["impacted_count"] == 1
        assert await uuids(door, f"?after={page['next']}") == ["alone000", "below000"]
        assert await uuids(door, "?roots=true") == ["root0000", "alone000"]
        assert await uuids(door, "?root=root0000") == ["below000"]
        assert await uuids(door, "?acknowledged=true") == ["alone000"]
        assert await uuids(door, "?acknowledged=false&roots=true") == ["root0000"]
        assert await uuids(door, "?alarm_id=999.999") == []
        assert await uuids(door, "?uuid=abcd") == []
        everything = await uuids(door, "?masked=true&suppressed=true")
        assert set(everything) == {alarm.uuid for alarm in ALARMS}
        assert (await door.get("/api/v1/alarms/masked00"))["masked"] is True
        assert await door.get("/api/v1/alarms/summary") == {
            "counts": {"critical": 1, "major": 1, "minor": 0, "warning": 1, "indeterminate": 0},
            "root_count": 1,
            "impacted_count": 1,
            "acknowledged_count": 1,
            "masked_count": 1,
            "suppressed_count": 1,
        }


@pytest.mark.parametrize(
    "query",
    [
        "roots=yes",
        "severity=grave",
        "alarm_id=1.2",
        "uuid=x",
        "masked=1",
        "after=nonsense",
        "limit=0",
    ],
)
async def test_a_list_refuses_what_it_does_not_understand(query: str) -> None:
    async with a_door() as (door, _):
        await door.get(f"/api/v1/alarms?{query}", 400)


async def test_operators_acknowledge_comment_clear_and_raise_by_commands_to_fm() -> None:
    async with a_door() as (door, site):
        who = {"author": "ada", "operation_id": "operation-1"}
        path = "/api/v1/alarms/root0000"
        await door.change("PUT", f"{path}/acknowledgement", who)
        await door.change("DELETE", f"{path}/acknowledgement", {})
        await door.change("POST", f"{path}/comments", who | {"text": "on my way"})
        await door.change("POST", f"{path}/comments", {"text": ""}, 400)
        await door.change("DELETE", path, who | {"reason": "replaced"})
        made = Raised(operation_id="o", service="fm", epoch=1, change=9, reason="x", uuid="u9")
        site.answer = made
        alarm = {
            "alarm_id": "100.101",
            "entity": "host=c-0",
            "severity": "minor",
            "reason_text": "busy",
            "alarm_type": "other",
            "probable_cause": "unknown",
            "raised_at": "2026-01-01T00:00:00Z",
        }
        reply = await door.change("POST", "/api/v1/alarms", who | {"alarm": alarm})
        assert (reply["uuid"], reply["after"]) == ("u9", "fm:1:9")
        ack, unack, comment, clear, raise_it = site.commands
        assert ack == AcknowledgeAlarm(
            operation_id="operation-1", uuid="root0000", author="ada", acknowledged=True
        )
        assert isinstance(unack, AcknowledgeAlarm)
        assert (unack.acknowledged, unack.author) == (False, "operator")
        assert isinstance(comment, CommentAlarm)
        assert comment.text == "on my way"
        assert isinstance(clear, ClearAlarmByOperator)
        assert (clear.author, clear.reason) == ("ada", "replaced")
        assert isinstance(raise_it, RaiseAlarmByOperator)
        site.answer = NotFound("there is no active alarm root0000")
        await door.change("PUT", f"{path}/acknowledgement", {}, 404)


async def test_suppressions_degraded_hosts_and_gates_are_shown_as_fm_tells_them() -> None:
    async with a_door() as (door, site):
        kept = Suppression(id="s1", alarm_id="100.101", author="ada", created_at=BEGIN)
        gone = msgspec.structs.replace(kept, id="s2")
        degrade = HostDegrade(host="w-1", causes=("root0000",), cause_count=1, since=BEGIN)
        strict = GateState(gate=Gate.STRICT, blocked=True, cause_count=3, since=BEGIN)
        relaxed = GateState(gate=Gate.RELAXED, blocked=False, since=BEGIN)
        payloads = (
            SuppressionChanged(suppression=kept, active=True, reason="x"),
            SuppressionChanged(suppression=gone, active=True, reason="x"),
            SuppressionChanged(suppression=gone, active=False, reason="it ran out"),
            DegradeAsserted(host="w-1", degrade=degrade),
            DegradeAsserted(host="w-2", degrade=degrade),
            DegradeCleared(host="w-2", at=BEGIN),
            GateBlocked(gate=Gate.STRICT, state=strict),
            GateFreed(gate=Gate.RELAXED, state=relaxed),
        )
        await site.put(*(an_event(payload, 6 + n) for n, payload in enumerate(payloads)))
        await reaches(lambda: door.live.model.vector.fm.change == 13)
        shown = await door.get("/api/v1/suppressions")
        assert [each["id"] for each in shown["items"]] == ["s1"]
        shown = await door.get("/api/v1/degrades")
        assert [(each["host"], each["cause_count"]) for each in shown["items"]] == [("w-1", 1)]
        shown = await door.get("/api/v1/gates")
        assert [(each["gate"], each["blocked"]) for each in shown["items"]] == [
            ("strict", True),
            ("relaxed", False),
        ]
        told = [event["summary"] for event in (await door.get("/api/v1/events"))["items"]][-5:]
        assert told == [
            "w-1 is degraded by 1 alarm",
            "w-2 is degraded by 1 alarm",
            "no alarm degrades w-2 any more",
            "the strict gate is blocked by 3 alarms",
            "the relaxed gate is free",
        ]
        await site.put(restarted("fm", 1, epoch=2))
        await reaches(lambda: door.live.model.vector.fm.epoch == 2)
        assert (await door.get("/api/v1/gates"))["items"] == []


async def test_suppressions_degraded_hosts_and_gates_are_loaded_from_state() -> None:
    site = FakeSite()
    degrade = HostDegrade(host="w-1", causes=(), cause_count=1, since=BEGIN)
    site.states["fm"] = {
        SUPPRESSION + "s1": Loaded(
            Version(1, 1), Suppression(id="s1", author="ada", created_at=BEGIN)
        ),
        SUPPRESSION + "s2": Loaded(Version(1, 2), None),
        DEGRADE + "w-1": Loaded(Version(1, 3), degrade),
        GATE + "strict": Loaded(
            Version(1, 4), GateState(gate=Gate.STRICT, blocked=False, since=BEGIN)
        ),
        "200.004 host=worker-1": Loaded(Version(1, 5), ROOT),
    }
    async with a_gateway(site) as door:
        for path in ("suppressions", "degrades", "gates", "alarms"):
            assert len((await door.get(f"/api/v1/{path}"))["items"]) == 1


async def test_suppressions_are_added_and_removed_by_commands_to_fm() -> None:
    async with a_door() as (door, site):
        site.answer = Raised(
            operation_id="o", service="fm", epoch=1, change=9, reason="x", uuid="s1"
        )
        body = {"entity": "host=w-*", "severities": ["minor"], "comment": "moving house"}
        reply = await door.change(
            "POST", "/api/v1/suppressions", body | {"expires_at": "2026-01-01T00:00:00Z"}
        )
        assert reply["uuid"] == "s1"
        (command,) = site.commands
        assert isinstance(command, AddSuppression)
        assert (command.entity, command.expires_at) == ("host=w-*", BEGIN)
        site.answer = NotFound("no such suppression")
        await door.change("DELETE", "/api/v1/suppressions/s9", {"author": "ada"}, 404)
        assert isinstance(site.commands[-1], RemoveSuppression)
        await door.change("POST", "/api/v1/suppressions", {"alarm_id": "x"}, 400)


async def test_profile_of_an_alarm_id_is_set_by_a_command_to_fm() -> None:
    async with a_door() as (door, site):
        site.answer = Accepted(
            operation_id="o", service="fm", epoch=1, change=9, reason="it is set"
        )
        path = "/api/v1/alarm-catalogue/100.101/profile"
        reply = await door.change("PUT", path, {"severity": "minor", "author": "ada"})
        assert reply["reason"] == "it is set"
        await door.change("PUT", path, {"degrade_reach": "none"})
        first, second = site.commands
        assert isinstance(first, SetProfile) and isinstance(second, SetProfile)
        assert (first.alarm_id, first.severity, first.author) == ("100.101", Severity.MINOR, "ada")
        assert (second.severity, second.degrade_reach) == (None, Reach.NONE)
        await door.change("PUT", "/api/v1/alarm-catalogue/x/profile", {}, 404)
        await door.change("PUT", path, {"severity": 7}, 400)


def entries(query: GetHistory) -> HistoryPage:
    """Three entries, one a page."""
    n = int(query.after or "1")
    entry = HistoryEntry(
        id=n,
        at=BEGIN + timedelta(seconds=n),
        recorded_at=BEGIN,
        kind=HistoryKind.RAISED,
        alarm=ALONE,
        reason="=1+1",
    )
    if query.uuid == "nobody":
        return HistoryPage(items=())
    return HistoryPage(items=(entry,), next=str(n + 1) if n < 3 else None)


async def test_history_timeline_and_files_come_from_fm_page_by_page() -> None:
    async with a_door() as (door, site):
        site.queries[GetHistory] = entries
        query = "since=2026-01-01T00:00:00Z&kind=raised,cleared&severity=major&entity=host=c-0"
        page = await door.get(f"/api/v1/alarm-history?{query}&limit=50")
        assert (len(page["items"]), page["next"]) == (1, "2")
        assert site.asked[-1] == GetHistory(
            since=BEGIN,
            kinds=(HistoryKind.RAISED, HistoryKind.CLEARED),
            severities=(Severity.MAJOR,),
            entity="host=c-0",
            limit=50,
        )
        await door.get("/api/v1/alarms/alone000/timeline")
        asked = site.asked[-1]
        assert isinstance(asked, GetHistory)
        assert (asked.uuid, asked.oldest_first) == ("alone000", True)
        await door.get("/api/v1/alarms/nobody/timeline", 404)
        for wrong in ("since=2026-01-01T00:00:00", "since=x", "kind=x", "severity=x"):
            await door.get(f"/api/v1/alarm-history?{wrong}", 400)
        lines = (await text(door, "/api/v1/alarm-history/export")).splitlines()
        assert [json.loads(line)["id"] for line in lines] == [1, 2, 3]
        table = await text(door, "/api/v1/alarm-history/export?format=csv")
        rows = list(csv.DictReader(io.StringIO(table)))
        assert [row["id"] for row in rows] == ["1", "2", "3"]
        assert rows[0]["reason"] == "'=1+1"
        await door.get("/api/v1/alarm-history/export?format=xls", 400)


async def text(door: Door, path: str) -> str:
    async with door.web.get(door.url(path)) as response:
        assert response.status == 200
        assert response.headers["Content-Disposition"].startswith("attachment; filename=")
        return await response.text()


async def test_active_alarms_are_exported_in_the_order_of_the_list() -> None:
    async with a_door() as (door, _):
        lines = (await text(door, "/api/v1/alarms/export?roots=true")).splitlines()
        assert [msgspec.json.decode(line, type=Alarm) for line in lines] == [ROOT, ALONE]
        rows = list(
            csv.DictReader(io.StringIO(await text(door, "/api/v1/alarms/export?format=csv")))
        )
        assert [row["uuid"] for row in rows] == ["root0000", "alone000", "below000"]
        assert rows[1]["acknowledged_at"] == "2026-01-01T00:00:00Z"
        assert rows[2]["root_cause"] == "root0000"


async def test_an_export_that_breaks_off_is_not_taken_for_a_whole_one() -> None:
    async with a_door() as (door, site):

        def break_off(query: GetHistory) -> HistoryPage:
            if query.after:
                raise Unavailable("fm is away")
            return entries(query)

        site.queries[GetHistory] = break_off
        with pytest.raises(Exception, match=r"payload|disconnected"):
            await text(door, "/api/v1/alarm-history/export")


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_a_cell_is_never_a_formula(start: str) -> None:
    assert csv_line([f"{start}x"])[:2] in (b"'" + start.encode(), b"\"'")


async def test_counts_the_past_the_catalogue_and_reasons_are_asked_of_fm() -> None:
    async with a_door() as (door, site):
        site.queries[GetAlarmCounts] = lambda query: AlarmCountsReply(
            bucket_s=query.bucket_s, buckets=()
        )
        site.queries[GetAlarmsAt] = lambda query: AlarmsPage(at=query.at, items=ALARMS)
        site.queries[GetWhy] = lambda query: Why(alarm=BELOW, sibling_count=0)
        entry = CatalogueEntry(
            id="100.101",
            kind="alarm",
            summary="busy",
            severities=(Severity.MAJOR,),
            alarm_types=(AlarmType.OTHER,),
            probable_cause="unknown",
        )
        site.queries[GetCatalogue] = lambda query: CataloguePage(
            items=() if query.id == "999.999" else (entry,)
        )
        span = "since=2026-01-01T00:00:00Z&until=2026-01-01T01:00:00Z"
        assert (await door.get(f"/api/v1/alarms/counts?{span}"))["bucket_s"] == 30
        assert (await door.get("/api/v1/alarms/counts"))["bucket_s"] == 720
        for wrong in (
            f"{span}&bucket_s=1",
            f"{span}&bucket_s=0",
            "until=2000-01-01T00:00:00Z&since=2001-01-01T00:00:00Z",
        ):
            await door.get(f"/api/v1/alarms/counts?{wrong}", 400)
        then = await door.get("/api/v1/alarms/at?at=2026-01-01T00:30:00Z&severity=critical")
        assert [item["uuid"] for item in then["items"]] == ["below000"]
        assert then["at"] == "2026-01-01T00:30:00Z"
        await door.get("/api/v1/alarms/at", 400)
        assert (await door.get("/api/v1/alarms/below000/why"))["alarm"]["uuid"] == "below000"
        assert (await door.get("/api/v1/alarm-catalogue"))["items"][0]["summary"] == "busy"
        assert (await door.get("/api/v1/alarm-catalogue/100.101"))["id"] == "100.101"
        await door.get("/api/v1/alarm-catalogue/999.999", 404)
        await door.get("/api/v1/alarm-catalogue/x", 404)


async def test_a_root_s_figures_are_told_once_a_batch_when_what_it_explains_changes() -> None:
    async with a_door() as (door, site):
        model = door.live.model
        more = [
            msgspec.structs.replace(BELOW, uuid=f"more{n}", entity=f"host=w-{n}") for n in range(9)
        ]
        await site.put(*(raised(alarm, 6 + n) for n, alarm in enumerate(more)))
        await reaches(lambda: model.alarms.impacted_count("root0000") == 10)
        freed = msgspec.structs.replace(BELOW, root_cause="")
        model.apply(an_event(AlarmChanged(alarm=freed, changed=("root_cause",)), 15))
        model.apply(cleared(more[0], 16))
        (put,) = model.take_moved_roots()
        assert put == model.alarm_put(ROOT)
        assert model.alarms.impacted_count("root0000") == 8
        assert model.take_moved_roots() == []
