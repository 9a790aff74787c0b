"""In-band sensors, from the files of the kernel's hwmon (Documentation/hwmon/sysfs-interface.rst).

A chip's folder holds `name` and, for each sensor, `<kind><n>_input` and what goes with it; values
are integers in thousandths of the unit, but fans in turns a minute and power in millionths.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from murmuration.node.core.thresholds import Limit
from murmuration.proto.fm import Severity
from murmuration.proto.node import AskedAction

SENSORS_MAX = 256
_INPUT = re.compile(r"(temp|in|fan|power|curr|humidity)([0-9]+)_(input|average)")
_UNITS = {
    "temp": ("C", 1e-3),
    "in": ("V", 1e-3),
    "fan": ("rpm", 1.0),
    "power": ("W", 1e-6),
    "curr": ("A", 1e-3),
    "humidity": ("%", 1e-3),
}
_SEVERITIES = (Severity.MINOR, Severity.MAJOR, Severity.CRITICAL)


class Policy(Protocol):
    """What an operator wants of the sensors that fit a pattern."""

    @property
    def match(self) -> str:
        """Pattern of names."""
        ...

    @property
    def minor(self) -> str:
        """What is done at this severity."""
        ...

    @property
    def major(self) -> str:
        """Likewise."""
        ...

    @property
    def critical(self) -> str:
        """Likewise."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Sensor:
    """One sensor as read: `limits` are the driver's own."""

    name: str
    unit: str
    value: float
    faulty: bool = False
    limits: tuple[Limit, ...] = ()


def sensors_of(chip: str, files: Mapping[str, str]) -> list[Sensor]:
    """The sensors in one chip's folder; `files` are its files' texts by name."""
    found: list[Sensor] = []
    for file in sorted(files):
        match = _INPUT.fullmatch(file)
        if match is None:
            continue
        kind, number, _ = match.groups()
        unit, scale = _UNITS[kind]
        value = _number(files.get(file))
        if value is None:
            continue
        stem = f"{kind}{number}"
        label = files.get(f"{stem}_label", "").strip() or stem
        found.append(
            Sensor(
                name=f"{chip}/{label}"[:128],
                unit=unit,
                value=round(value * scale, 3),
                faulty=files.get(f"{stem}_fault", "").strip() == "1",
                limits=_limits(stem, files, scale),
            )
        )
    return found[:SENSORS_MAX]


def _limits(stem: str, files: Mapping[str, str], scale: float) -> tuple[Limit, ...]:
    """max and min are worth a warning to the driver: major here; crit and lcrit critical."""
    found: list[Limit] = []
    for suffix, severity, falling in (
        ("max", Severity.MAJOR, False),
        ("crit", Severity.CRITICAL, False),
        ("min", Severity.MAJOR, True),
        ("lcrit", Severity.CRITICAL, True),
    ):
        value = _number(files.get(f"{stem}_{suffix}"))
        if value is not None and not (value == 0 and not falling):  # 0: the driver has none
            found.append(Limit(severity=severity, at=value * scale, falling=falling))
    return tuple(found)


def _number(text: str | None) -> float | None:
    try:
        return float(int(text or ""))
    except ValueError:
        return None


def policy_of(sensor: Sensor, policies: Sequence[Policy]) -> Policy | None:
    """The first policy whose pattern fits."""
    return next((p for p in policies if _fits(sensor.name, p.match)), None)


def _fits(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern, in which * stands for anything and ? for one character."""
    wild = {"*": ".*", "?": "."}
    return bool(re.fullmatch("".join(wild.get(c, re.escape(c)) for c in pattern), name))


def limits_of(sensor: Sensor, policy: Policy | None) -> tuple[Limit, ...]:
    """The operator's limits where the policy has any, else the driver's."""
    own = [
        Limit(severity=severity, at=at, falling=side == "below")
        for severity in _SEVERITIES
        for side in ("above", "below")
        if (at := getattr(policy, f"{severity.value}_{side}", None)) is not None
    ]
    return tuple(own) or sensor.limits


def action_of(severity: Severity, policy: Policy | None) -> str:
    """ignore, log, alarm, reset or power-cycle; without a policy only critical alarms."""
    if policy is None:
        return "alarm" if severity is Severity.CRITICAL else "log"
    return str(getattr(policy, severity.value))


def asked_of(action: str) -> AskedAction:
    """What is asked of mtce for an action."""
    return {"reset": AskedAction.RESET, "power-cycle": AskedAction.POWER_CYCLE}.get(
        action, AskedAction.NONE
    )
