"""What an agent does with an order: once, in time, in turn, and known over a reboot."""

from datetime import UTC, datetime, timedelta

import pytest

from murmuration.kernel.errors import Conflict, MurmurationError, Rejected, Stale
from murmuration.node.core.orders import Book, Decision, decide, ended, resumed
from murmuration.proto.node import (
    Order,
    OrderOutcome,
    RebootHost,
    RunInTest,
    ServicesAction,
    ServicesGroup,
    SwitchServices,
    WipeHost,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LATER = NOW + timedelta(seconds=60)
ALL = frozenset({"reboot", "in-test", "services", "wipe"})


def reboot(
    operation_id: str = "reboot-1", *, change: int = 5, expires_at: datetime = LATER
) -> Order:
    return RebootHost(
        operation_id=operation_id, host="h1", epoch=1, change=change, expires_at=expires_at
    )


def intest(operation_id: str = "intest-1", *, change: int = 5) -> Order:
    return RunInTest(operation_id=operation_id, host="h1", epoch=1, change=change, expires_at=LATER)


def take(
    book: Book, order: Order, *, boot: str = "b1", may: frozenset[str] = ALL, host: str = "h1"
) -> Decision:
    return decide(book, order, host=host, boot_id=boot, now=NOW, may=may)


def refusal(book: Book, order: Order, **how: str | frozenset[str]) -> MurmurationError:
    decision = take(book, order, **how)  # type: ignore[arg-type]
    assert decision.book == book
    assert decision.refusal is not None
    return decision.refusal


def test_order_is_begun_once_and_its_repeat_is_answered_alike() -> None:
    first = take(Book(), reboot())
    again = take(first.book, reboot())

    assert (first.begin, again.begin) == (True, False)
    assert again.reply == first.reply
    assert first.reply is not None
    assert first.reply.outcome is OrderOutcome.BEGUN


def test_repeat_is_answered_even_when_it_has_expired_or_is_older() -> None:
    book = take(Book(), reboot()).book
    book = ended(book, "reboot-1", OrderOutcome.FAILED, "no program")
    book = take(book, intest(change=9)).book

    again = take(book, reboot(expires_at=NOW - timedelta(days=1)))

    assert again.reply is not None
    assert (again.begin, again.reply.outcome) == (False, OrderOutcome.FAILED)


@pytest.mark.parametrize(
    ("order", "how", "kind"),
    [
        (reboot(expires_at=NOW), {}, Stale),
        (reboot(change=4), {}, Stale),
        (reboot(), {"host": "h2"}, Rejected),
        (reboot(), {"may": frozenset[str]()}, Rejected),
    ],
    ids=["expired", "older", "another host's", "not configured"],
)
def test_order_is_refused_with_its_reason_and_leaves_nothing(
    order: Order, how: dict[str, str], kind: type[MurmurationError]
) -> None:
    book = Book(epoch=1, change=5)
    assert isinstance(refusal(book, order, **how), kind)


def test_nothing_is_begun_behind_a_reboot_and_nothing_of_a_kind_twice() -> None:
    rebooting = take(Book(), reboot()).book
    testing = take(Book(), intest()).book
    services = SwitchServices(
        operation_id="services-1",
        host="h1",
        epoch=1,
        change=6,
        expires_at=LATER,
        action=ServicesAction.STOP,
        group=ServicesGroup.WORKER,
    )

    assert isinstance(refusal(rebooting, intest(change=6)), Conflict)
    assert isinstance(refusal(testing, intest("intest-2", change=6)), Conflict)
    assert take(testing, services).begin


def test_begun_orders_are_settled_when_the_agent_starts_anew() -> None:
    book = take(take(Book(), intest()).book, reboot(change=6)).book
    wiped = take(
        Book(), WipeHost(operation_id="wipe-0001", host="h1", epoch=1, change=5, expires_at=LATER)
    ).book

    same, other = resumed(book, "b1"), resumed(book, "b2")

    assert [entry.outcome for entry in same.entries] == [OrderOutcome.LOST, OrderOutcome.LOST]
    assert [entry.outcome for entry in other.entries] == [OrderOutcome.LOST, OrderOutcome.DONE]
    assert resumed(wiped, "b2").entries[0].outcome is OrderOutcome.LOST
    assert not take(other, reboot(change=6), boot="b2").begin


def test_book_keeps_the_newest_entries() -> None:
    book = Book()
    for number in range(100):
        step = take(book, intest(f"intest-{number:03}", change=number))
        book = ended(step.book, f"intest-{number:03}", OrderOutcome.DONE, "passed")

    assert len(book.entries) == 64
    assert book.entries[-1].operation_id == "intest-099"
