"""The BMCs of all hosts: one connection each, opened when first needed, in the protocol learnt.

Invariants: a BMC is asked one thing at a time; the password is read from the secret store when a
connection is made and is in no record and no log; what failed for its login or certificate is not
tried again before `RETRY_LOGIN_S`, for BMCs lock users out.
"""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Final

from murmuration.bmc.connect import BmcClients
from murmuration.bmc.errors import BmcLogin, BmcUntrusted
from murmuration.bmc.model import Identity, Protocol, Secret, Target, Trust
from murmuration.bmc.ports import Bmc, SecretStore
from murmuration.kernel.clock import Clock
from murmuration.kernel.errors import NotFound, Rejected, Unavailable
from murmuration.mtce.core.bmc_fsm import Audit
from murmuration.proto.ids import HostName
from murmuration.proto.mtce_bmc import BmcPower, BmcSensor, BmcSensorState
from murmuration.proto.sysinv import BmcProtocol, HostBmc

RETRY_LOGIN_S: Final = 300.0  # usual lock-outs: 5 tries, 5 minutes


@dataclass(slots=True)
class _Known:
    """One declared BMC, and what it takes to speak to it."""

    declared: HostBmc
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    bmc: Bmc | None = None
    identity: Identity | None = None
    refused: Rejected | None = None
    refused_at: float = 0.0


class Bmcs:
    """Every declared BMC by host. Implements murmuration.mtce.ports.BmcSource."""

    def __init__(self, clients: BmcClients, secrets: SecretStore, clock: Clock) -> None:
        self._clients = clients
        self._secrets = secrets
        self._clock = clock
        self._known: dict[HostName, _Known] = {}

    async def declare(self, roster: dict[HostName, HostBmc]) -> None:
        """Have exactly these; what is as it was keeps its connection."""
        for name, known in list(self._known.items()):
            if roster.get(name) != known.declared:
                del self._known[name]
                await _close(known)
        for name, declared in roster.items():
            if name not in self._known:
                self._known[name] = _Known(declared)

    async def forget(self, name: HostName) -> None:
        """Close the connection; the next use makes a new one, with the password of then."""
        known = self._known.get(name)
        if known is not None:
            self._known[name] = _Known(known.declared)
            await _close(known)

    async def close(self) -> None:
        """Give all sessions back."""
        await asyncio.gather(*(_close(known) for known in self._known.values()))

    async def of(self, name: HostName) -> Bmc:
        """The BMC of a host. Raises NotFound when it has none, and as murmuration.bmc.ports."""
        return await self._open(name, self._declared(name))

    async def audit(self, name: HostName) -> Audit:
        """One look. Raises as `of` and murmuration.bmc.ports."""
        known = self._declared(name)
        bmc = await self._open(name, known)
        try:
            power = await bmc.power_state()
            if known.identity is None:
                known.identity = await bmc.identity()
        except (BmcLogin, BmcUntrusted) as error:
            known.refused, known.refused_at = error, self._clock.monotonic()
            raise
        return Audit(
            power=BmcPower(power.value),
            protocol=BmcProtocol(bmc.protocol.value),
            uuid=known.identity.uuid,
            serial=known.identity.serial,
            product=known.identity.product,
            firmware=known.identity.firmware,
        )

    async def sensors(self, name: HostName) -> list[BmcSensor]:
        """Every sensor as it reads now. Raises as `audit`."""
        found = await (await self.of(name)).sensors()
        return [
            BmcSensor(
                name=reading.name[:128],
                group=reading.group[:64],
                state=BmcSensorState(reading.state.value),
                value=reading.value,
                unit=reading.unit[:32],
            )
            for reading in found
        ]

    def _declared(self, name: HostName) -> _Known:
        known = self._known.get(name)
        if known is None:
            raise NotFound(f"{name} has no BMC: declare it with `mur host bmc set {name}`")
        return known

    async def _open(self, name: HostName, known: _Known) -> Bmc:
        """The connection, made now if there is none; one that is declared no more is closed."""
        async with known.lock:
            if known.refused is not None:
                if self._clock.monotonic() - known.refused_at < RETRY_LOGIN_S:
                    raise known.refused
                known.refused = None
            if known.bmc is None:
                secret = Secret(self._secrets.read(name))
                try:
                    known.bmc = await self._clients.connect(target_of(known.declared), secret)
                except (BmcLogin, BmcUntrusted) as error:
                    known.refused, known.refused_at = error, self._clock.monotonic()
                    raise
            if self._known.get(name) is not known:
                await _close(known)
                raise Unavailable(f"the BMC of {name} is declared otherwise than a moment ago")
            return known.bmc


async def _close(known: _Known) -> None:
    bmc, known.bmc = known.bmc, None
    if bmc is not None:
        await bmc.close()


def target_of(declared: HostBmc) -> Target:
    """The target as the library has it."""
    target = Target(
        address=declared.address,
        user=declared.user,
        redfish_port=declared.redfish_port,
        ipmi_port=declared.ipmi_port,
        trust=Trust(declared.trust.value),
        pin=declared.pin,
        system=declared.system,
    )
    return replace(target, protocol=Protocol(declared.protocol.value))
