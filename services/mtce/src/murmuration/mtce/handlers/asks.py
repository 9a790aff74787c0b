"""Resets and power-cycles that conditions ask for by an operator's policy."""

from collections.abc import Collection

from murmuration.kernel.clock import Clock
from murmuration.mtce.core import fence_fsm
from murmuration.mtce.core.admission import asked_refusal
from murmuration.mtce.core.health import worst
from murmuration.mtce.core.machines import Machines
from murmuration.mtce.core.model import Ask, HostStep
from murmuration.mtce.core.sensors import SensorPolicy
from murmuration.mtce.handlers.steps import carry_out
from murmuration.mtce.metrics import Transitions
from murmuration.mtce.ports import Observer
from murmuration.mtce.store import asks, fences, hosts
from murmuration.mtce.store.hosts import StoredHost
from murmuration.proto.ids import HostName
from murmuration.store.database import Unit


class AskHandlers:
    """Brings hosts to what their conditions ask for; repeating it changes nothing more."""

    def __init__(
        self,
        clock: Clock,
        observer: Observer,
        transitions: Transitions,
        machines: Machines,
        *,
        policy: SensorPolicy,
        own_host: str,
    ) -> None:
        """`policy` is that of BMCs' sensors; the active mtce runs on `own_host`."""
        self._clock = clock
        self._observer = observer
        self._transitions = transitions
        self._machines = machines
        self._policy = policy
        self._own_host = own_host

    async def settle(self, unit: Unit) -> list[HostStep]:
        """Heed what is asked for now."""
        if not await asks.standing(unit.connection, self._policy):
            return []
        await hosts.lock(unit.connection)
        standing = await asks.standing(unit.connection, self._policy)
        steps: list[HostStep] = []
        for name, found in (await hosts.load(unit.connection, sorted(standing))).items():
            one = await self._heed(unit, name, found, standing[name])
            await carry_out(unit, one)  # each counts for the next: how many are out of service
            steps += one
        for step in steps:
            self._transitions.count(step)
        return steps

    async def _heed(
        self, unit: Unit, name: HostName, found: StoredHost, asked: Collection[Ask]
    ) -> tuple[HostStep, ...]:
        if not found.accepted or found.record is None:
            return ()
        ask = worst(asked)
        refused = ""
        if ask is not None:
            refused = asked_refusal(
                found.record,
                found.declared,
                await hosts.peers(unit.connection, name),
                own=name == self._own_host,
                held=fence_fsm.hold(*await fences.counts(unit.connection)),
            )
        return self._machines.asked(
            found.record,
            found.declared,
            self._observer.observe(name),
            self._clock.now(),
            ask=ask,
            refused=refused,
        )
