"""A real machine for tests: a QEMU guest of a libvirtd of its own, with this tree's agents inside.

The guest is a kernel of Debian, busybox and Python in an initramfs, emulated (TCG): a /dev/kvm that
answers may not work. It reaches loopback of this machine as `GATEWAY`, and its console is a shell.
libvirtd runs in mount and process namespaces of its own: when the test program dies, however it
dies, libvirtd and the guest die with it, and what was mounted is gone.

Needs root, Debian on amd64, and what `./just lab-libvirt` installs. Kernel and base are made once,
from where this machine's apt fetches, and kept.
"""

import hashlib
import importlib.util
import lzma
import re
import socket
import stat
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from murmuration.testkit.bmc import SYSTEM, SushyEmulator
from murmuration.testkit.ports import short_folder

GATEWAY = "10.0.2.2"  # what QEMU's user networking calls loopback of this machine
START_S = 60.0
FETCH_S_MAX = 300.0
CACHE = Path(__file__).parents[5] / ".tools" / "guest"
PACKAGES = ("busybox-static", "libc6", "libexpat1", "python3-minimal", "zlib1g")
MODULES = ("button", "evdev", "e1000", "watchdog", "i6300esb")  # who needs another is after it
KEPT = re.compile(r"(usr/)?(bin/|lib/x86_64-linux-gnu/[^/]*$|lib64/|lib/python3)")
BINDINGS = Path("/usr/lib/python3/dist-packages")  # of libvirt: Debian's, as libvirtd is
FILE, LINK, FOLDER = stat.S_IFREG | 0o755, stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755
AGENTS = ("pulse", "watchdog")
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /usr/bin
mkdir -p /proc /sys /dev /run /var/run /var/log
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in {modules}; do insmod /lib/modules/$module.ko; done
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
export boot=$(cat /proc/sys/kernel/random/boot_id)
echo "guest: boot $boot"
agent() {{ name=$1; shift; python3 -I -S -E /opt/murmuration/$name/__main__.py "$@" & }}
acpid -f -c /etc/acpi &
until ls -l /proc/$!/fd | grep -q /dev/input; do sleep 0.1; done
. /etc/start
echo "guest: started $boot"
exec sh
"""
POWER_BUTTON = """#!/bin/busybox sh
echo 'guest: power button' >/dev/console
poweroff -f
"""
DAEMON = """set -eu
for part in /run /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
    mkdir -p $part; mount -t tmpfs tmpfs $part
done
cat >/etc/libvirt/qemu.conf <<END
stdio_handler = "file"
security_driver = "none"
namespaces = []
cgroup_controllers = []
user = "root"
group = "root"
END
cat >/etc/libvirt/libvirtd.conf <<END
unix_sock_dir = "$1"
unix_sock_rw_perms = "0700"
auth_unix_rw = "none"
auth_unix_ro = "none"
END
libvirtd -f /etc/libvirt/libvirtd.conf -p /run/libvirtd.pid &
wait $!
"""
DOMAIN = """<domain type='qemu'>
  <name>guest</name><uuid>{uuid}</uuid><memory unit='MiB'>256</memory><vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>console=ttyS0 quiet</cmdline>
  </os>
  <features><acpi/></features><cpu mode='maximum'/>
  <devices>
    <serial type='unix'>
      <source mode='bind' path='{folder}/serial'/><log file='{folder}/console' append='on'/>
    </serial>
    <interface type='user'><model type='e1000'/></interface>
    <watchdog model='i6300esb' action='reset'/>
    <memballoon model='none'/>
  </devices>
</domain>
"""


class Libvirtd:
    """A daemon with a socket in `folder`, which knows nothing of any other on this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = f"qemu+unix:///system?socket={folder}/libvirt-sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers. Raises RuntimeError with its last words."""
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command = ["sh", "-c", DAEMON, "libvirtd", str(self.folder)]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *apart, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_S
        while self._virsh("version").returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text()[-2_000:])
            time.sleep(0.1)

    def virsh(self, *arguments: str) -> str:
        """What virsh, the second opinion, says. Raises CalledProcessError."""
        done = self._virsh(*arguments)
        done.check_returncode()
        return done.stdout

    def stop(self) -> None:
        """End it, and with it the guest."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _virsh(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["virsh", "--quiet", "--connect", self.uri, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=START_S,
        )


class LibvirtEmulator(SushyEmulator):
    """sushy-emulator in front of a libvirtd."""

    def __init__(self, folder: Path, uri: str) -> None:
        super().__init__(folder)
        self._uri = uri

    def settings(self) -> dict[str, object]:
        """The systems are the daemon's domains."""
        return {"SUSHY_EMULATOR_LIBVIRT_URI": self._uri}

    def prepare(self) -> list[str]:
        """With Debian's libvirt bindings, and no other package of Debian's, on Python's path."""
        for binding in BINDINGS.glob("libvirt*"):
            (self.folder / binding.name).symlink_to(binding)
        return ["env", f"PYTHONPATH={self.folder}", *super().prepare()]


class Guest:
    """One machine: switched by `bmc`, heard on its console."""

    def __init__(self, folder: Path, libvirtd: Libvirtd, bmc: LibvirtEmulator) -> None:
        self.libvirtd = libvirtd
        self.bmc = bmc
        self._folder = folder

    @property
    def console(self) -> str:
        """What its console said so far, over all its boots."""
        path = self._folder / "console"
        return path.read_text(errors="replace").replace("\r", "") if path.exists() else ""

    @property
    def boots(self) -> list[str]:
        """The boot ids its kernels gave themselves, in order, of boots that came to the end."""
        return re.findall(r"^guest: started (\S+)$", self.console, re.MULTILINE)

    def type(self, line: str) -> None:
        """Type a line at its console, a shell of root, no faster than its port takes it."""
        with socket.socket(socket.AF_UNIX) as terminal:
            terminal.settimeout(START_S)
            terminal.connect(str(self._folder / "serial"))
            for key in f"\n{line}\n".encode():
                terminal.sendall(bytes((key,)))
                time.sleep(0.03)


@contextmanager
def guest(files: Mapping[str, str]) -> Iterator[Guest]:
    """A machine, still off, with these files in it; /etc/start is what its init runs.

    There $boot is the kernel's boot id and `agent NAME ARGUMENT...` starts an agent of this tree.
    """
    kernel, base = _made()
    with short_folder() as folder:
        initrd = folder / "initrd"
        initrd.write_bytes(base.read_bytes() + archive(_contents(files)))
        state = folder / "bmc"
        state.mkdir()
        libvirtd = Libvirtd(folder)
        bmc = LibvirtEmulator(state, libvirtd.uri)
        try:
            libvirtd.start()
            domain = folder / "guest.xml"
            domain.write_text(
                DOMAIN.format(uuid=SYSTEM, kernel=kernel, initrd=initrd, folder=folder)
            )
            libvirtd.virsh("define", str(domain))
            bmc.start()
            yield Guest(folder, libvirtd, bmc)
        finally:
            bmc.stop()
            libvirtd.stop()


def archive(entries: Iterable[tuple[str, int, bytes]]) -> bytes:
    """An initramfs of (name, mode, content): cpio, newc (Documentation/driver-api/early-userspace).

    Folders come by themselves. Several archives may follow each other; the later one prevails.
    """
    found = {name: (mode, content) for name, mode, content in entries}
    folders = {str(up) for name in found for up in Path(name).parents if str(up) != "."}
    found |= {name: (FOLDER, b"") for name in folders if name not in found}
    parts: list[bytes] = []
    for number, name in enumerate([*sorted(found), "TRAILER!!!"], 1):
        mode, content = found.get(name, (0, b""))
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        parts += [_padded(head), _padded(content)]
    return b"".join(parts)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _contents(files: Mapping[str, str]) -> Iterator[tuple[str, int, bytes]]:
    """What differs from guest to guest: init, the agents as they are now, and the test's files."""
    yield "init", FILE, INIT.format(modules=" ".join(MODULES)).encode()
    yield "etc/acpi/PWRF/00000080", FILE, POWER_BUTTON.encode()
    for agent in AGENTS:
        spec = importlib.util.find_spec(f"murmuration.{agent}")
        assert spec is not None and spec.origin is not None, f"{agent} is not installed"
        for source in Path(spec.origin).parent.glob("*.py"):
            yield f"opt/murmuration/{agent}/{source.name}", FILE, source.read_bytes()
    for name, text in files.items():
        yield name.lstrip("/"), FILE, text.encode()


def _made() -> tuple[Path, Path]:
    """Kernel and base, made unless this very recipe made them before."""
    kernel, base, stamp = CACHE / "vmlinuz", CACHE / "base.cpio", CACHE / "stamp"
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == recipe:
        return kernel, base
    CACHE.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        _fetch(Path(folder))
        contents = {name: (LINK, f"usr/{name}".encode()) for name in ("bin", "lib", "lib64")}
        for package in Path(folder).glob("*.deb"):
            contents |= {name: (mode, data) for name, mode, data in _unpacked(package)}
    kernel.write_bytes(contents.pop("vmlinuz")[1])
    base.write_bytes(archive((name, *rest) for name, rest in contents.items()))
    stamp.write_text(recipe)
    return kernel, base


def _fetch(folder: Path) -> None:
    """Download the packages, without installing them. Raises RuntimeError."""
    image = _depended_on("linux-image-amd64", r"linux-image-\d\S+")
    python = _depended_on("python3-minimal", r"python3\.\d+-minimal")
    modules = f"lib{python}".replace("-minimal", "-stdlib")  # the pulse sender's _json is there
    done = subprocess.run(
        ["apt-get", "-qq", "download", *PACKAGES, image, python, f"lib{python}", modules],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=FETCH_S_MAX,
    )
    if done.returncode:
        raise RuntimeError(f"apt-get cannot download the guest: {done.stderr.strip()[-500:]}")


def _depended_on(package: str, wanted: str) -> str:
    """The one dependency of a package whose name, with its version in it, is like `wanted`."""
    done = subprocess.run(
        ["apt-cache", "depends", package], check=False, capture_output=True, text=True
    )
    found = re.search(rf"Depends: ({wanted})$", done.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"apt knows no {package}: a guest is made of Debian's for amd64.")
    return found[1]


def _unpacked(package: Path) -> Iterator[tuple[str, int, bytes]]:
    """What a guest needs of a Debian package; / and /usr are one, as Debian merges them."""
    with (
        subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
        ) as reader,
        tarfile.open(fileobj=reader.stdout, mode="r|") as members,
    ):
        for member in members:
            name = member.name.removeprefix("./")
            content = members.extractfile(member) if member.isfile() else None
            module, _, packing = Path(name).name.partition(".ko")
            if content is not None and name.startswith("boot/vmlinuz-"):
                yield "vmlinuz", FILE, content.read()
            elif content is not None and module in MODULES:
                data = content.read()
                data = lzma.decompress(data) if packing == ".xz" else data
                yield f"usr/lib/modules/{module}.ko", FILE, data
            elif KEPT.match(name) and content is not None:
                yield f"usr/{name.removeprefix('usr/')}", FILE, content.read()
            elif KEPT.match(name) and member.issym():
                yield f"usr/{name.removeprefix('usr/')}", LINK, member.linkname.encode()
