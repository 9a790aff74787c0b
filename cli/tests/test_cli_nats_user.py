"""`mur nats-user` says to the supervisor what was asked, and keeps what it answers secret."""

import json
import socketserver
import threading
from collections.abc import Iterator

import pytest

from .conftest import Gateway, Mur

CREDS = "-----BEGIN NATS USER JWT-----\nx\n"
USERS = [
    {"name": "billing", "role": "reader", "public": "UA", "created_at": 1_700_000_000},
    {"name": "old", "role": "reader", "public": "UB", "expires_at": 1},
    {"name": "gone", "role": "reader", "public": "UC", "revoked_at": 5},
]


@pytest.fixture
def asked(mur: Mur, gateway: Gateway) -> Iterator[list[dict[str, str]]]:
    found: list[dict[str, str]] = []
    answers = {"create": {"text": CREDS}, "list": {"users": USERS}, "revoke": {"reason": "Done."}}

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                found.append(json.loads(line))
                body = {"ok": True, **answers[found[-1]["action"]]}
                self.wfile.write(json.dumps(body).encode() + b"\n")

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    path = mur.home / "control"
    state = mur.home / ".local" / "state" / "murmuration"
    state.mkdir(parents=True)
    content = {"url": gateway.url, "token": "x", "control": str(path), "name": "murmuration"}
    (state / "site.json").write_text(json.dumps(content))
    with Server(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def test_credentials_are_printed_or_written_for_their_owner_alone(
    mur: Mur, asked: list[dict[str, str]]
) -> None:
    printed = mur("nats-user", "create", "--role", "reader", "--name", "billing")
    assert (printed.code, printed.out) == (0, CREDS)
    request = {"op": "nats-user", "action": "create", "role": "reader", "name": "billing"}
    assert asked == [request | {"days": "0"}]

    path = mur.home / "b.creds"
    arguments = ("nats-user", "create", "--name", "b", "--days", "9", "--output", str(path))
    written = mur(*arguments)
    assert (written.code, CREDS in written.out, path.read_text()) == (0, False, CREDS)
    assert path.stat().st_mode & 0o777 == 0o600
    assert asked[-1]["days"] == "9"
    assert mur(*arguments).code == 2


def test_users_are_listed_and_revoked(mur: Mur, asked: list[dict[str, str]]) -> None:
    listed = mur("nats-user", "list")
    states = {line.split()[0]: line for line in listed.out.splitlines()[1:]}
    assert "good" in states["billing"]
    assert "expired" in states["old"]
    assert "revoked" in states["gone"]
    assert json.loads(mur("nats-user", "list", "--json").out)["users"] == USERS
    assert mur("nats-user", "revoke", "billing").out == "Done.\n"
    assert asked[-1] == {"op": "nats-user", "action": "revoke", "name": "billing"}


def test_name_is_asked_for(mur: Mur, asked: list[dict[str, str]]) -> None:
    result = mur("nats-user", "create")
    assert (result.code, asked) == (2, [])
    assert "--name" in result.err
