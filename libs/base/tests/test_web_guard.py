"""The local door against what a browser, a rebound name and a stranger can send."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from murmuration.kernel.errors import Conflict, Unavailable
from murmuration.proto.platform import ServiceStatus
from murmuration.web.bodies import json_response, read_json
from murmuration.web.guard import GuardPolicy, cookie_name, is_loopback, split_host
from murmuration.web.ops import add_ops
from murmuration.web.problems import Gone
from murmuration.web.server import inherited_socket, listening_socket, make_app, serve

TOKEN = "a-long-secret-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def status() -> ServiceStatus:
    return ServiceStatus(service="test", instance="1", ready=False, reason="it is starting")


@asynccontextmanager
async def a_door(
    token: str | None = TOKEN, names: frozenset[str] = frozenset()
) -> AsyncGenerator[int, None]:
    app = make_app(GuardPolicy(token=token, names=names))
    registry = CollectorRegistry()
    Counter("birds", "Birds seen.", registry=registry).inc(3)
    add_ops(app, status=status, registry=registry)

    async def echo(request: web.Request) -> web.Response:
        return json_response(await read_json(request, ServiceStatus))

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def fail(request: web.Request) -> web.Response:
        raise {
            "conflict": Conflict("the host is locked"),
            "away": Unavailable("fm is away"),
            "gone": Gone("too old"),
            "bug": ZeroDivisionError("the secret detail"),
        }[request.match_info["how"]]

    app.router.add_get("/", hello)
    app.router.add_post("/echo", echo)
    app.router.add_get("/fail/{how}", fail)
    listener = listening_socket("test.http", "127.0.0.1:0", authenticated=True)
    async with serve(app, listener, stop_budget_s=1) as port:
        yield port


async def ask(
    port: int, method: str = "GET", path: str = "/", **arguments: object
) -> tuple[int, dict[str, str], bytes]:
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.request(
            method,
            f"http://127.0.0.1:{port}{path}",
            allow_redirects=False,
            **arguments,  # type: ignore[arg-type]
        ) as response,
    ):
        return response.status, dict(response.headers), await response.read()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "127.9.9.9"])
async def test_guard_serves_when_host_is_a_loopback_name_with_our_port(host: str) -> None:
    async with a_door() as port:
        found = await ask(port, headers=BEARER | {"Host": f"{host}:{port}"})
        assert found[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "localhost:1",
        "",
        "127.0.0.1.evil.example:{port}",
        "localhost:{port}x",
        "198.18.0.1:{port}",
    ],
)
async def test_guard_refuses_when_host_is_rebound_or_foreign(host: str) -> None:
    async with a_door() as port:
        for path in ("/", "/healthz", "/metrics", f"/?token={TOKEN}"):
            headers = BEARER | {"Host": host.format(port=port)}
            code, answer, body = await ask(port, path=path, headers=headers)
            assert code == 403, path
            assert answer["Content-Type"].startswith("application/problem+json")
            assert b"forbidden" in body
            assert "Set-Cookie" not in answer


async def test_guard_serves_a_configured_name() -> None:
    async with a_door(names=frozenset({"Site.example:443"})) as port:
        assert (await ask(port, headers=BEARER | {"Host": "site.example:443"}))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "file://"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "Cross-Site"},
    ],
)
async def test_guard_refuses_when_another_page_asks(headers: dict[str, str]) -> None:
    async with a_door() as port:
        for method in ("GET", "POST", "OPTIONS"):
            found = await ask(port, method, "/echo", headers=BEARER | headers, json={})
            assert found[0] == 403, method
            assert "Access-Control-Allow-Origin" not in found[1]


async def test_guard_serves_our_own_page() -> None:
    async with a_door() as port:
        for headers in (
            {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"},
            {"Sec-Fetch-Site": "none"},
        ):
            assert (await ask(port, headers=BEARER | headers))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer t\u00f6ken"},
        {"Cookie": f"mur_session_1={TOKEN}"},
    ],
)
async def test_guard_asks_for_the_token_when_it_is_missing_or_wrong(
    headers: dict[str, str],
) -> None:
    async with a_door() as port:
        code, answer, _ = await ask(port, headers=headers)
        assert code == 401
        assert answer["WWW-Authenticate"].startswith("Bearer")
        assert answer["Content-Type"].startswith("application/problem+json")


async def test_guard_shows_a_page_when_a_person_comes_without_token() -> None:
    async with a_door() as port:
        code, answer, body = await ask(port, headers={"Accept": "text/html,*/*"})
        assert code == 401
        assert answer["Content-Type"].startswith("text/html")
        assert b"token" in body


async def test_guard_turns_the_url_token_into_a_cookie() -> None:
    async with a_door() as port:
        assert (await ask(port, path="/?token=wrong"))[0] == 401
        assert (await ask(port, path=f"/fail/gone?token={TOKEN}"))[0] == 401
        code, answer, _ = await ask(port, path=f"/?token={TOKEN}")
        assert (code, answer["Location"]) == (303, "/")
        cookie = SimpleCookie(answer["Set-Cookie"])[cookie_name(port)]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Strict"
        assert TOKEN not in cookie.value
        jar = {"Cookie": f"{cookie_name(port)}={cookie.value}"}
        assert (await ask(port, headers=jar))[0] == 200
        tampered = {"Cookie": f"{cookie_name(port)}={cookie.value[:-1]}x"}
        assert (await ask(port, headers=tampered))[0] == 401


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
async def test_guard_refuses_a_form_post(kind: str | None) -> None:
    async with a_door() as port:
        headers = BEARER | ({"Content-Type": kind} if kind else {})
        assert (await ask(port, "POST", "/echo", headers=headers, data=b"{}"))[0] == 415
        assert (await ask(port, "DELETE", "/nowhere", headers=headers))[0] == 415


async def test_every_answer_bears_the_security_headers() -> None:
    async with a_door() as port:
        for path, headers in (("/", BEARER), ("/", {}), ("/nowhere", BEARER), ("/healthz", {})):
            _, answer, _ = await ask(port, path=path, headers=headers)
            assert "default-src 'self'" in answer["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
            assert answer["X-Content-Type-Options"] == "nosniff"
            assert answer["Referrer-Policy"] == "no-referrer"
            assert answer["Cache-Control"] == "no-store"
            assert answer["Server"] == "murmuration"


async def test_ops_routes_need_no_token() -> None:
    async with a_door() as port:
        assert (await ask(port, path="/healthz"))[0] == 200
        code, _, body = await ask(port, path="/readyz")
        assert code == 503
        assert b"it is starting" in body
        _, _, metrics = await ask(port, path="/metrics")
        assert b"birds_total 3.0" in metrics


async def test_a_door_without_authentication_still_checks_the_host() -> None:
    async with a_door(token=None) as port:
        assert (await ask(port))[0] == 200
        assert (await ask(port, headers={"Host": "evil.example"}))[0] == 403


async def test_failures_become_problems_and_bugs_keep_their_text() -> None:
    async with a_door() as port:
        for path, code, word in (
            ("/fail/conflict", 409, b"the host is locked"),
            ("/fail/away", 503, b"fm is away"),
            ("/fail/gone", 410, b"too old"),
            ("/fail/bug", 500, b"reference"),
            ("/nowhere", 404, b"not-found"),
        ):
            found = await ask(port, path=path, headers=BEARER)
            assert found[0] == code
            assert found[1]["Content-Type"].startswith("application/problem+json")
            assert word in found[2]
            assert b"secret detail" not in found[2]
        code, answer, _ = await ask(port, "PUT", "/echo", headers=BEARER, json={})
        assert code == 405
        assert answer["Allow"] == "POST"


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"ready":"perhaps"}', b"[]", b"null"])
async def test_a_body_that_does_not_fit_is_rejected(body: bytes) -> None:
    async with a_door() as port:
        headers = BEARER | {"Content-Type": "application/json"}
        assert (await ask(port, "POST", "/echo", headers=headers, data=body))[0] == 400


async def test_a_body_over_the_limit_is_refused() -> None:
    async with a_door() as port:
        headers = BEARER | {"Content-Type": "application/json"}
        data = b'"' + b"x" * (2**20 + 1) + b'"'
        assert (await ask(port, "POST", "/echo", headers=headers, data=data))[0] == 413


def test_host_header_is_split_by_the_book() -> None:
    assert split_host("localhost:8780") == ("localhost", 8780)
    assert split_host("[::1]:8780") == ("::1", 8780)
    assert split_host("[::1]") == ("::1", 80)
    assert split_host("localhost") == ("localhost", 80)
    assert split_host("localhost:x")[1] == -1
    assert not is_loopback("localhost.evil.example")
    assert not is_loopback("0.0.0.0")


def test_only_loopback_is_listened_on_without_authentication() -> None:
    with pytest.raises(Exception, match="only loopback"):
        listening_socket("x.http", "0.0.0.0:0", authenticated=False)
    for wrong in ("8780", "127.0.0.1:99999", "127.0.0.1:x"):
        with pytest.raises(Exception, match="not host:port"):
            listening_socket("x.http", wrong, authenticated=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Exception, match="is in use"):
            listening_socket("x.http", f"127.0.0.1:{port}", authenticated=False)


def test_inherited_sockets_are_found_by_name_and_pid() -> None:
    assert inherited_socket("a.http", {}) is None
    assert inherited_socket("a.http", {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "b.http"}) is None
    stranger = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "a.http", "LISTEN_PID": "1"}
    assert inherited_socket("a.http", stranger) is None
    with pytest.raises(Exception, match="not a number"):
        inherited_socket("a.http", {"LISTEN_FDS": "x", "LISTEN_FDNAMES": "a.http"})
