"""The host as /proc, /sys and /etc show it; another root folder can stand in for the real one."""

import os
from pathlib import Path

from murmuration.node.adapters import smbios
from murmuration.node.core.facts import HostTexts

FILE_BYTES_MAX = 4 * 2**20  # /proc/cpuinfo of a thousand processors is about 2 MiB
PIECE_BYTES = 65_536  # for /proc/sys the kernel allocates what is asked for: megabytes are refused
_BOOT_ID = "proc/sys/kernel/random/boot_id"
_CLOCK_SOURCES = "sys/devices/system/clocksource/clocksource0/available_clocksource"


class ProcHost:
    """Reads the files; nothing is kept."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def texts(self) -> HostTexts:
        """Read them all; what is not there or not readable is empty."""
        kernel = os.uname()
        return HostTexts(
            cpuinfo=self._read("proc/cpuinfo"),
            meminfo=self._read("proc/meminfo"),
            os_release=self._read("etc/os-release") or self._read("usr/lib/os-release"),
            kernel=kernel.release,
            architecture=kernel.machine,
            cpus_online=self._read("sys/devices/system/cpu/online"),
            nodes_online=self._read("sys/devices/system/node/online"),
            clock_sources=self._read(_CLOCK_SOURCES),
            hypervisor_type=self._read("sys/hypervisor/type"),
            device_tree_model=self._read("proc/device-tree/model"),
            smbios=smbios.read(self._root),
        )

    def boot_id(self) -> str:
        """The kernel's boot id, empty where it has none."""
        return self._read(_BOOT_ID).strip()

    def _read(self, path: str) -> str:
        return read_text(self._root / path)


def read_text(path: Path) -> str:
    """The text of a file, at most FILE_BYTES_MAX of it, "" when it cannot be read."""
    data = bytearray()
    try:
        with path.open("rb", buffering=0) as file:
            while len(data) < FILE_BYTES_MAX and (piece := file.read(PIECE_BYTES)):
                data += piece
    except OSError:
        return ""
    return data.decode("utf-8", "replace")
