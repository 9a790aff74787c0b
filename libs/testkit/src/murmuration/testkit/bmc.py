"""Real BMC emulators for tests: sushy-emulator speaks Redfish, openipmi's ipmi_sim speaks IPMI.

Both listen on loopback only and keep everything in a folder of their own. Power of an `IpmiSim` is
a file, so that a test can be the machine that is switched.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from murmuration.bmc.model import Protocol, Target, Trust
from murmuration.testkit.ports import free_port, short_folder

START_S = 30.0
USER, PASSWORD = "sysadmin", "superuser"  # the emulators' own, on loopback
SYSTEM = "0f2b7a52-7f5c-4c3e-9f6e-1d2c3b4a5968"
CHASSIS_SCRIPT = """#!/bin/sh
# ipmi_sim calls: [address] get PARAMETER... | [address] set [PARAMETER VALUE]...
cd "$(dirname "$0")" || exit 1
while [ $# -gt 0 ] && [ "$1" != get ] && [ "$1" != set ]; do shift; done
does=$1; shift
if [ "$does" = get ]; then
    for what in "$@"; do
        case $what in power) echo "power:$(cat power)" ;; *) echo "$what:0" ;; esac
    done
    exit 0
fi
while [ $# -gt 1 ]; do
    echo "$1 $2" >> calls
    if [ "$1" = power ] && [ ! -e stuck ]; then echo "$2" > power.new; mv power.new power; fi
    shift 2
done
"""
LAN = """name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid 0f2b7a527f5c4c3e9f6e1d2c3b4a5968
  endlan
  chassis_control "{folder}/chassis 0x20"
  user 2 true "{user}" "{password}" admin 10 none md2 md5 straight
"""
MACHINE = """mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
sensor_add 0x20 0 1 1 1 poll 200 file "{folder}/temperature" div=1000
sensor_set_threshold 0x20 0 1 settable 111000 0x5f 0x5a 0x50 00 00 00
sensor_set_event_support 0x20 0 1 enable scanning per-state {events} {events} {events} {events}
main_sdr_add 0x20 {sdr}
mc_enable 0x20
"""
EVENTS = "000101010000000"  # upper non-critical, critical and non-recoverable, going high


class Emulator:
    """One process with a folder; started by entering it, killed at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers. Raises RuntimeError with its last words."""
        command = self.prepare()
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_S
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text()[-2_000:])
            time.sleep(0.02)

    def stop(self) -> None:
        """As a BMC whose power is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        """Freeze it (SIGSTOP) or let it go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(number)

    def prepare(self) -> list[str]:
        """Write its files; the command line."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it can be used."""
        raise NotImplementedError


class SushyEmulator(Emulator):
    """sushy-emulator with its fake driver: one system, power changes take some seconds."""

    def settings(self) -> dict[str, object]:
        """What stands behind it."""
        system = {"uuid": SYSTEM, "name": "fake", "power_state": "On", "nics": []}
        return {
            "SUSHY_EMULATOR_FAKE_DRIVER": True,
            "SUSHY_EMULATOR_FAKE_SYSTEMS": [{**system, "external_notifier": False}],
        }

    def prepare(self) -> list[str]:
        """Configuration as a Python file, as Flask reads it."""
        settings = {
            "SUSHY_EMULATOR_LISTEN_IP": "127.0.0.1",
            "SUSHY_EMULATOR_LISTEN_PORT": self.port,
            "SUSHY_EMULATOR_STATE_DIR": str(self.folder),
            **self.settings(),
        }
        config = self.folder / "sushy.conf"
        config.write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
        program = Path(sys.executable).with_name("sushy-emulator")
        return [str(program), "--config", str(config)]

    def answers(self) -> bool:
        """Whether the port is open."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    @property
    def target(self) -> Target:
        """How it is reached."""
        return Target(
            address="127.0.0.1",
            user=USER,
            protocol=Protocol.REDFISH,
            redfish_port=self.port,
            trust=Trust.PLAINTEXT,
        )


class IpmiSim(Emulator):
    """ipmi_sim with one temperature sensor and a chassis whose power is a file."""

    def prepare(self) -> list[str]:
        """Its three files; power is on and the temperature 42 degrees."""
        script = self.folder / "chassis"
        script.write_text(CHASSIS_SCRIPT)
        script.chmod(0o755)
        self.temperature = 42.0
        for name, content in (("power", "1"), ("calls", "")):
            path = self.folder / name
            if not path.exists():
                path.write_text(content)
        words = {"folder": self.folder, "port": self.port, "user": USER, "password": PASSWORD}
        (self.folder / "lan.conf").write_text(LAN.format(**words))
        sdr = " ".join(f"0x{byte:02x}" for byte in temperature_sdr("CPU0 Temp"))
        machine = MACHINE.format(folder=self.folder, events=EVENTS, sdr=sdr)
        (self.folder / "machine.emu").write_text(machine)
        state = self.folder / f"state-{time.monotonic_ns()}"  # kept, it would double the sensors
        state.mkdir()
        files = ["-c", str(self.folder / "lan.conf"), "-f", str(self.folder / "machine.emu")]
        return ["ipmi_sim", *files, "-s", str(state), "-n"]

    def answers(self) -> bool:
        """Whether it answers an RMCP ping (ASF 2.0, 3.2.4.2): a wrong file leaves it deaf."""
        ping = bytes.fromhex("06 00 ff 06 00 00 11 be 80 00 00 00")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.2)
            probe.connect(("127.0.0.1", self.port))
            try:
                probe.send(ping)
                return len(probe.recv(64)) >= len(ping)
            except OSError:
                return False

    @property
    def target(self) -> Target:
        """How it is reached."""
        return Target(address="127.0.0.1", user=USER, protocol=Protocol.IPMI, ipmi_port=self.port)

    @property
    def power_on(self) -> bool:
        """Whether the machine has power."""
        return (self.folder / "power").read_text().strip() == "1"

    @power_on.setter
    def power_on(self, value: bool) -> None:
        draft = self.folder / "power.test"
        draft.write_text("1" if value else "0")
        draft.replace(self.folder / "power")

    @property
    def temperature(self) -> float:
        """Degrees Celsius of its sensor."""
        return int((self.folder / "temperature").read_text()) / 1_000

    @temperature.setter
    def temperature(self, celsius: float) -> None:
        draft = self.folder / "temperature.test"
        draft.write_text(str(round(celsius * 1_000)))
        draft.replace(self.folder / "temperature")

    @property
    def calls(self) -> list[str]:
        """What the chassis was told to do, in order: `power 0`, `reset 1`, …"""
        return (self.folder / "calls").read_text().splitlines()

    def stick(self) -> None:
        """From now on the machine does not switch, whatever the BMC accepts."""
        (self.folder / "stuck").touch()

    def ipmitool(self, *arguments: str) -> str:
        """What ipmitool, the second opinion, says."""
        login = ["-I", "lanplus", "-C", "3", "-H", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(
            ["ipmitool", *login, "-U", USER, "-E", *arguments],
            env=os.environ | {"IPMITOOL_PASSWORD": PASSWORD},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout


def temperature_sdr(name: str) -> bytes:
    """A full sensor record (IPMI 2.0, table 43-1): number 1, degrees Celsius, one per count.

    Upper thresholds 80 non-critical, 90 critical, 95 non-recoverable.
    """
    owner, number, entity = (0x20, 0x00), 0x01, (0x03, 0x01)
    capabilities, kind = (0x7F, 0x59), (0x01, 0x01)
    masks = (0x80, 0x0A, 0x80, 0x7A, 0x38, 0x38)
    unit, factors = (0x00, 0x01, 0x00), (0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00)
    nominal, limits = (0x00, 0x00, 0x00, 0x00), (0xFF, 0x00)
    thresholds, hysteresis = (95, 90, 80, 0, 0, 0), (0x02, 0x02)
    body = bytes(
        (*owner, number, *entity, *capabilities, *kind, *masks, *unit, *factors, *nominal, *limits)
    )
    body += bytes((*thresholds, *hysteresis, 0x00, 0x00, 0x00, 0xC0 | len(name)))
    body += name.encode("ascii")
    return bytes((0x00, 0x00, 0x51, 0x01, len(body))) + body


@pytest.fixture
def sushy_emulator() -> Iterator[SushyEmulator]:
    """A Redfish service of this test alone."""
    with short_folder() as folder:
        emulator = SushyEmulator(folder)
        try:
            emulator.start()
            yield emulator
        finally:
            emulator.stop()


@pytest.fixture
def ipmi_sim() -> Iterator[IpmiSim]:
    """An IPMI BMC of this test alone."""
    with short_folder() as folder:
        emulator = IpmiSim(folder)
        try:
            emulator.start()
            yield emulator
        finally:
            emulator.stop()
