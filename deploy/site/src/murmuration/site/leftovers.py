"""What a supervisor that was killed may have left: processes, found by the mark they bear.

Children ask the kernel to be ended with their parent, so there is seldom any. A process is ours
when its environment names our state folder, or when it works in our PostgreSQL's data folder
(PostgreSQL writes its titles over its environment).
"""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from murmuration.site.process import MARK

GRACE_S = 3.0  # children of a dead supervisor are on their way out
KILLED_S = 5.0


def find(state: Path, data: Sequence[Path]) -> list[int]:
    """The pids of processes of this state folder, without the one that asks."""
    mark = f"{MARK}={state}".encode()
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            ours = mark in (entry / "environ").read_bytes().split(b"\0")
            ours = ours or (entry / "cwd").readlink() in data
        except OSError:
            continue  # another's, or gone
        if ours:
            found.append(int(entry.name))
    return found


def sweep(state: Path, data: Sequence[Path]) -> int:
    """Wait for them to end, then end them; how many had to be killed. For the lock's holder.

    Blocks for a few seconds at most: nothing runs yet when it is called.
    """
    deadline = time.monotonic() + GRACE_S
    while find(state, data) and time.monotonic() < deadline:
        time.sleep(0.05)
    stubborn = find(state, data)
    for pid in stubborn:
        _kill(pid)
    deadline = time.monotonic() + KILLED_S
    while find(state, data) and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(stubborn)


def end(state: Path) -> int:
    """End at once whatever bears the mark: what agents started outlives them; how many it was."""
    left = find(state, ())
    for pid in left:
        _kill(pid)
    return len(left)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
