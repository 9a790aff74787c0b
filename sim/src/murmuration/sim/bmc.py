"""Simulated BMCs: many Redfish services in one process, each on a loopback address of its own.

A BMC is a small HTTP/1.1 server over asyncio's streams: sessions with tokens that end, ETags, power
that changes after a delay, sensors, an event log, Secure Boot. Its `faults` make it mute, wrong,
cut short or lying, so that whoever speaks to it can be tested against all of that.

    python -m murmuration.sim bmcs --count 500 --port 8443
"""

import asyncio
import base64
import contextlib
import enum
import json
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

BODY_BYTES_MAX: Final = 65_536
HEAD_BYTES_MAX: Final = 16_384
SESSIONS_MAX: Final = 16  # real BMCs have 4 to 64; who leaks sessions is shut out
USER, PASSWORD = "admin", "simulated"
JSON = dict[str, Any]


class Fault(enum.Enum):
    """What may be wrong with a BMC."""

    MUTE = "mute"  # takes the request and never answers
    TRUNCATED = "truncated"  # the body ends early
    GARBAGE = "garbage"  # not JSON
    WRONG_SHAPE = "wrong-shape"  # JSON of another shape
    HUGE = "huge"  # an endless answer
    REDIRECT = "redirect"  # leads to another host
    UNAVAILABLE = "unavailable"  # 503
    STUCK = "stuck"  # accepts every action and does none
    NO_SENSORS = "no-sensors"  # 503 for all that tells of sensors
    ETAG_MOVES = "etag-moves"  # every PATCH comes too late


@dataclass(slots=True)
class SimBmc:
    """One BMC and its machine. `delay_s` is waited before each answer, `settle_s` before power is
    what was asked."""

    name: str
    address: str = "127.0.0.1"
    port: int = 0
    power: str = "On"
    delay_s: float = 0.0
    settle_s: float = 0.0
    basic_only: bool = False
    tasks: bool = False
    faults: set[Fault] = field(default_factory=set[Fault])
    celsius: float = 40.0
    boot: str = "None"
    etag: int = 1
    requests: int = 0
    actions: list[str] = field(default_factory=list[str])
    sessions: dict[str, str] = field(default_factory=dict[str, str])
    log: list[JSON] = field(default_factory=list[JSON])
    pending: tuple[float, str] | None = None
    task_polls: int = 0
    deaf_after: int = -1  # requests that are still answered; the next one is done and not answered

    def settle(self, now: float) -> None:
        """Let power become what was asked, if it is time."""
        if self.pending is not None and now >= self.pending[0]:
            self.power, self.pending = self.pending[1], None

    def resource(self, path: str) -> JSON | None:
        """What GET answers, None where there is nothing."""
        found = self._systems(path) or self._chassis(path)
        return found or {
            "/redfish/v1/": self._root(),
            "/redfish/v1": self._root(),
            "/redfish/v1/Managers": _collection(path, ["/redfish/v1/Managers/1"]),
            "/redfish/v1/Managers/1": {"Id": "1", "Name": "Manager"},
        }.get(path)

    def _root(self) -> JSON:
        root: JSON = {
            "@odata.id": "/redfish/v1/",
            "RedfishVersion": "1.15.0",
            "Systems": {"@odata.id": "/redfish/v1/Systems"},
            "Chassis": {"@odata.id": "/redfish/v1/Chassis"},
            "Managers": {"@odata.id": "/redfish/v1/Managers"},
        }
        if not self.basic_only:
            root["SessionService"] = {"@odata.id": "/redfish/v1/SessionService"}
            root["Links"] = {"Sessions": {"@odata.id": "/redfish/v1/SessionService/Sessions"}}
        return root

    def _systems(self, path: str) -> JSON | None:
        system = "/redfish/v1/Systems/1"
        return {
            "/redfish/v1/Systems": _collection(path, [system]),
            system: {
                "@odata.id": system,
                "Id": "1",
                "UUID": f"00000000-0000-4000-8000-{abs(hash(self.name)) % 2**48:012x}",
                "SerialNumber": self.name,
                "Manufacturer": "Murmuration",
                "Model": "Simulated",
                "PowerState": self.power,
                "Boot": {"BootSourceOverrideTarget": self.boot},
                "SecureBoot": {"@odata.id": f"{system}/SecureBoot"},
                "LogServices": {"@odata.id": f"{system}/LogServices"},
                "Links": {"Chassis": [{"@odata.id": "/redfish/v1/Chassis/1"}]},
                "Actions": {
                    "#ComputerSystem.Reset": {
                        "target": f"{system}/Actions/ComputerSystem.Reset",
                        "@Redfish.ActionInfo": f"{system}/ResetActionInfo",
                    }
                },
            },
            f"{system}/ResetActionInfo": {
                "Parameters": [{"Name": "ResetType", "AllowableValues": list(RESETS)}]
            },
            f"{system}/SecureBoot": {
                "SecureBootEnable": True,
                "SecureBootCurrentBoot": "Enabled",
                "SecureBootMode": "UserMode",
            },
            f"{system}/LogServices": _collection(path, [f"{system}/LogServices/SEL"]),
            f"{system}/LogServices/SEL": {
                "Entries": {"@odata.id": f"{system}/LogServices/SEL/Entries"}
            },
            f"{system}/LogServices/SEL/Entries": {"Members": self.log},
        }.get(path)

    def _chassis(self, path: str) -> JSON | None:
        chassis = "/redfish/v1/Chassis/1"
        return {
            "/redfish/v1/Chassis": _collection(path, [chassis]),
            chassis: {"Id": "1", "Thermal": {"@odata.id": f"{chassis}/Thermal"}},
            f"{chassis}/Thermal": {
                "Temperatures": [
                    {
                        "Name": "Inlet",
                        "ReadingCelsius": self.celsius,
                        "UpperThresholdNonCritical": 80,
                        "UpperThresholdCritical": 90,
                        "Status": {"State": "Enabled", "Health": "OK"},
                    }
                ],
                "Fans": [
                    {
                        "Name": "Fan 1",
                        "Reading": 4_200,
                        "ReadingUnits": "RPM",
                        "Status": {"State": "Enabled", "Health": "OK"},
                    },
                    {"Name": "Fan 2", "Status": {"State": "Absent"}},
                ],
            },
        }.get(path)

    def reset(self, kind: str, now: float) -> int:
        """A reset action; the status it is answered with."""
        if kind not in RESETS:
            return 400
        self.actions.append(kind)
        if Fault.STUCK not in self.faults:
            self.pending = (now + self.settle_s, RESETS[kind])
            self.settle(now)
        self.task_polls = 0
        return 202 if self.tasks else 204


RESETS: Final = {
    "On": "On",
    "ForceOff": "Off",
    "GracefulShutdown": "Off",
    "ForceRestart": "On",
    "PowerCycle": "On",
}


def _collection(path: str, members: list[str]) -> JSON:
    return {"@odata.id": path, "Members": [{"@odata.id": each} for each in members]}


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class _Server:
    """The HTTP side of one BMC."""

    def __init__(self, bmc: SimBmc) -> None:
        self._bmc = bmc
        self._loop = asyncio.get_running_loop()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection until it ends."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while (request := await _read(reader)) is not None:
                self._bmc.requests += 1
                if self._bmc.delay_s:
                    await asyncio.sleep(self._bmc.delay_s)
                if Fault.MUTE in self._bmc.faults:
                    await reader.read()
                    break
                answer = self._answer(request)
                if self._bmc.deaf_after == 0:
                    await reader.read()
                    break
                self._bmc.deaf_after -= 1
                writer.write(answer)
                await writer.drain()
                if self._bmc.faults & {Fault.TRUNCATED, Fault.HUGE}:
                    break
        writer.close()

    def _answer(self, request: _Request) -> bytes:
        now = self._loop.time()
        bmc = self._bmc
        bmc.settle(now)
        if Fault.UNAVAILABLE in bmc.faults:
            return _response(503, {"error": {"message": "starting"}})
        if Fault.GARBAGE in bmc.faults:
            return _raw(200, b"<html>", {})
        if Fault.WRONG_SHAPE in bmc.faults:
            return _response(200, {"PowerState": {"On": False}, "Members": "none"})
        if Fault.REDIRECT in bmc.faults:
            return _raw(307, b"", {"Location": "http://192.0.2.1/redfish/v1/"})
        if Fault.HUGE in bmc.faults:
            return _raw(200, b" " * (4 * 2**20), {})
        if Fault.NO_SENSORS in bmc.faults and request.path.startswith("/redfish/v1/Chassis"):
            return _response(503, {"error": {"message": "no sensors"}})
        made = self._route(request, now)
        return made[: len(made) - 20] if Fault.TRUNCATED in bmc.faults else made

    def _route(self, request: _Request, now: float) -> bytes:
        bmc, path = self._bmc, request.path
        if path == "/redfish/v1/SessionService/Sessions" and request.method == "POST":
            return self._open(request)
        if path.rstrip("/") != "/redfish/v1" and not self._known(request):
            return _response(401, {"error": {"message": "not logged in"}})
        if request.method == "DELETE":
            bmc.sessions.pop(request.headers.get("x-auth-token", ""), None)
            return _raw(204, b"", {})
        if request.method == "POST" and path.endswith("/Actions/ComputerSystem.Reset"):
            status = bmc.reset(str(_json(request.body).get("ResetType")), now)
            headers = {"Location": "/redfish/v1/TaskMonitors/1"} if status == 202 else {}
            return _raw(status, b"", headers)
        if path == "/redfish/v1/TaskMonitors/1":
            bmc.task_polls += 1
            done = bmc.task_polls > 1
            return _response(
                200 if done else 202, {"TaskState": "Completed" if done else "Running"}
            )
        if request.method == "PATCH":
            return self._patch(request)
        found = bmc.resource(path)
        if found is None:
            return _response(404, {"error": {"message": "no such resource"}})
        return _response(200, found, {"ETag": f'W/"{bmc.etag}"'})

    def _open(self, request: _Request) -> bytes:
        bmc, login = self._bmc, _json(request.body)
        if bmc.basic_only:
            return _response(404, {})
        if (login.get("UserName"), login.get("Password")) != (USER, PASSWORD):
            return _response(401, {"error": {"message": "no such user"}})
        if len(bmc.sessions) >= SESSIONS_MAX:
            return _response(503, {"error": {"message": "no session left"}})
        token = f"token-{bmc.requests}"
        bmc.sessions[token] = USER
        place = f"/redfish/v1/SessionService/Sessions/{bmc.requests}"
        return _response(201, {}, {"X-Auth-Token": token, "Location": place})

    def _known(self, request: _Request) -> bool:
        if request.headers.get("x-auth-token") in self._bmc.sessions:
            return True
        wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return request.headers.get("authorization") == f"Basic {wanted}"

    def _patch(self, request: _Request) -> bytes:
        bmc = self._bmc
        if request.headers.get("if-match") != f'W/"{bmc.etag}"' or Fault.ETAG_MOVES in bmc.faults:
            bmc.etag += 1
            return _response(412, {"error": {"message": "it has changed"}})
        bmc.etag += 1
        boot = _json(request.body).get("Boot", {})
        bmc.boot = str(boot.get("BootSourceOverrideTarget", bmc.boot))
        return _raw(204, b"", {})


async def _read(reader: asyncio.StreamReader) -> _Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    lines = head.decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ", 2)
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines[1:] if line)
    }
    size = int(headers.get("content-length", "0"))
    body = await reader.readexactly(size) if 0 < size <= BODY_BYTES_MAX else b""
    return _Request(method, path, headers, body)


def _json(body: bytes) -> JSON:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _response(status: int, body: JSON, headers: dict[str, str] | None = None) -> bytes:
    return _raw(status, json.dumps(body).encode(), {"OData-Version": "4.0", **(headers or {})})


def _raw(status: int, body: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Simulated", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def addresses(count: int) -> list[str]:
    """Loopback addresses of their own, 127.64.0.1 and on. Raises ValueError above 60,000."""
    if count > 60_000:
        raise ValueError("at most 60,000 BMCs in one process")
    return [f"127.64.{1 + place // 250}.{1 + place % 250}" for place in range(count)]


@asynccontextmanager
async def serving(
    bmcs: Iterable[SimBmc], *, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Serve BMCs, each on its address; with port 0 each gets one and keeps it in `port`.

    Raises OSError when a port is taken.
    """
    servers: list[asyncio.Server] = []
    try:
        for bmc in bmcs:
            server = await asyncio.start_server(
                _Server(bmc).serve, bmc.address, port or bmc.port, ssl=tls, limit=HEAD_BYTES_MAX
            )
            servers.append(server)
            bmc.port = int(server.sockets[0].getsockname()[1])
        yield
    finally:
        for server in servers:
            server.close()
