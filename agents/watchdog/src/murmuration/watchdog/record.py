"""Why the watchdog was left to bite: a small file, on disk before it bites.

`<boot id> <reason>`; read after the next boot by the host's agent, and by this process when it is
started anew in the same boot: a bite that was decided stays decided.
"""

import os

NAME = "bite"


def write(folder: str, boot_id: str, reason: str) -> None:
    """Replace the record, synced with its folder. Raises OSError."""
    draft = os.path.join(folder, f".{NAME}.new")  # noqa: PTH118  pathlib costs a megabyte
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, f"{boot_id} {reason}\n".encode("utf-8", "replace"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(draft, os.path.join(folder, NAME))  # noqa: PTH104, PTH118
    _sync(folder)


def read(folder: str) -> tuple[str, str]:
    """(boot id, reason); empty when there is none."""
    try:
        descriptor = os.open(os.path.join(folder, NAME), os.O_RDONLY | os.O_CLOEXEC)  # noqa: PTH118
    except OSError:
        return "", ""
    try:
        text = os.read(descriptor, 4_096).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
    boot_id, _, reason = text.strip().partition(" ")
    return boot_id, reason


def remove(folder: str) -> None:
    """Take it back. Raises OSError."""
    try:
        os.unlink(os.path.join(folder, NAME))  # noqa: PTH108, PTH118
    except FileNotFoundError:
        return
    _sync(folder)


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
