"""Traces of how boots end: the agent's own note, the kernel's records, the watchdog's."""

import contextlib
from pathlib import Path

import msgspec

from murmuration.node.core.ending import BootNote, Trace
from murmuration.runtime.files import read_private, write_private

NOTE = "boot.json"
ENDING = "ending"  # read by the heartbeat sender: `<boot id> <kind>`
FILES_MAX = 64
TEXT_BYTES_MAX = 65_536
WATCHDOG_RECORD = "bite"  # murmuration-watchdog writes it: boot id, a space, the reason


def read_note(folder: Path) -> BootNote | None:
    """The note of the boot that was last told of; None when there is none that can be read."""
    raw = read_private(folder / NOTE)
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(raw, type=BootNote) if raw else None
    return None


def write_note(folder: Path, note: BootNote) -> None:
    """Keep a note. Raises OSError."""
    write_private(folder / NOTE, msgspec.json.encode(note))


def write_ending(folder: Path, boot_id: str, kind: str) -> None:
    """Tell the heartbeat sender how this boot ends, so that its last frames say so."""
    write_private(folder / ENDING, f"{boot_id} {kind}\n".encode())


def kernel_records(folder: Path) -> list[Trace]:
    """What the kernel left of panics (pstore, or systemd's archive of it), oldest first."""
    try:
        files = [path for path in folder.rglob("*") if path.is_file()]
        files.sort(key=lambda path: (path.stat().st_mtime, path.name))
    except OSError:
        return []
    return [_trace(folder, path) for path in files[-FILES_MAX:]]


def _trace(folder: Path, path: Path) -> Trace:
    try:
        found = path.stat()
        with path.open("rb") as file:
            data = file.read(TEXT_BYTES_MAX)
    except OSError:
        return Trace(key=str(path.relative_to(folder)), text="")
    key = f"{path.relative_to(folder)}:{found.st_size}:{int(found.st_mtime)}"
    return Trace(key=key, text=data.decode("utf-8", "replace"))


def watchdog_record(folder: Path) -> tuple[str, str]:
    """(boot id, reason) of a bite; empty when there was none."""
    try:
        text = (folder / WATCHDOG_RECORD).read_text("utf-8", "replace")[:4_096]
    except OSError:
        return "", ""
    boot_id, _, reason = text.strip().partition(" ")
    return boot_id, reason
