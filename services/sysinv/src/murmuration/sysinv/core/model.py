"""What becomes of a host's record when its agent enrols or reports, or an operator decides.

Invariants: an index once given stays with its host; a report older than the last one taken in
changes nothing; a delta is applied only behind the message right before it.
"""

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from murmuration.kernel.errors import Conflict, Stale
from murmuration.proto.sysinv import (
    LABELS_MAX,
    Administrative,
    Admission,
    BmcProtocol,
    BmcTrust,
    EnrolHost,
    Host,
    HostBmc,
    HostDelta,
    HostReport,
    Link,
)

SHARD = 0  # one shard carries 10,000 hosts; more are dealt out when there are more


@dataclass(frozen=True, slots=True)
class Numbering:
    """The last message taken in from an agent: its start, and the number within."""

    incarnation: int = 0
    n: int = 0


class Turn(enum.Enum):
    """How a message stands to the last one."""

    NEXT = "next"  # take it in
    GAP = "gap"  # something between was missed: ask for everything


@dataclass(frozen=True, slots=True)
class Decision:
    """A host's new record, what differs, and why, in one sentence."""

    host: Host
    changed: tuple[str, ...]
    reason: str


def enrol(
    known: Host | None,
    request: EnrolHost,
    *,
    index: int,
    automatic: bool,
    pulse_period_ms: int,
    now: datetime,
) -> Decision:
    """Take a host in, or note that it is back; `index` is used for a host not yet known."""
    if known is None:
        admission = Admission.ACCEPTED if automatic else Admission.DISCOVERED
        host = Host(
            name=request.host,
            index=index,
            shard=SHARD,
            personality=request.personality,
            subfunctions=request.subfunctions,
            origin=request.origin,
            observe_only=request.observe_only,
            admission=admission,
            intended_administrative=(
                Administrative.UNLOCKED if automatic else Administrative.LOCKED
            ),
            address=request.address,
            boot_id=request.boot_id,
            pulse_period_ms=pulse_period_ms,
            enrolled_at=now,
        )
        return Decision(host, tuple(Host.__struct_fields__), f"{request.host} enrolled")
    host = msgspec.structs.replace(
        known,
        personality=request.personality,
        subfunctions=request.subfunctions,
        origin=request.origin,
        observe_only=request.observe_only,
        address=request.address,
        boot_id=request.boot_id,
        pulse_period_ms=pulse_period_ms,
    )
    return _decide(known, host, f"the agent of {request.host} started again")


def accept(known: Host) -> Decision:
    """Accept a discovered host; it is unlocked, so that mtce brings it into service.

    Accepting an accepted host changes nothing.
    """
    if known.admission is Admission.ACCEPTED:
        return Decision(known, (), f"{known.name} was accepted before")
    host = msgspec.structs.replace(
        known,
        admission=Admission.ACCEPTED,
        intended_administrative=Administrative.UNLOCKED,
    )
    return _decide(known, host, f"an operator accepted {known.name}")


def intend(known: Host, administrative: Administrative) -> Decision:
    """Note the administrative state an operator wants. Raises Conflict for one not accepted."""
    if known.admission is not Admission.ACCEPTED:
        raise Conflict(f"{known.name} is only discovered: accept it first")
    if administrative is Administrative.UNKNOWN:
        raise Conflict("the administrative state is locked or unlocked")
    if known.observe_only and administrative is Administrative.LOCKED:
        raise Conflict(f"{known.name} is observe-only: nothing may be changed on it")
    host = msgspec.structs.replace(known, intended_administrative=administrative)
    return _decide(known, host, f"an operator wants {known.name} {administrative.value}")


def set_bmc(known: Host, bmc: HostBmc | None) -> Decision:
    """Note where the BMC of a host is. Raises Conflict for one that cannot be used as declared."""
    if bmc is not None:
        if bmc.protocol is BmcProtocol.UNKNOWN or bmc.trust is BmcTrust.UNKNOWN:
            raise Conflict("this version knows neither another protocol nor another trust")
        if bmc.trust is BmcTrust.PIN and not bmc.pin and bmc.protocol is not BmcProtocol.IPMI:
            raise Conflict(
                "trust `pin` needs the SHA-256 of the BMC's certificate; without it say how it"
                " is trusted: ca, insecure or plaintext"
            )
    said = f"an operator declared the BMC of {known.name} at {bmc.address}" if bmc else ""
    host = msgspec.structs.replace(known, bmc=bmc)
    return _decide(known, host, said or f"an operator says that {known.name} has no BMC")


def label(known: Host, labels: Mapping[str, str], removed: Collection[str]) -> Decision:
    """Set and remove labels. Raises Conflict when there would be too many."""
    kept = {key: value for key, value in known.labels.items() if key not in removed}
    found = dict(sorted((kept | dict(labels)).items()))
    if len(found) > LABELS_MAX:
        raise Conflict(f"a host has at most {LABELS_MAX} labels")
    host = msgspec.structs.replace(known, labels=found)
    words = [f"{key}={value}" for key, value in sorted(labels.items())]
    words += [f"without {key}" for key in sorted(removed)]
    return _decide(known, host, f"an operator labelled {known.name}: {', '.join(words)[:200]}")


def turn(last: Numbering, incarnation: int, n: int, *, whole: bool) -> Turn:
    """Whether a report (`whole`) or a delta is due. Raises Stale when it is behind what is known.

    A whole report needs no predecessor; a delta needs exactly the message before it.
    """
    if (incarnation, n) <= (last.incarnation, last.n):
        raise Stale(f"message {incarnation}.{n} came behind {last.incarnation}.{last.n}")
    if whole or (incarnation == last.incarnation and n == last.n + 1):
        return Turn.NEXT
    return Turn.GAP


def report(known: Host, message: HostReport) -> Decision:
    """Take in everything the agent sees."""
    host = msgspec.structs.replace(
        known,
        facts=message.facts,
        links=_ordered(message.links),
        boot_id=message.boot_id,
        reported_at=message.observed_at,
    )
    return _decide(known, host, f"the agent of {known.name} reported")


def delta(known: Host, message: HostDelta) -> Decision:
    """Take in the links that changed or went."""
    links = {link.name: link for link in known.links}
    for name in message.links_removed:
        links.pop(name, None)
    links.update({link.name: link for link in message.links_changed})
    host = msgspec.structs.replace(
        known, links=_ordered(tuple(links.values())), reported_at=message.observed_at
    )
    names = sorted({link.name for link in message.links_changed} | set(message.links_removed))
    return _decide(known, host, f"links of {known.name} changed: {', '.join(names)[:200]}")


def _ordered(links: tuple[Link, ...]) -> tuple[Link, ...]:
    return tuple(sorted(links, key=lambda link: (link.index, link.name)))


def _decide(known: Host, host: Host, reason: str) -> Decision:
    changed = tuple(
        field
        for field in Host.__struct_fields__
        if field != "reported_at" and getattr(known, field) != getattr(host, field)
    )
    return Decision(host, changed, reason)
