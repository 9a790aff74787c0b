"""The supervisor process from start to end: the lock, signals, the control socket, one site.

Whatever happens in between, what was started is stopped, and the error that caused it is returned
as it is: the caller says it and chooses the exit code.
"""

import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from murmuration.site import control, layout, leftovers, network, postgres
from murmuration.site.errors import Refused, SiteError
from murmuration.site.layout import Layout, SiteLock
from murmuration.site.report import Report
from murmuration.site.settings import Settings
from murmuration.site.site import Site

OPEN_FILES = 65_536  # what NATS and PostgreSQL inherit, where the system allows it
FAILURE_EXIT_CODE = 1


def supervise(place: Layout, settings: Settings, report: Report) -> int:
    """Be the supervisor until told to stop; the process' exit code."""
    os.umask(0o077)
    _keep_descriptors_to_ourselves()
    lock = SiteLock(place.lock)
    try:
        layout.make(place)
        holder = lock.acquire()
        if holder is not None:
            raise already_running(place, holder)
        _raise_limit()
        site = Site(place, settings, report)
        swept = leftovers.sweep(place.state, postgres.data_folders(place))
        site.journal.log("supervisor.started", pid=os.getpid(), swept=swept)
        site.open_door()
        return asyncio.run(_live(site, place, report))
    except SiteError as error:
        report.failed(str(error), error.exit_code)
        return error.exit_code
    except OSError as error:
        report.failed(f"The system does not let a site start: {error}.", FAILURE_EXIT_CODE)
        return FAILURE_EXIT_CODE
    finally:
        lock.release()


def already_running(place: Layout, pid: int) -> Refused:
    """The error for a second `up`."""
    return Refused(
        f"A site is already running in {place.state} (pid {pid}).",
        "Stop it with `down`, or give this one another MUR_STATE_DIR.",
    )


async def _live(site: Site, place: Layout, report: Report) -> int:
    stop = asyncio.Event()
    _on_signals(site, stop)
    server = await control.serve(place.control, _handler(site, stop))
    error: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(site.supervisor.run(), name="supervisor")
            try:
                if await _unless(stop, site.bring_up):
                    site.report_ready()
                    keeping = group.create_task(site.keep_certificates(), name="certificates")
                    await stop.wait()
                    keeping.cancel()
            except BaseException as caught:
                error = caught
            report.say("stopping")
            await site.take_down()
    except BaseExceptionGroup as caught:
        if error is None or isinstance(error, asyncio.CancelledError):
            error = caught
    finally:
        server.close()
        place.control.unlink(missing_ok=True)
    return _end(site, error, report)


def _end(site: Site, error: BaseException | None, report: Report) -> int:
    """Say what ended the site; the exit code."""
    if error is None:
        return 0
    cause = _first_cause(error)
    if isinstance(cause, SiteError):
        site.journal.log("site.failed", reason=str(cause))
        report.failed(str(cause), cause.exit_code)
        return cause.exit_code
    site.journal.log("supervisor.failed", error="".join(traceback.format_exception(error)))
    report.failed(
        f"The supervisor failed ({type(cause).__name__}: {cause}). Its log is {site.journal.path}.",
        FAILURE_EXIT_CODE,
    )
    return FAILURE_EXIT_CODE


def _first_cause(error: BaseException) -> BaseException:
    """The first error of a group, preferring one that says what to do."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    causes = [_first_cause(each) for each in error.exceptions]
    return next((each for each in causes if isinstance(each, SiteError)), causes[0])


async def _unless(stop: asyncio.Event, work: Callable[[], Awaitable[None]]) -> bool:
    """Do `work` unless `stop` comes first: then it is cancelled and the answer is False."""
    finished = False

    async def do() -> None:
        nonlocal finished
        await work()
        finished = True

    async with asyncio.TaskGroup() as group:
        working = group.create_task(do(), name="bring up")
        stopping = group.create_task(stop.wait(), name="stop")
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        stopping.cancel()
    return finished


def _on_signals(site: Site, stop: asyncio.Event) -> None:
    """The first signal stops in order, the next one at once."""

    def ask() -> None:
        if stop.is_set():
            site.supervisor.kill()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, ask)


def _handler(site: Site, stop: asyncio.Event) -> control.Handler:
    async def handle(request: dict[str, Any]) -> dict[str, Any]:
        match request.get("op"):
            case "status":
                return site.status()
            case "stop":
                stop.set()
                return {"pid": os.getpid()}
            case "lab":
                sentence = await site.act(
                    str(request.get("action", "")),
                    str(request.get("host", "")),
                    str(request.get("direction", "both")),
                )
                return {"reason": sentence}
            case "nats-user":
                return await site.users(request)
            case "certs":
                return await site.certs(
                    str(request.get("action", "list")), hurry=bool(request.get("now"))
                )
            case other:
                known = "Known: status, stop, lab, nats-user, certs."
                raise Refused(f"There is no operation {other!r}.", known)

    return handle


def _keep_descriptors_to_ourselves() -> None:
    """What this process was given open, a script's lock perhaps, its children do not get."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        number = int(entry.name)
        if number > 2:
            with contextlib.suppress(OSError):
                os.set_inheritable(number, False)


def _raise_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def clean(place: Layout, *, wipe: bool = False) -> None:
    """Remove what a supervisor that was killed has left; `wipe`: and the whole state. Repeatable.

    Raises Refused when a site runs there.
    """
    if not place.state.is_dir():
        return
    lock = SiteLock(place.lock)
    holder = lock.acquire()
    if holder is not None:
        raise already_running(place, holder)
    try:
        leftovers.sweep(place.state, postgres.data_folders(place))
        if any(each.state == str(place.state) for each in network.records()):
            request = json.dumps({"op": "remove", "state": str(place.state)})
            subprocess.run([sys.executable, "-m", "murmuration.site.lab", request], check=True)
        place.site_json.unlink(missing_ok=True)
        if wipe:
            _wipe(place)
    finally:
        lock.release()


MADE = (
    "site.toml", "site.json", "postgres.json", "databases.sql", "credentials", "postgres",
    "postgres.new", "postgres.first", "nats", "hosts", "logs", "supervisor.lock",
)  # fmt: skip


def _wipe(place: Layout) -> None:
    """Remove only what this program makes, and the folder when nothing else is in it."""
    for path in (
        *(place.state / name for name in MADE),
        place.run,
        postgres.shared_folder(place),
    ):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if not any(place.state.iterdir()):
        place.state.rmdir()
