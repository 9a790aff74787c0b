"""Carrying out what mtce orders of this host: reboot, tests, services, wipe.

An order is on disk before its first effect, and answered at once; what takes longer runs as a child
task, and its end is written down, then told. So a crash at any moment leaves an order that was not
begun, or one that is known to have been.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import assert_never

import structlog

from murmuration.node.adapters import programs
from murmuration.node.adapters.orderbook import OrderBook
from murmuration.node.config import MaintenanceSection
from murmuration.node.core.orders import Book, Decision, decide, ended, resumed, stopped
from murmuration.node.core.scripts import ScriptResult, failures_of
from murmuration.node.telling import Telling
from murmuration.proto.node import (
    HostTested,
    InTestScope,
    Order,
    OrderOutcome,
    OrderReply,
    RebootHost,
    RunInTest,
    ServicesAction,
    ServicesSwitched,
    SwitchServices,
    WipeHost,
)
from murmuration.proto.sysinv import Personality

TEST_CACHE_S = 1_200.0  # how long a pass of the tests stays good within a boot
REBOOT_CALL_S = 60.0  # for the program that asks for a reboot, not for the reboot
WIPE_S = 3_600.0
SUBFUNCTIONS: dict[Personality, str] = {
    Personality.WORKER: "worker",
    Personality.STORAGE: "storage",
    Personality.CONTROLLER: "worker",  # the other half of an all-in-one controller
}
log = structlog.get_logger()

Gasp = Callable[[str], Awaitable[None]]  # says that this boot ends, and why
Suspend = Callable[[bool], None]  # whether the process monitor leaves the host's services alone


class Orders:
    """The orders of one host."""

    def __init__(
        self,
        section: MaintenanceSection,
        store: OrderBook,
        telling: Telling,
        *,
        host: str,
        boot_id: str,
        personality: Personality,
        gasp: Gasp,
        suspend: Suspend,
    ) -> None:
        self._section = section
        self._store = store
        self._telling = telling
        self._host = host
        self._boot_id = boot_id
        self._personality = personality
        self._gasp = gasp
        self._suspend = suspend
        self._owners = programs.trusted_owners()
        self._book = Book()
        self._passed: dict[InTestScope, tuple[float, int]] = {}
        self._begun: asyncio.Queue[Order] = asyncio.Queue()

    def resume(self) -> None:
        """Settle what an earlier life of the agent had begun. Raises OSError."""
        before = self._store.read()
        self._book = resumed(before, self._boot_id)
        if self._book != before:
            self._store.write(self._book)
        if stopped(self._book, self._boot_id):
            self._suspend(True)
        for entry in self._book.entries[-4:]:
            log.info("order.known", operation_id=entry.operation_id, outcome=entry.outcome.value)

    async def take(self, order: Order) -> OrderReply:
        """Take in one order, and begin it when it is new. Raises Rejected, Stale or OSError."""
        decision: Decision = decide(
            self._book,
            order,
            host=self._host,
            boot_id=self._boot_id,
            now=datetime.now(UTC),
            may=self._section.may,
        )
        if decision.refusal is not None:
            raise decision.refusal
        if decision.begin:
            self._store.write(decision.book)
            self._book = decision.book
            log.warning("order.begun", operation_id=order.operation_id, kind=type(order).__name__)
            self._begun.put_nowait(order)
        assert decision.reply is not None
        return decision.reply

    async def run(self) -> None:
        """Carry out what was taken in, for ever; each order is a child task."""
        async with asyncio.TaskGroup() as group:
            while True:
                order = await self._begun.get()
                group.create_task(self._carry_out(order), name=f"order {order.operation_id}")

    async def _carry_out(self, order: Order) -> None:
        match order:
            case RebootHost():
                await self._reboot(order)
            case RunInTest():
                await self._test(order)
            case SwitchServices():
                await self._switch(order)
            case WipeHost():
                await self._wipe(order)
            case _:
                assert_never(order)

    async def _reboot(self, order: RebootHost) -> None:
        try:
            await self._gasp(f"ordered by mtce, operation {order.operation_id}")
        except OSError as error:  # a disk that takes no words is a reason more to reboot
            log.warning("host.ending_not_noted", reason=str(error))
        program = self._section.reboot_now if order.orderly_s == 0 else self._section.reboot
        reason = await programs.run(program or self._section.reboot, deadline_s=REBOOT_CALL_S)
        if reason and not self._section.reboot_now:
            self._end(order, OrderOutcome.FAILED, f"the host was not rebooted: {reason}")
            return
        if not reason:
            await asyncio.sleep(order.orderly_s)  # the reboot ends this process before
        if self._section.reboot_now:
            log.error("reboot.forced", operation_id=order.operation_id, reason=reason)
            reason = await programs.run(self._section.reboot_now, deadline_s=REBOOT_CALL_S)
        if reason:
            self._end(order, OrderOutcome.FAILED, f"the host was not rebooted: {reason}")

    async def _test(self, order: RunInTest) -> None:
        loop = asyncio.get_running_loop()
        good_until, count = self._passed.get(order.scope, (0.0, 0))
        cached = loop.time() < good_until
        results: list[ScriptResult] = []
        if not cached:
            results = await programs.run_folder(
                self._test_folder(order.scope), (), deadline_s=order.deadline_s, owners=self._owners
            )
            count = len(results)
        failures = failures_of(results)
        if not failures and not cached:
            self._passed[order.scope] = (loop.time() + TEST_CACHE_S, count)
        self._end(order, _outcome(good=not failures), _sentence("tests", count, len(failures)))
        self._telling.once(
            lambda incarnation, n: HostTested(
                host=self._host,
                incarnation=incarnation,
                n=n,
                boot_id=self._boot_id,
                operation_id=order.operation_id,
                scope=order.scope,
                passed=not failures,
                script_count=count,
                failures=failures,
                cached=cached,
                observed_at=datetime.now(UTC),
            )
        )

    def _test_folder(self, scope: InTestScope) -> Path:
        folder = Path(self._section.test_dir)
        return folder if scope is InTestScope.MAIN else folder / SUBFUNCTIONS[self._personality]

    async def _switch(self, order: SwitchServices) -> None:
        starting = order.action is ServicesAction.START
        if not starting:
            self._suspend(True)
        results: list[ScriptResult] = []
        if self._section.services_dir:
            results = await programs.run_folder(
                Path(self._section.services_dir) / order.group.value,
                (order.action.value,),
                deadline_s=order.deadline_s,
                owners=self._owners,
            )
        failures = failures_of(results)
        if starting or failures:  # whose services did not stop, stays in service
            self._suspend(False)
        count = len(results)
        self._end(order, _outcome(good=not failures), _sentence("scripts", count, len(failures)))
        self._telling.once(
            lambda incarnation, n: ServicesSwitched(
                host=self._host,
                incarnation=incarnation,
                n=n,
                boot_id=self._boot_id,
                operation_id=order.operation_id,
                action=order.action,
                group=order.group,
                passed=not failures,
                script_count=count,
                failures=failures,
                observed_at=datetime.now(UTC),
            )
        )

    async def _wipe(self, order: WipeHost) -> None:
        reason = await programs.run(self._section.wipe, deadline_s=WIPE_S)
        self._end(order, _outcome(good=not reason), reason or "the host was wiped")

    def _end(self, order: Order, outcome: OrderOutcome, reason: str) -> None:
        self._book = ended(self._book, order.operation_id, outcome, reason)
        try:
            self._store.write(self._book)
        except OSError as error:  # told all the same; after a restart the agent says LOST
            log.warning("order.end_not_written", reason=str(error))
        log.info("order.ended", operation_id=order.operation_id, outcome=outcome.value, why=reason)


def _outcome(*, good: bool) -> OrderOutcome:
    return OrderOutcome.DONE if good else OrderOutcome.FAILED


def _sentence(what: str, count: int, failed: int) -> str:
    return f"{failed} of {count} {what} failed" if failed else f"{count} {what} passed"
