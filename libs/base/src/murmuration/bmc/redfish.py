"""Redfish as the port: systems, chassis and managers found by their links, actions as they say.

What a machine can do is read from it: reset types from the action's allowable values or its
ActionInfo, sensors from `Sensors` or else from `Thermal` and `Power` (DSP0268).
"""

import asyncio
from datetime import datetime
from typing import Annotated, Final

import aiohttp
import msgspec
from msgspec import Meta, field

from murmuration.bmc.errors import BmcRefused, BmcUnreadable
from murmuration.bmc.model import (
    Identity,
    LogEntry,
    PowerAction,
    PowerState,
    Protocol,
    Secret,
    SecureBoot,
    SensorReading,
    SensorState,
    Target,
    plain,
)
from murmuration.bmc.ports import EVENT_LOG_MAX
from murmuration.bmc.redfish_http import ANSWER_S, Link, RedfishHttp

MEMBERS_MAX: Final = 256  # sensors of a machine; one with more tells the first ones
CHASSIS_MAX: Final = 8
LOGS_MAX: Final = 8
RESET_TYPES: Final = {
    PowerAction.ON: ("On", "ForceOn"),
    PowerAction.GRACEFUL_OFF: ("GracefulShutdown", "PushPowerButton"),
    PowerAction.FORCE_OFF: ("ForceOff",),
    PowerAction.RESET: ("ForceRestart",),
    PowerAction.POWER_CYCLE: ("PowerCycle", "ForceRestart"),
}
_POWER = {"On": PowerState.ON, "Off": PowerState.OFF}
_HEALTH = {"OK": SensorState.OK, "Warning": SensorState.MAJOR, "Critical": SensorState.CRITICAL}

Words = Annotated[str, Meta(max_length=1_024)]


class _Collection(msgspec.Struct, rename="pascal"):
    members: tuple[Link, ...] = ()


class _Reset(msgspec.Struct):
    target: str
    allowed: tuple[str, ...] = field(name="ResetType@Redfish.AllowableValues", default=())
    info: str = field(name="@Redfish.ActionInfo", default="")


class _Actions(msgspec.Struct):
    reset: _Reset | None = field(name="#ComputerSystem.Reset", default=None)


class _SystemLinks(msgspec.Struct, rename="pascal"):
    chassis: tuple[Link, ...] = ()
    managed_by: tuple[Link, ...] = ()


class _System(msgspec.Struct):
    path: str = field(name="@odata.id")
    id: Words = field(name="Id", default="")
    uuid: Words | None = field(name="UUID", default=None)
    serial: Words | None = field(name="SerialNumber", default=None)
    vendor: Words | None = field(name="Manufacturer", default=None)
    product: Words | None = field(name="Model", default=None)
    firmware: Words | None = field(name="BiosVersion", default=None)
    power_state: Words | None = field(name="PowerState", default=None)
    actions: _Actions = field(name="Actions", default_factory=_Actions)
    links: _SystemLinks = field(name="Links", default_factory=_SystemLinks)
    secure_boot: Link | None = field(name="SecureBoot", default=None)
    log_services: Link | None = field(name="LogServices", default=None)


class _Parameter(msgspec.Struct, rename="pascal"):
    name: str = ""
    allowable_values: tuple[str, ...] = ()


class _ActionInfo(msgspec.Struct, rename="pascal"):
    parameters: tuple[_Parameter, ...] = ()


class _ResetBody(msgspec.Struct, rename="pascal"):
    reset_type: str


class _Boot(msgspec.Struct, rename="pascal"):
    boot_source_override_enabled: str = "Once"
    boot_source_override_target: str = "Pxe"


class _BootBody(msgspec.Struct, rename="pascal"):
    boot: _Boot = field(default_factory=_Boot)


class _Status(msgspec.Struct, rename="pascal"):
    state: str | None = None
    health: str | None = None


class _Chassis(msgspec.Struct, rename="pascal"):
    sensors: Link | None = None
    thermal: Link | None = None
    power: Link | None = None


class _Sensor(msgspec.Struct):
    name: Words = field(name="Name", default="")
    kind: Words | None = field(name="ReadingType", default=None)
    reading: float | None = field(name="Reading", default=None)
    unit: Words | None = field(name="ReadingUnits", default=None)
    status: _Status = field(name="Status", default_factory=_Status)


class _Part(msgspec.Struct):
    """A member of Thermal or Power: every kind of them names its reading differently."""

    name: Words | None = field(name="Name", default=None)
    fan: Words | None = field(name="FanName", default=None)
    celsius: float | None = field(name="ReadingCelsius", default=None)
    volts: float | None = field(name="ReadingVolts", default=None)
    watts: float | None = field(name="PowerConsumedWatts", default=None)
    reading: float | None = field(name="Reading", default=None)
    unit: Words | None = field(name="ReadingUnits", default=None)
    major_above: float | None = field(name="UpperThresholdNonCritical", default=None)
    critical_above: float | None = field(name="UpperThresholdCritical", default=None)
    major_below: float | None = field(name="LowerThresholdNonCritical", default=None)
    critical_below: float | None = field(name="LowerThresholdCritical", default=None)
    status: _Status = field(name="Status", default_factory=_Status)


class _Thermal(msgspec.Struct, rename="pascal"):
    temperatures: tuple[_Part, ...] = ()
    fans: tuple[_Part, ...] = ()


class _Power(msgspec.Struct, rename="pascal"):
    voltages: tuple[_Part, ...] = ()
    power_control: tuple[_Part, ...] = ()


class _LogService(msgspec.Struct, rename="pascal"):
    entries: Link | None = None


class _Manager(msgspec.Struct, rename="pascal"):
    log_services: Link | None = None


class _Entry(msgspec.Struct):
    id: Words = field(name="Id", default="")
    created: Words | None = field(name="Created", default=None)
    severity: Words | None = field(name="Severity", default=None)
    message: str | None = field(name="Message", default=None)


class _Entries(msgspec.Struct, rename="pascal"):
    members: tuple[_Entry, ...] = ()


class _SecureBoot(msgspec.Struct, rename="pascal"):
    secure_boot_enable: bool | None = None
    secure_boot_current_boot: str | None = None
    secure_boot_mode: str | None = None


class RedfishBmc:
    """Implements Bmc. The HTTP session is shared by all BMCs of a process."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        target: Target,
        secret: Secret,
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        self.protocol = Protocol.REDFISH
        self._http = RedfishHttp(session, target, secret, answer_s=answer_s)
        self._target = target
        self._turn = asyncio.Lock()
        self._path = ""
        self._reset: tuple[str, frozenset[str]] | None = None

    async def probe(self) -> None:
        """See that Redfish is spoken here. Raises as the port, BmcRefused where there is none."""
        async with self._turn:
            if not (await self._http.root()).redfish_version.startswith("1."):
                raise BmcUnreadable("it speaks a Redfish that is not version 1")

    async def power_state(self) -> PowerState:
        """The machine's power."""
        async with self._turn:
            system = await self._system()
            return _POWER.get(system.power_state or "", PowerState.CHANGING)

    async def power(self, action: PowerAction) -> None:
        """The first reset type for `action` that the machine says it allows."""
        async with self._turn:
            if self._reset is None:
                self._reset = await self._learn_reset()
            target, allowed = self._reset
            wanted = RESET_TYPES[action]
            fitting = [each for each in wanted if each in allowed or not allowed]
            if not fitting:
                raise BmcRefused(f"it knows no {action}: {plain(', '.join(sorted(allowed)))[:200]}")
            await self._http.post(target, _ResetBody(fitting[0]))

    async def boot_network_once(self) -> None:
        """Boot override to PXE, once."""
        async with self._turn:
            await self._system()
            await self._http.patch(self._path, _BootBody())

    async def sensors(self) -> list[SensorReading]:
        """Of every chassis of the system."""
        async with self._turn:
            links = (await self._system()).links.chassis or await self._collection("chassis")
            found: list[SensorReading] = []
            for link in links[:CHASSIS_MAX]:
                found += await self._chassis_sensors(link.path)
            return found[:MEMBERS_MAX]

    async def event_log(self) -> list[LogEntry]:
        """Of the system's logs, or else of its managers'."""
        async with self._turn:
            system = await self._system()
            services = [system.log_services] if system.log_services else []
            for link in system.links.managed_by[:LOGS_MAX] if not services else ():
                manager = await self._http.get(link.path, _Manager)
                services += [manager.log_services] if manager.log_services else []
            found: list[LogEntry] = []
            for service in services:
                members = (await self._http.get(service.path, _Collection)).members
                for member in members[:LOGS_MAX]:
                    log = await self._http.get(member.path, _LogService)
                    if log.entries is not None:
                        page = await self._http.get(log.entries.path, _Entries)
                        found += [_entry(each) for each in page.members]
            return sorted(found, key=_when)[-EVENT_LOG_MAX:]

    async def secure_boot(self) -> SecureBoot:
        """UEFI Secure Boot."""
        async with self._turn:
            link = (await self._system()).secure_boot
            if link is None:
                raise BmcRefused("this machine tells nothing of Secure Boot")
            found = await self._http.get(link.path, _SecureBoot)
            return SecureBoot(
                enabled=bool(found.secure_boot_enable),
                active=found.secure_boot_current_boot == "Enabled",
                mode=found.secure_boot_mode or "",
            )

    async def identity(self) -> Identity:
        """Which machine this is."""
        async with self._turn:
            system = await self._system()
            return Identity(
                uuid=plain(system.uuid or "").lower(),
                serial=plain(system.serial or ""),
                vendor=plain(system.vendor or ""),
                product=plain(system.product or ""),
                firmware=plain(system.firmware or ""),
            )

    async def close(self) -> None:
        """Give the session back."""
        await self._http.close()

    async def _system(self) -> _System:
        if self._path:
            return await self._http.get(self._path, _System)
        links = await self._collection("systems")
        if len(links) == 1 and not self._target.system:
            found = await self._http.get(links[0].path, _System)
        else:
            found = await self._named(links)
        self._path = found.path
        return found

    async def _named(self, links: tuple[Link, ...]) -> _System:
        """The system that the target names: switching a neighbour would be the worst mistake."""
        wanted = self._target.system.lower()
        if not wanted:
            raise BmcRefused(f"it manages {len(links)} systems: name one of them as `system`")
        for link in links[:MEMBERS_MAX]:
            system = await self._http.get(link.path, _System)
            if wanted in (system.id.lower(), (system.uuid or "").lower()):
                return system
        raise BmcRefused(f"it manages no system {self._target.system[:64]!r}")

    async def _collection(self, name: str) -> tuple[Link, ...]:
        root = await self._http.root()
        link = root.systems if name == "systems" else root.chassis
        return (await self._http.get(link.path, _Collection)).members if link else ()

    async def _learn_reset(self) -> tuple[str, frozenset[str]]:
        """Where the reset action is, and its types; none told means that all may be tried."""
        action = (await self._system()).actions.reset
        if action is None:
            raise BmcRefused("this machine cannot be switched by its BMC")
        allowed = action.allowed
        if not allowed and action.info:
            info = await self._http.get(action.info, _ActionInfo)
            allowed = next(
                (each.allowable_values for each in info.parameters if each.name == "ResetType"), ()
            )
        return action.target, frozenset(allowed)

    async def _chassis_sensors(self, path: str) -> list[SensorReading]:
        chassis = await self._http.get(path, _Chassis)
        if chassis.sensors is not None:
            members = (await self._http.get(chassis.sensors.path, _Collection)).members
            sensors = [await self._http.get(m.path, _Sensor) for m in members[:MEMBERS_MAX]]
            return [_of_sensor(each) for each in sensors]
        found: list[SensorReading] = []
        if chassis.thermal is not None:
            thermal = await self._http.get(chassis.thermal.path, _Thermal)
            found += [_of_part("temperature", each) for each in thermal.temperatures]
            found += [_of_part("fans", each) for each in thermal.fans]
        if chassis.power is not None:
            power = await self._http.get(chassis.power.path, _Power)
            found += [_of_part("voltage", each) for each in power.voltages]
            found += [_of_part("power", each) for each in power.power_control]
        return found


def _of_sensor(sensor: _Sensor) -> SensorReading:
    return SensorReading(
        name=plain(sensor.name),
        group=plain(sensor.kind or "other").lower(),
        state=_state(sensor.status, sensor.reading is not None),
        value=sensor.reading,
        unit=plain(sensor.unit or ""),
    )


def _of_part(group: str, part: _Part) -> SensorReading:
    readings = (
        (part.celsius, "Cel"),
        (part.volts, "V"),
        (part.watts, "W"),
        (part.reading, part.unit or "RPM"),
    )
    value, unit = next(((v, u) for v, u in readings if v is not None), (None, ""))
    state = _state(part.status, value is not None)
    if value is not None and state is not SensorState.OFFLINE:
        state = max(state, _by_thresholds(part, value), key=list(SensorState).index)
    name = plain(part.name or part.fan or group)
    return SensorReading(name=name, group=group, state=state, value=value, unit=plain(unit))


def _by_thresholds(part: _Part, value: float) -> SensorState:
    """Some BMCs say `OK` of a sensor beyond its own thresholds: the worse of the two counts."""
    for state, above, below in (
        (SensorState.CRITICAL, part.critical_above, part.critical_below),
        (SensorState.MAJOR, part.major_above, part.major_below),
    ):
        if (above is not None and value >= above) or (below is not None and value <= below):
            return state
    return SensorState.OK


def _state(status: _Status, read: bool) -> SensorState:  # noqa: FBT001 - one of two facts
    if status.state not in (None, "Enabled") or (status.health is None and not read):
        return SensorState.OFFLINE
    return _HEALTH.get(status.health or "OK", SensorState.OK)


def _entry(entry: _Entry) -> LogEntry:
    return LogEntry(
        id=entry.id,
        at=_instant(entry.created),
        severity=(entry.severity or "").lower(),
        text=plain(entry.message or "")[:1_000],
    )


def _instant(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def _when(entry: LogEntry) -> float:
    return entry.at.timestamp() if entry.at is not None else 0.0
