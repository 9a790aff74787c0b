"""Filesystems: how full they are, and whether a write still comes through.

A filesystem that hangs, hangs whoever touches it: each is looked at by a thread of its own, and the
agent only looks at what the thread has last seen. A thread that does not come back is not replaced:
the filesystem is stalled until it does.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from murmuration.node.board import Board, Finding
from murmuration.node.config import FilesystemsSection
from murmuration.node.core.resources import fill_percent
from murmuration.node.core.thresholds import Level, Limit, judge
from murmuration.proto.fm import Severity
from murmuration.proto.node import ConditionKind, Reading

PROBE = ".murmuration-probe"
PROBE_BYTES = 4_096
KINDS = (ConditionKind.FILESYSTEM, ConditionKind.STALL)
log = structlog.get_logger()


class Look:
    """One thing that is looked at again and again by a thread that may hang in it."""

    def __init__(self, name: str, work: Callable[[], float], every_s: float) -> None:
        self.name = name
        self.value: float | None = None
        self.fault = ""
        self._work = work
        self._every_s = every_s
        self._began: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"look {name}", daemon=True)

    def start(self) -> None:
        """Begin looking."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a look that hangs is left behind."""
        self._ended.set()

    def hangs_s(self) -> float:
        """How long the present look takes already; 0 between two looks."""
        began = self._began
        return time.monotonic() - began if began is not None else 0.0

    def _run(self) -> None:
        while not self._ended.is_set():
            self._began = time.monotonic()
            try:
                self.value = self._work()
                self.fault = ""
            except OSError as error:
                self.value, self.fault = None, error.strerror or str(error)
            self._began = None
            self._ended.wait(self._every_s)


def fill_of(path: str) -> float:
    """How full the filesystem of `path` is, in percent. Raises OSError."""
    found = os.statvfs(path)
    return fill_percent(blocks=found.f_blocks, free=found.f_bfree, available=found.f_bavail) or 0.0


def write_probe(folder: str) -> float:
    """Write, sync, read back and remove a file in `folder`; the seconds it took. Raises OSError."""
    path = Path(folder) / PROBE
    began = time.monotonic()
    content = os.urandom(PROBE_BYTES)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
        if os.pread(descriptor, PROBE_BYTES, 0) != content:
            raise OSError("what was written is not what is read")
    finally:
        os.close(descriptor)
    path.unlink()
    return time.monotonic() - began


async def watch_filesystems(
    section: FilesystemsSection, board: Board, *, probe: Callable[[str], float] = write_probe
) -> None:
    """Look at all filesystems for ever; never waits for one."""
    fills = [Look(path, lambda path=path: fill_of(path), section.every_s) for path in section.paths]
    probes = [
        Look(path, lambda path=path: probe(path), section.every_s) for path in section.probe_dirs
    ]
    levels = {look.name: Level() for look in fills}
    limits = (
        Limit(severity=Severity.MAJOR, at=section.major_percent),
        Limit(severity=Severity.CRITICAL, at=section.critical_percent),
    )
    for look in (*fills, *probes):
        look.start()
    try:
        while True:
            await asyncio.sleep(min(section.every_s, section.stall_after_s / 2))
            findings = [_stalled(look, section.stall_after_s) for look in (*fills, *probes)]
            for look in fills:
                if look.value is not None:
                    levels[look.name] = judge(
                        levels[look.name],
                        look.value,
                        limits,
                        samples=section.samples,
                        slack=section.clear_below,
                    )
                findings.append(_full(look, levels[look.name].severity))
            board.put_readings("filesystems", [r for f in fills if (r := _reading(f, levels))])
            unique = {(f.kind, f.name): f for f in findings if f is not None}
            await board.put("filesystems", KINDS, unique.values())
    finally:
        for look in (*fills, *probes):
            look.stop()


def _stalled(look: Look, after_s: float) -> Finding | None:
    hangs_s = look.hangs_s()
    if hangs_s >= after_s:
        reason = f"{look.name} has not answered for {after_s:g} s: it hangs"
        return Finding(ConditionKind.STALL, look.name, Severity.CRITICAL, reason)
    if look.fault:
        reason = f"{look.name} cannot be used: {look.fault}"
        return Finding(ConditionKind.STALL, look.name, Severity.MAJOR, reason)
    return None


def _full(look: Look, severity: Severity | None) -> Finding | None:
    if severity is None:
        return None
    reason = f"{look.name} is {look.value} % full, over its {severity.value} threshold"
    return Finding(ConditionKind.FILESYSTEM, look.name, severity, reason)


def _reading(look: Look, levels: dict[str, Level]) -> Reading | None:
    if look.value is None:
        return None
    return Reading(
        kind=ConditionKind.FILESYSTEM,
        name=look.name[:128],
        value=look.value,
        unit="%",
        severity=levels[look.name].severity,
    )
