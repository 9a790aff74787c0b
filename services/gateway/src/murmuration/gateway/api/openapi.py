"""The OpenAPI 3.1 document, made from the table of routes and the schemas of the contract."""

import re
from typing import Any

import msgspec
from aiohttp import web

from murmuration.gateway.api.route import PREFIX, Parameter, Route
from murmuration.gateway.api.routes import EVENT_STREAM, ROUTES
from murmuration.gateway.core.snapshot import Snapshot
from murmuration.proto.api import AlarmSummary, AlarmView, HealthView, HostView, Problem, PulseFrame
from murmuration.proto.envelope import Payload
from murmuration.web.bodies import json_bytes
from murmuration.web.problems import PROBLEM_JSON

OPENAPI_VERSION = "3.1.0"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_STREAM_EVENTS: tuple[type[Payload], ...] = (
    Snapshot,
    HostView,
    AlarmView,
    AlarmSummary,
    PulseFrame,
    HealthView,
)
STREAM_DESCRIPTION = """Server-sent events, data in JSON:

| event | data | |
|---|---|---|
| `snapshot` | Snapshot | first, unless resuming |
| `host`, `host_removed` | HostView, `{"name"}` | |
| `alarm`, `alarm_cleared` | AlarmView, `{"uuid", "reason"}` | |
| `alarm_summary` | AlarmSummary | when figures changed, four times a second at most |
| `log` | EventView | carries the `id` to resume from |
| `pulse` | PulseFrame | twice a second, never resumed |
| `health` | HealthView | on change and every 10 s |
| `reset` | `{"reason"}` | what was shown is void, a snapshot follows |

Resume by the header `Last-Event-ID` or by `?after=`. Any replica can continue.
"""


def document(*, version: str) -> dict[str, Any]:
    """The whole document."""
    kinds = {route.reply for route in ROUTES} | {route.body for route in ROUTES}
    named = sorted(
        {*(kind for kind in kinds if kind is not None), *_STREAM_EVENTS, Problem},
        key=lambda kind: kind.__name__,
    )
    _, schemas = msgspec.json.schema_components(named, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": "Murmuration",
            "version": version,
            "summary": "The infrastructure of one site: hosts, alarms, events, health.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"session": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in ROUTES)],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "mur_session_8780"},
            },
            "responses": {
                "Problem": {
                    "description": "What went wrong, and whose fault it is (RFC 9457).",
                    "content": {PROBLEM_JSON: {"schema": _ref(Problem)}},
                }
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    if route.reply is None:
        content = {media: {"schema": {"type": "string"}} for media in route.media}
    else:
        content = {"application/json": {"schema": _ref(route.reply)}}
    found: dict[str, Any] = {
        "operationId": route.operation_id,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _PLACEHOLDER.findall(route.path)
        ]
        + [_parameter(each) for each in route.parameters],
        "responses": {
            "200": {"description": "Done." if route.body else "As asked.", "content": content}
        }
        | {
            str(code): {"$ref": "#/components/responses/Problem"}
            for code in sorted({*route.problems, 401, 403})
        },
    }
    if EVENT_STREAM in route.media:
        found["description"] = STREAM_DESCRIPTION
    if route.body is not None:
        found["requestBody"] = {
            "required": any(field.required for field in msgspec.structs.fields(route.body)),
            "content": {"application/json": {"schema": _ref(route.body)}},
        }
    return found


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _ref(kind: type[Payload]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def add_document(app: web.Application, *, version: str) -> None:
    """Serve the document; it is made when first asked for."""
    made: list[bytes] = []

    async def get_document(_request: web.Request) -> web.Response:
        if not made:
            made.append(msgspec.json.encode(document(version=version)))
        return json_bytes(made[0])

    app.router.add_get(f"{PREFIX}/openapi.json", get_document)
