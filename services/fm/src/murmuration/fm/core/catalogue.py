"""The catalogue of event ids: what each means, how bad it may be and what it does to a host.

A table of facts, read at start and validated whole: a row that is wrong is named, and nothing of
the table is used.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from murmuration.proto.fm_operators import CatalogueEntry, Reach
from murmuration.proto.fm_vocabulary import SEVERITY_RANK, AlarmType, ProbableCause, Severity
from murmuration.proto.ids import ALARM_ID

LETTERS = {
    "C": Severity.CRITICAL,
    "M": Severity.MAJOR,
    "m": Severity.MINOR,
    "w": Severity.WARNING,
}
REPAIRS = {
    "": "",
    "none": "Nothing is to be done.",
    "wait": "Wait: it ends by itself.",
    "monitor": "Watch whether it goes on; if so, look for what uses the resource.",
    "auto": "The platform recovers by itself; if it happens again, look at the hardware.",
    "unlock": "Unlock the host when the work on it is done.",
    "lock-unlock": "Lock the host and unlock it again.",
    "swact": "Move the services to the other controller.",
    "restore-peer": "Bring the other member of the group back into service.",
    "cable": "Check cable, far end and configuration of the link.",
    "connect": "Check the network between the two and whether the far side runs.",
    "bmc": "Check the board controller: address, credentials, network.",
    "reduce": "Reduce the load, or free or add space.",
    "reconfig": "Correct the configuration.",
    "retry": "Try again; if it fails again, look at the log of the operation.",
    "renew": "Renew it before it ends.",
    "cleanup": "Finish or delete what was left over.",
    "reinstall": "Install the host again with the right software.",
    "storage": "Check the disks and hosts of the storage cluster.",
    "vmop": "Act on the virtual machine, or confirm what waits.",
    "support": "Collect the logs and ask for help.",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the catalogue, with the profile, makes of an alarm with a severity."""

    severity: Severity
    management_affecting: bool
    degrade_affecting: bool
    suppressible: bool
    inhibits: bool
    quarantined: bool


class CatalogueError(ValueError):
    """The catalogue cannot be used; the message names the row and what is wrong."""


def reaches(severity: Severity, threshold: Reach) -> bool:
    """Whether an alarm of this severity reaches a threshold; `none` is never reached."""
    if threshold in (Reach.NONE, Reach.UNKNOWN):
        return False
    return SEVERITY_RANK[severity] >= SEVERITY_RANK[Severity(threshold.value)]


def judge(entry: CatalogueEntry | None, reported: Severity) -> Judgement:
    """What an alarm counts as; an id that the catalogue does not know affects nothing."""
    if entry is None or entry.kind != "alarm":
        return Judgement(reported, False, False, False, False, True)
    severity = entry.severity or reported
    return Judgement(
        severity=severity,
        management_affecting=reaches(severity, entry.management_reach),
        degrade_affecting=reaches(severity, entry.degrade_reach),
        suppressible=entry.suppressible,
        inhibits=entry.inhibits,
        quarantined=False,
    )


def parse(rows: Iterable[Mapping[str, str]]) -> Mapping[str, CatalogueEntry]:
    """The catalogue by id, from rows of words by column. Raises CatalogueError."""
    found: dict[str, CatalogueEntry] = {}
    for row in rows:
        place = row.get("id") or "a row without an id"
        try:
            entry = _entry(row)
        except (KeyError, ValueError, TypeError) as error:
            raise CatalogueError(f"catalogue, {place}: {error}") from error
        if entry.id in found:
            raise CatalogueError(f"catalogue, {place}: it is there twice")
        found[entry.id] = entry
    return found


def _entry(row: Mapping[str, str]) -> CatalogueEntry:
    severities = tuple(LETTERS[letter] for letter in row["severities"])
    service = tuple(LETTERS[letter] for letter in row["service"])
    flags, kind = row["flags"], row["kind"]
    types = tuple(AlarmType(word) for word in row["types"].split("/"))
    if not ALARM_ID.fullmatch(row["id"]):
        raise ValueError("its id is not GGG.EEE")
    if kind not in ("alarm", "log"):
        raise ValueError(f"{kind!r} is neither alarm nor log")
    if not severities or set(service) - set(severities) or set(flags) - set("SI"):
        raise ValueError("severities, service or flags are wrong")
    if AlarmType.UNKNOWN in types or not row["summary"]:
        raise ValueError("an event type is unknown or the summary is missing")
    reach = [Reach(row["management"]), Reach(row["degrade"])]
    if Reach.UNKNOWN in reach:
        raise ValueError("a threshold is no severity")
    return CatalogueEntry(
        id=row["id"],
        kind=kind,
        summary=row["summary"],
        entities=tuple(row["entities"].split(" ; ")),
        severities=severities,
        alarm_types=types,
        probable_cause=ProbableCause(row["cause"]).value,
        service_affecting=service,
        suppressible="S" in flags,
        inhibits="I" in flags,
        management_reach=reach[0],
        degrade_reach=reach[1],
        repair=REPAIRS[row["repair"]],
        context=row["context"],
    )
