"""From the texts the kernel shows to what a host is made of.

Every text may be absent or of another architecture: what cannot be told stays empty or 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from murmuration.proto.sysinv import HostFacts

TEXT_LENGTH_MAX = 256  # of one fact: firmware tables may hold anything
CPU_COUNT_MAX = 65_536  # a range beyond it is not a processor list

_CLOCK_SOURCES = {
    "kvm-clock": "kvm",
    "xen": "xen",
    "hyperv_clocksource_tsc_page": "hyper-v",
    "hyperv_clocksource_msr": "hyper-v",
    "vmware": "vmware",
}
_FIRMWARE = {  # beginnings of SMBIOS vendor or product, lower case
    "qemu": "qemu",
    "kvm": "kvm",
    "red hat": "kvm",
    "vmware": "vmware",
    "virtualbox": "virtualbox",
    "innotek": "virtualbox",
    "microsoft corporation": "hyper-v",
    "xen": "xen",
    "amazon ec2": "kvm",
    "google": "kvm",
    "bochs": "bochs",
    "parallels": "parallels",
    "bhyve": "bhyve",
}
_NO_VALUE = frozenset(
    {
        "",
        "none",
        "not specified",
        "to be filled by o.e.m.",
        "default string",
        "system serial number",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTexts:
    """What was read, as it stands there; empty where a file is not there."""

    cpuinfo: str = ""
    meminfo: str = ""
    os_release: str = ""
    kernel: str = ""
    architecture: str = ""
    cpus_online: str = ""
    nodes_online: str = ""
    clock_sources: str = ""
    hypervisor_type: str = ""
    device_tree_model: str = ""
    smbios: Mapping[str, str] = field(default_factory=dict[str, str])


def host_facts(texts: HostTexts) -> HostFacts:
    """The facts of a host from all its texts."""
    smbios = {name: _known(value) for name, value in texts.smbios.items()}
    return HostFacts(
        vendor=smbios.get("sys_vendor", ""),
        product=smbios.get("product_name", "") or _known(texts.device_tree_model.rstrip("\0")),
        serial=smbios.get("product_serial", ""),
        firmware=_joined(smbios.get("bios_vendor", ""), smbios.get("bios_version", "")),
        architecture=texts.architecture,
        kernel=texts.kernel,
        os=os_name(texts.os_release),
        cpu_model=cpu_model(texts.cpuinfo),
        cpu_count=cpu_list_count(texts.cpus_online) or _processor_count(texts.cpuinfo),
        memory_bytes=memory_bytes(texts.meminfo),
        numa_node_count=cpu_list_count(texts.nodes_online),
        virtualization=virtualization(texts),
    )


def cpu_model(cpuinfo: str) -> str:
    """The processor's name: `model name` (x86, POWER `cpu`), else implementer and part (Arm)."""
    first = _fields(cpuinfo)
    for key in ("model name", "cpu", "Hardware", "uarch"):
        if first.get(key):
            return _known(first[key])
    if "CPU part" in first:
        return f"Arm implementer {first.get('CPU implementer', '?')} part {first['CPU part']}"
    return ""


def memory_bytes(meminfo: str) -> int:
    """MemTotal in bytes."""
    words = _fields(meminfo).get("MemTotal", "").split()
    return int(words[0]) * 1_024 if words and words[0].isdecimal() else 0


def os_name(os_release: str) -> str:
    """PRETTY_NAME of os-release(5), without its quotes; NAME where there is none."""
    found: dict[str, str] = {}
    for line in os_release.splitlines():
        key, _, value = line.partition("=")
        found[key.strip()] = value.strip().strip("\"'")
    return _known(found.get("PRETTY_NAME", "") or found.get("NAME", ""))


def cpu_list_count(text: str) -> int:
    """How many numbers a kernel list such as `0-3,8` holds; 0 when it is not one."""
    count = 0
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            return 0
        count += int(last) - int(first) + 1 if dash else 1
    return count if 0 < count <= CPU_COUNT_MAX else 0


def virtualization(texts: HostTexts) -> str:
    """The hypervisor's name; `unknown` where only its presence is told, empty on metal."""
    if texts.hypervisor_type.strip():
        return _known(texts.hypervisor_type).lower()
    firmware = [
        texts.smbios.get(name, "").strip().lower()
        for name in ("sys_vendor", "product_name", "bios_vendor")
    ]
    for beginning, name in _FIRMWARE.items():
        if any(text.startswith(beginning) for text in firmware) and _may_be_virtual(texts):
            return name
    for source in texts.clock_sources.split():
        if source in _CLOCK_SOURCES:
            return _CLOCK_SOURCES[source]
    return "unknown" if _says_hypervisor(texts.cpuinfo) else ""


def _may_be_virtual(texts: HostTexts) -> bool:
    """A vendor of hypervisors also sells metal: on x86 the processor's flag decides."""
    return _says_hypervisor(texts.cpuinfo) or "flags" not in _fields(texts.cpuinfo)


def _says_hypervisor(cpuinfo: str) -> bool:
    return "hypervisor" in _fields(cpuinfo).get("flags", "").split()


def _processor_count(cpuinfo: str) -> int:
    return sum(1 for line in cpuinfo.splitlines() if line.startswith("processor"))


def _fields(text: str) -> dict[str, str]:
    """The `key : value` lines of a text, the first of each key."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), value.strip())
    return found


def _known(text: str) -> str:
    """A firmware text without filler words, control characters and excess length."""
    clean = "".join(c for c in text.strip() if c.isprintable())[:TEXT_LENGTH_MAX]
    return "" if clean.lower() in _NO_VALUE else clean


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)
