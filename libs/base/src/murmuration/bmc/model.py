"""What a BMC is asked and what it answers, the same for Redfish and for IPMI.

Invariant: only `PowerState.OFF` means off. A state in between, one that the BMC does not tell, or
an answer that cannot be read, is never off.
"""

import enum
from dataclasses import dataclass, field
from datetime import datetime

REDFISH_PORT = 443
IPMI_PORT = 623


def plain(text: str) -> str:
    """What a BMC wrote, without control characters: no database and no log takes all of them."""
    return "".join(each for each in text if each.isprintable())


class Protocol(enum.StrEnum):
    """How a BMC is spoken to."""

    DYNAMIC = "dynamic"  # not known: Redfish is tried first, and what answered is remembered
    REDFISH = "redfish"
    IPMI = "ipmi"


class Trust(enum.StrEnum):
    """How the BMC's certificate is checked before anything secret is said."""

    CA = "ca"  # by the system's authorities and the host name
    PIN = "pin"  # by the SHA-256 of the certificate itself: BMCs mostly sign their own
    INSECURE = "insecure"  # TLS without a check: whoever sits between can read the password
    PLAINTEXT = "plaintext"  # no TLS at all: emulators, or a wire nobody else is on


class PowerState(enum.StrEnum):
    """What a BMC says of its machine's power."""

    ON = "on"
    OFF = "off"
    CHANGING = "changing"  # powering on or off, paused, or not told


class PowerAction(enum.StrEnum):
    """What can be asked of a machine's power."""

    ON = "on"
    GRACEFUL_OFF = "graceful-off"  # asks the operating system
    FORCE_OFF = "force-off"
    RESET = "reset"  # without asking the operating system; needs power on
    POWER_CYCLE = "power-cycle"


class SensorState(enum.StrEnum):
    """How a sensor stands to its thresholds, in the words of operators."""

    OK = "ok"
    OFFLINE = "offline"  # absent, disabled or not read
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a BMC is and how it is to be trusted; holds no secret.

    `system` names one of several systems behind one BMC, by its Redfish id or UUID.
    """

    address: str
    user: str
    protocol: Protocol = Protocol.DYNAMIC
    redfish_port: int = REDFISH_PORT
    ipmi_port: int = IPMI_PORT
    trust: Trust = Trust.PIN
    pin: str = ""
    system: str = ""


@dataclass(frozen=True, slots=True)
class Secret:
    """A password that does not show in logs, tracebacks and test failures."""

    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which machine a BMC says it manages; empty where it does not say."""

    uuid: str = ""
    serial: str = ""
    vendor: str = ""
    product: str = ""
    firmware: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorReading:
    """One sensor; `value` is None where there is none to read, `unit` as the BMC writes it."""

    name: str
    group: str
    state: SensorState
    value: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line of a BMC's event log; `at` is None where the BMC's clock does not say."""

    id: str
    at: datetime | None
    severity: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureBoot:
    """UEFI Secure Boot: what is set for the next boot, and what the running one used."""

    enabled: bool
    active: bool
    mode: str
