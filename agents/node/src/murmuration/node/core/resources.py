"""How much of the host's processors and memory is used, from the texts of /proc."""

from typing import NamedTuple


class CpuTicks(NamedTuple):
    """Time of all processors since boot, in ticks: all of it, and what was idle."""

    total: int
    idle: int


def cpu_ticks(stat: str) -> CpuTicks | None:
    """The first line of /proc/stat (proc(5)); None when it is not there."""
    for line in stat.splitlines():
        if line.startswith("cpu "):
            numbers = [int(word) for word in line.split()[1:9]]  # guest time is in user's already
            return CpuTicks(sum(numbers), numbers[3] + numbers[4])
    return None


def cpu_percent(before: CpuTicks, after: CpuTicks) -> float | None:
    """Share of the time between two looks that was not idle; None when no time has passed."""
    total = after.total - before.total
    if total <= 0:
        return None
    return round(100.0 * (1 - max(0, after.idle - before.idle) / total), 1)


def memory_percent(meminfo: str) -> float | None:
    """Share of the memory that cannot be had for new work; None when the text does not say."""
    values = {
        name: int(rest.split()[0])
        for name, _, rest in (line.partition(":") for line in meminfo.splitlines())
        if name in ("MemTotal", "MemAvailable") and rest.split()
    }
    if len(values) != 2 or not values["MemTotal"]:
        return None
    return round(100.0 * (1 - values["MemAvailable"] / values["MemTotal"]), 1)


def fill_percent(*, blocks: int, free: int, available: int) -> float | None:
    """How full a filesystem is, as df says it: of what users may use; None without a size."""
    used = blocks - free
    usable = used + available
    return round(100.0 * used / usable, 1) if usable > 0 else None
