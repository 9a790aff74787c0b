"""The loop of the sender: wait for pulse.json, then a frame every period until told to stop.

Invariants: a frame carries the clock of its own sending; it goes out now or never; no error of the
network, of the file or of the kernel ends the process; only SIGTERM or SIGINT does, and then three
good-byes tell the watchers that this is not a death. A signal only leaves a mark, which is looked
at after every wait: sigtimedwait would be quicker, but tells a signal that was not sent when the
process was stopped past its deadline.
"""

import _signal  # pyright: ignore[reportMissingImports]  signal without enum; no stub
import posix
import time

from murmuration.pulse import frame
from murmuration.pulse.bus import Bus
from murmuration.pulse.schedule import next_due, steps_per_period
from murmuration.pulse.settings import Settings, parse, read_text
from murmuration.pulse.udp import Udp

STEP_MS_MAX = 250  # longest wait while the connection wants to be looked after
CONNECTING_STEP_NS = 20_000_000  # while an answer to the login is awaited
CHECK_NS = 1_000_000_000  # how often the file and the load are looked at
ABSENT_CHECK_NS = 100_000_000  # how often, while there is nothing to send yet
GOOD_BYE_COUNT = 3
GOOD_BYE_STEP_S = 0.02
FAREWELL_NS_MAX = 200_000_000  # for the last frames to be taken by the bus
FAREWELL_STEP_S = 0.005
NICE = -10
REALTIME_PRIORITY = 10  # round robin, lowest tenth: above all ordinary work, below kernel threads
_ENDINGS = {"rebooting": frame.FLAG_REBOOTING, "powering-off": frame.FLAG_POWERING_OFF}
_STOP = (_signal.SIGTERM, _signal.SIGINT)


def now_ns() -> int:
    """CLOCK_BOOTTIME: does not step within a boot and counts time asleep."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Sender:
    """What is sent, by which paths, and where in the sequence it stands."""

    def __init__(self, folder: str) -> None:
        self.settings: Settings | None = None
        self.stopping = False
        self._path = f"{folder}/pulse.json"
        self._ending_path = f"{folder}/ending"
        self._ending = 0
        self._seen: tuple[int, int, int] | None = None
        self._bus: Bus | None = None
        self._udp: Udp | None = None
        self._line = b""
        self._sequence = 0
        self._load_percent = 0
        self._missed = False
        self._said = ""
        self._kernel_boot_id = read_text("/proc/sys/kernel/random/boot_id").strip()

    @property
    def connecting(self) -> bool:
        """Whether the bus is about to answer, so that waits should be short."""
        return self._bus is not None and self._bus.connecting

    def check(self) -> None:
        """Look whether the file is there, or another than before, and at the load."""
        self._load_percent = _load_percent()
        try:
            stat = posix.stat(self._path)
        except OSError:
            return  # not enrolled yet, or about to be replaced: go on with what is known
        seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            found = parse(read_text(self._path), self._kernel_boot_id)
        except ValueError as error:
            self._say(f"{self._path} is not usable: {error}")
            return
        if found is not None:
            self._adopt(found)

    def tend(self, now: int) -> None:
        """Look after the connection, and say once when its condition changes."""
        if self._bus is None:
            return
        self._bus.tick(now)
        if self._bus.ready:
            self._say(f"bus: {self._bus.reason}" if self._bus.reason else "bus: connected")
        elif self._bus.reason and not self._bus.connecting:
            self._say(f"bus: down, {self._bus.reason}")

    def beat(self) -> None:
        """Send one frame on every path that takes it now."""
        settings, bus, udp = self.settings, self._bus, self._udp
        if settings is None or bus is None or udp is None:
            return
        self._sequence += 1
        now = now_ns()
        data = frame.pack(
            settings.key,
            settings.boot_id,
            index=settings.index,
            period_ms=settings.period_ms,
            flags=self._flags(bus, udp),
            load_percent=self._load_percent,
            sequence=self._sequence,
            sent_ns=now,
        )
        self._missed = not bus.send(self._line + data + b"\r\n", now)
        udp.send(data)

    def stop(self, _number: int, _frame: object) -> None:
        """Leave the mark that ends `run`; a signal handler."""
        self.stopping = True

    def say_good_bye(self) -> None:
        """Three frames that say that this end is wanted, then close in order."""
        self._ending = self._ending_flag()
        for _ in range(GOOD_BYE_COUNT):
            self.beat()
            time.sleep(GOOD_BYE_STEP_S)
        if self._bus is not None:
            until = now_ns() + FAREWELL_NS_MAX
            while not self._bus.flush(now_ns()) and now_ns() < until:
                time.sleep(FAREWELL_STEP_S)
            self._bus.close()
        if self._udp is not None:
            self._udp.close()

    def _flags(self, bus: Bus, udp: Udp) -> int:
        flags = frame.FLAG_STOPPING | self._ending if self.stopping else 0
        if self._missed or not bus.ready:
            flags |= frame.FLAG_BUS_DOWN
        return flags | (frame.FLAG_UDP_DOWN if udp.down else 0)

    def _ending_flag(self) -> int:
        """What the node agent noted of the end of this boot: `<boot id> <kind>`."""
        boot_id, _, kind = read_text(self._ending_path).strip().partition(" ")
        if self.settings is None or boot_id.replace("-", "") != self.settings.boot_id.hex():
            return 0
        return _ENDINGS.get(kind, 0)

    def _adopt(self, found: Settings) -> None:
        """Use new settings; a connection that fits them is kept."""
        before = self.settings
        if before is None or self._bus is None or before.login != found.login:
            if self._bus is not None:
                self._bus.close()
            host, port = found.bus
            name = f"pulse-{found.host}"
            self._bus = Bus(host, port, jwt=found.jwt, seed=found.seed, name=name, web=found.web)
        if before is None or self._udp is None or before.udp != found.udp:
            if self._udp is not None:
                self._udp.close()
            self._udp = Udp(found.udp)
        self.settings = found
        self._line = f"PUB {found.subject} {frame.FRAME_BYTES}\r\n".encode()
        self._say(f"sends {found.host}'s pulses every {found.period_ms} ms")

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            say(sentence)


def run(sender: Sender) -> None:
    """Send until told to stop. Absolute schedule; after a stall it resumes from now."""
    check_at = due = now_ns()
    step = 0
    while not sender.stopping:
        now = now_ns()
        if now >= check_at:
            sender.check()
            check_at = now + (CHECK_NS if sender.settings else ABSENT_CHECK_NS)
        sender.tend(now)
        settings = sender.settings
        wake_at = check_at
        if settings is not None:
            steps = steps_per_period(settings.period_ms, STEP_MS_MAX)
            if now >= due:
                if step % steps == 0:
                    sender.beat()
                step += 1
                due = next_due(due, now, settings.period_ms * 1_000_000 // steps)
            wake_at = due
        if sender.connecting:
            wake_at = min(wake_at, now_ns() + CONNECTING_STEP_NS)
        time.sleep(max(0, wake_at - now_ns()) / 1e9)
    sender.say_good_bye()


def main(arguments: list[str]) -> int:
    """The command: one argument, the host's state folder. The process' exit status."""
    if len(arguments) != 1:
        say("use: pulse STATE_DIR")
        return 2
    sender = Sender(arguments[0])
    for number in _STOP:
        _signal.signal(number, sender.stop)
    _hasten()
    run(sender)
    return 0


def say(sentence: str) -> None:
    """One line on standard error; a closed one is no reason to stop beating."""
    try:
        posix.write(2, f"pulse: {sentence}\n".encode("utf-8", "replace"))
    except OSError:
        return


def _load_percent() -> int:
    text = read_text("/proc/loadavg")
    try:
        return int(float(text.split(" ", 1)[0]) * 100 / (posix.cpu_count() or 1))
    except ValueError:
        return 0


def _hasten() -> None:
    """Ask to run before ordinary work; a refusal (no privilege) is fine."""
    try:
        posix.sched_setscheduler(0, posix.SCHED_RR, posix.sched_param(REALTIME_PRIORITY))
    except OSError:
        try:
            posix.setpriority(posix.PRIO_PROCESS, 0, NICE)
        except OSError:
            return
