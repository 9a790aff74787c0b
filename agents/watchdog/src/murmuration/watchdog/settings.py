"""What the process is told, as KEY=VALUE arguments."""

import os

KEYS = ("device", "socket", "folder", "timeout_s", "user", "require", "boot_id")
TIMEOUT_S_MAX = 3_600


class Settings:
    """What the process was told; `required` are leases that run from the start."""

    def __init__(
        self,
        *,
        device: str,
        socket_path: str,
        folder: str,
        boot_id: str,
        timeout_s: int,
        users: tuple[int, ...],
        required: tuple[tuple[str, float], ...],
    ) -> None:
        self.device = device
        self.socket_path = socket_path
        self.folder = folder
        self.boot_id = boot_id
        self.timeout_s = timeout_s
        self.users = users
        self.required = required


def parse(arguments: list[str]) -> Settings:
    """The settings. Raises ValueError, saying which argument is wrong."""
    given: dict[str, list[str]] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key not in KEYS or not equals or not value:
            raise ValueError(f"{argument!r} is none of {', '.join(f'{k}=' for k in KEYS)}")
        given.setdefault(key, []).append(value)

    def last(key: str, default: str) -> str:
        return given.get(key, [default])[-1]

    timeout_s = int(last("timeout_s", "60"))
    if not 1 <= timeout_s <= TIMEOUT_S_MAX:
        raise ValueError(f"timeout_s is not 1 to {TIMEOUT_S_MAX}")
    required = [text.partition(":") for text in given.get("require", [])]
    return Settings(
        device=last("device", "/dev/watchdog"),
        socket_path=last("socket", "/run/murmuration-watchdog/socket"),
        folder=last("folder", "/var/lib/murmuration-watchdog"),
        boot_id=last("boot_id", "") or _boot_id(),
        timeout_s=timeout_s,
        users=tuple(int(user) for user in given.get("user", [])),
        required=tuple((name, float(lease)) for name, _, lease in required),
    )


def _boot_id() -> str:
    descriptor = os.open("/proc/sys/kernel/random/boot_id", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 64).decode().strip()
    finally:
        os.close(descriptor)
