"""The make-believe gateway's alarms: a storm with one cause, its past, and what operators do."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

Json = dict[str, Any]
SEVERITIES = ("critical", "major", "minor", "warning", "indeterminate")


def text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def storm(scene: Any, alarm: Any) -> None:
    """A switch that takes two dozen ports with it, and a few alarms of their own."""
    root = alarm(
        "100.120",
        "switch=leaf-3",
        "major",
        "Switch leaf-3 is silent: all 24 links to it are down.",
        proposed_repair_action="Check its power and its uplinks.",
        management_affecting=True,
        impacted_count=24,
        changed_at=text(datetime.now(UTC)),
    )
    scene.raise_(root)
    for n in range(24):
        scene.raise_(
            alarm(
                "100.108",
                f"host=worker-{n}.port=eth0",
                "critical",
                f"Management port eth0 of worker-{n} is down.",
                root_cause=root["uuid"],
                correlated_by="lldp-neighbour",
            )
        )
    scene.raise_(
        alarm(
            "100.101",
            "host=controller-1",
            "minor",
            "Platform cores are busy: 91 %, 90 % crossed.",
            acknowledged_by="ada",
            acknowledged_at=text(datetime.now(UTC)),
            flapping=True,
            raise_count=7,
            comments=[{"at": text(datetime.now(UTC)), "author": "ada", "text": "Load test."}],
        )
    )
    for n in range(3):
        scene.raise_(
            alarm("100.104", f"host=worker-{n}", "major", f"worker-{n}: /var is full.", masked=True)
        )


def summary(scene: Any) -> Json:
    """An AlarmSummary of what is there."""
    shown = [a for a in scene.alarms.values() if not a.get("masked") and not a.get("suppressed")]
    counts = dict.fromkeys(SEVERITIES, 0)
    for alarm in shown:
        counts[alarm["severity"]] += 1
    return {
        "counts": counts,
        "root_count": len({a["root_cause"] for a in shown if a.get("root_cause")}),
        "impacted_count": sum(bool(a.get("root_cause")) for a in shown),
        "acknowledged_count": sum(bool(a.get("acknowledged_at")) for a in shown),
        "masked_count": sum(bool(a.get("masked")) for a in scene.alarms.values()),
        "suppressed_count": sum(bool(a.get("suppressed")) for a in scene.alarms.values()),
    }


async def listed(request: web.Request) -> web.Response:
    alarms = request.app["scene"].alarms.values()
    root = request.query.get("root")
    limit = int(request.query.get("limit", "100"))
    items = [a for a in alarms if root is None or a.get("root_cause") == root]
    return web.json_response({"items": items[:limit], "next": None, "at": None})


async def counts(request: web.Request) -> web.Response:
    since = datetime.fromisoformat(request.query["since"])
    until = datetime.fromisoformat(request.query["until"])
    now = summary(request.app["scene"])["counts"]
    size = (until - since) / 120
    buckets: list[Json] = []
    for n in range(120):
        grown = 1.0 if n > 112 else 0.12 + 0.1 * math.sin(n / 9)
        active = {name: round(now[name] * grown) for name in SEVERITIES}
        active["warning"] += 2 if 30 < n < 60 else 0
        start = text(since + size * n)
        buckets.append({"start": start, "raised": 0, "cleared": 0, "active": active})
    return web.json_response({"bucket_s": int(size.total_seconds()), "buckets": buckets})


async def timeline(request: web.Request) -> web.Response:
    alarm = request.app["scene"].alarms[request.match_info["uuid"]]
    at = datetime.fromisoformat(alarm["first_raised_at"])
    entries = [
        {"id": 1, "at": text(at), "recorded_at": text(at), "kind": "raised", "alarm": alarm},
        {
            "id": 2,
            "at": text(at + timedelta(seconds=4)),
            "recorded_at": text(at),
            "kind": "changed",
            "changed": ["severity"],
            "alarm": alarm,
        },
    ]
    return web.json_response({"items": entries, "next": None})


async def why(request: web.Request) -> web.Response:
    alarms = request.app["scene"].alarms
    alarm = alarms[request.match_info["uuid"]]
    found: Json = {"alarm": alarm, "causes": [], "sibling_count": 0, "impacted_count": 0}
    if root := alarms.get(alarm.get("root_cause", "")):
        reason = "worker-0.eth0 is cabled to leaf-3, which fell silent 0.4 s before."
        found["causes"] = [{"alarm": root, "rule": "lldp-neighbour", "reason": reason}]
        found["sibling_count"] = 23
    found["impacted_count"] = alarm.get("impacted_count", 0)
    return web.json_response(found)


async def change(request: web.Request) -> web.Response:
    scene = request.app["scene"]
    wanted = request.match_info["uuid"]
    alarm = scene.alarms[wanted]
    if request.path.endswith("/acknowledgement"):
        at = text(datetime.now(UTC)) if request.method == "PUT" else None
        alarm |= {"acknowledged_at": at, "acknowledged_by": "console" if at else ""}
        scene.say("alarm", alarm)
    elif request.method == "DELETE":
        del scene.alarms[wanted]
        scene.say("alarm_cleared", {"uuid": wanted, "reason": "cleared by an operator"})
    scene.say("alarm_summary", summary(scene))
    return web.json_response({"operation_id": str(uuid.uuid4()), "reason": "done", "after": ""})


def add_routes(app: web.Application) -> None:
    app.router.add_get("/api/v1/alarms", listed)
    app.router.add_get("/api/v1/alarms/counts", counts)
    app.router.add_get("/api/v1/alarms/{uuid}/timeline", timeline)
    app.router.add_get("/api/v1/alarms/{uuid}/why", why)
    app.router.add_route("*", "/api/v1/alarms/{uuid}/acknowledgement", change)
    app.router.add_route("*", "/api/v1/alarms/{uuid}/comments", change)
    app.router.add_delete("/api/v1/alarms/{uuid}", change)
