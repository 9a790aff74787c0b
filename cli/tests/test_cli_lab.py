"""`mur lab` against a real unix socket that speaks as the supervisor does."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .conftest import Gateway, Mur, Result

Answer = Callable[[dict[str, str]], bytes]
STATUS = {
    "ok": True,
    "name": "murmuration",
    "hosts": [
        {"name": "lab-machine", "origin": "machine", "observe_only": True, "faults": []},
        {"name": "worker-1", "origin": "namespace", "faults": ["kill", "link-down"]},
        {"name": "worker-2", "origin": "simulated", "faults": []},
    ],
}


@dataclass
class Supervisor:
    """What was asked, and what is answered."""

    answer: Answer
    asked: list[dict[str, str]] = field(default_factory=list[dict[str, str]])


def obliging(request: dict[str, str]) -> bytes:
    if request["op"] == "status":
        return json.dumps(STATUS).encode() + b"\n"
    if request["host"] != "worker-1":
        error = f"{request['host']} is not a namespace host of this site."
        return json.dumps({"ok": False, "error": error}).encode() + b"\n"
    return json.dumps({"ok": True, "reason": f"{request['action']} holds."}).encode() + b"\n"


@pytest.fixture
def supervisor(mur: Mur, gateway: Gateway) -> Iterator[Supervisor]:
    made = Supervisor(obliging)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                made.asked.append(json.loads(line))
                self.wfile.write(made.answer(made.asked[-1]))
                if not made.answer(made.asked[-1]).endswith(b"\n"):
                    return

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
        yield made
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("action", ["kill", "freeze", "link-down", "partition"])
def test_breaking_a_host_says_what_holds_and_how_to_heal_it(
    mur: Mur, supervisor: Supervisor, action: str
) -> None:
    result = mur("lab", action, "worker-1")
    assert result == Result(0, f"{action} holds.\n`mur lab heal worker-1` heals it.\n", "")
    assert supervisor.asked == [{"op": "lab", "action": action, "host": "worker-1"}]


def test_a_partition_can_cut_one_way(mur: Mur, supervisor: Supervisor) -> None:
    assert mur("lab", "partition", "worker-1", "--direction", "from").code == 0
    assert supervisor.asked[-1]["direction"] == "from"


def test_healing_says_so(mur: Mur, supervisor: Supervisor) -> None:
    result = mur("lab", "heal", "worker-1")
    assert result.out == "heal holds.\n"
    assert supervisor.asked == [{"op": "lab", "action": "heal", "host": "worker-1"}]


def test_json_is_the_supervisor_s_answer(mur: Mur, supervisor: Supervisor) -> None:
    assert mur("lab", "kill", "worker-1", "--json").out == '{"ok": true, "reason": "kill holds."}\n'
    assert json.loads(mur("lab", "list", "--json").out) == STATUS


def test_the_list_shows_what_is_broken(mur: Mur, supervisor: Supervisor) -> None:
    result = mur("lab", "list", COLUMNS="80")
    assert result.out.splitlines() == [
        "HOST         ORIGIN                 BROKEN",
        "lab-machine  machine, observe-only  no",
        "worker-1     namespace              kill, link-down",
        "worker-2     simulated              no",
    ]


def test_a_site_without_hosts_is_a_sentence(mur: Mur, supervisor: Supervisor) -> None:
    supervisor.answer = lambda _request: b'{"ok": true, "hosts": []}\n'
    assert mur("lab", "list").out == "This site runs no hosts of its own.\n"


def test_a_refusal_is_the_supervisor_s_sentence(mur: Mur, supervisor: Supervisor) -> None:
    result = mur("lab", "kill", "controller-7")
    assert (result.code, result.out) == (1, "")
    assert "controller-7 is not a namespace host of this site." in result.err


def test_a_supervisor_that_hangs_up_is_not_reachable(mur: Mur, supervisor: Supervisor) -> None:
    supervisor.answer = lambda _request: b'{"ok": tr'
    result = mur("lab", "kill", "worker-1")
    assert (result.code, result.out) == (3, "")
    assert "hung up before it had answered" in result.err


def test_a_supervisor_that_is_gone_is_not_reachable(mur: Mur, supervisor: Supervisor) -> None:
    (mur.home / "control").unlink()
    result = mur("lab", "kill", "worker-1")
    assert result.code == 3
    assert "cannot be reached at" in result.err


def test_the_lab_needs_a_site_on_this_machine(mur: Mur, tmp_path: Path) -> None:
    assert mur("lab", "kill", "worker-1").code == 2
    (tmp_path / "site.json").write_text('{"url": "http://127.0.0.1:1", "token": ""}')
    result = mur("lab", "list", "--site", str(tmp_path))
    assert result.code == 2
    assert "This site has no control socket." in result.err
