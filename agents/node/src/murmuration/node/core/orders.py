"""The book of orders: what this host was told to do, and how far it has come.

Invariants: an operation id is carried out at most once, also over a reboot, for the book is on disk
before anything is done; (epoch, change) of what is taken in never goes back, so a service that was
put back to an older copy cannot make a host do again what it has done; a reboot that has begun is
the last thing a boot does.
"""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from murmuration.kernel.errors import Conflict, MurmurationError, Rejected, Stale
from murmuration.proto.envelope import Version
from murmuration.proto.node import (
    Order,
    OrderOutcome,
    OrderReply,
    RebootHost,
    RunInTest,
    ServicesAction,
    SwitchServices,
    WipeHost,
)

ENTRIES_MAX = 64  # mtce has one operation per host under way: far more than can be asked again
KINDS: dict[type[msgspec.Struct], str] = {
    RebootHost: "reboot",
    RunInTest: "in-test",
    SwitchServices: "services",
    WipeHost: "wipe",
}
LAST = ("reboot", "wipe")  # nothing else is begun in a boot that has begun one of these


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One order that was taken in."""

    operation_id: str
    kind: str
    boot_id: str
    outcome: OrderOutcome
    reason: str
    stops: bool = False  # the services of the host


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """Everything taken in, oldest first, and the newest (epoch, change) seen."""

    epoch: int = 0
    change: int = 0
    entries: tuple[Entry, ...] = ()

    def find(self, operation_id: str) -> Entry | None:
        """The entry of an operation."""
        return next((e for e in self.entries if e.operation_id == operation_id), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What to do with an order: answer `reply`, and begin it when `begin`; or raise `refusal`."""

    book: Book
    reply: OrderReply | None = None
    begin: bool = False
    refusal: MurmurationError | None = None


def decide(
    book: Book,
    order: Order,
    *,
    host: str,
    boot_id: str,
    now: datetime,
    may: frozenset[str],
) -> Decision:
    """Take in one order; `may` names the kinds that this host carries out."""
    kind = KINDS[type(order)]
    known = book.find(order.operation_id)
    if known is not None:
        return Decision(book=book, reply=reply_of(known, host=host, boot_id=boot_id))
    refusal = _refusal(book, order, kind, host=host, boot_id=boot_id, now=now, may=may)
    if refusal is not None:
        return Decision(book=book, refusal=refusal)
    entry = Entry(
        operation_id=order.operation_id,
        kind=kind,
        boot_id=boot_id,
        outcome=OrderOutcome.BEGUN,
        reason=f"{kind} has begun",
        stops=isinstance(order, SwitchServices) and order.action is ServicesAction.STOP,
    )
    kept = (*book.entries, entry)[-ENTRIES_MAX:]
    return Decision(
        book=Book(epoch=order.epoch, change=order.change, entries=kept),
        reply=reply_of(entry, host=host, boot_id=boot_id),
        begin=True,
    )


def _refusal(
    book: Book,
    order: Order,
    kind: str,
    *,
    host: str,
    boot_id: str,
    now: datetime,
    may: frozenset[str],
) -> MurmurationError | None:
    if order.host != host:
        return Rejected(f"this is {host}, not {order.host[:63]}")
    if order.expires_at <= now:
        return Stale(f"the order expired at {order.expires_at:%FT%TZ} by this host's clock")
    if Version(order.epoch, order.change) < Version(book.epoch, book.change):
        return Stale(f"an order of {book.epoch}:{book.change} was taken in before")
    if kind not in may:
        return Rejected(f"{host} is not set up to carry out {kind}, or is observe-only")
    for entry in book.entries:
        if entry.outcome is not OrderOutcome.BEGUN or entry.boot_id != boot_id:
            continue
        if entry.kind in LAST or entry.kind == kind:
            return Conflict(f"{entry.kind} {entry.operation_id} is under way on {host}")
    return None


def reply_of(entry: Entry, *, host: str, boot_id: str) -> OrderReply:
    """The answer to an order, or to its repeat."""
    return OrderReply(
        operation_id=entry.operation_id,
        host=host,
        boot_id=boot_id,
        outcome=entry.outcome,
        reason=entry.reason,
    )


def ended(book: Book, operation_id: str, outcome: OrderOutcome, reason: str) -> Book:
    """The book after an order has come to its end."""
    entries = tuple(
        msgspec.structs.replace(entry, outcome=outcome, reason=reason[:1_024])
        if entry.operation_id == operation_id
        else entry
        for entry in book.entries
    )
    return msgspec.structs.replace(book, entries=entries)


def resumed(book: Book, boot_id: str) -> Book:
    """The book at a start of the agent: what had begun has ended, one way or another.

    A reboot is done when another boot asks; all else was interrupted, and is not tried again.
    """
    for entry in book.entries:
        if entry.outcome is not OrderOutcome.BEGUN:
            continue
        if entry.kind == "reboot" and entry.boot_id != boot_id:
            book = ended(book, entry.operation_id, OrderOutcome.DONE, "the host has booted anew")
        else:
            reason = f"the agent ended while {entry.kind} was under way"
            book = ended(book, entry.operation_id, OrderOutcome.LOST, reason)
    return book


def stopped(book: Book, boot_id: str) -> bool:
    """Whether the host's services were stopped in this boot, and not told to start since."""
    switched = [e for e in book.entries if e.kind == "services" and e.boot_id == boot_id]
    return bool(switched) and switched[-1].stops and switched[-1].outcome is OrderOutcome.DONE
