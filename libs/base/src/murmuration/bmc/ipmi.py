"""IPMI 2.0 over LAN as the port, by pyghmi in a pool of named threads.

pyghmi blocks and repeats what was not answered. Whatever may harm when done twice is therefore sent
with repeating switched off, and a lost answer is BmcSilent.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar
from uuid import UUID

from murmuration.bmc.errors import BmcAway, BmcLogin, BmcRefused, BmcSilent, BmcUnreadable
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

THREADS_MAX: Final = 32  # one BMC that hangs holds one thread for at most about 20 s
ANSWER_S: Final = 20.0  # a whole sensor repository is read in this time
CHASSIS, APPLICATION = 0x00, 0x06  # network functions
CHASSIS_CONTROL, GET_DEVICE_ID, GET_SYSTEM_GUID = 0x02, 0x01, 0x37
CONTROL: Final = {  # IPMI 2.0, table 28-4
    PowerAction.FORCE_OFF: 0,
    PowerAction.ON: 1,
    PowerAction.POWER_CYCLE: 2,
    PowerAction.RESET: 3,
    PowerAction.GRACEFUL_OFF: 5,
}
REPEATABLE: Final = frozenset({PowerAction.ON, PowerAction.FORCE_OFF, PowerAction.GRACEFUL_OFF})
_LOGIN_WORDS = ("password", "unauthorized", "username", "privilege", "incorrect")
_GROUPS = {"fan": "fans", "temperature": "temperature", "voltage": "voltage", "power": "power"}

R = TypeVar("R")


class IpmiPool:
    """The threads that pyghmi may block; shared by all BMCs of a process."""

    def __init__(self) -> None:
        self.executor = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="bmc-ipmi")

    def close(self) -> None:
        """Take no more work; what still blocks ends by its own deadlines."""
        self.executor.shutdown(wait=False, cancel_futures=True)


class IpmiBmc:
    """Implements Bmc."""

    def __init__(self, pool: IpmiPool, target: Target, secret: Secret) -> None:
        self.protocol = Protocol.IPMI
        self._pool = pool
        self._target = target
        self._secret = secret
        self._turn = asyncio.Lock()
        self._running: Future[Any] | None = None
        self._command: Any = None  # pyghmi.ipmi.command.Command: untyped

    async def power_state(self) -> PowerState:
        """The machine's power: IPMI knows on and off."""
        found = await self._call(lambda command: command.get_power()["powerstate"])
        return PowerState.OFF if found == "off" else PowerState.ON

    async def power(self, action: PowerAction) -> None:
        """Chassis Control; sent once where repeating it would do it twice."""
        repeat = action in REPEATABLE

        def control(command: Any) -> dict[str, Any] | None:
            return command.raw_command(
                netfn=CHASSIS, command=CHASSIS_CONTROL, data=[CONTROL[action]], retry=repeat
            )

        answer = await self._call(control, changes=True)
        if answer is None:
            raise BmcSilent(f"no answer to chassis control {action}")
        if answer.get("error") or answer.get("code"):
            raise BmcRefused(f"it refuses {action}: {str(answer.get('error'))[:120]}")

    async def boot_network_once(self) -> None:
        """Boot flags valid for the next boot only, UEFI."""
        await self._call(lambda command: command.set_bootdev("network", uefiboot=True))

    async def sensors(self) -> list[SensorReading]:
        """From the sensor data repository, read once a session."""

        def read(command: Any) -> list[SensorReading]:
            return [_reading(each) for each in command.get_sensor_data()]

        return await self._call(read)

    async def event_log(self) -> list[LogEntry]:
        """The system event log."""

        def read(command: Any) -> list[LogEntry]:
            return [_entry(number, each) for number, each in enumerate(command.get_event_log())]

        return (await self._call(read))[-EVENT_LOG_MAX:]

    async def secure_boot(self) -> SecureBoot:
        """IPMI has no words for it."""
        raise BmcRefused("IPMI tells nothing of Secure Boot")

    async def identity(self) -> Identity:
        """The system's GUID and the controller's version."""
        return await self._call(_identify)

    async def close(self) -> None:
        """Log out, if nothing runs that would have to be waited for."""
        command, self._command = self._command, None
        if command is not None and not self._busy:
            self._running = self._pool.executor.submit(_log_out, command)

    @property
    def _busy(self) -> bool:
        return self._running is not None and not self._running.done()

    async def _call(self, work: Callable[[Any], R], *, changes: bool = False) -> R:
        """Run `work(command)` in a thread; one that outlives its deadline blocks only itself."""
        async with self._turn:
            if self._busy:
                raise BmcAway("an earlier question is still unanswered")
            running = self._pool.executor.submit(self._work, work)
            self._running = running
            try:
                async with asyncio.timeout(ANSWER_S):
                    return await asyncio.shield(asyncio.wrap_future(running))
            except TimeoutError as error:
                kind = BmcSilent if changes else BmcAway
                raise kind(f"no answer by IPMI within {ANSWER_S:g} s") from error

    def _work(self, work: Callable[[Any], R]) -> R:
        from pyghmi.exceptions import PyghmiException

        from murmuration.bmc.ipmi_command import IpmiCommand

        connected = self._command is not None
        try:
            if self._command is None:
                self._command = IpmiCommand(
                    bmc=self._target.address,
                    userid=self._target.user,
                    password=self._secret.password,
                    port=self._target.ipmi_port,
                )
            connected = True
            return work(self._command)
        except PyghmiException as error:
            self._command = None  # a broken session is not mended, but made anew
            words = plain(str(error))[:160] or type(error).__name__
            if any(word in words.lower() for word in _LOGIN_WORDS):
                raise BmcLogin(f"it refuses user {self._target.user[:40]!r}: {words}") from error
            raise BmcAway(f"by IPMI: {words}") from error
        except OSError as error:
            self._command = None
            raise BmcAway(f"by IPMI: {error}") from error
        except Exception as error:
            # pyghmi takes answers apart without checking: what it stumbles over is the BMC's fault
            self._command = None
            what = "answers nonsense" if connected else "does not log in sensibly"
            raise BmcUnreadable(f"by IPMI it {what}: {type(error).__name__}") from error


def _identify(command: Any) -> Identity:
    device = command.raw_command(netfn=APPLICATION, command=GET_DEVICE_ID)
    guid = command.raw_command(netfn=APPLICATION, command=GET_SYSTEM_GUID)
    data = device["data"]
    known = not guid.get("code") and len(guid["data"]) >= 16
    return Identity(
        uuid=str(UUID(bytes=bytes(guid["data"][:16]))) if known else "",
        vendor=str(int.from_bytes(bytes(data[6:9]), "little")),
        product=str(int.from_bytes(bytes(data[9:11]), "little")),
        firmware=f"{data[2] & 0x7F}.{data[3]:02x}",
    )


def _log_out(command: Any) -> None:
    with contextlib.suppress(Exception):  # whatever goes wrong: the session ends by itself
        command.ipmi_session.logout()


def _reading(reading: Any) -> SensorReading:
    health = int(reading.health)
    if reading.unavailable:
        state = SensorState.OFFLINE
    elif health >= 2:
        state = SensorState.CRITICAL
    else:
        state = SensorState.MAJOR if health else SensorState.OK
    kind = str(reading.type or "").lower()
    return SensorReading(
        name=plain(str(reading.name)),
        group=next((group for word, group in _GROUPS.items() if word in kind), "other"),
        state=state,
        value=None if reading.value is None else float(reading.value),
        unit=plain(str(reading.units or "")).strip(),
    )


def _entry(number: int, event: dict[str, Any]) -> LogEntry:
    parts = (event.get("component"), event.get("event"))
    severity = {0: "ok", 1: "warning", 2: "critical", 4: "critical"}.get(
        event.get("severity", 0), ""
    )
    return LogEntry(
        id=str(event.get("record_id", number)),
        at=None,  # the controller's clock has no zone
        severity=severity,
        text=plain(": ".join(str(part) for part in parts if part))[:1_000],
    )
