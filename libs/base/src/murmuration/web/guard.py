"""Who may knock: Host, Origin, token and content type, checked before any handler runs.

A program that listens on loopback is reachable by every page in the same machine's browser. So:
- the Host header must name this door (a rebound DNS name does not),
- Origin and Sec-Fetch-Site, where a browser sends them, must say that our own page asks,
- a token is needed (bearer, X-Auth-Token, or the cookie that `/?token=` sets), compared in
  constant time,
- what changes something must be declared as JSON, which no form of another site can send
  without a preflight that is never granted.

Fetch Metadata: W3C Fetch Metadata Request Headers; cookies: RFC 6265bis SameSite.
"""

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from murmuration.web.bodies import JSON
from murmuration.web.problems import (
    Forbidden,
    Handler,
    Unauthenticated,
    UnsupportedMediaType,
    problem_of,
    problem_response,
)

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})  # no secrets, no state change
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITES = frozenset({"same-origin", "none"})
COOKIE_AGE_S = 30 * 86_400
LOGIN_PATH = "/"
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
LOGIN_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>Murmuration</title>"
    "<h1>This page needs its token</h1><p>Open the address that <code>up</code> printed: it ends "
    "in <code>/?token=…</code>. <code>mur site</code> prints it again.</p></html>"
)


@dataclass(frozen=True, kw_only=True)
class GuardPolicy:
    """What a door demands. `token` None: no authentication, for doors that only show health.

    `names` are further Host values to accept, as `name:port` (or `name` where a proxy speaks on
    the scheme's own port).
    """

    token: str | None = None
    names: frozenset[str] = frozenset()


class Guard:
    """The checks as one aiohttp middleware, and the headers every answer bears."""

    def __init__(self, policy: GuardPolicy) -> None:
        self._policy = policy
        self._names = frozenset(name.lower() for name in policy.names)
        self._token = policy.token.encode() if policy.token else None

    def install(self, app: web.Application) -> None:
        """Put the checks in front of all of `app`'s routes."""
        app.middlewares.append(self._middleware())
        app.on_response_prepare.append(add_security_headers)

    def _middleware(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._check_origin(request)
            if self._token is not None and request.path not in OPEN_PATHS:
                if request.path == LOGIN_PATH and "token" in request.query:
                    return self._log_in(request, self._token)
                if not self._is_authenticated(request, self._token):
                    return _refuse(request)
            if request.method not in SAFE_METHODS and request.content_type != JSON:
                raise UnsupportedMediaType(f"a {request.method} needs Content-Type: {JSON}")
            return await handler(request)

        return guard

    def _check_origin(self, request: web.Request) -> None:
        """Raise Forbidden unless the request is meant for this door and comes from our page."""
        port = local_port(request)
        host = request.headers.get("Host", "")
        if not self._is_own(host, port):
            raise Forbidden(f"this door does not answer to the name {host[:100]!r}")
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_own_origin(origin, port):
            raise Forbidden(f"requests from the page {origin[:100]!r} are not served")
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None and site.lower() not in OWN_SITES:
            raise Forbidden("requests from other pages are not served; type the address instead")

    def _is_own(self, host: str, port: int) -> bool:
        lowered = host.lower()
        if lowered in self._names:
            return True
        name, found_port = split_host(lowered)
        return found_port == port and is_loopback(name)

    def _is_own_origin(self, origin: str, port: int) -> bool:
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and self._is_own(parts.netloc, port)

    def _is_authenticated(self, request: web.Request, token: bytes) -> bool:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(given.strip(), token):
            return True
        if _same(request.headers.get("X-Auth-Token", ""), token):  # what OpenStack's clients send
            return True
        port = local_port(request)
        cookie = request.cookies.get(cookie_name(port), "")
        return bool(cookie) and _same(cookie, session_of(token, port))

    def _log_in(self, request: web.Request, token: bytes) -> web.StreamResponse:
        if not _same(request.query["token"], token):
            return _refuse(request)
        port = local_port(request)
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": LOGIN_PATH})
        response.set_cookie(
            cookie_name(port),
            session_of(token, port).decode(),
            max_age=COOKIE_AGE_S,
            httponly=True,
            samesite="Strict",
            secure=request.secure,
            path="/",
        )
        return response


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: the headers every answer bears; nothing is cached unless it says so."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["Server"] = "murmuration"


def cookie_name(port: int) -> str:
    """Browsers share cookies between ports: the port is part of the name."""
    return f"mur_session_{port}"


def session_of(token: bytes, port: int) -> bytes:
    """The cookie's value: it proves the token and does not reveal it (HMAC-SHA256, hex)."""
    return hmac.new(token, f"mur-session:{port}".encode(), hashlib.sha256).hexdigest().encode()


def local_port(request: web.Request) -> int:
    """The port the request came in by; 0 when the connection is already gone."""
    transport = request.transport
    address = transport.get_extra_info("sockname") if transport is not None else None
    return int(address[1]) if isinstance(address, tuple) else 0


def split_host(host: str) -> tuple[str, int]:
    """`name:port`, `[v6]:port` or a bare name (port 80) in its parts; port -1 when malformed."""
    name, separator, digits = host.rpartition(":")
    if not separator or host.endswith("]"):
        return host.strip("[]"), 80
    if not digits.isascii() or not digits.isdigit():
        return host, -1
    return name.strip("[]") if name.startswith("[") else name, int(digits)


def is_loopback(name: str) -> bool:
    """Whether a name or literal address means this machine, without asking a resolver."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _same(given: str, wanted: bytes) -> bool:
    return hmac.compare_digest(given.encode(errors="surrogateescape"), wanted)


def _refuse(request: web.Request) -> web.StreamResponse:
    """401: a page for a person at the front door, a problem for everything else."""
    if request.path == LOGIN_PATH and "text/html" in request.headers.get("Accept", ""):
        response = web.Response(text=LOGIN_PAGE, status=401, content_type="text/html")
        response.headers["WWW-Authenticate"] = 'Bearer realm="murmuration"'
        return response
    error = Unauthenticated("a token is needed: Authorization: Bearer …, or open /?token=… once")
    return problem_response(problem_of(error))
