"""What agents do for mtce: orders to the agent of one host, as effects.

An agent does each order at most once and remembers it over a reboot; asking again tells how far it
has come. So tests and services are asked about until they ended; a reboot is asked for once, and
known by the boot that is heard afterwards.

Invariant: an order to reboot a silent host never waits in the network for that host to return. The
agent must have answered first, the host must still be silent then, and the order expires as soon as
its answer is given up.
"""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from murmuration.bus.connection import Bus
from murmuration.kernel.errors import Conflict, Stale, Unavailable
from murmuration.mtce.adapters.silence import refuse_returned
from murmuration.mtce.core.model import EffectKind, HostEffect
from murmuration.mtce.ports import Observer
from murmuration.proto.ids import HostName
from murmuration.proto.node import (
    AgentOrder,
    InTestScope,
    OrderOutcome,
    OrderReply,
    RebootHost,
    RunInTest,
    ServicesAction,
    ServicesGroup,
    SwitchServices,
    WipeHost,
)
from murmuration.proto.sysinv import Personality
from murmuration.runtime.effects import Performer
from murmuration.store.database import Database
from murmuration.store.effects import Effect

ANSWER_S = 5.0  # an agent answers at once: it writes the order down first
RETURN_PERIODS = 5  # from an answer on: long enough for the pulses of a host that is back
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
BOOT = "select boot_id from host_state where name = $1"
_DECODER = msgspec.json.Decoder(HostEffect)
_STARTS = (EffectKind.AGENT_START, EffectKind.AGENT_START_WORKER)
_OF_WORKER = (EffectKind.AGENT_START_WORKER, EffectKind.AGENT_STOP_WORKER)
_GROUPS = {
    Personality.CONTROLLER: ServicesGroup.CONTROLLER,
    Personality.STORAGE: ServicesGroup.STORAGE,
}


class AgentPerformer:
    """Effects of one kind, done by agents. Implements runtime.effects.Performer."""

    def __init__(self, bus: Bus, database: Database, observer: Observer, kind: EffectKind) -> None:
        self._bus = bus
        self._database = database
        self._observer = observer
        self._kind = kind

    async def perform(self, effect: Effect) -> str:
        """Ask the host's agent; returns what it says.

        Raises Unavailable while it is away or still at it, Conflict when it failed for good.
        """
        body = _DECODER.decode(effect.body)
        if self._kind is EffectKind.AGENT_REBOOT and body.silent:
            expires_at = min(body.expires_at, await self._answered(effect, body))
            body = msgspec.structs.replace(body, expires_at=expires_at)
        reply = await self._bus.request(
            await self._order(effect, body), OrderReply, timeout_s=ANSWER_S
        )
        lasting = self._kind in (EffectKind.AGENT_REBOOT, EffectKind.AGENT_WIPE)
        match reply.outcome:
            case OrderOutcome.DONE:
                return reply.reason
            case OrderOutcome.BEGUN if lasting:
                return reply.reason
            case OrderOutcome.BEGUN:
                raise Unavailable(f"the agent of {body.host} is still at it")
            case _:
                raise Conflict(reply.reason or f"the agent of {body.host} did not do it")

    async def observe(self, effect: Effect) -> bool | None:
        """Whether the host is on another boot than when it was told to reboot."""
        body = _DECODER.decode(effect.body)
        if self._kind is not EffectKind.AGENT_REBOOT:
            return None
        async with self._database.connection() as connection:
            boot_id = await connection.fetchval(BOOT, body.host)
        return True if boot_id and boot_id != body.boot_id else None

    async def _answered(self, effect: Effect, body: HostEffect) -> datetime:
        """Be sure that the agent answers and the host stays silent; until when that is good.

        Asked by an order that has expired: an agent of any version refuses it, and so answers.
        Raises Unavailable when the agent is away or the host is back, DeadlineExceeded.
        """
        expired = msgspec.structs.replace(body, expires_at=LONG_AGO)
        with contextlib.suppress(Stale):
            await self._bus.request(
                await self._order(effect, expired), OrderReply, timeout_s=ANSWER_S
            )
        period_ms = self._observer.observe(HostName(body.host)).period_ms
        await asyncio.sleep(RETURN_PERIODS * period_ms / 1_000)
        refuse_returned(self._observer, body)
        return datetime.now(UTC) + timedelta(seconds=ANSWER_S)

    async def _order(self, effect: Effect, body: HostEffect) -> AgentOrder:
        life = await self._database.life()
        bears: dict[str, Any] = {
            "operation_id": effect.operation_id,
            "host": body.host,
            "epoch": life.epoch,
            "change": life.change,
            "expires_at": body.expires_at,
        }
        match self._kind:
            case EffectKind.AGENT_REBOOT:
                return RebootHost(**bears)
            case EffectKind.AGENT_WIPE:
                return WipeHost(**bears)
            case EffectKind.AGENT_TEST:
                return RunInTest(**bears, deadline_s=_left_s(body))
            case EffectKind.AGENT_TEST_WORKER:
                deadline_s = _left_s(body)
                return RunInTest(**bears, scope=InTestScope.SUBFUNCTION, deadline_s=deadline_s)
            case _:
                group = _GROUPS.get(body.personality, ServicesGroup.WORKER)
                return SwitchServices(
                    **bears,
                    action=ServicesAction.START if self._kind in _STARTS else ServicesAction.STOP,
                    group=ServicesGroup.WORKER if self._kind in _OF_WORKER else group,
                    deadline_s=_left_s(body),
                )


def _left_s(body: HostEffect) -> float:
    """What is left of the stage's time, within what the contract allows."""
    return min(3_600.0, max(0.1, (body.expires_at - datetime.now(UTC)).total_seconds()))


def agent_performers(bus: Bus, database: Database, observer: Observer) -> dict[str, Performer]:
    """A performer for every kind that agents do; `observer` knows who is heard."""
    kinds = [kind for kind in EffectKind if not kind.by_bmc]
    return {kind.value: AgentPerformer(bus, database, observer, kind) for kind in kinds}
