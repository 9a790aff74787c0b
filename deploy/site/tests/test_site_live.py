"""A whole site, as a newcomer starts it: real processes, namespaces, bus and databases.

Slow for what it is (about ten processes of Python each), so few tests that each tell a long story.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from murmuration.site import control, layout, network
from murmuration.site.layout import Layout
from murmuration.site.process import MARK

COMMAND = (sys.executable, "-m", "murmuration.site")
DEADLINE_S = 90.0  # a shared machine with everything else running


class LiveSite:
    """One state folder, and the command run with it."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.environment = {**os.environ, "MUR_STATE_DIR": str(folder / "state")}
        self.environment["XDG_CONFIG_HOME"] = str(folder / "config")
        self.place: Layout = layout.find(self.environment)
        self.prefix = prefix

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment, capture_output=True, text=True, check=False, timeout=DEADLINE_S,
        )  # fmt: skip

    def up(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        options = ("--port", "0", "--ready-timeout-s", "80", "--prefix", self.prefix)
        return self.command("up", "--detach", *options, *arguments)

    def status(self) -> dict[str, Any]:
        said = self.command("status", "--json")
        return cast(dict[str, Any], json.loads(said.stdout))

    def pid(self, process: str) -> int:
        found = control.ask(self.place.control, {"op": "status"})["processes"]
        return int(next(each["pid"] for each in found if each["name"] == process))

    def lab(self, action: str, host: str) -> dict[str, Any]:
        return control.ask(self.place.control, {"op": "lab", "action": action, "host": host})

    def host(self, name: str) -> dict[str, Any]:
        found = json.loads(self.place.site_json.read_text())
        request = urllib.request.Request(
            f"{found['url']}/api/v1/hosts/{name}",
            headers={"Authorization": f"Bearer {found['token']}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return cast(dict[str, Any], json.loads(answer.read()))

    def processes(self) -> list[int]:
        """Every living process that bears this site's mark."""
        mark = f"{MARK}={self.place.state}".encode()
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    def namespaces(self) -> list[str]:
        folder = Path(network.NAMESPACES)
        return [path.name for path in folder.glob(f"{self.prefix}-*")]

    def is_gone(self) -> bool:
        """Whether nothing is left, at once or soon: what was killed may still be going."""
        deadline = time.monotonic() + 20
        while self.processes() or self.namespaces():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def logs(self) -> str:
        """The ends of all logs, for the message of a failed test."""
        files = sorted(self.place.logs.glob("*.log"))
        return "\n".join(f"== {file.name}\n{file.read_text()[-1500:]}" for file in files)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LiveSite]:
    assert os.geteuid() == 0, "run as root: hosts are network namespaces"
    found = LiveSite(tmp_path, f"mur-l{os.getpid()}")
    yield found
    found.command("down", "--wipe")
    shutil.rmtree(found.place.run, ignore_errors=True)


def eventually(holds: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not reached"
        time.sleep(0.05)


@pytest.mark.timeout(400)  # a story of many starts and stops
def test_site_lives_breaks_heals_and_leaves_nothing(site: LiveSite) -> None:
    hosts = ("--hosts", "controllers=1,workers=1")
    said = site.up(*hosts)
    assert said.returncode == 0, said.stderr + said.stdout + site.logs()
    assert "http://127.0.0.1:" in said.stdout.splitlines()[-1]
    first = site.host("worker-1")
    token = json.loads(site.place.site_json.read_text())["token"]
    supervisor = check_status(site)
    check_kill_and_heal(site)
    check_reboot(site)
    check_other_faults(site)
    check_what_cannot_be_broken(site)
    check_processes_come_back(site)
    check_second_up_and_logs(site)

    # the supervisor killed: nothing of it stays
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not site.processes(), "children gone")
    assert site.command("status").returncode == 3

    # killed again at any moment of the next starts; the one after works on the same state
    for moment in ("supervisor.started", '"process": "nats"', '"process": "provision"', "mtce"):
        interrupt_up(site, moment, *hosts)
    said = site.up(*hosts)
    assert said.returncode == 0, said.stderr + said.stdout + site.logs()
    assert json.loads(site.place.site_json.read_text())["token"] == token
    assert site.host("worker-1")["index"] == first["index"]

    # down keeps the state, --wipe removes it
    assert site.command("down").returncode == 0
    assert site.is_gone() and site.place.site_toml.exists()
    assert not site.place.site_json.exists()
    assert site.command("down", "--wipe").returncode == 0
    assert not site.place.state.exists()
    assert not site.place.run.exists()


def check_status(site: LiveSite) -> int:
    """Everything is ready and said so; the supervisor is small. Its pid."""
    status = site.status()
    assert status["running"] and status["ready"] and status["namespaces"]
    assert {each["phase"] for each in status["processes"]} == {"ready", "done"}
    origins = {each["name"]: each["origin"] for each in status["hosts"]}
    assert origins["worker-1"] == "namespace"
    assert list(origins.values()).count("machine") == 1
    names = [f"{site.prefix}-{name}" for name in ("controller-0", "site", "worker-1")]
    assert sorted(site.namespaces()) == names
    pss = Path(f"/proc/{status['pid']}/smaps_rollup").read_text()
    assert int(pss.partition("Pss:")[2].split()[0]) < 25_000  # kB
    said = site.command("status").stdout
    assert "worker-1.pulse" in said and "observe-only" in said
    return int(status["pid"])


def check_kill_and_heal(site: LiveSite) -> None:
    """Dead until healed, then a new boot."""
    before = site.host("worker-1")
    assert (before["heartbeat"], before["origin"]) == ("well", "namespace")
    assert site.lab("kill", "worker-1")["ok"]
    eventually(lambda: site.host("worker-1")["heartbeat"] == "lost", "worker-1 lost")
    eventually(lambda: site.host("worker-1")["availability"] == "failed", "worker-1 failed")
    assert site.lab("heal", "worker-1")["ok"]
    eventually(lambda: site.host("worker-1")["heartbeat"] == "well", "worker-1 well")
    eventually(lambda: site.host("worker-1")["boot_id"] != before["boot_id"], "a new boot")


def check_reboot(site: LiveSite) -> None:
    """Another boot, by the program that the host's own agent runs when it is ordered to."""
    before = site.host("worker-1")["boot_id"]
    program = tomllib.loads((site.place.hosts / "worker-1" / "node.toml").read_text())
    argv = program["maintenance"]["reboot"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={})
    assert (done.returncode, done.stderr) == (0, "")
    eventually(lambda: site.host("worker-1")["boot_id"] != before, "a new boot")
    eventually(lambda: site.host("worker-1")["heartbeat"] == "well", "worker-1 well")


def check_other_faults(site: LiveSite) -> None:
    """Lost while it lasts, the same boot afterwards, shown in the status.

    However long it lasts: no order to restart it waits until it can be reached again.
    """
    boot = site.host("controller-0")["boot_id"]
    for fault in ("freeze", "link-down", "partition"):
        assert site.lab(fault, "controller-0")["ok"]
        eventually(lambda: site.host("controller-0")["heartbeat"] == "lost", "lost")
        shown = {each["name"]: each["faults"] for each in site.status()["hosts"]}
        assert shown["controller-0"] == [fault] and shown["worker-1"] == []
        assert site.lab("heal", "controller-0")["ok"]
        eventually(lambda: site.host("controller-0")["heartbeat"] == "well", "well")
        eventually(lambda: site.host("controller-0")["availability"] == "available", "available")
        assert site.host("controller-0")["boot_id"] == boot


def check_what_cannot_be_broken(site: LiveSite) -> None:
    """This machine, nobody, and by no unknown fault: one sentence each."""
    hosts = site.status()["hosts"]
    machine = next(each["name"] for each in hosts if each["observe_only"])
    assert "only observed" in site.lab("kill", machine)["error"]
    assert "no host 'nobody'" in site.lab("kill", "nobody")["error"]
    assert "no fault 'tickle'" in site.lab("tickle", "worker-1")["error"]


def check_processes_come_back(site: LiveSite) -> None:
    """Whatever is killed."""
    for process in ("fm", "nats", "postgres", "worker-1.pulse"):
        before = site.pid(process)
        os.kill(before, signal.SIGKILL)
        eventually(lambda p=process, b=before: site.pid(p) not in (0, b), f"{process} again")
    eventually(lambda: all_ready(site), "all ready again")


def check_second_up_and_logs(site: LiveSite) -> None:
    """A second `up` is refused and harms nothing; logs are there."""
    said = site.up()
    assert said.returncode == 2
    assert said.stderr.startswith("murmuration: A site is already running in ")
    assert all_ready(site)
    assert "Server is ready" in site.command("logs", "nats").stdout
    said = site.command("logs", "nobody")
    assert said.returncode == 2 and "There is no log of 'nobody'" in said.stderr


def interrupt_up(site: LiveSite, moment: str, *options: str) -> None:
    """Start, and kill the supervisor once its journal tells of `moment`."""
    journal = site.place.log_of("supervisor")
    seen = journal.stat().st_size
    process = subprocess.Popen(
        [*COMMAND, "up", "--detach", "--port", "0", "--prefix", site.prefix, *options],
        env=site.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        eventually(lambda: moment in journal.read_text()[seen:], moment)
        pid = layout.holder(site.place.lock)
        assert pid
        os.kill(pid, signal.SIGKILL)
        _, err = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "ended (killed by SIGKILL) before the site was ready" in err


def all_ready(site: LiveSite) -> bool:
    found = control.ask(site.place.control, {"op": "status"})["processes"]
    return {each["phase"] for each in found} == {"ready", "done"}


def test_compact_site_in_the_foreground_stops_in_order_at_ctrl_c(site: LiveSite) -> None:
    options = ("--port", "0", "--prefix", site.prefix, "--hosts", "0", "--compact")
    process = subprocess.Popen(
        [*COMMAND, "up", *options],
        env=site.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        eventually(site.place.site_json.exists, "site.json")
        eventually(lambda: site.status().get("ready") or process.poll() is not None, "ready")
        found = {each["name"] for each in site.status()["processes"]}
        assert {"services", "nats", "postgres"} <= found and "fm" not in found
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    assert process.returncode == 0, err + site.logs()
    assert "http://127.0.0.1:" in out and "stopping" in out
    assert site.is_gone()
    journal = site.place.log_of("supervisor").read_text()
    assert "process.killed" not in journal
    ended = [
        json.loads(line)["process"] for line in journal.splitlines() if "process.ended" in line
    ]
    assert ended[-3:] == ["services", "nats", "postgres"]


def test_site_without_root_simulates_its_hosts_and_says_so(site: LiveSite) -> None:
    """Not root: in a user namespace, where this user's files are still within reach."""
    plain = ("unshare", "--user", "--map-user=65534", "--map-group=65534", *COMMAND)
    site.environment.pop("XDG_RUNTIME_DIR", None)

    def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*plain, *arguments],
            env=site.environment, capture_output=True, text=True, check=False, timeout=DEADLINE_S,
        )  # fmt: skip

    options = ("--port", "0", "--ready-timeout-s", "80", "--hosts", "2", "--detach")
    try:
        said = command("up", *options)
        assert said.returncode == 0, said.stderr + said.stdout + site.logs()
        status = json.loads(command("status", "--json").stdout)
        assert not status["namespaces"]
        origins = {each["name"]: each["origin"] for each in status["hosts"]}
        assert origins.pop("controller-0") == origins.pop("controller-1") == "simulated"
        assert list(origins.values()) == ["machine"]
        assert site.host("controller-1")["origin"] == "simulated"
        told = json.loads(site.place.site_json.read_text())
        site.place = replace(site.place, run=Path(told["control"]).parent)

        # broken stays broken, even when the simulator itself is killed
        assert site.lab("kill", "controller-1")["ok"]
        eventually(lambda: site.host("controller-1")["heartbeat"] == "lost", "lost")
        before = site.pid("sim")
        os.kill(before, signal.SIGKILL)
        eventually(lambda: all_ready(site) and site.pid("sim") != before, "the simulator again")
        eventually(lambda: site.host("controller-0")["heartbeat"] == "well", "the other one well")
        assert site.host("controller-1")["heartbeat"] == "lost"
        eventually(lambda: site.lab("heal", "controller-1")["ok"], "healed")
        eventually(lambda: site.host("controller-1")["heartbeat"] == "well", "well")
    finally:
        assert command("down", "--wipe").returncode == 0
    assert site.is_gone()


def test_port_in_use_is_said_before_anything_starts(site: LiveSite) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = site.command("up", "--detach", "--port", str(port))
    assert said.returncode == 2
    assert said.stderr == (
        f"murmuration: Port {port} on 127.0.0.1 is in use. "
        "Stop what listens there, or choose others with --port.\n"
    )
    assert not (site.place.state / "postgres").exists()
    assert site.is_gone()


def test_key_that_does_not_exist_is_said_and_nothing_is_made(site: LiveSite) -> None:
    file = Path(site.environment["XDG_CONFIG_HOME"]) / "murmuration" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[gateway]\nprot = 1\n")
    said = site.command("up", "--detach")
    assert said.returncode == 2
    assert "there is no key 'prot' in [gateway]" in said.stderr
    assert not site.place.state.exists()


def test_configuration_a_service_cannot_use_ends_the_start(site: LiveSite) -> None:
    site.environment["MUR_SYSINV_PULSE_PERIOD_MS"] = "7"
    said = site.up("--hosts", "0")
    assert said.returncode == 2, said.stderr + site.logs()
    assert "cannot use its configuration" in said.stderr and "pulse_period_ms" in said.stderr
    assert site.is_gone()


def test_environment_that_overrides_wrongly_is_said_before_services_start(site: LiveSite) -> None:
    site.environment["MUR_STORE_PORT"] = "many"
    said = site.up("--hosts", "0")
    assert said.returncode == 2, said.stderr + site.logs()
    assert "[store]" in said.stderr and "port" in said.stderr
    assert not site.place.log_of("fm").exists()
    assert site.is_gone()


def test_site_that_is_not_ready_in_time_says_why_and_is_stopped(site: LiveSite) -> None:
    said = site.up("--hosts", "1", "--ready-timeout-s", "1")
    assert said.returncode == 1
    assert said.stderr.startswith("murmuration: Not ready after 1 s: ")
    assert str(site.place.logs) in said.stderr
    assert site.is_gone()
    assert site.command("status").returncode == 3


def test_missing_capability_is_said(site: LiveSite) -> None:
    said = subprocess.run(
        ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin",
         *COMMAND, "up", "--detach", "--port", "0"],
        env=site.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 2
    assert "need the capability CAP_NET_ADMIN" in said.stderr
    assert "--simulated" in said.stderr
