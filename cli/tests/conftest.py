"""A site to talk to: a real aiohttp server that speaks the gateway's contract, in its own thread.

What it answers is built from the contract's own types, so that a change of the contract fails here.
"""

import asyncio
import io
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

import msgspec
import pytest
from aiohttp import web

from murmuration.cli.__main__ import run
from murmuration.proto.api import (
    ActionReply,
    AlarmCounts,
    AlarmList,
    AlarmSummary,
    AlarmView,
    DegradeList,
    EventList,
    EventView,
    GateList,
    HealthItem,
    HealthView,
    HeldList,
    HostList,
    HostView,
    ParkedList,
    Problem,
    SiteView,
    SuppressionList,
)
from murmuration.proto.fm_operators import HistoryPage
from murmuration.proto.fm_vocabulary import AlarmType, Severity
from murmuration.proto.mtce import (
    HostStep,
    HostWhy,
)
from murmuration.proto.mtce_bmc import BmcView

from .alarm_answers import (
    CATALOGUE,
    DEGRADES,
    GATES,
    HISTORY,
    NOW,
    ROOT,
    SUPPRESSIONS,
    WHY,
    WHY_ROOT,
    before,
)
from .host_answers import HOSTS, PLAN, STEPS
from .notification_answers import NOTIFICATIONS, SILENCE_ID
from .parked_answers import HELD, PARKED

TOKEN = "secret-of-the-site"
DEADLINE_S = 30.0
T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ALARMS = (
    AlarmView(
        uuid="b0a1f0de-9b5c-4d5e-8d58-6a5f0f6c1a01",
        alarm_id="200.005",
        entity="host=worker-1",
        severity=Severity.CRITICAL,
        alarm_type=AlarmType.COMMUNICATION,
        probable_cause="lan-error",
        reason_text="worker-1 has failed: no pulse was heard for 1.0 s on NATS and on UDP.",
        proposed_repair_action="Check the host's power and its management network.",
        service_affecting=True,
        producer="mtce",
        raise_count=3,
        first_raised_at=before(seconds=72),
        last_raised_at=before(seconds=2),
        additional={"silent_ms": "1003", "paths": "nats, udp"},
    ),
    AlarmView(
        uuid="b0a1f0de-77aa-4f0e-9d3c-14c1b8a4e702",
        alarm_id="200.004",
        entity="host=worker-1.interface=mgmt0",
        severity=Severity.MINOR,
        alarm_type=AlarmType.COMMUNICATION,
        probable_cause="link-failure",
        reason_text="One of two paths of worker-1 is down.",
        producer="mtce",
        raise_count=1,
        first_raised_at=before(hours=5),
        last_raised_at=before(hours=5),
    ),
    AlarmView(
        uuid="02f4b3a9-3c9e-4c43-8c5d-0b3d5bb60503",
        alarm_id="200.001",
        entity="host=worker-2",
        severity=Severity.WARNING,
        alarm_type=AlarmType.OPERATIONAL_VIOLATION,
        probable_cause="out-of-service",
        reason_text="worker-2 was locked by an operator.",
        producer="mtce",
        raise_count=1,
        first_raised_at=before(days=4),
        last_raised_at=before(days=4),
    ),
)


def event(change: int, type: str, subject: str, summary: str, **more: object) -> EventView:
    """One event, `change` in the life 1 of its sender."""
    made = EventView(
        id=f"{type.partition('.')[0]}:1:{change}",
        cursor=f"c{change}",
        type=type,
        subject=subject,
        time=before(seconds=200 - change),
        summary=summary,
        data={"change": change},
    )
    return msgspec.structs.replace(made, **more)


EVENTS = (
    event(
        1,
        "sysinv.host.discovered.v1",
        "worker-1",
        "worker-1 enrolled for the first time.",
        time=before(days=1),
    ),
    event(2, "sysinv.host.accepted.v1", "worker-1", "worker-1 was accepted: accept is automatic."),
    event(
        128,
        "mtce.host.state_changed.v1",
        "worker-1",
        "worker-1 went from unlocked-enabled-available to unlocked-disabled-failed: "
        "no pulse was heard for 1.0 s.",
    ),
    event(
        129,
        "fm.alarm.raised.v1",
        "200.005/host=worker-1",
        "Alarm 200.005 on host=worker-1: no pulse was heard for 1.0 s.",
        severity=Severity.CRITICAL,
    ),
)
HEALTH = HealthView(
    status="degraded",
    summary="fm is behind: 1204 changes are not on the bus yet.",
    items=(
        HealthItem(name="nats", status="ok", instances=1),
        HealthItem(name="sysinv", status="ok", instances=1),
        HealthItem(name="mtce", status="ok", instances=2),
        HealthItem(
            name="fm",
            status="degraded",
            instances=1,
            relay_lag=1204,
            consumer_lag=17,
            parked=2,
            reason="Its relay is behind by 1204 changes, and 2 messages are parked.",
        ),
        HealthItem(name="gateway", status="ok", instances=1),
    ),
    at=NOW,
)
SITE = SiteView(
    name="murmuration",
    version="0.1.0",
    started_at=before(hours=26),
    health=HEALTH,
    host_count=len(HOSTS),
    hosts_by_availability={"available": 3, "failed": 1, "online": 1, "offline": 1},
    alarms=AlarmCounts(critical=1, minor=1, warning=1),
    simulated=True,
)


@dataclass
class Seen:
    """A request as the gateway saw it."""

    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, str]
    body: bytes


def problem(status: int, title: str, detail: str) -> web.Response:
    """An error as the gateway answers it."""
    payload = Problem(type="about:blank", title=title, status=status, detail=detail)
    return web.Response(
        body=msgspec.json.encode(payload), status=status, content_type="application/problem+json"
    )


@dataclass
class Gateway:
    """The contract over HTTP. Tests change what it holds, or replace a handler by its path."""

    hosts: tuple[HostView, ...] = HOSTS
    alarms: tuple[AlarmView, ...] = ALARMS
    history: HistoryPage = HISTORY
    suppressions: SuppressionList = SUPPRESSIONS
    notifications: dict[str, msgspec.Struct] = field(default_factory=lambda: dict(NOTIFICATIONS))
    gates: GateList = GATES
    degrades: DegradeList = DEGRADES
    alarm_summary: AlarmSummary | None = None
    events: list[EventView] = field(default_factory=lambda: list(EVENTS))
    health: HealthView = HEALTH
    site: SiteView = SITE
    parked: ParkedList = PARKED
    bmc: BmcView = field(default_factory=lambda: BmcView(host="worker-1"))
    steps: tuple[HostStep, ...] = STEPS
    held: HeldList = HELD
    page_size: int = 100
    seen: list[Seen] = field(default_factory=list[Seen])
    handlers: dict[str, Handler] = field(default_factory=dict[str, Handler])
    operations: dict[str, bytes] = field(default_factory=dict[str, bytes])
    url: str = ""

    @property
    def last(self) -> Seen:
        """The last request."""
        return self.seen[-1]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Check what every request must bring, then answer it."""
        self.seen.append(
            Seen(
                request.method,
                request.path,
                dict(request.headers),
                dict(request.query),
                await request.read(),
            )
        )
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return problem(401, "Unauthorized", "No token, or a wrong one.")
        if request.method != "GET" and request.content_type != "application/json":
            return problem(415, "Unsupported Media Type", "Content-Type must be application/json.")
        if handler := self.handlers.get(request.path):
            return await handler(request)
        return self._answer(request)

    def _answer(self, request: web.Request) -> web.StreamResponse:
        match request.path.removeprefix("/api/v1/").split("/"):
            case ["site"]:
                return _json(self.site)
            case ["health"]:
                return _json(self.health)
            case ["hosts"]:
                items, following = self._page(self.hosts, request)
                return _json(HostList(items=items, next=following))
            case ["hosts", name]:
                return self._one([h for h in self.hosts if h.name == name], f"host {name}")
            case ["hosts", _, "bmc"] if request.method == "GET":
                return _json(self.bmc)
            case ["hosts", name, "accept" | "actions" | "bmc" | "labels" as action]:
                return self._change(name, action, request)
            case ["hosts", name, "plan"]:
                return _json(msgspec.structs.replace(PLAN, host=name))
            case ["hosts", name, "why"]:
                return _json(HostWhy(host=name, steps=self.steps))
            case [
                "alarms" | "alarm-history" | "alarm-catalogue" | "suppressions" | "gates"
                | "degrades",
                *rest,
            ]:  # fmt: skip
                return self._about_alarms(request, rest)
            case ["receivers" | "routing" | "silences" as noun, *rest]:
                if request.method == "GET":
                    return _json(self.notifications[noun])
                return self._change(rest[0] if rest else noun, "changed", request)
            case ["held"]:
                return _json(self.held)
            case ["held", service, number, *confirm]:
                action = "done" if confirm else "dropped"
                return self._change(f"{service}:{number}", action, request)
            case ["parked"]:
                return _json(self.parked)
            case ["parked", service, number] if request.method == "GET":
                named = [(item.service, str(item.message.id)) for item in self.parked.items]
                if (service, number) not in named:
                    return problem(404, "Not Found", f"{service} has no message {number}.")
                return _json(self.parked.items[named.index((service, number))])
            case ["parked", service, number, *retry]:
                action = "applied" if retry else "dropped"
                return self._change(f"{service}:{number}", action, request)
            case ["events"]:
                limit = int(request.query.get("limit", "50"))
                wanted = request.query.get("type", "")
                found = [e for e in self.events if wanted in ("", e.type)]
                return _json(EventList(items=tuple(found[-limit:])))
            case _:
                return problem(404, "Not Found", "There is nothing at this path.")

    def _page(self, items: tuple[T, ...], request: web.Request) -> tuple[tuple[T, ...], str | None]:
        start = int(request.query.get("after", "0"))
        end = start + min(self.page_size, int(request.query.get("limit", self.page_size)))
        return items[start:end], str(end) if end < len(items) else None

    def _about_alarms(self, request: web.Request, rest: list[str]) -> web.StreamResponse:
        noun = request.path.split("/")[3]
        match [noun, *rest]:
            case ["alarms"] | ["alarms", "at"]:
                return self._alarm_list(request)
            case ["alarms", "summary"]:
                return _json(self.alarm_summary or _summary(self.alarms))
            case ["alarms" | "alarm-history", "export"]:
                return web.Response(body=b'{"id":1}\n{"id":2}\n', content_type="application/jsonl")
            case ["alarms", _, "timeline"]:
                return _json(HistoryPage(items=self.history.items[::-1]))
            case ["alarms", uuid, "why"]:
                return _json(WHY_ROOT if uuid == ROOT.uuid else WHY)
            case ["alarms", uuid] if request.method == "GET":
                return self._one([a for a in self.alarms if a.uuid == uuid], f"alarm {uuid}")
            case ["alarms", uuid, *what]:
                return self._change(uuid, what[0] if what else "cleared", request)
            case ["alarm-history"]:
                return _json(self.history)
            case ["alarm-catalogue", _, "profile"]:
                return self._change("suppression", "set", request)
            case ["alarm-catalogue", *id]:
                found = [e for e in CATALOGUE.items if [e.id] == id]
                if id and not found:
                    return problem(404, "Not Found", f"The catalogue has no {id[0]}.")
                return _json(found[0] if id else CATALOGUE)
            case ["suppressions"] if request.method == "GET":
                return _json(self.suppressions)
            case ["suppressions", *id]:
                return self._change(id[0] if id else "suppression", "suppressed", request)
            case _:
                return _json(self.gates if noun == "gates" else self.degrades)

    def _alarm_list(self, request: web.Request) -> web.Response:
        query = request.query
        wanted: dict[str, Callable[[AlarmView], str]] = {
            "severity": lambda alarm: alarm.severity.value,
            "entity": lambda alarm: alarm.entity,
            "alarm_id": lambda alarm: alarm.alarm_id,
            "root": lambda alarm: alarm.root_cause,
        }
        found = tuple(
            alarm
            for alarm in self.alarms
            if all(query.get(name) in (None, of(alarm)) for name, of in wanted.items())
            and alarm.uuid.startswith(query.get("uuid", ""))
            and not ("roots" in query and alarm.root_cause)
        )
        items, following = self._page(found, request)
        at = before(hours=2) if request.path.endswith("/at") else None
        return _json(AlarmList(items=items, next=following, at=at))

    def _one(self, found: list[HostView] | list[AlarmView], what: str) -> web.Response:
        return _json(found[0]) if found else problem(404, "Not Found", f"There is no {what}.")

    def _change(self, key: str, action: str, request: web.Request) -> web.Response:
        parked = (f"{item.service}:{item.message.id}" for item in self.parked.items)
        held = (f"{item.service}:{item.effect.id}" for item in self.held.items)
        hidden = ("suppression", *(each.id for each in self.suppressions.items))
        hidden += ("ops", "routing", "silences", SILENCE_ID)
        alarms = (a.uuid for a in self.alarms)
        if key not in {*(h.name for h in self.hosts), *alarms, *parked, *held, *hidden}:
            return problem(404, "Not Found", f"There is no {key}.")
        body = msgspec.json.decode(self.last.body)
        operation_id = body["operation_id"]
        if operation_id not in self.operations:
            wanted = body.get("action", action.replace("accept", "accepted"))
            reply = ActionReply(
                operation_id=operation_id,
                reason=f"{key} is to be {wanted}, as operator asked ({len(self.operations) + 1}).",
                after="sysinv:1:8123",
            )
            self.operations[operation_id] = msgspec.json.encode(reply)
        return web.Response(body=self.operations[operation_id], content_type="application/json")


def _summary(alarms: tuple[AlarmView, ...]) -> AlarmSummary:
    counted = Counter(alarm.severity.value for alarm in alarms)
    return AlarmSummary(counts=AlarmCounts(**counted))


def _json(payload: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(payload), content_type="application/json")


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway that listens on loopback until the test ends."""
    made = Gateway()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="gateway")
    thread.start()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", made.answer)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(DEADLINE_S)
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}"
    yield made
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(DEADLINE_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(DEADLINE_S)
    loop.close()


@dataclass
class Result:
    """What a run of mur left."""

    code: int
    out: str
    err: str


@dataclass
class Mur:
    """Runs mur against one gateway, with an environment and a home of its own."""

    environment: dict[str, str]
    home: Path

    def __call__(self, *arguments: str, **environment: str) -> Result:
        """Run in this process, which is fast, with the clock at NOW."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        with (
            patch.dict(os.environ, self.environment | environment, clear=True),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            time.tzset()
            code = run(arguments, now=lambda: NOW)
        time.tzset()
        texts: list[str] = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read())
        return Result(code, *texts)

    def process(self, *arguments: str, **environment: str) -> Result:
        """Run as its users do, in a process of its own, with the machine's clock."""
        running = self.start(*arguments, **environment)
        out, err = running.communicate(timeout=DEADLINE_S)
        return Result(running.returncode, out, err)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """A run that goes on; the test ends it."""
        return subprocess.Popen(
            [sys.executable, "-m", "murmuration.cli", *arguments],
            env=self.environment | environment,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )


@pytest.fixture
def mur(gateway: Gateway, tmp_path: Path) -> Mur:
    """mur, told of the gateway by the environment."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "MUR_URL": gateway.url,
        "MUR_TOKEN": TOKEN,
        "TZ": "EET-2",  # POSIX form: needs no time zone data
        "LANG": "C.UTF-8",
    }
    return Mur(environment, tmp_path)


def until(reached: Callable[[], bool], what: str) -> None:
    """Wait for a level, with a deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not reached():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {DEADLINE_S:g} s: {what}")
        time.sleep(0.01)
