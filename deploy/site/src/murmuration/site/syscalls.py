"""The few system calls that Python 3.11 has no name for, by ctypes; Linux only.

Everything here acts on the calling thread or process. The supervisor has one thread, so that a
visit to another network namespace is never seen by other code.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
CLONE_NEWNET = 0x40000000  # linux/sched.h
CLONE_NEWUSER = 0x10000000
MNT_DETACH = 2  # linux/fs.h, linux/mount.h
MS_BIND = 4096
MS_REC = 16384
MS_SHARED = 1 << 20
CAP_SYS_ADMIN = 21  # linux/capability.h
CAP_NET_ADMIN = 12

NOBODY = 65534  # there without any passwd file of ours; namespaces show unknown users as this

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send `signal_number` to this process when its parent's thread ends.

    Forgotten by the kernel when credentials change: call it after any change of user.
    """
    _checked(_libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl")


def enter_network(path: str) -> None:
    """Move the calling thread into the network namespace that is bound to `path`. OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.setns(descriptor, CLONE_NEWNET), f"setns {path}")
    finally:
        os.close(descriptor)


@contextmanager
def visiting_network(path: str | None) -> Iterator[None]:
    """Be in another network namespace for the body, without awaiting in it; None: stay."""
    if path is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter_network(path)
        try:
            yield
        finally:
            _checked(_libc.setns(home, CLONE_NEWNET), "setns back")
    finally:
        os.close(home)


def become_mapped_user(uid: int, gid: int) -> None:
    """Be `uid` in a user namespace of one's own: same files, no rights beyond one's own. OSError.

    For the kernel's file checks the process stays who it was; inside, and to programs that refuse
    to run as root, it is `uid`. Refused (EPERM) inside a chroot.
    """
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    _checked(_libc.unshare(CLONE_NEWUSER), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outside_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {outside_gid} 1")


def may_map_user() -> bool:
    """Whether `become_mapped_user` works here; asked in a forked copy."""
    pid = os.fork()
    if pid == 0:
        try:
            become_mapped_user(NOBODY, NOBODY)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def become_user(uid: int, gid: int) -> None:
    """Drop to `uid` and `gid` for good, supplementary groups included. OSError."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def create_network(path: str) -> None:
    """Make a network namespace and bind it to `path`, as `ip netns add` does (ip-netns(8)).

    The calling thread is back in its own namespace afterwards. FileExistsError when the name is
    taken, OSError when it may not.
    """
    folder = os.path.dirname(path)  # noqa: PTH120 - bytes for mount(2) follow
    Path(folder).mkdir(mode=0o755, parents=True, exist_ok=True)
    where = folder.encode()
    if _libc.mount(b"", where, b"none", MS_SHARED | MS_REC, None) != 0:
        _checked(_libc.mount(where, where, b"none", MS_BIND | MS_REC, None), f"bind {folder}")
        _checked(_libc.mount(b"", where, b"none", MS_SHARED | MS_REC, None), f"share {folder}")
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0))
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.unshare(CLONE_NEWNET), "unshare")
        try:
            source = b"/proc/thread-self/ns/net"
            _checked(_libc.mount(source, path.encode(), b"none", MS_BIND, None), f"bind {path}")
        finally:
            _checked(_libc.setns(home, CLONE_NEWNET), "setns back")
    finally:
        os.close(home)


def remove_network(path: str) -> None:
    """Take a network namespace's name away; it ends with its last process. Repeatable."""
    _libc.umount2(path.encode(), MNT_DETACH)
    Path(path).unlink(missing_ok=True)


def effective_capabilities() -> int:
    """The bits of CapEff of this process, bit n is capability n (capabilities(7))."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def has_capability(number: int) -> bool:
    """Whether this process may use capability `number`."""
    return bool(effective_capabilities() >> number & 1)
