"""StarlingX's fault management API: every call that the `fm` client makes, and what it may not do.

The calls are those of python-fmclient 1.0, recorded at the wire: same paths, queries, bodies and
headers. What is asserted of an answer is what the client reads of it.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
from services.gateway.tests.gateway_door import TOKEN, Door, a_gateway
from services.gateway.tests.gateway_site import BEGIN, FakeSite, an_alarm, an_event, cleared, raised

from murmuration.gateway.core.fm_compat.filters import Filter, parse_filters, parse_time
from murmuration.gateway.core.fm_compat.items import (
    ALARM_KEYS,
    EVENT_KEYS,
    alarm_item,
    event_number,
    event_uuid,
)
from murmuration.kernel.errors import Rejected, Unavailable
from murmuration.proto.fm import Alarm, LogEntry
from murmuration.proto.fm_operators import (
    AddSuppression,
    CatalogueEntry,
    CataloguePage,
    ClearAlarmByOperator,
    GetCatalogue,
    GetHistory,
    HistoryEntry,
    HistoryKind,
    HistoryPage,
    RaiseAlarmByOperator,
    Raised,
    RecordLogByOperator,
    RemoveSuppression,
    Suppression,
    SuppressionChanged,
)
from murmuration.proto.fm_vocabulary import AlarmType, Severity
from murmuration.proto.sysinv import Accepted
from murmuration.testkit.levels import reaches

FM_HEADERS = {
    "Content-Type": "application/json",
    "X-Auth-Token": TOKEN,
    "User-Agent": "python-fmclient",
    "Accept": "*/*",
}
U1, U2, U3, U4 = (f"b0a1f0de-9b5c-4d5e-8d58-6a5f0f6c1a0{n}" for n in range(1, 5))


@dataclass
class Fm:
    """The client's side of the wire."""

    door: Door
    site: FakeSite
    web: aiohttp.ClientSession

    async def ask(self, method: str, path: str, *, status: int = 200, data: object = None) -> Any:
        body = None if data is None else json.dumps(data)
        async with self.web.request(method, self.door.url(path), data=body) as response:
            text = await response.text()
            assert response.status == status, text
            assert response.headers["X-Openstack-Request-Id"].startswith("req-")
            return json.loads(text) if text else None

    async def get(self, path: str, *, status: int = 200) -> Any:
        return await self.ask("GET", path, status=status)

    async def fault(self, path: str, status: int, method: str = "GET", data: object = None) -> str:
        answer = await self.ask(method, path, status=status, data=data)
        assert answer.keys() == {"error_message"}
        inner = json.loads(answer["error_message"])
        assert inner.keys() == {"debuginfo", "faultcode", "faultstring"}
        return inner["faultstring"]


def a_full_alarm(uuid: str, **fields: object) -> Alarm:
    return msgspec.structs.replace(an_alarm(uuid), **fields)


ALARMS = (
    a_full_alarm(
        U1,
        entity="host=worker-1.interface=eth0",
        first_raised_at=BEGIN + timedelta(microseconds=34_011_758),
        alarm_type=AlarmType.QUALITY_OF_SERVICE,
        service_affecting=True,
        suppressible=True,
        management_affecting=True,
    ),
    a_full_alarm(U2, entity="host=worker-10", severity=Severity.MINOR, alarm_id="100.101"),
    a_full_alarm(U3, entity="host=worker-2", masked=True),
    a_full_alarm(U4, entity="host=worker-3", alarm_id="100.103", suppressed=True),
)


@asynccontextmanager
async def an_fm(*, change: int = 1) -> AsyncGenerator[Fm, None]:
    """A gateway with ALARMS, that answers commands with a change it already shows."""
    site = FakeSite()
    site.history["fm"] = [raised(alarm, n + 1) for n, alarm in enumerate(ALARMS)]
    site.answer = Accepted(
        operation_id="operation", service="fm", epoch=1, change=change, reason="It was done."
    )
    async with a_gateway(site) as door, aiohttp.ClientSession(headers=FM_HEADERS) as web:
        yield Fm(door, site, web)


async def test_alarm_list_gives_what_the_client_prints() -> None:
    async with an_fm() as fm:
        found = (await fm.get("/v1/alarms"))["alarms"]
        assert found == [
            {
                "uuid": U1,
                "alarm_id": "200.004",
                "entity_instance_id": "host=worker-1.interface=eth0",
                "severity": "critical",
                "timestamp": "2026-01-01T00:00:34.011758",
                "reason_text": "host=worker-1 is not heard",
                "suppression_status": "unsuppressed",
                "mgmt_affecting": "True",
                "degrade_affecting": "False",
            },
            found[1],
        ]
        assert found[1]["uuid"] == U2
        both = (await fm.get("/v1/alarms?include_suppress=True"))["alarms"]
        assert [(a["uuid"], a["suppression_status"]) for a in both] == [
            (U1, "unsuppressed"),
            (U4, "suppressed"),
            (U2, "unsuppressed"),
        ]
        full = (await fm.get("/v1/alarms?expand=True"))["alarms"][0]
        assert tuple(full) == ALARM_KEYS


async def test_alarm_list_filters_exactly_and_refuses_what_it_cannot_do() -> None:
    async with an_fm() as fm:

        async def uuids(field: str, value: str, op: str = "eq", more: str = "") -> list[str]:
            query = f"q.field={field}&q.op={op}&q.type=&q.value={value}{more}"
            return [a["uuid"] for a in (await fm.get(f"/v1/alarms?{query}"))["alarms"]]

        assert await uuids("severity", "minor") == [U2]
        assert await uuids("severity", "minor", "gt") == [U1]
        assert await uuids("alarm_id", "100.101", "ne") == [U1]
        assert await uuids("entity_instance_id", "host=worker-1") == []
        assert await uuids("entity_instance_id", "host=worker-1", "contains") == [U1, U2]
        assert await uuids("uuid", U2) == [U2]
        assert await uuids("entity_type_id", "host.interface") == [U1]
        assert await uuids("timestamp", "20260101 00:00:30", "ge") == [U1]
        assert await uuids("mgmt_affecting", "true") == [U1]
        for query in (
            "q.field=nothing&q.op=eq&q.value=x",
            "q.field=severity&q.op=like&q.value=minor",
            "q.field=severity&q.op=eq&q.value=grave",
            "q.field=timestamp&q.op=ge&q.value=yesterday",
            "q.field=uuid&q.op=eq&q.type=blob&q.value=x",
            "q.field=uuid",
            "limit=0",
            "marker=nonsense",
            "include_suppress=perhaps",
            "sort_key=nothing",
        ):
            assert await fm.fault(f"/v1/alarms?{query}", 400)


async def test_alarm_list_goes_on_by_marker_while_alarms_are_masked_and_cleared() -> None:
    async with an_fm() as fm:
        first = await fm.get("/v1/alarms?limit=1&include_suppress=True")
        assert [a["uuid"] for a in first["alarms"]] == [U1]
        await fm.site.put(cleared(ALARMS[0], 5))
        await reaches(lambda: fm.door.live.model.vector.fm.change == 5)
        path = first["next"].removeprefix(fm.door.url(""))
        assert path.startswith("/v1/alarms?")
        second = await fm.get(path)
        assert [a["uuid"] for a in second["alarms"]] == [U4]
        third = await fm.get(second["next"].removeprefix(fm.door.url("")))
        assert [a["uuid"] for a in third["alarms"]] == [U2]
        assert "next" not in third
        by_uuid = await fm.get(f"/v1/alarms?include_suppress=True&marker={U4}")
        assert [a["uuid"] for a in by_uuid["alarms"]] == [U2]
        ordered = "/v1/alarms?include_suppress=True&sort_key=alarm_id&limit=1"
        assert (await fm.get(ordered))["alarms"][0]["uuid"] == U2
        after = await fm.get(f"{ordered}&marker={U2}")
        assert [a["uuid"] for a in after["alarms"]] == [U4]
        assert "next" not in after


async def test_alarm_show_and_summary_give_what_the_client_prints() -> None:
    async with an_fm() as fm:
        full = await fm.get(f"/v1/alarms/{U1}")
        assert tuple(full) == ALARM_KEYS
        assert full["alarm_type"] == "qos"
        assert (full["service_affecting"], full["suppression"]) == (True, True)
        assert full["entity_type_id"] == "host.interface"
        assert "could not be found" in await fm.fault("/v1/alarms/nobody", 404)
        assert await fm.fault(f"/v1/alarms/{U3}", 404)  # masked ones are not shown
        counts = {"critical": 1, "major": 0, "minor": 1, "warnings": 0, "status": "critical"}
        assert await fm.get("/v1/alarms/summary") == counts
        shown = await fm.get("/v1/alarms/summary?include_suppress=True")
        assert shown == counts | {"critical": 2}


async def test_alarm_delete_clears_and_answers_204() -> None:
    async with an_fm() as fm:
        assert await fm.ask("DELETE", f"/v1/alarms/{U1}", status=204) is None
        (command,) = fm.site.commands
        assert isinstance(command, ClearAlarmByOperator)
        assert (command.uuid, command.author) == (U1, "fm")
        assert await fm.fault("/v1/alarms/nobody", 404, method="DELETE")
        fm.site.answer = Unavailable("fm is away")
        assert await fm.fault(f"/v1/alarms/{U1}", 503, method="DELETE") == "fm is away"


RAISE = {
    "alarm_id": "100.104",
    "alarm_state": "set",
    "entity_type_id": "host",
    "entity_instance_id": "host=controller-0.filesystem=/scratch",
    "severity": "major",
    "reason_text": "File System threshold exceeded",
    "alarm_type": "qos",
    "probable_cause": "threshold-crossed",
    "timestamp": "2026-01-01T00:00:00.000001",
    "service_affecting": "False",
}


async def test_alarm_post_raises_records_and_clears() -> None:
    async with an_fm() as fm:
        made = Raised(
            operation_id="o", service="fm", epoch=1, change=1, reason="It stands.", uuid=U2
        )
        fm.site.answer = made
        answer = await fm.ask("POST", "/v1/alarms", data=RAISE)
        assert json.loads(answer) == {"uuid": U2}  # a string that holds JSON
        await fm.ask("POST", "/v1/alarms", data=RAISE | {"alarm_state": "log"})
        fm.site.answer = Accepted(operation_id="o", service="fm", epoch=1, change=1, reason="Done.")
        clear = RAISE | {"alarm_state": "clear"}
        assert await fm.fault("/v1/alarms", 404, method="POST", data=clear)
        there = clear | {"alarm_id": "100.101", "entity_instance_id": "host=worker-10"}
        assert json.loads(await fm.ask("POST", "/v1/alarms", data=there)) == {"uuid": U2}
        raise_it, record, clear_it = fm.site.commands
        assert isinstance(raise_it, RaiseAlarmByOperator)
        assert raise_it.alarm.alarm_type is AlarmType.QUALITY_OF_SERVICE
        assert raise_it.alarm.raised_at == BEGIN + timedelta(microseconds=1)
        assert isinstance(record, RecordLogByOperator)
        assert isinstance(clear_it, ClearAlarmByOperator)
        for wrong in (
            {"severity": "clear"},
            {"alarm_type": "bad"},
            {"alarm_state": "none"},
            {"alarm_id": "1"},
        ):
            assert await fm.fault("/v1/alarms", 400, method="POST", data=RAISE | wrong)


def an_entry(number: int, **fields: object) -> HistoryEntry:
    at = BEGIN + timedelta(seconds=number)
    entry = HistoryEntry(id=number, at=at, recorded_at=at, kind=HistoryKind.RAISED, alarm=ALARMS[0])
    return msgspec.structs.replace(entry, **fields)


LOG = LogEntry(
    uuid=U4,
    log_id="401.001",
    entity="service_domain=controller.service_group=fm",
    severity=Severity.WARNING,
    event_type=AlarmType.PROCESSING_ERROR,
    probable_cause="unknown",
    reason_text="Service group fm is active",
    producer="sm",
    logged_at=BEGIN,
)
HISTORY = (
    an_entry(4, kind=HistoryKind.CLEARED),
    an_entry(3, alarm=None, log=LOG, kind=HistoryKind.LOGGED),
    an_entry(2, alarm=ALARMS[3]),
    an_entry(1),
)


def history(query: GetHistory) -> HistoryPage:
    """What fm would answer, two entries a page."""
    found = [
        entry
        for entry in HISTORY
        if (query.after == "" or entry.id < int(query.after))
        and (query.since is None or entry.at >= query.since)
        and (query.until is None or entry.at < query.until)
        and (not query.kinds or entry.kind in query.kinds)
    ]
    more = str(found[1].id) if len(found) > 2 else None
    return HistoryPage(items=tuple(found[:2]), next=more)


async def test_event_list_gives_what_the_client_prints() -> None:
    async with an_fm() as fm:
        fm.site.queries[GetHistory] = history

        async def states(query: str) -> list[str]:
            found = await fm.get(f"/v1/event_log{query}")
            return [event["state"] for event in found["event_log"]]

        first = (await fm.get("/v1/event_log"))["event_log"]
        assert [event["state"] for event in first] == ["clear", "log", "set"]
        assert first[1] == {
            "uuid": event_uuid(HISTORY[1]),
            "event_log_id": "401.001",
            "state": "log",
            "entity_instance_id": "service_domain=controller.service_group=fm",
            "timestamp": "2026-01-01T00:00:03.000000",
            "severity": "warning",
            "reason_text": "Service group fm is active",
            "suppression_status": "None",
        }
        assert await states("?alarms=True") == ["clear", "set"]
        assert await states("?logs=True") == ["log"]
        assert await states("?include_suppress=True") == ["clear", "log", "set", "set"]
        assert await states("?q.field=severity&q.op=eq&q.type=&q.value=warning") == ["log"]
        between = "?q.field=start&q.field=end&q.op=eq&q.op=eq&q.type=&q.type="
        assert await states(f"{between}&q.value=2026-01-01+00:00:02&q.value=20260201") == [
            "clear",
            "log",
        ]
        page = await fm.get("/v1/event_log?limit=2")
        assert len(page["event_log"]) == 2
        rest = await fm.get(page["next"].removeprefix(fm.door.url("")))
        assert [event["state"] for event in rest["event_log"]] == ["set"]
        assert "next" not in rest
        assert await fm.fault("/v1/event_log?q.field=x&q.value=y", 400)


async def test_event_show_finds_an_entry_by_the_uuid_that_the_list_gave() -> None:
    async with an_fm() as fm:
        fm.site.queries[GetHistory] = history
        for event in (await fm.get("/v1/event_log?include_suppress=True"))["event_log"]:
            full = await fm.get(f"/v1/event_log/{event['uuid']}")
            assert tuple(full) == EVENT_KEYS
            assert event.items() <= full.items()
        for wrong in ("nobody", U1, "ffffffff-ffff-ffff-ffff-ffffffffffff"):
            assert await fm.fault(f"/v1/event_log/{wrong}", 404)


def test_an_entry_s_uuid_tells_its_number() -> None:
    for number in (1, 10**17):
        assert event_number(event_uuid(an_entry(1, id=number))) == number


CATALOGUE = tuple(
    CatalogueEntry(
        id=alarm_id,
        kind=kind,
        summary=f"what {alarm_id} says",
        severities=(Severity.MAJOR,),
        alarm_types=(AlarmType.OTHER,),
        probable_cause="unknown",
    )
    for alarm_id, kind in (("100.101", "alarm"), ("100.103", "alarm"), ("401.001", "log"))
)


def catalogue(query: GetCatalogue) -> CataloguePage:
    start = int(query.after or "0")
    more = str(start + 1) if start + 1 < len(CATALOGUE) else None
    return CataloguePage(items=CATALOGUE[start : start + 1], next=more)


def a_suppression(alarm_id: str, **fields: object) -> Suppression:
    made = Suppression(id=f"s-{alarm_id}", alarm_id=alarm_id, author="fm", created_at=BEGIN)
    return msgspec.structs.replace(made, **fields)


async def test_event_suppress_list_suppress_and_unsuppress_do_what_the_client_expects() -> None:
    async with an_fm(change=5) as fm:
        fm.site.queries[GetCatalogue] = catalogue
        only = "?q.field=suppression_status&q.op=eq&q.type=string&q.value=suppressed"
        everything = (await fm.get("/v1/event_suppression"))["event_suppression"]
        assert [(row["alarm_id"], row["suppression_status"]) for row in everything] == [
            ("100.101", "unsuppressed"),
            ("100.103", "unsuppressed"),
        ]
        assert everything[0].keys() == {
            "uuid",
            "alarm_id",
            "description",
            "suppression_status",
            "links",
        }
        assert (await fm.get(f"/v1/event_suppression{only}"))["event_suppression"] == []

        fm.site.answer = Raised(
            operation_id="o", service="fm", epoch=1, change=5, reason="Hidden.", uuid="s-100.101"
        )
        said = SuppressionChanged(suppression=a_suppression("100.101"), active=True, reason="x")
        await fm.site.put(an_event(said, 5))
        await reaches(lambda: fm.door.live.model.vector.fm.change == 5)
        patch = [{"path": "/suppression_status", "value": "suppressed", "op": "replace"}]
        path = f"/v1/event_suppression/{everything[1]['uuid']}"
        updated = await fm.ask("PATCH", path, data=patch * 3)
        assert (updated["alarm_id"], updated["suppression_status"]) == ("100.103", "suppressed")
        (command,) = fm.site.commands
        assert isinstance(command, AddSuppression)
        assert (command.alarm_id, command.expires_at) == ("100.103", None)

        shown = (await fm.get(f"/v1/event_suppression{only}"))["event_suppression"]
        assert [row["alarm_id"] for row in shown] == ["100.101"]
        fm.site.answer = Accepted(operation_id="o", service="fm", epoch=1, change=5, reason="Done.")
        patch = [{"path": "/suppression_status", "value": "unsuppressed", "op": "replace"}]
        await fm.ask("PATCH", f"/v1/event_suppression/{shown[0]['uuid']}", data=patch)
        removal = fm.site.commands[-1]
        assert isinstance(removal, RemoveSuppression)
        assert removal.id == "s-100.101"
        assert (await fm.get(path))["id"] == 100103
        for wrong in ([], [patch[0] | {"path": "/alarm_id"}], [patch[0] | {"value": "so"}], {}):
            assert await fm.fault(path, 400, method="PATCH", data=wrong)
        assert await fm.fault("/v1/event_suppression/nobody", 404)


async def test_a_suppression_of_narrower_scope_does_not_suppress_the_whole_id() -> None:
    async with an_fm() as fm:
        fm.site.queries[GetCatalogue] = catalogue
        narrow = a_suppression("100.101", entity="host=worker-1")
        await fm.site.put(
            an_event(SuppressionChanged(suppression=narrow, active=True, reason="x"), 5)
        )
        await reaches(lambda: fm.door.live.model.vector.fm.change == 5)
        rows = (await fm.get("/v1/event_suppression"))["event_suppression"]
        assert {row["suppression_status"] for row in rows} == {"unsuppressed"}


async def test_errors_have_the_client_s_shape_and_status() -> None:
    async with an_fm() as fm:
        wrong = FM_HEADERS | {"X-Auth-Token": "wrong"}
        async with fm.web.get(fm.door.url("/v1/alarms"), headers=wrong) as response:
            assert response.status == 401
            assert "error_message" in await response.json()
        other = FM_HEADERS | {"Host": "elsewhere:1"}
        async with fm.web.get(fm.door.url("/v1/alarms"), headers=other) as response:
            assert response.status == 403
            assert "error_message" in await response.json()
        assert await fm.fault("/v1/nothing", 404)
        assert await fm.fault(f"/v1/alarms/{U1}", 405, method="PUT", data={})
        async with fm.web.get(fm.door.url("/api/v1/alarms/nobody")) as response:
            assert (await response.json(content_type=None))["status"] == 404


def test_filters_compare_severities_by_how_bad_they_are_and_times_by_when() -> None:
    item = alarm_item(ALARMS[1])
    assert Filter("severity", "lt", "major").fits(item)
    assert not Filter("severity", "ge", "critical").fits(item)
    assert Filter("timestamp", "lt", "20260102").fits(item)
    assert Filter("service_affecting", "eq", "False").fits(item)
    assert parse_time("2026-01-01T01:00:00+01:00") == BEGIN
    with pytest.raises(Rejected, match="20 of them at most"):
        parse_filters(["uuid"] * 21, [], [], ["x"] * 21, known=ALARM_KEYS)
