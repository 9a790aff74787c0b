"""Which files of a folder are run as this host's scripts, and what came of them.

A script runs as root, so only root may have been able to write it: it belongs to root, and neither
its group nor others may write it or the folder it lies in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from murmuration.proto.node import ScriptFailure

OWNERS = (0,)
FORMAT, REGULAR, FOLDER = 0o170000, 0o100000, 0o040000  # of st_mode, inode(7)
FAILURES_MAX = 32
REASON_MAX = 1_024


@dataclass(frozen=True, kw_only=True, slots=True)
class FileMode:
    """What the kernel says of a file, links followed."""

    mode: int
    owner: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ScriptResult:
    """How one script ended; `reason` is empty when it succeeded."""

    script: str
    reason: str = ""


def distrust(name: str, found: FileMode | None, *, owners: Sequence[int] = OWNERS) -> str:
    """Why a file must not be run, in one clause; empty when it may be."""
    if found is None:
        return f"{name} is not there"
    if found.mode & FORMAT != REGULAR:
        return f"{name} is not a file"
    if not found.mode & 0o100:
        return f"{name} is not executable"
    return _writable(name, found, owners)


def distrust_folder(name: str, found: FileMode | None, *, owners: Sequence[int] = OWNERS) -> str:
    """Why nothing in a folder is run, in one clause; empty when it may be."""
    if found is None:
        return f"{name} is not there"
    if found.mode & FORMAT != FOLDER:
        return f"{name} is not a folder"
    return _writable(name, found, owners)


def _writable(name: str, found: FileMode, owners: Sequence[int]) -> str:
    if found.owner not in owners:
        return f"{name} belongs to user {found.owner}, not to root"
    if found.mode & 0o022:
        return f"{name} can be written by others than its owner"
    return ""


def failures_of(results: Sequence[ScriptResult]) -> tuple[ScriptFailure, ...]:
    """The scripts that did not succeed, as they are told."""
    return tuple(
        ScriptFailure(script=each.script[:128], reason=each.reason[:REASON_MAX])
        for each in results
        if each.reason
    )[:FAILURES_MAX]
