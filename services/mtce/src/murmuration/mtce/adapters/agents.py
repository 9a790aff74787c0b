"""What agents do for mtce: orders to the agent of one host, as effects.

An agent does each order at most once and remembers it over a reboot; asking again tells how far it
has come. So tests and services are asked about until they ended; a reboot is asked for once, and
known by the boot that is heard afterwards.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from murmuration.bus.connection import Bus
from murmuration.kernel.errors import Conflict, Unavailable
from murmuration.mtce.core.model import EffectKind, HostEffect
from murmuration.proto.node import (
    AgentOrder,
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
BOOT = "select boot_id from host_state where name = $1"
_DECODER = msgspec.json.Decoder(HostEffect)
_GROUPS = {
    Personality.CONTROLLER: ServicesGroup.CONTROLLER,
    Personality.STORAGE: ServicesGroup.STORAGE,
}


class AgentPerformer:
    """Effects of one kind, done by agents. Implements runtime.effects.Performer."""

    def __init__(self, bus: Bus, database: Database, kind: EffectKind) -> None:
        self._bus = bus
        self._database = database
        self._kind = kind

    async def perform(self, effect: Effect) -> str:
        """Ask the host's agent; returns what it says.

        Raises Unavailable while it is away or still at it, Conflict when it failed for good.
        """
        body = _DECODER.decode(effect.body)
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
            case _:
                start = self._kind is EffectKind.AGENT_START
                return SwitchServices(
                    **bears,
                    action=ServicesAction.START if start else ServicesAction.STOP,
                    group=_GROUPS.get(body.personality, ServicesGroup.WORKER),
                    deadline_s=_left_s(body),
                )


def _left_s(body: HostEffect) -> float:
    """What is left of the stage's time, within what the contract allows."""
    return min(3_600.0, max(0.1, (body.expires_at - datetime.now(UTC)).total_seconds()))


def agent_performers(bus: Bus, database: Database) -> dict[str, Performer]:
    """A performer for every kind that agents do."""
    kinds = [kind for kind in EffectKind if not kind.by_bmc]
    return {kind.value: AgentPerformer(bus, database, kind) for kind in kinds}
