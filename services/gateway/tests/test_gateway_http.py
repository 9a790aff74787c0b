"""The gateway's HTTP with a site held in memory: reads, waits, commands, document, streams."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from openapi_spec_validator import validate
from services.gateway.tests.gateway_door import BEARER, TOKEN, Door, a_gateway, a_site
from services.gateway.tests.gateway_site import (
    BEGIN,
    FakeSite,
    a_host,
    a_state,
    an_alarm,
    cleared,
    declared,
    observed,
    raised,
    restarted,
)

from murmuration.gateway.api.console import StaticFile, add_console
from murmuration.gateway.app import make_gateway_app
from murmuration.gateway.core.projection import Loaded
from murmuration.kernel.errors import Conflict, DeadlineExceeded, NotFound, Unavailable
from murmuration.proto.envelope import Version
from murmuration.proto.fm_operators import ClearAlarmByOperator
from murmuration.proto.platform import DropParked, ParkedMessage, RetryParked, ServiceStatus
from murmuration.proto.sysinv import AcceptHost, ActOnHost, HostAction
from murmuration.testkit.levels import reaches
from murmuration.web.guard import GuardPolicy
from murmuration.web.server import listening_socket, make_app, serve


@pytest.fixture
def site() -> FakeSite:
    return a_site()


async def test_reads_show_the_site(site: FakeSite) -> None:
    async with a_gateway(site) as door:
        found = await door.get("/api/v1/site")
        assert (found["name"], found["host_count"]) == ("test", 3)
        assert found["hosts_by_availability"] == {"available": 1, "unknown": 2}
        assert found["alarms"]["critical"] == 1
        page = await door.get("/api/v1/hosts?limit=2")
        assert [host["name"] for host in page["items"]] == ["c-0", "c-1"]
        page = await door.get(f"/api/v1/hosts?limit=2&after={page['next']}")
        assert [host["name"] for host in page["items"]] == ["w-1"]
        assert page["next"] is None
        host = await door.get("/api/v1/hosts/c-0")
        assert host["alarms"]["critical"] == 1
        assert (await door.get("/api/v1/hosts/nobody", 404))["status"] == 404
        alarms = await door.get("/api/v1/alarms")
        assert [alarm["uuid"] for alarm in alarms["items"]] == ["u1", "u2"]
        alarms = await door.get("/api/v1/alarms?severity=minor")
        assert [alarm["uuid"] for alarm in alarms["items"]] == ["u2"]
        alarms = await door.get("/api/v1/alarms?entity=host=c-0")
        assert [alarm["uuid"] for alarm in alarms["items"]] == ["u1"]
        assert (await door.get("/api/v1/alarms/u1"))["uuid"] == "u1"
        await door.get("/api/v1/alarms/u9", 404)
        for wrong in ("alarms?severity=bad", "alarms?limit=0", "hosts?after=x", "hosts?limit=a"):
            await door.get(f"/api/v1/{wrong}", 400)
        await door.get("/api/v1/hosts?limit=1&limit=2", 400)
        metrics = await (await door.web.get(door.url("/metrics"))).text()
        assert "mur_gateway_hosts 3.0" in metrics
        assert 'mur_consumer_messages_total{outcome="applied",stream="FM"} 2.0' in metrics


async def test_events_are_listed_oldest_first_and_go_on_from_a_cursor(site: FakeSite) -> None:
    async with a_gateway(site) as door:
        found = (await door.get("/api/v1/events"))["items"]
        assert len(found) == 6
        assert sorted(found, key=lambda event: event["time"]) == found
        last = (await door.get("/api/v1/events?limit=2"))["items"]
        assert last == found[-2:]
        alarms = (await door.get("/api/v1/events?type=fm.alarm.raised.v1"))["items"]
        assert [event["severity"] for event in alarms] == ["critical", "minor"]
        assert alarms[0]["data"]["alarm"]["uuid"] == "u1"
        after = found[1]["cursor"]
        page = await door.get(f"/api/v1/events?limit=3&after={after}")
        assert [event["id"] for event in page["items"]] == [e["id"] for e in found[2:5]]
        page = await door.get(f"/api/v1/events?limit=3&after={page['next']}")
        assert [event["id"] for event in page["items"]] == [found[5]["id"]]
        assert page["next"] is None
        await door.get("/api/v1/events?after=nonsense", 400)
        late = raised(an_alarm("u3"), 9)
        object.__setattr__(late, "previous", 8)
        await site.put(late)
        await reaches(lambda: door.live.model.vector.fm == Version(1, 9))
        assert "no longer kept" in (await door.get(f"/api/v1/events?after={after}", 410))["detail"]


async def test_nothing_is_shown_before_the_state_is_loaded(site: FakeSite) -> None:
    async with a_gateway(site, feed_it=False) as door:
        assert "loading" in (await door.get("/api/v1/hosts", 503))["detail"]
        assert (await door.get("/api/v1/health"))["summary"] == "The gateway is starting."
        await door.get("/api/v1/site")


async def test_a_read_waits_for_the_write_it_names(site: FakeSite) -> None:
    async with a_gateway(site) as door:
        wait = asyncio.create_task(door.get("/api/v1/hosts/c-9?wait=sysinv:1:4"))
        await reaches(lambda: len(door.live._waiters) == 1)
        await site.put(declared(a_host("c-9"), 4))
        assert (await wait)["name"] == "c-9"
        assert (await door.get("/api/v1/hosts?wait=sysinv:1:4"))["items"]
        assert (await door.get("/api/v1/hosts?wait=fm:0:9"))["items"]  # an older life
        await door.get("/api/v1/hosts?wait=fm:x", 400)
        with pytest.raises(DeadlineExceeded):
            await door.live.wait_until(
                door.live.model.vector.moved("fm", Version(9, 9)), timeout_s=0
            )
        assert door.live._waiters == set()


async def test_changes_are_commands_to_the_owner(site: FakeSite) -> None:
    async with a_gateway(site) as door:
        body = {"administrative": "locked", "operation_id": "operation-1"}
        reply = await door.change("PUT", "/api/v1/hosts/c-0/administrative", body)
        assert reply == {
            "operation_id": "operation",
            "reason": "It was done.",
            "after": "sysinv:1:7",
        }
        await door.change("POST", "/api/v1/hosts/c-0/accept", {})
        await door.change("DELETE", "/api/v1/alarms/u1", {})
        one, two, three = site.commands
        assert one == ActOnHost(operation_id="operation-1", host="c-0", action=HostAction.LOCK)
        assert isinstance(two, AcceptHost)
        assert len(two.operation_id) == 32
        assert isinstance(three, ClearAlarmByOperator)
        assert three.uuid == "u1"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unavailable("sysinv is away"), 503),
        (NotFound("there is no host"), 404),
        (Conflict("the host is being removed"), 409),
        (DeadlineExceeded("sysinv did not answer"), 504),
    ],
)
async def test_what_the_owner_answers_becomes_a_problem(
    site: FakeSite, error: Unavailable, status: int
) -> None:
    site.answer = error
    async with a_gateway(site) as door:
        found = await door.change("POST", "/api/v1/hosts/c-0/accept", {}, status)
        assert found["detail"] == str(error)
        assert found["status"] == status


async def test_a_change_that_makes_no_sense_never_leaves(site: FakeSite) -> None:
    async with a_gateway(site) as door:
        path = "/api/v1/hosts/c-0/administrative"
        for body in ({}, {"administrative": "sideways"}, {"administrative": 1}, []):
            await door.change("PUT", path, body, 400)
        await door.change("PUT", path, {"administrative": "locked", "operation_id": "x"}, 400)
        await door.change("POST", "/api/v1/hosts/Not%20a%20name/accept", {}, 404)
        await door.change("DELETE", "/api/v1/alarms/a%2Fb", {}, 404)
        async with door.web.delete(door.url("/api/v1/alarms/u1")) as response:
            assert response.status == 415
        async with aiohttp.ClientSession() as stranger:
            for method, path in (("GET", "/api/v1/hosts"), ("GET", "/api/v1/stream")):
                async with stranger.request(method, door.url(path)) as response:
                    assert response.status == 401
        assert site.commands == []


async def test_the_openapi_document_is_valid_and_whole(site: FakeSite) -> None:
    async with a_gateway(site) as door:
        found = await door.get("/api/v1/openapi.json")
        validate(found)
        assert found["openapi"].startswith("3.1")
        assert set(found["paths"]["/api/v1/hosts/{name}/administrative"]) == {"put"}
        described = {
            (method.upper(), path) for path, methods in found["paths"].items() for method in methods
        }
        served = set[tuple[str, str]]()
        app = make_gateway_app(
            door.live,
            site,
            policy=GuardPolicy(token=TOKEN),
            status=lambda: ServiceStatus(service="gateway", instance="1", ready=True),
            version="1",
        )
        for route in app.router.routes():
            path = route.resource.canonical if route.resource else ""
            if path.startswith("/api/") and route.method != "HEAD":
                served.add((route.method, path))
        assert served - described == {("GET", "/api/v1/openapi.json")}
        assert described <= served
        names = set(found["components"]["schemas"])
        assert {"HostView", "Alarm", "EventView", "Snapshot", "PulseFrame", "Problem"} <= names


# ------------------------------------------------------------------------ stream


class Listener:
    """One event stream, read event by event."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.last_id = ""

    async def next(self) -> tuple[str, Any]:
        """The next event's name and data; comments and retry lines are passed."""
        name, data = "", ""
        async with asyncio.timeout(20):
            async for raw in self._response.content:
                field, _, value = raw.decode().rstrip("\n").partition(": ")
                match field:
                    case "event":
                        name = value
                    case "data":
                        data = value
                    case "id":
                        self.last_id = value
                    case "" if name:
                        return name, json.loads(data)
                    case _:
                        pass
        raise AssertionError("the stream ended")

    async def until(self, name: str) -> list[tuple[str, Any]]:
        """All events up to and with the next one called `name`."""
        found: list[tuple[str, Any]] = []
        while not found or found[-1][0] != name:
            found.append(await self.next())
        return found


@asynccontextmanager
async def listening(
    door: Door, *, after: str | None = None, header: str | None = None
) -> AsyncGenerator[Listener, None]:
    headers = {"Last-Event-ID": header} if header else {}
    url = door.url("/api/v1/stream") + (f"?after={after}" if after else "")
    async with door.web.get(url, headers=headers) as response:
        assert response.status == 200
        yield Listener(response)


async def test_the_stream_begins_with_everything_and_goes_on_with_changes(site: FakeSite) -> None:
    async with a_gateway(site) as door, listening(door) as listener:
        name, snapshot = await listener.next()
        assert name == "snapshot"
        assert [host["name"] for host in snapshot["hosts"]] == ["c-0", "c-1", "w-1"]
        assert [alarm["uuid"] for alarm in snapshot["alarms"]] == ["u1", "u2"]
        assert len(snapshot["events"]) == 6
        assert snapshot["cursor"] == listener.last_id
        await site.put(raised(an_alarm("u3", entity="host=w-1"), 3))
        heard = await listener.until("log")
        assert [name for name, _ in heard] == ["alarm", "host", "log"]
        assert heard[1][1]["alarms"]["critical"] == 1
        assert heard[2][1]["cursor"] == listener.last_id
        await site.put(cleared(an_alarm("u3", entity="host=w-1"), 4))
        heard = await listener.until("log")
        assert heard[0] == ("alarm_cleared", {"uuid": "u3", "reason": "it is heard again"})
        door.watch.look()  # nobody was asked yet: nothing is said
        await door.watch.ask()
        door.watch.look()
        assert (await listener.until("health"))[-1][1]["status"] == "ok"


async def test_the_stream_resumes_without_loss_or_repetition(site: FakeSite) -> None:
    async with a_gateway(site) as door:
        async with listening(door) as listener:
            await listener.next()
            await site.put(raised(an_alarm("u3", entity="host=w-1"), 3))
            await listener.until("log")
            last = last_id = listener.last_id
        await site.put(cleared(an_alarm("u3", entity="host=w-1"), 4), observed(a_state("c-1"), 2))
        await reaches(lambda: door.live.model.vector.fm == Version(1, 4))
        await reaches(lambda: door.live.model.vector.mtce == Version(1, 2))
        for arguments in ({"header": last}, {"after": last}):
            async with listening(door, **arguments) as listener:
                heard = [await listener.next() for _ in range(7)]
                names = [name for name, _ in heard]
                assert names[:2] == ["health", "alarm_summary"]
                assert sorted(names[2:5]) == ["alarm_cleared", "host", "host"]
                assert names[5:] == ["log", "log"]
                ids = {heard[5][1]["id"], heard[6][1]["id"]}
                assert ids == {"fm:1:4", "mtce:1:2"}
                last_id = listener.last_id
        async with listening(door, header=last_id) as listener:
            assert (await listener.next())[0] == "health"
            await site.put(raised(an_alarm("u4"), 5))
            assert (await listener.until("log"))[-1][1]["id"] == "fm:1:5"


async def test_a_position_that_cannot_be_resumed_from_is_reset(site: FakeSite) -> None:
    async with a_gateway(site) as door:
        for wrong in ("nonsense", "fm.9.9"):
            async with listening(door, header=wrong) as listener:
                assert [(await listener.next())[0] for _ in range(2)] == ["reset", "snapshot"]
        start = str(door.live.model.vector)
        await site.put(restarted("fm", 3, epoch=2))
        await reaches(lambda: door.live.model.vector.fm == Version(2, 3))
        async with listening(door, header=start) as listener:
            assert [(await listener.next())[0] for _ in range(2)] == ["reset", "snapshot"]


async def test_listeners_start_anew_when_a_sender_begins_a_new_life(site: FakeSite) -> None:
    async with a_gateway(site) as door, listening(door) as listener:
        await listener.next()
        site.states["fm"] = {
            "200.004 host=c-0": Loaded(Version(2, 4), an_alarm("u7", entity="host=c-0"))
        }
        await site.put(restarted("fm", 3, epoch=2))
        heard = [await listener.next() for _ in range(3)]
        assert [name for name, _ in heard] == ["reset", "snapshot", "log"]
        assert heard[1][1]["alarms"] == []
        # the reload brings what the new life still knows
        assert (await listener.until("alarm"))[-1][1]["uuid"] == "u7"


async def test_missed_messages_are_made_good_from_the_state(site: FakeSite) -> None:
    async with a_gateway(site) as door, listening(door) as listener:
        await listener.next()
        site.states["sysinv"]["c-7"] = Loaded(Version(1, 5), a_host("c-7"))
        late = declared(a_host("c-8"), 6)
        await site.put(late)
        heard = [await listener.next() for _ in range(3)]
        assert [data.get("name") for name, data in heard if name == "host"] == ["c-8", "c-7"]
        assert door.live.stale_senders == set()


async def test_health_tells_who_is_away_and_comes_back(site: FakeSite) -> None:
    async with a_gateway(site) as door:
        await door.watch.ask()
        door.watch.look()
        assert (await door.get("/api/v1/health"))["status"] == "ok"
        site.away = {"fm"}
        await door.watch.ask()
        await door.watch.ask()
        door.watch.look()
        found = await door.get("/api/v1/health")
        assert found["status"] == "down"
        assert found["summary"].startswith("fm is down")
        assert (await door.get("/api/v1/hosts"))["items"]  # works without fm
        site.connected = False
        door.watch.look()
        assert (await door.get("/api/v1/site"))["health"]["summary"].startswith("NATS is away")
        assert (await door.get("/api/v1/hosts"))["items"]  # the last that was known
        site.away, site.connected = set(), True
        await door.watch.ask()
        door.watch.look()
        assert (await door.get("/api/v1/health"))["status"] == "ok"


async def test_health_is_watched_without_being_told_to(site: FakeSite) -> None:
    async with a_gateway(site) as door:
        watching = asyncio.create_task(door.watch.run())
        await reaches(lambda: door.live.health.status == "ok")
        site.connected = False
        await reaches(lambda: door.live.health.status == "down")
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def test_the_console_is_served_with_the_right_caching() -> None:
    files = {
        "index.html": StaticFile(b"<html>", "text/html; charset=utf-8", "private, no-cache", "e1"),
        "assets/a-1f.js": StaticFile(b"1", "text/javascript; charset=utf-8", "immutable", "e2"),
    }
    app = make_app(GuardPolicy(token=TOKEN))
    add_console(app, files)
    listener = listening_socket("test.http", "127.0.0.1:0", authenticated=True)
    async with serve(app, listener) as port, aiohttp.ClientSession(headers=BEARER) as web:

        async def get(path: str, **headers: str) -> aiohttp.ClientResponse:
            async with web.get(f"http://127.0.0.1:{port}{path}", headers=headers) as response:
                await response.read()
                return response

        page = await get("/")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.headers["Cache-Control"] == "private, no-cache"
        assert page.headers["ETag"] == '"e1"'
        assert (await get("/", **{"If-None-Match": '"e1"'})).status == 304
        assert (await get("/", **{"If-None-Match": '"e0"'})).status == 200
        asset = await get("/assets/a-1f.js")
        assert asset.headers["Cache-Control"] == "immutable"
        assert asset.headers["Content-Type"].startswith("text/javascript")
        for nowhere in ("/assets/nothing.js", "/..%2Fconfig.py", "/api/v1/nothing", "/favicon"):
            assert (await get(nowhere)).status == 404


def a_parked(number: int) -> ParkedMessage:
    return ParkedMessage(
        id=number,
        stream="FM_INTAKE",
        sequence=40 + number,
        subject="fm.intake.node.raise",
        type="fm.alarm.raise.v1",
        entity="host=worker-1",
        epoch=1,
        change=number,
        reason="it does not decode",
        parked_at=BEGIN,
    )


async def test_parked_messages_of_all_services_are_listed_and_who_is_away_is_said() -> None:
    site = FakeSite()
    site.parked = {"fm": (a_parked(1), a_parked(2)), "mtce": (a_parked(1),)}
    site.away = {"sysinv"}
    async with a_gateway(site) as door:
        told = await door.get("/api/v1/parked")
        assert [(item["service"], item["message"]["id"]) for item in told["items"]] == [
            ("mtce", 1),
            ("fm", 1),
            ("fm", 2),
        ]
        assert told["away"] == ["sysinv"]
        one = await door.get("/api/v1/parked/fm/2")
        assert one["message"]["sequence"] == 42
        await door.get("/api/v1/parked/fm/3", 404)
        await door.get("/api/v1/parked/sysinv/1", 503)
        for path in ("gateway/1", "fm/0", "fm/x", "fm/-1"):
            await door.get(f"/api/v1/parked/{path}", 404)


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [("POST", "/retry", RetryParked), ("DELETE", "", DropParked)],
)
async def test_parked_message_is_retried_or_dropped_by_its_service(
    method: str, path: str, kind: type[RetryParked | DropParked]
) -> None:
    site = FakeSite()
    async with a_gateway(site) as door:
        done = await door.change(method, f"/api/v1/parked/fm/7{path}", {"operation_id": "again-77"})
        assert done["reason"] == "It was done."
        assert site.commands == [kind(operation_id="again-77", id=7)]
        assert site.asked_as == f"fm.parked.{'retry' if path else 'drop'}.v1"
        site.answer = Conflict("something newer of its entity was applied")
        await door.change(method, f"/api/v1/parked/fm/7{path}", {}, 409)
