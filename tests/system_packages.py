"""What the tests and benchmarks need from the system, beyond Python packages.

Run as a program: as root on Debian or Ubuntu it installs what is missing; anywhere else it says in
one sentence what is missing, root included, and exits 2. Nothing missing is silent and quick.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple


class Need(NamedTuple):
    """One Debian package, and how to see that what it brings is there."""

    package: str
    is_there: Callable[[], bool]
    used_for: str


def command(*names: str) -> Callable[[], bool]:
    """Whether one of these programs is found, in the folders of administrators too."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return lambda: any(shutil.which(name, path=path) for name in names)


def font() -> bool:
    """Whether there is any TrueType font, without which a browser draws boxes."""
    return any(Path("/usr/share/fonts").rglob("*.ttf"))


def database() -> bool:
    """Whether there is a PostgreSQL of the distribution: the wheel's was built without TLS."""
    return any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


def bindings() -> bool:
    """Whether there are Debian's Python bindings of libvirt, which fit its libvirtd."""
    return any(Path("/usr/lib/python3/dist-packages").glob("libvirtmod.*"))


NEEDS = (
    Need("nftables", command("nft"), "partitions of hosts"),
    Need("iproute2", command("ip"), "network namespaces"),
    Need("chromium", command("chromium", "chromium-browser", "google-chrome"), "the console"),
    Need("fonts-dejavu-core", font, "the console"),
    Need("mmdebstrap", command("mmdebstrap"), "the bootstrap on a fresh machine"),
    Need("wrk", command("wrk"), "benchmarks of the gateway"),
    Need("openipmi", command("ipmi_sim"), "a simulated BMC that speaks IPMI"),
    Need("ipmitool", command("ipmitool"), "the second opinion on IPMI"),
    Need("postgresql", database, "TLS of PostgreSQL"),
    Need("snmptrapd", command("snmptrapd"), "traps of fm"),
    Need("git", command("git"), "the tree as it is committed"),
)
LAB = (
    Need("libvirt-daemon-system", command("libvirtd"), "machines of QEMU"),
    Need("libvirt-clients", command("virsh"), "the second opinion on them"),
    Need("python3-libvirt", bindings, "their simulated BMC"),
    Need("qemu-system-x86", command("qemu-system-x86_64"), "machines"),
)


def install(packages: list[str]) -> None:
    """Install Debian packages. Raises CalledProcessError when apt-get refuses."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-y", "-qq", "-o", "Dpkg::Use-Pty=0"]
    for arguments in (["update"], ["install", "--no-install-recommends", *packages]):
        subprocess.run(
            [*apt, *arguments],
            env=environment,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )


def settle(needs: Sequence[Need], installer: Callable[[list[str]], None] | None) -> str:
    """Install what is missing; one sentence of what is missing in the end, empty when all is there.

    Without an installer nothing is changed.
    """
    missing = [need for need in needs if not need.is_there()]
    if missing and installer:
        packages = [need.package for need in missing]
        sys.stderr.write(f"just: installing for the tests: {' '.join(packages)}\n")
        try:
            installer(packages)
        except subprocess.CalledProcessError:
            return f"apt-get could not install {' '.join(packages)}: see above."
        missing = [need for need in missing if not need.is_there()]
    if not missing:
        return ""
    wanted = ", ".join(f"{need.package} ({need.used_for})" for need in missing)
    packages = [need.package for need in missing]
    return (
        f"the tests need {wanted}: install it (Debian: apt-get install {' '.join(packages)})"
        " and run this again."
    )


def main(arguments: Sequence[str] = ()) -> int:
    """Install or name what is missing; 0 when all is there in the end, else 2.

    With the argument `lab`: what `./just lab-libvirt` needs.
    """
    needs = LAB if "lab" in arguments else NEEDS
    if os.geteuid() != 0:
        sentence = (
            "the tests make network namespaces and mounts, which needs root: run this again"
            " as root, or name the tests to run (./just test PATH)."
        )
    else:
        sentence = settle(needs, install if shutil.which("apt-get") else None)
    if sentence:
        sys.stderr.write(f"just: {sentence}\n")
    return 2 if sentence else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
