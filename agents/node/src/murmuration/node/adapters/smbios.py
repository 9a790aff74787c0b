"""What the firmware says of the machine (DMTF DSP0134), as the kernel shows it in /sys.

The serial number is readable by root only; without it that fact stays empty.
"""

from pathlib import Path

FIELDS = ("sys_vendor", "product_name", "product_serial", "bios_vendor", "bios_version")
FIELD_BYTES_MAX = 1_024
_FOLDER = "sys/class/dmi/id"


def read(root: Path) -> dict[str, str]:
    """The fields that are there and readable; empty on machines without SMBIOS."""
    found: dict[str, str] = {}
    for name in FIELDS:
        try:
            with (root / _FOLDER / name).open("rb") as file:
                found[name] = file.read(FIELD_BYTES_MAX).decode("utf-8", "replace").strip()
        except OSError:
            continue
    return found
