"""The port: everything Murmuration asks of a BMC, whatever protocol it speaks."""

from typing import Protocol as Port

from murmuration.bmc.model import (
    Identity,
    LogEntry,
    PowerAction,
    PowerState,
    Protocol,
    SecureBoot,
    SensorReading,
)

EVENT_LOG_MAX = 200  # entries of one reading, the newest: what a person reads of a machine


class Bmc(Port):
    """One BMC with a session.

    Every method raises BmcAway when surely nothing was done, BmcSilent when that is unknown,
    BmcUnreadable for an answer that is none, BmcLogin, BmcUntrusted or BmcRefused for good. Every
    wait is bounded. Calls are carried out one after another.
    """

    @property
    def protocol(self) -> Protocol:
        """What it is spoken to in."""
        ...

    async def power_state(self) -> PowerState:
        """The machine's power, as the BMC says now. May be repeated."""
        ...

    async def power(self, action: PowerAction) -> None:
        """Ask for `action`; returns when the BMC has accepted it, not when it has happened."""
        ...

    async def boot_network_once(self) -> None:
        """The next boot, and only that one, is from the network. May be repeated."""
        ...

    async def sensors(self) -> list[SensorReading]:
        """Every sensor, as it reads now."""
        ...

    async def event_log(self) -> list[LogEntry]:
        """The newest EVENT_LOG_MAX entries, oldest first."""
        ...

    async def secure_boot(self) -> SecureBoot:
        """UEFI Secure Boot. Raises BmcRefused where the protocol or the machine has none."""
        ...

    async def identity(self) -> Identity:
        """Which machine this is."""
        ...

    async def close(self) -> None:
        """Give the session back; never raises, may be repeated."""
        ...


class SecretStore(Port):
    """Where passwords of BMCs are kept, and nowhere else."""

    def read(self, name: str) -> str:
        """The password. Raises SecretMissing, Unavailable."""
        ...

    def write(self, name: str, password: str) -> None:
        """Keep it, replacing an earlier one. Raises Rejected for a bad name, Unavailable."""
        ...

    def remove(self, name: str) -> None:
        """Forget it; nothing happens where there is none. Raises Unavailable."""
        ...
