"""Facts from texts as real kernels show them: a server, virtual machines, an Arm board."""

import pytest

from murmuration.node.core.facts import HostTexts, cpu_list_count, host_facts, os_name

XEON = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 106
model name\t: Intel(R) Xeon(R) Gold 6338N CPU @ 2.20GHz
flags\t\t: fpu vme de pse tsc msr pae mce cx8 apic sep mtrr vmx smx est
bogomips\t: 4400.00

processor\t: 1
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Gold 6338N CPU @ 2.20GHz
flags\t\t: fpu vme de pse tsc msr pae mce cx8 apic sep mtrr vmx smx est
"""
GUEST = """\
processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC
flags\t\t: fpu vme de pse tsc msr hypervisor lahf_lm cmp_legacy
"""
ARM = """\
processor\t: 0
BogoMIPS\t: 50.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1

processor\t: 1
BogoMIPS\t: 50.00
"""
POWER = """\
processor\t: 0
cpu\t\t: POWER9, altivec supported
clock\t\t: 2300.000000MHz
"""
MEMINFO = """\
MemTotal:       263856912 kB
MemFree:        201533424 kB
HugePages_Total:       0
"""
DEBIAN = """\
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
"""
SERVER = {
    "sys_vendor": "Dell Inc.",
    "product_name": "PowerEdge XR12",
    "product_serial": "7XK2ABC",
    "bios_vendor": "Dell Inc.",
    "bios_version": "1.13.2",
}


def test_facts_of_a_server_on_metal() -> None:
    facts = host_facts(
        HostTexts(
            cpuinfo=XEON,
            meminfo=MEMINFO,
            os_release=DEBIAN,
            kernel="6.1.0-26-rt-amd64",
            architecture="x86_64",
            cpus_online="0-127\n",
            nodes_online="0-1\n",
            clock_sources="tsc hpet acpi_pm \n",
            smbios=SERVER,
        )
    )

    assert (facts.vendor, facts.product, facts.serial) == (
        "Dell Inc.",
        "PowerEdge XR12",
        "7XK2ABC",
    )
    assert facts.firmware == "Dell Inc. 1.13.2"
    assert facts.cpu_model == "Intel(R) Xeon(R) Gold 6338N CPU @ 2.20GHz"
    assert (facts.cpu_count, facts.numa_node_count) == (128, 2)
    assert facts.memory_bytes == 263_856_912 * 1_024
    assert facts.os == "Debian GNU/Linux 12 (bookworm)"
    assert (facts.architecture, facts.kernel) == ("x86_64", "6.1.0-26-rt-amd64")
    assert facts.virtualization == ""


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (HostTexts(cpuinfo=GUEST, clock_sources="kvm-clock tsc acpi_pm"), "kvm"),
        (HostTexts(cpuinfo=GUEST, clock_sources="hyperv_clocksource_tsc_page"), "hyper-v"),
        (HostTexts(cpuinfo=GUEST, smbios={"sys_vendor": "VMware, Inc."}), "vmware"),
        (HostTexts(cpuinfo=GUEST, smbios={"sys_vendor": "QEMU"}), "qemu"),
        (HostTexts(cpuinfo=GUEST, smbios={"sys_vendor": "Microsoft Corporation"}), "hyper-v"),
        (HostTexts(cpuinfo=XEON, smbios={"sys_vendor": "Microsoft Corporation"}), ""),
        (HostTexts(cpuinfo=ARM, smbios={"sys_vendor": "QEMU"}), "qemu"),
        (HostTexts(cpuinfo=GUEST, hypervisor_type="xen\n"), "xen"),
        (HostTexts(cpuinfo=GUEST), "unknown"),
        (HostTexts(cpuinfo=XEON), ""),
        (HostTexts(), ""),
    ],
)
def test_virtualization_is_named_when_something_tells(texts: HostTexts, name: str) -> None:
    assert host_facts(texts).virtualization == name


def test_facts_of_an_arm_board_without_smbios() -> None:
    facts = host_facts(HostTexts(cpuinfo=ARM, device_tree_model="Ampere(R) Mt. Jade\0"))

    assert facts.cpu_model == "Arm implementer 0x41 part 0xd0c"
    assert facts.product == "Ampere(R) Mt. Jade"
    assert facts.cpu_count == 2  # without the kernel's list the processors are counted


def test_facts_of_power() -> None:
    assert host_facts(HostTexts(cpuinfo=POWER)).cpu_model == "POWER9, altivec supported"


def test_facts_stay_empty_when_nothing_is_told() -> None:
    facts = host_facts(HostTexts())

    assert (facts.vendor, facts.cpu_model, facts.os) == ("", "", "")
    assert (facts.cpu_count, facts.memory_bytes, facts.numa_node_count) == (0, 0, 0)


def test_filler_words_and_control_characters_of_firmware_are_left_out() -> None:
    facts = host_facts(
        HostTexts(
            smbios={
                "sys_vendor": "To Be Filled By O.E.M.",
                "product_name": "  Box\x01\n2 ",
                "product_serial": "x" * 5_000,
            }
        )
    )

    assert (facts.vendor, facts.product, len(facts.serial)) == ("", "Box2", 256)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0\n", 1),
        ("0-3\n", 4),
        ("0-1,4,6-7", 5),
        ("", 0),
        ("none", 0),
        ("3-1", 0),
        ("0-99999999999", 0),
        ("1-", 0),
    ],
)
def test_cpu_list_is_counted(text: str, count: int) -> None:
    assert cpu_list_count(text) == count


def test_os_name_falls_back_to_name() -> None:
    assert os_name("NAME='Alpine Linux'\nVERSION_ID=3.20") == "Alpine Linux"
