"""`python -m murmuration.site up|down|status|logs`: what a person types.

Errors are one sentence and what to do, on stderr. Exit codes: 0 well; 1 not ready in time (all is
stopped again); 2 refused (nothing was started); 3 there is no site to ask.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from murmuration.site import control, layout, life, settings
from murmuration.site.detach import detach
from murmuration.site.errors import NotRunning, Refused, SiteError
from murmuration.site.layout import Layout
from murmuration.site.report import Terminal

DOWN_S = 60.0  # more than all budgets of an ordered stop together
STOP_ANSWER_S = 5.0  # a supervisor that is frozen does not even answer
FOLLOW_EVERY_S = 0.2
LAST_LINES = 40
FLAGS = {
    "--compact": "all services in one process",
    "--simulated": "simulate the hosts, even as root",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what was typed; the exit code."""
    options = parser().parse_args(arguments)
    try:
        return int(options.do(layout.find(os.environ), options))
    except SiteError as error:
        Terminal(detached=True).failed(str(error), error.exit_code)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="murmuration.site",
        description="Run a live site on this machine. Its state is in $MUR_STATE_DIR, else in "
        "the XDG state directory, and survives down and up.",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_up(commands.add_parser("up", help="bring the site up and print the console's URL"))
    down = commands.add_parser("down", help="stop the site")
    down.add_argument("--wipe", action="store_true", help="and remove its state")
    down.set_defaults(do=do_down)
    status = commands.add_parser("status", help="what runs, and how it is")
    status.add_argument("--json", action="store_true", help="one JSON object")
    status.set_defaults(do=do_status)
    logs = commands.add_parser("logs", help="the log of one process")
    logs.add_argument("process", metavar="PROCESS", help="fm, gateway, nats, worker-1.node, …")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    logs.set_defaults(do=do_logs)
    return top


def _add_up(up: argparse.ArgumentParser) -> None:
    up.add_argument("--detach", action="store_true", help="return when the site is ready")
    up.add_argument(
        "--hosts",
        metavar="HOSTS",
        help="a number, names with commas, or controllers=2,workers=3; 0 is this machine alone",
    )
    up.add_argument("--port", type=int, help="of the console and API (8780); others follow it")
    up.add_argument("--name", help="of the site")
    for flag, meaning in FLAGS.items():
        up.add_argument(flag, help=meaning, action="store_const", const=True)
    up.add_argument("--prefix", help="of the network namespaces (mur)")
    up.add_argument("--accept", help="of new hosts: automatic or manual")
    up.add_argument("--log-level", help="debug, info, warning or error")
    up.add_argument("--ready-timeout-s", type=float, metavar="S", help="give up after (60)")
    up.add_argument("--config", type=Path, metavar="FILE", help="instead of config.toml (XDG)")
    up.set_defaults(do=do_up)


def do_up(place: Layout, options: argparse.Namespace) -> int:
    """Bring the site up; with --detach return when it is ready."""
    if sys.platform != "linux":
        raise Refused("A site runs on Linux only.", "Use a virtual machine or a container.")
    given = {name: getattr(options, name) for name in settings.CHECKS if hasattr(options, name)}
    named: Path | None = options.config
    chosen = settings.decide(
        given, named or layout.config_file(os.environ), file_must_exist=named is not None
    )
    report = Terminal(detached=options.detach)
    if options.detach:
        return detach(place, chosen, report)
    return life.supervise(place, chosen, report)


def do_down(place: Layout, options: argparse.Namespace) -> int:
    """Stop the site, if there is one, and remove what a dead one left; --wipe: and its state."""
    pid = layout.holder(place.lock)
    if pid is None:
        _print("No site is running.")
    else:
        _stop(place, pid)
    life.clean(place, wipe=options.wipe)
    if options.wipe:
        _print(f"Its state in {place.state} is removed.")
    return 0


def _stop(place: Layout, pid: int) -> None:
    """Ask the supervisor to stop, by signal when it does not listen, and wait until it has."""
    try:
        control.ask(place.control, {"op": "stop"}, timeout_s=STOP_ANSWER_S)
    except NotRunning:
        _signal(pid, signal.SIGTERM)
    if _is_over(place, DOWN_S):
        _print("The site is stopped.")
        return
    _signal(pid, signal.SIGKILL)  # what it started goes with it
    if not _is_over(place, DOWN_S):
        raise SiteError(f"The supervisor (pid {pid}) cannot be ended.", "Look at it.")
    _print(f"The supervisor did not stop in {DOWN_S:.0f} s and was killed.")


def _signal(pid: int, number: signal.Signals) -> None:
    if pid > 0:  # 0: it is in another pid namespace
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _is_over(place: Layout, at_most_s: float) -> bool:
    deadline = time.monotonic() + at_most_s
    while layout.holder(place.lock) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def do_status(place: Layout, options: argparse.Namespace) -> int:
    """What runs."""
    if layout.holder(place.lock) is None:
        if options.json:
            _print(json.dumps({"running": False}))
        raise NotRunning(f"No site is running in {place.state}.", "Start one with `up`.")
    answer = control.ask(place.control, {"op": "status"})
    if options.json:
        _print(json.dumps({"running": True, **answer}))
        return 0
    for line in describe(answer):
        _print(line)
    return 0


def describe(answer: dict[str, Any]) -> list[str]:
    """The status as lines for people."""
    state = "ready" if answer["ready"] else "not ready"
    lines = [f"{answer['name']}: {state}, {answer['url']}, up {answer['uptime_s']:.0f} s", ""]
    rows = [("PROCESS", "PHASE", "PID", "RESTARTS", "")]
    for each in answer["processes"]:
        note = f"last: {each['last_exit']}" if each["restarts"] else ""
        rows.append(
            (each["name"], each["phase"], str(each["pid"] or "-"), str(each["restarts"]), note)
        )
    lines += _table(rows)
    lines.append("")
    hosts = [("HOST", "ORIGIN", "ADDRESS", "FAULTS")]
    for each in answer["hosts"]:
        origin = each["origin"] + (", observe-only" if each["observe_only"] else "")
        hosts.append((each["name"], origin, each["address"], ", ".join(each["faults"]) or "-"))
    return lines + _table(hosts)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def do_logs(place: Layout, options: argparse.Namespace) -> int:
    """The end of a process' log, and with -f what comes."""
    path = place.log_of(options.process)
    if "/" in options.process or not path.exists():
        known = sorted(each.stem for each in place.logs.glob("*.log"))
        raise Refused(
            f"There is no log of {options.process!r}.",
            f"There are {', '.join(known)}." if known else "Nothing has run here yet.",
        )
    with path.open("rb") as file:
        lines = file.read().splitlines(keepends=True)
        _print_bytes(b"".join(lines if not options.follow else lines[-LAST_LINES:]))
        offset = file.tell()
    while options.follow:
        time.sleep(FOLLOW_EVERY_S)
        offset = _print_more(path, offset)
    return 0


def _print_more(path: Path, offset: int) -> int:
    """What has come since `offset`; a rotated file is begun from its start."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(offset if size >= offset else 0)
            _print_bytes(file.read())
            return file.tell()
    except FileNotFoundError:
        return 0


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _print_bytes(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
