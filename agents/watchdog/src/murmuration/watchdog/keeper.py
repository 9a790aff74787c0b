"""One thread that pets, listens on a unix socket (sequenced packets), and does nothing else.

| request | who may | what it does |
|---|---|---|
| `hold NAME SECONDS` | its first holder, root | NAME must be held again within SECONDS |
| `drop NAME` | its holder, root | NAME is no condition any more |
| `fail NAME REASON` | its holder, root | NAME is lost: the watchdog bites |
| `disarm`, `arm` | root, and who runs this process | stop the device in order; begin again |
| `status` | any that may connect | phase, timeout, what holds how long |

The answer is `ok …` or `refused …`. A client that goes away leaves its leases to run out.
"""

import os
import select
import signal
import socket
import struct
import time

from murmuration.watchdog import record
from murmuration.watchdog.device import Device
from murmuration.watchdog.leases import REASON_CHARACTERS_MAX, Leases, Refused
from murmuration.watchdog.petting import Action, Input, Phase, step
from murmuration.watchdog.settings import Settings, parse

CLIENTS_MAX = 32
REQUEST_BYTES_MAX = 1_024
STEP_S = 0.25  # longest wait: a lapse is seen within it
PETS_PER_TIMEOUT = 4
PET_S_MAX = 1.0
OPEN_EVERY_S = 1.0
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


class Keeper:
    """The watchdog of one host."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._leases = Leases()
        self._device: Device | None = None
        self._clients: dict[int, tuple[socket.socket, int]] = {}
        self._pet_at = self._open_at = 0.0
        self._said = ""
        self.stopping = False
        self.phase = Phase.OPENING
        boot_id, reason = record.read(settings.folder)
        if boot_id and boot_id == settings.boot_id:
            self.phase = Phase.BITING
            self._say(f"it was decided in this boot to let it bite: {reason}")

    def run(self) -> None:
        """Pet and listen until told to stop."""
        now = time.monotonic()
        for name, lease_s in self._settings.required:
            self._leases.hold(name, lease_s, owner=os.geteuid(), now=now)
        with _listening(self._settings.socket_path) as listening:
            poll = select.poll()
            poll.register(listening, select.POLLIN)
            while self.phase is not Phase.ENDED:
                for descriptor, _ in poll.poll(STEP_S * 1_000):
                    if descriptor == listening.fileno():
                        self._welcome(listening, poll)
                    else:
                        self._serve(descriptor, poll)
                self.tick(time.monotonic())
            for client, _ in self._clients.values():
                client.close()

    def tick(self, now: float) -> None:
        """Look at everything once; the clock never steps."""
        if self.stopping:
            self.take(Input.STOP, "told to stop")
            return
        if self.phase is Phase.OPENING and now >= self._open_at:
            self._open_at = now + OPEN_EVERY_S
            self._open()
        late = self._leases.lapsed(now)
        if late:
            self.take(Input.LAPSED, late)
        elif now >= self._pet_at:
            timeout_s = self._device.timeout_s if self._device else self._settings.timeout_s
            self._pet_at = now + min(PET_S_MAX, timeout_s / PETS_PER_TIMEOUT)
            self.take(Input.WELL, "")

    def take(self, given: Input, why: str) -> None:
        """One input of the table."""
        before = self.phase
        self.phase, action = step(before, given)
        self._do(action, why)
        if self.phase is not before:
            self._say(f"{self.phase.value}{': ' if why else ''}{why}")

    def answer(self, request: str, user: int, now: float) -> str:
        """Serve one request of `user`; the answer. Raises Refused."""
        verb, _, rest = request.strip().partition(" ")
        name, _, more = rest.partition(" ")
        if verb == "hold":
            try:
                lease_s = float(more)
            except ValueError as error:
                raise Refused("hold NAME SECONDS") from error
            self._leases.hold(name, lease_s, owner=user, now=now)
        elif verb == "drop":
            self._leases.drop(name, owner=user)
        elif verb == "fail":
            self._leases.fail(name, owner=user, now=now)
            self.take(Input.FAILED, f"{name}: {_clean(more) or 'it failed'}")
        elif verb in ("arm", "disarm"):
            if user not in (0, os.geteuid()):
                raise Refused(f"user {user} may not {verb} the watchdog")
            self.take(Input(verb), f"by user {user}")
        elif verb != "status":
            raise Refused("it is none of hold, drop, fail, arm, disarm, status")
        timeout_s = self._device.timeout_s if self._device else 0
        shown = self._leases.shown(now)
        return f"ok phase={self.phase.value} timeout_s={timeout_s} conditions={shown}"

    def _open(self) -> None:
        try:
            self._device = Device(self._settings.device, self._settings.timeout_s)
        except OSError as error:
            self.take(Input.NO_DEVICE, "")
            self._say(f"{self._settings.device} cannot be opened: {error.strerror}")
            return
        if self._device.reason:
            self._say(self._device.reason)
        self.take(Input.OPENED, f"{self._settings.device}, {self._device.timeout_s} s")

    def _do(self, action: Action, why: str) -> None:
        if action is Action.PET and self._device is not None:
            try:
                self._device.pet()
            except OSError as error:
                self.take(Input.NO_DEVICE, f"it cannot be petted: {error.strerror}")
        elif action is Action.RECORD:
            try:
                record.write(self._settings.folder, self._settings.boot_id, why)
            except OSError as error:  # it bites all the same: that matters more than being told
                self._say(f"the record cannot be written: {error.strerror}")
        elif action is Action.DISARM:
            self._disarm()
        elif action is Action.CLOSE and self._device is not None:
            self._device.close()
            self._device = None

    def _disarm(self) -> None:
        try:
            device = self._device or Device(self._settings.device, self._settings.timeout_s)
            self._device = None
            device.disarm()
            record.remove(self._settings.folder)
        except OSError as error:
            self._say(f"it cannot be disarmed: {error.strerror}")

    def _welcome(self, listening: socket.socket, poll: select.poll) -> None:
        client, _ = listening.accept()
        client.setblocking(False)
        raw = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, user, _ = _CREDENTIALS.unpack(raw)
        if (
            user not in (0, os.geteuid(), *self._settings.users)
            or len(self._clients) >= CLIENTS_MAX
        ):
            client.close()
            return
        self._clients[client.fileno()] = (client, user)
        poll.register(client, select.POLLIN)

    def _serve(self, descriptor: int, poll: select.poll) -> None:
        client, user = self._clients[descriptor]
        try:
            data = client.recv(REQUEST_BYTES_MAX)
            if data:
                client.send(self._answered(data, user))
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # it has gone: as if it had said nothing more
        poll.unregister(descriptor)
        del self._clients[descriptor]
        client.close()

    def _answered(self, data: bytes, user: int) -> bytes:
        try:
            return self.answer(data.decode("utf-8", "replace"), user, time.monotonic()).encode()
        except Refused as error:
            return f"refused {error}".encode()

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            try:
                os.write(2, f"watchdog: {sentence}\n".encode("utf-8", "replace"))
            except OSError:
                return


def main(arguments: list[str]) -> int:
    """Pet until SIGTERM or SIGINT; the process' exit status."""
    try:
        keeper = Keeper(parse(arguments))

        def stop(_number: int, _frame: object) -> None:
            keeper.stopping = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        keeper.run()
    except (ValueError, OSError) as error:
        os.write(2, f"watchdog: {error}\n".encode("utf-8", "replace"))
        return 2
    return 0


def _clean(text: str) -> str:
    return " ".join(text.split())[:REASON_CHARACTERS_MAX]


def _listening(path: str) -> socket.socket:
    if os.path.lexists(path):
        os.unlink(path)  # noqa: PTH108
    found = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    found.bind(path)
    os.chmod(path, 0o660)  # noqa: PTH101  who may do what, the peer's credentials say
    found.listen(CLIENTS_MAX)
    return found
