"""How a boot ended, from the traces that are left of it.

Dying is told from being lost: a kernel that panicked leaves a record, a watchdog that was left to
bite leaves its reason, an orderly end leaves a note; what left nothing was lost (power, reset, or a
hang without a trace).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from murmuration.proto.node import EndKind, PreviousEnd

RECORD_CHARACTERS_MAX = 4_096
SEEN_MAX = 256


class BootNote(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent keeps of a boot, once it was told of; and how it said that it would end."""

    boot_id: str
    ending: EndKind | None = None
    seen: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """A record of the kernel's: what tells it from others, and its text."""

    key: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What is to be told of the boot before, and the note to keep of this one."""

    note: BootNote
    previous_boot_id: str = ""
    previous_end: PreviousEnd | None = None
    record: str = ""


def look_back(
    note: BootNote | None,
    boot_id: str,
    *,
    traces: Iterable[Trace],
    watchdog: tuple[str, str],
) -> Finding:
    """What became of the boot before `boot_id`; `watchdog` is (boot id, reason) of its record.

    Nothing is to be told (`previous_end` is None) when this boot has been told of already.
    """
    found = list(traces)
    seen = tuple(trace.key for trace in found)[-SEEN_MAX:]
    if note is not None and note.boot_id == boot_id:
        return Finding(note=note)
    fresh = [t for t in found if note is None or t.key not in note.seen]
    after = BootNote(boot_id=boot_id, seen=seen)
    if note is None:
        return Finding(note=after, previous_end=PreviousEnd.FIRST_BOOT)
    text = ""
    if fresh:
        end, text = PreviousEnd.PANIC, fresh[-1].text[-RECORD_CHARACTERS_MAX:]
    elif watchdog[0] and watchdog[0] == note.boot_id:
        end, text = PreviousEnd.WATCHDOG, watchdog[1][:RECORD_CHARACTERS_MAX]
    elif note.ending in (EndKind.REBOOTING, EndKind.POWERING_OFF):
        end = PreviousEnd.ORDERLY
    else:
        end = PreviousEnd.LOST
    return Finding(note=after, previous_boot_id=note.boot_id, previous_end=end, record=text)


def kind_of_jobs(text: str) -> EndKind:
    """What the system manager is about to do, from its list of jobs (systemctl list-jobs)."""
    units = {word for line in text.splitlines() for word in line.split()[:3]}
    if units & {"reboot.target", "kexec.target", "soft-reboot.target"}:
        return EndKind.REBOOTING
    if units & {"poweroff.target", "halt.target"}:
        return EndKind.POWERING_OFF
    return EndKind.AGENT_STOPPING
