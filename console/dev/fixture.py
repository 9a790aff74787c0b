"""A make-believe gateway: serves the built page and a stream of made-up events, for looking at it.

    python console/dev/fixture.py [--port 8799] [--scene failed] [--static DIR]

Scenes: well, failed, empty, many (60 hosts), crowd (500 hosts), storm, locked, unauthorized.
POST /dev/<action> changes the running scene: break/<host>, heal/<host>, drop (cut every stream and
refuse new ones), accept (take streams again). Nothing of it is part of the product.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fixture_alarms
from aiohttp import web

HERE = Path(__file__).resolve().parent
STATIC = HERE.parents[1] / "services/gateway/src/murmuration/gateway/static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
WINDOW_MS = 500
Json = dict[str, Any]


def now() -> datetime:
    return datetime.now(UTC)


def text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def ago(**span: float) -> str:
    return text(now() - timedelta(**span))


def link(name: str, index: int, **more: Any) -> Json:
    return {
        "name": name,
        "index": index,
        "kind": "veth",
        "mac": f"02:42:c6:12:00:{index:02x}",
        "mtu_bytes": 1500,
        "admin_up": True,
        "oper_up": True,
        "speed_mbps": 10_000,
        "addresses": [],
    } | more


FACTS: Json = {
    "vendor": "Supermicro",
    "product": "SYS-E403-13E-FRN2T",
    "serial": "S517826X3A10442",
    "firmware": "BIOS 2.3, 09/05/2025",
    "architecture": "x86_64",
    "kernel": "6.12.43+deb13-amd64",
    "os": "Debian GNU/Linux 13 (trixie)",
    "cpu_model": "Intel(R) Xeon(R) Gold 6421N",
    "cpu_count": 64,
    "memory_bytes": 256 * 2**30,
    "numa_node_count": 2,
    "virtualization": "",
}


def host(name: str, index: int, **more: Any) -> Json:
    loopback = link("lo", 1, kind="loopback", mac="", speed_mbps=0, addresses=["127.0.0.1/8"])
    return {
        "name": name,
        "index": index,
        "personality": name.rpartition("-")[0] or "worker",
        "origin": "namespace",
        "observe_only": False,
        "admission": "accepted",
        "intended_administrative": "unlocked",
        "administrative": "unlocked",
        "operational": "enabled",
        "availability": "available",
        "task": "",
        "heartbeat": "well",
        "reason": "Pulses arrive on time over NATS and by UDP.",
        "address": f"198.18.{index // 250}.{10 + index % 240}",
        "boot_id": str(uuid.UUID(int=random.Random(name).getrandbits(128), version=4)),
        "pulse_period_ms": 100,
        "changed_at": ago(hours=3, minutes=12),
        "last_heard_at": ago(seconds=0.1),
        "reported_at": ago(minutes=4),
        "alarms": {"critical": 0, "major": 0, "minor": 0, "warning": 0, "indeterminate": 0},
        "facts": FACTS,
        "links": [
            loopback,
            link(
                "eth0", 2, addresses=[f"198.18.0.{10 + index % 240}/24", "fe80::42:c6ff:fe12:2/64"]
            ),
        ],
    } | more


FAILED: Json = {
    "operational": "disabled",
    "availability": "failed",
    "heartbeat": "lost",
    "reason": "No pulse for 1.0 s on NATS or UDP (10 periods of 100 ms); it failed while unlocked.",
}


def alarm(alarm_id: str, entity: str, severity: str, reason: str, **more: Any) -> Json:
    return {
        "uuid": str(uuid.uuid4()),
        "alarm_id": alarm_id,
        "entity": entity,
        "severity": severity,
        "alarm_type": "communication",
        "probable_cause": "unknown",
        "reason_text": reason,
        "proposed_repair_action": "",
        "service_affecting": False,
        "producer": "mtce",
        "raise_count": 1,
        "first_raised_at": ago(seconds=42),
        "last_raised_at": ago(seconds=42),
        "additional": {},
    } | more


def lost_alarm(name: str) -> Json:
    return alarm(
        "200.004",
        f"host={name}",
        "critical",
        f"{name} experienced a service-affecting failure: no pulse for 1.0 s.",
        proposed_repair_action="If it does not come back by itself, look at its power and its management network, then lock and unlock it.",
        service_affecting=True,
        additional={"missed": "10", "boot_id": "4f7e2c1a"},
    )


OTHER_ALARMS = [
    lambda: alarm(
        "200.005",
        "host=controller-1",
        "major",
        "controller-1 is intermittently out of contact on its management network.",
        raise_count=4,
        first_raised_at=ago(minutes=11),
    ),
    lambda: alarm(
        "100.109",
        "host=worker-2.link=eth1",
        "minor",
        "worker-2: link eth1 lost its carrier.",
        alarm_type="equipment",
        proposed_repair_action="Check the cable and the switch port.",
        first_raised_at=ago(hours=2, minutes=5),
    ),
    lambda: alarm(
        "250.001",
        "host=controller-0",
        "warning",
        "controller-0: configuration is out of date; it takes effect at the next unlock.",
        alarm_type="operational-violation",
        producer="sysinv",
        first_raised_at=ago(days=3, hours=4),
    ),
]


class Scene:
    """The hosts, alarms and events of one made-up site."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hosts: dict[str, Json] = {}
        self.alarms: dict[str, Json] = {}
        self.events: list[Json] = []
        self.silent: dict[str, datetime] = {}
        self.change = 8_100
        self.dice = random.Random(7)
        self.queues: set[asyncio.Queue[tuple[str, Json, str | None] | None]] = set()
        self.refusing = False
        self.started = now() - timedelta(hours=3, minutes=14)
        getattr(self, f"make_{name}")()

    def make_well(self) -> None:
        self.add(
            host(
                "controller-0",
                0,
                origin="machine",
                observe_only=True,
                reason="Pulses arrive on time over NATS and by UDP; this machine is only observed.",
            )
        )
        self.add(host("controller-1", 1))
        for i in range(3):
            self.add(host(f"worker-{i}", 2 + i))
        self.add(host("storage-0", 5))
        for name in self.hosts:
            self.log(
                "sysinv.host.discovered.v1",
                name,
                f"{name} enrolled for the first time.",
                back=11_400,
            )
            self.log(
                "sysinv.host.accepted.v1", name, f"{name} was accepted automatically.", back=11_399
            )
            self.log(
                "mtce.host.state_changed.v1",
                name,
                f"{name} is enabled and available: its pulses are well.",
                back=11_398,
            )

    def make_failed(self) -> None:
        self.make_well()
        self.log(
            "fm.alarm.cleared.v1",
            "200.005/host=worker-0",
            "Cleared 200.005 on worker-0: heard well again for 2 s.",
            severity="major",
            back=900,
        )
        self.hosts["controller-1"] |= {
            "availability": "degraded",
            "heartbeat": "degraded",
            "reason": "6 pulses missed in the last second over NATS; UDP still hears it.",
        }
        for make in OTHER_ALARMS:
            self.raise_(make())
        self.fail("worker-1")
        self.hosts["worker-2"]["links"].append(link("eth1", 3, oper_up=False, speed_mbps=0))

    def make_locked(self) -> None:
        self.make_well()
        self.hosts["worker-2"] |= {
            "administrative": "locked",
            "operational": "disabled",
            "availability": "online",
            "reason": "Locked by an operator.",
            "intended_administrative": "locked",
        }
        self.hosts["worker-0"] |= {
            "intended_administrative": "locked",
            "task": "moving_services",
            "reason": "A lock was asked for; its services are being moved first.",
        }
        self.hosts["storage-0"] |= {
            "admission": "discovered",
            "operational": "disabled",
            "availability": "online",
            "heartbeat": "awaited",
            "reason": "It enrolled and waits for an operator to accept it.",
        }

    def make_empty(self) -> None:
        self.log("sysinv.epoch.started.v1", "sysinv", "sysinv began a new life.", back=3)

    def make_unauthorized(self) -> None:
        self.refusing = True

    def make_many(self) -> None:
        self.crowd(60)

    def make_crowd(self) -> None:
        self.crowd(500)

    def make_storm(self) -> None:
        self.crowd(30)
        fixture_alarms.storm(self, alarm)

    def crowd(self, count: int) -> None:
        self.add(host("controller-0", 0, origin="machine", observe_only=True))
        self.add(host("controller-1", 1, origin="simulated"))
        for i in range(count - 2):
            self.add(host(f"worker-{i}", 2 + i, origin="simulated"))
        for i in range(5, count - 2, 37):
            self.hosts[f"worker-{i}"] |= {
                "availability": "degraded",
                "heartbeat": "minor",
                "reason": "4 pulses missed in the last second.",
            }
        for i in range(9, count - 2, 41):
            self.hosts[f"worker-{i}"] |= {
                "administrative": "locked",
                "operational": "disabled",
                "availability": "online",
                "intended_administrative": "locked",
                "reason": "Locked by an operator.",
            }
        for i in range(17, count - 2, 90):
            self.fail(f"worker-{i}")
        self.raise_(OTHER_ALARMS[0]())

    def add(self, item: Json) -> None:
        self.hosts[item["name"]] = item

    def fail(self, name: str) -> None:
        self.silent[name] = now() - timedelta(seconds=4)
        self.hosts[name] |= FAILED | {"changed_at": ago(seconds=3), "last_heard_at": ago(seconds=4)}
        self.say("host", self.hosts[name])
        found = lost_alarm(name)
        self.log(
            "mtce.host.state_changed.v1",
            name,
            f"{name} failed: no pulse for 1.0 s on NATS or UDP.",
            data={
                "state": FAILED | {"host": name},
                "previous": "unlocked-enabled-available",
                "evidence": {"missed": "10", "last_sequence": "114402"},
            },
        )
        self.raise_(found)

    def heal(self, name: str) -> None:
        self.silent.pop(name, None)
        self.hosts[name] |= {
            "operational": "enabled",
            "availability": "available",
            "heartbeat": "well",
            "reason": "Heard well again for 2 s.",
            "changed_at": text(now()),
        }
        self.say("host", self.hosts[name])
        self.log(
            "mtce.host.state_changed.v1",
            name,
            f"{name} is enabled and available again: heard well for 2 s.",
        )
        for found in [a for a in self.alarms.values() if a["entity"] == f"host={name}"]:
            del self.alarms[found["uuid"]]
            self.say(
                "alarm_cleared", {"uuid": found["uuid"], "reason": "Its pulses are heard again."}
            )
            self.say("alarm_summary", fixture_alarms.summary(self))
            self.log(
                "fm.alarm.cleared.v1",
                f"{found['alarm_id']}/{found['entity']}",
                f"Cleared {found['alarm_id']}: {found['reason_text']}",
                severity=found["severity"],
                data={"alarm": found},
            )

    def raise_(self, found: Json) -> None:
        self.alarms[found["uuid"]] = found
        self.say("alarm", found)
        self.say("alarm_summary", fixture_alarms.summary(self))
        self.log(
            "fm.alarm.raised.v1",
            f"{found['alarm_id']}/{found['entity']}",
            found["reason_text"],
            severity=found["severity"],
            data={"alarm": found},
        )

    def log(
        self,
        type_: str,
        subject: str,
        summary: str,
        *,
        severity: str | None = None,
        data: Any = None,
        back: float = 0,
    ) -> None:
        self.change += 1
        identifier = f"{type_.partition('.')[0]}:1:{self.change}"
        event = {
            "id": identifier,
            "cursor": identifier,
            "type": type_,
            "subject": subject,
            "time": ago(seconds=back),
            "summary": summary,
            "severity": severity,
            "data": data or {"host": subject},
        }
        self.events.append(event)
        self.say("log", event, identifier)

    def say(self, event: str, data: Json, identifier: str | None = None) -> None:
        for queue in self.queues:
            queue.put_nowait((event, data, identifier))

    def health(self) -> Json:
        degraded = self.name == "failed"
        items = [
            {"name": n, "status": "ok", "reason": "", "instances": 1, "relay_lag": 0, "parked": 0}
            for n in ("sysinv", "mtce", "fm", "gateway", "nats", "postgres")
        ]
        if degraded:
            items[2] |= {
                "status": "degraded",
                "reason": "Its relay is 214 changes behind.",
                "relay_lag": 214,
            }
        summary = (
            "fm is degraded: its relay is 214 changes behind."
            if degraded
            else f"All services are ready and {len(self.hosts)} hosts report."
        )
        return {
            "status": "degraded" if degraded else "ok",
            "summary": summary,
            "items": items,
            "at": text(now()),
        }

    def snapshot(self) -> Json:
        self.events.sort(key=lambda e: e["time"])
        counts = fixture_alarms.summary(self)["counts"]
        site = {
            "name": "murmuration",
            "version": "0.1.0",
            "started_at": text(self.started),
            "health": self.health(),
            "host_count": len(self.hosts),
            "hosts_by_availability": {},
            "alarms": counts,
            "simulated": self.name in {"many", "crowd"},
        }
        return {
            "site": site,
            "hosts": sorted(self.hosts.values(), key=lambda h: h["name"]),
            "alarms": [a for a in self.alarms.values() if not a.get("masked")],
            "alarm_summary": fixture_alarms.summary(self),
            "events": self.events[-50:],
        }

    def pulse(self, at: datetime | None = None) -> Json:
        moment = at or now()
        samples: list[list[Any]] = []
        for name, item in self.hosts.items():
            since = self.silent.get(name)
            if since is not None and moment > since:
                samples.append([name, 0, 0, int((moment - since).total_seconds() * 1000), 0])
                continue
            due = WINDOW_MS // item["pulse_period_ms"]
            jitter = self.dice.choices((0, -1, 1), (24, 1, 1))[0]
            nats = due + jitter
            if item["availability"] == "degraded":
                nats = self.dice.choice((0, 1, 2, 3, due))
            samples.append(
                [
                    name,
                    nats,
                    due + self.dice.choices((0, -1), (30, 1))[0],
                    self.dice.randrange(5, 95),
                    8 + len(name),
                ]
            )
        return {"at": text(moment), "window_ms": WINDOW_MS, "hosts": samples}


async def stream(request: web.Request) -> web.StreamResponse:
    scene: Scene = request.app["scene"]
    if scene.refusing:
        return web.json_response(
            {
                "type": "about:blank",
                "title": "Unauthorized",
                "status": 401 if scene.name == "unauthorized" else 503,
            },
            status=401 if scene.name == "unauthorized" else 503,
        )
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "Content-Security-Policy": POLICY,
        }
    )
    await response.prepare(request)
    queue: asyncio.Queue[tuple[str, Json, str | None] | None] = asyncio.Queue()
    if "Last-Event-ID" not in request.headers and "after" not in request.query:
        queue.put_nowait(
            ("snapshot", scene.snapshot(), scene.events[-1]["cursor"] if scene.events else None)
        )
        for back in range(
            request.app["history"], 0, -1
        ):  # a strip that is already full, to look at
            queue.put_nowait(
                ("pulse", scene.pulse(now() - timedelta(milliseconds=WINDOW_MS * back)), None)
            )
    scene.queues.add(queue)
    try:
        while (item := await queue.get()) is not None:
            event, data, identifier = item
            lines = [f"event: {event}"] + ([f"id: {identifier}"] if identifier else [])
            await response.write("\n".join([*lines, f"data: {json.dumps(data)}", "", ""]).encode())
    except ConnectionError:
        pass
    finally:
        scene.queues.discard(queue)
    return response


async def beat(app: web.Application) -> None:
    scene: Scene = app["scene"]
    count = 0
    while True:
        await asyncio.sleep(WINDOW_MS / 1000)
        scene.say("pulse", scene.pulse())
        count += 1
        if count % 20 == 0:
            scene.say("health", scene.health())
        if app["chatter"] and count % 6 == 0 and scene.hosts:
            name = scene.dice.choice(sorted(scene.hosts))
            scene.log(
                "sysinv.host.changed.v1",
                name,
                f"{name} reported its facts again; nothing differs but its load.",
            )


async def act(request: web.Request) -> web.Response:
    scene: Scene = request.app["scene"]
    action, _, target = request.match_info["action"].partition("/")
    if action == "break":
        scene.fail(target)
    elif action == "heal":
        scene.heal(target)
    elif action == "drop":
        scene.refusing = True
        for queue in scene.queues:
            queue.put_nowait(None)
    elif action == "accept":
        scene.refusing = False
    else:
        raise web.HTTPNotFound
    return web.json_response({})


async def page(request: web.Request) -> web.FileResponse:
    path = (request.app["static"] / (request.match_info["path"] or "index.html")).resolve()
    if not path.is_file() or not path.is_relative_to(request.app["static"]):
        raise web.HTTPNotFound
    return web.FileResponse(
        path, headers={"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
    )


async def site(request: web.Request) -> web.Response:
    scene: Scene = request.app["scene"]
    if scene.refusing:
        return web.json_response({}, status=401 if scene.name == "unauthorized" else 503)
    return web.json_response(scene.snapshot()["site"])


def make_app(
    scene: str, *, static: Path = STATIC, history: int = 0, chatter: bool = True
) -> web.Application:
    app = web.Application()
    app["scene"], app["static"], app["history"], app["chatter"] = (
        Scene(scene),
        static.resolve(),
        history,
        chatter,
    )
    app.router.add_get("/api/v1/stream", stream)
    app.router.add_get("/api/v1/site", site)
    fixture_alarms.add_routes(app)
    app.router.add_post("/dev/{action:.+}", act)
    app.router.add_get("/{path:.*}", page)

    async def run(_: web.Application) -> Any:
        task = asyncio.create_task(beat(app))
        yield
        task.cancel()
        for queue in app["scene"].queues:
            queue.put_nowait(None)

    app.cleanup_ctx.append(run)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8799)
    parser.add_argument("--scene", default="failed")
    parser.add_argument("--static", type=Path, default=STATIC)
    options = parser.parse_args()
    web.run_app(make_app(options.scene, static=options.static), host="127.0.0.1", port=options.port)


if __name__ == "__main__":
    main()
