"""What operators do: each command is one transaction under the writers' lock."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from murmuration.bus.commands import once
from murmuration.fm.core.intake import fault_in
from murmuration.fm.core.model import Key, Ledger, Said
from murmuration.fm.handlers.ids import fresh_uuids
from murmuration.fm.handlers.intake import need_of
from murmuration.fm.store import alarms, policies
from murmuration.fm.store.alarms import Need
from murmuration.fm.store.policies import Policies
from murmuration.fm.store.reconciling import rejudge_some
from murmuration.fm.store.writing import say_suppression, write
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import Conflict, NotFound, Rejected
from murmuration.proto.entities import fault_of
from murmuration.proto.envelope import Version
from murmuration.proto.fm import COMMENTS_MAX, Comment
from murmuration.proto.fm_operators import (
    SUPPRESSIONS_MAX,
    AcknowledgeAlarm,
    AddSuppression,
    CatalogueEntry,
    ClearAlarmByOperator,
    CommentAlarm,
    RaiseAlarmByOperator,
    Raised,
    Reach,
    RecordLogByOperator,
    RemoveSuppression,
    SetProfile,
    Suppression,
)
from murmuration.proto.fm_vocabulary import Severity
from murmuration.store.database import Database, Unit

GATEWAY = "gateway"  # the producer of what is raised through it
Decide = Callable[[Unit], Awaitable[Callable[[Version], Raised]]]


class Operators:
    """Answers the commands."""

    def __init__(self, database: Database, clock: Clock, policies: Policies) -> None:
        self._database = database
        self._clock = clock
        self._policies = policies

    async def clear(self, unit: Unit, request: ClearAlarmByOperator) -> str:
        """Clear an active alarm. Raises NotFound."""
        key, ledger = await self._alarm(unit, request.uuid)
        reason = request.reason or "cleared by an operator"
        ledger.clear(key, at=ledger.now, reason=reason, author=request.author)
        await write(unit, ledger)
        return f"alarm {key[0]} of {key[1]} was cleared by {request.author or 'an operator'}"

    async def acknowledge(self, unit: Unit, request: AcknowledgeAlarm) -> str:
        """Acknowledge an alarm, or take that back. Raises NotFound, Rejected without an author."""
        if not request.author:
            raise Rejected("who acknowledges must be named")
        key, ledger = await self._alarm(unit, request.uuid)
        fields: dict[str, Any] = {"acknowledged_by": "", "acknowledged_at": None}
        what = "no longer acknowledged"
        if request.acknowledged:
            if ledger.alarms[key].alarm.acknowledged_by == request.author:
                return f"alarm {key[0]} of {key[1]} was acknowledged by {request.author} before"
            fields = {"acknowledged_by": request.author, "acknowledged_at": ledger.now}
            what = f"acknowledged by {request.author}"
        ledger.change(key, fields, reason=what, author=request.author)
        await write(unit, ledger)
        return f"alarm {key[0]} of {key[1]} is {what}"

    async def comment(self, unit: Unit, request: CommentAlarm) -> str:
        """Note something on an alarm; the newest are kept on it. Raises NotFound."""
        key, ledger = await self._alarm(unit, request.uuid)
        comment = Comment(at=ledger.now, author=request.author, text=request.text)
        comments = (*ledger.alarms[key].alarm.comments, comment)[-COMMENTS_MAX:]
        ledger.change(key, {"comments": comments}, reason=request.text, author=request.author)
        await write(unit, ledger)
        return f"alarm {key[0]} of {key[1]} was commented"

    async def raise_alarm(self, request: RaiseAlarmByOperator) -> Raised:
        """Raise an alarm as a producer does. Raises Rejected for what a producer may not say."""
        return await self._say(request, request.alarm, "raised")

    async def record(self, request: RecordLogByOperator) -> Raised:
        """Record a log entry as a producer does. Raises Rejected."""
        return await self._say(request, request.log, "recorded")

    async def _say(
        self, request: RaiseAlarmByOperator | RecordLogByOperator, said: Any, done: str
    ) -> Raised:
        fault = fault_in(said, GATEWAY)
        if fault is not None:
            raise Rejected(fault.reason)

        async def decide(unit: Unit) -> Callable[[Version], Raised]:
            now = self._clock.now()
            (uuid,) = fresh_uuids(1, now)
            saying = Said(said, GATEWAY, uuid, author=request.author)
            ledger = await self._ledger(unit, [saying], now)
            ledger.apply(saying)
            await write(unit, ledger)
            touched = [active for active in ledger.touched.values() if active is not None]
            found = touched[0].alarm.uuid if touched else uuid
            return lambda version: _answer(request.operation_id, version, found, f"it was {done}")

        return await once(self._database, request, Raised, decide)

    async def add_suppression(self, request: AddSuppression) -> Raised:
        """Hide alarms. Raises Rejected for no scope, Conflict when there are too many."""
        _check_scope(request, self._clock.now())

        async def decide(unit: Unit) -> Callable[[Version], Raised]:
            now = self._clock.now()
            await alarms.lock(unit.connection, now)
            count = await unit.connection.fetchval(policies.COUNT)
            if int(count or 0) >= SUPPRESSIONS_MAX:
                raise Conflict(f"there are {count} suppressions: remove some first")
            wanted = Suppression(
                id=fresh_uuids(1, now)[0],
                alarm_id=request.alarm_id,
                entity=request.entity,
                severities=request.severities,
                author=request.author,
                comment=request.comment,
                created_at=now,
                expires_at=request.expires_at,
            )
            kept = await policies.add(unit.connection, wanted)
            reason = f"suppressed by {request.author}"
            say_suppression(unit, kept, active=True, reason=reason)
            await self._rejudge(unit, now, reason)
            return lambda version: _answer(
                request.operation_id, version, kept.id, "what it covers is hidden"
            )

        return await once(self._database, request, Raised, decide)

    async def remove_suppression(self, unit: Unit, request: RemoveSuppression) -> str:
        """Show again. Raises NotFound."""
        now = self._clock.now()
        await alarms.lock(unit.connection, now)
        gone = await policies.remove(unit.connection, request.id)
        if gone is None:
            raise NotFound(f"there is no suppression {request.id[:64]}")
        reason = f"no longer suppressed, by {request.author or 'an operator'}"
        say_suppression(unit, gone, active=False, reason=reason)
        await self._rejudge(unit, now, reason)
        return "what it covered is shown again"

    async def set_profile(self, unit: Unit, request: SetProfile) -> str:
        """Say otherwise than the catalogue. Raises NotFound for an id it does not know."""
        if request.alarm_id not in self._policies.catalogue:
            raise NotFound(f"the catalogue has no {request.alarm_id}")
        if Severity.UNKNOWN is request.severity or Reach.UNKNOWN in (
            request.management_reach,
            request.degrade_reach,
        ):
            raise Rejected("a severity or threshold of the profile is not known")
        now = self._clock.now()
        await alarms.lock(unit.connection, now)
        await policies.set_profile(unit.connection, request, now)
        await self._rejudge(unit, now, f"profile of {request.alarm_id} set by {request.author}")
        return f"the profile of {request.alarm_id} is set"

    @property
    def catalogue(self) -> Mapping[str, CatalogueEntry]:
        """The catalogue as shipped."""
        return self._policies.catalogue

    async def _rejudge(self, unit: Unit, now: datetime, reason: str) -> None:
        """Bring the first alarms up to the new policy at once; a task does the others."""
        state = await alarms.lock(unit.connection, now)
        policy = await self._policies.fresh(unit.connection, state.policy)
        await rejudge_some(unit, policy, now=now, clock_s=state.clock_s, reason=reason)

    async def _alarm(self, unit: Unit, uuid: str) -> tuple[Key, Ledger]:
        now = self._clock.now()
        state = await alarms.lock(unit.connection, now)
        key = await alarms.key_of(unit.connection, uuid)
        if key is None:
            raise NotFound(f"there is no active alarm {uuid[:64]}")
        policy = await self._policies.current(unit.connection, state.policy)
        need = Need()
        need.alarm(*key, inhibits=key[0] in policy.inhibiting)
        return key, await alarms.load(
            unit.connection, need, policy=policy, now=now, clock_s=state.clock_s
        )

    async def _ledger(self, unit: Unit, batch: list[Said], now: datetime) -> Ledger:
        state = await alarms.lock(unit.connection, now)
        policy = await self._policies.current(unit.connection, state.policy)
        need = need_of(batch, policy.inhibiting)
        return await alarms.load(
            unit.connection, need, policy=policy, now=now, clock_s=state.clock_s
        )


def _answer(operation_id: str, version: Version, uuid: str, reason: str) -> Raised:
    return Raised(
        operation_id=operation_id,
        service="fm",
        epoch=version.epoch,
        change=version.change,
        reason=reason,
        uuid=uuid,
    )


def _check_scope(request: AddSuppression, now: datetime) -> None:
    if not (request.alarm_id or request.entity or request.severities):
        raise Rejected("say what to suppress: an alarm id, an entity or severities")
    if Severity.UNKNOWN in request.severities:
        raise Rejected("a severity of the suppression is not known")
    phrase = fault_of(request.entity) if request.entity else None
    if phrase is not None:
        raise Rejected(f"the entity is no path: {phrase}")
    if request.expires_at is not None and request.expires_at.astimezone(UTC) <= now:
        raise Rejected("the suppression would have ended already")
