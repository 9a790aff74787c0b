"""`up --detach`: the supervisor as a forked copy in a session of its own, and a pipe to it.

A copy, because everything is imported already. Until the site is ready the command waits, shows
progress and passes Ctrl-C on; afterwards neither needs the other.
"""

import contextlib
import json
import os
import signal
import sys
from typing import Any, BinaryIO

from murmuration.site.layout import Layout
from murmuration.site.life import supervise
from murmuration.site.process import describe_exit
from murmuration.site.report import Pipe, Report
from murmuration.site.settings import Settings

EXIT_STOPPED = 1


def detach(place: Layout, settings: Settings, report: Report) -> int:
    """Start the supervisor and wait for its word; the command's exit code."""
    read_end, write_end = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _be_supervisor(place, settings, write_end)
    os.close(write_end)
    return _listen(read_end, pid, report)


def _be_supervisor(place: Layout, settings: Settings, pipe: int) -> None:
    """In the copy: leave the terminal, supervise, and end."""
    code = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        os.chdir("/")
        code = supervise(place, settings, Pipe(pipe))
    finally:
        os._exit(code)


def _listen(pipe: int, pid: int, report: Report) -> int:
    """Show what the supervisor says until it is ready or has failed."""
    code = EXIT_STOPPED
    with os.fdopen(pipe, "rb") as messages:
        while line := _next_line(messages, pid):
            message: dict[str, Any] = json.loads(line)
            if "say" in message:
                report.say(message["say"])
            elif "ready" in message:
                report.ready(message["ready"], message["seconds"])
                return 0
            else:
                code = int(message["exit_code"])
                report.failed(message["failed"], code)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == EXIT_STOPPED:
        ended = "was stopped" if status == 0 else f"ended ({describe_exit(status)})"
        report.failed(f"The supervisor {ended} before the site was ready.", code)
    return code


def _next_line(messages: BinaryIO, pid: int) -> bytes:
    """The next message; Ctrl-C is for the supervisor, whose end is then awaited. b"": the end."""
    while True:
        try:
            return messages.readline()
        except KeyboardInterrupt:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
