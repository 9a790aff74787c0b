"""An HTTP server on an inherited or own socket, stopped within a budget.

Sockets come from whoever started us (systemd's LISTEN_FDS protocol, sd_listen_fds(3)) or are
opened here. Invariant: beyond loopback nothing is listened on without both authentication and TLS.
"""

import errno
import os
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from murmuration.kernel.errors import Rejected
from murmuration.web.guard import Guard, GuardPolicy, is_loopback, split_host
from murmuration.web.problems import problems
from murmuration.web.tracing import tracing

BODY_BYTES_MAX = 2**20  # the largest request body: no command comes near it
BACKLOG = 128
STOP_BUDGET_S = 3.0  # how long running requests may take to end
LISTEN_FDS_START = 3

log = structlog.get_logger()


def make_app(policy: GuardPolicy) -> web.Application:
    """An application without routes whose every answer passes problems and guard."""
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[tracing, problems])
    Guard(policy).install(app)
    return app


def inherited_socket(name: str, environ: Mapping[str, str] = os.environ) -> socket.socket | None:
    """The socket passed to this process under `name`, or None.

    It is a duplicate, so that several services of one process may each ask. Raises Rejected when
    the environment is malformed.
    """
    if environ.get("LISTEN_PID", str(os.getpid())) != str(os.getpid()):
        return None
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    try:
        count = int(environ.get("LISTEN_FDS", "0"))
        index = names[:count].index(name)
    except ValueError as error:
        if environ.get("LISTEN_FDS", "0").isdigit():
            return None
        raise Rejected(f"LISTEN_FDS is not a number: {environ['LISTEN_FDS']!r}") from error
    try:
        return socket.socket(fileno=os.dup(LISTEN_FDS_START + index))
    except OSError as error:
        raise Rejected(f"the inherited socket {name} cannot be used: {error.strerror}") from error


def listening_socket(
    name: str, listen: str, *, authenticated: bool, secured: bool = False
) -> socket.socket:
    """The inherited socket `name`, else a new one on `listen` (`host:port`; port 0: any).

    Raises Rejected, saying what to do, when the address is malformed, in use, not ours, or not
    loopback while there is no authentication or no TLS (`secured`).
    """
    found = inherited_socket(name)
    if found is not None:
        if found.family not in (socket.AF_INET, socket.AF_INET6):
            raise Rejected(f"the inherited socket {name} is not a TCP socket")
        found.setblocking(False)
        _check_reach(name, str(found.getsockname()[0]), safe=authenticated and secured)
        return found
    host, port = split_host(listen)
    if ":" not in listen or port < 0 or port > 65_535:
        raise Rejected(f"{name}: {listen!r} is not host:port")
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise Rejected(f"{name}: the address {host!r} is unknown: {error}") from error
    _check_reach(name, str(address[0]), safe=authenticated and secured)
    opened = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, proto)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        why = "is in use" if error.errno == errno.EADDRINUSE else f"{error.strerror}"
        raise Rejected(f"{name}: {listen} {why}; choose another with `listen`") from error
    return opened


def _check_reach(name: str, address: str, *, safe: bool) -> None:
    if not safe and not is_loopback(address):
        raise Rejected(
            f"{name}: without authentication and TLS only loopback is allowed, not {address}"
        )


@asynccontextmanager
async def serve(
    app: web.Application,
    listener: socket.socket,
    *,
    secure: tuple[socket.socket, ssl.SSLContext] | None = None,
    stop_budget_s: float = STOP_BUDGET_S,
) -> AsyncGenerator[int, None]:
    """Serve `app` on `listener`, and with TLS on `secure`, while the context lasts; gives the port.

    At the end no connection is accepted any more, on_shutdown handlers end long answers, and what
    still runs after `stop_budget_s` is cancelled. A handler is cancelled when its client goes.
    """
    runner = web.AppRunner(
        app, handler_cancellation=True, access_log=None, shutdown_timeout=stop_budget_s
    )
    await runner.setup()
    try:
        site = web.SockSite(runner, listener, backlog=BACKLOG)
        await site.start()
        if secure is not None:
            await web.SockSite(runner, secure[0], ssl_context=secure[1], backlog=BACKLOG).start()
        port = int(listener.getsockname()[1])
        log.info("http.listening", address=str(listener.getsockname()[0]), port=port)
        yield port
    finally:
        await runner.cleanup()
        listener.close()
        if secure is not None:
            secure[0].close()
