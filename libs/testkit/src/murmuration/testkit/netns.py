"""A network namespace of a test, joined to the test's own by a veth pair; needs root on Linux.

The namespace has no name and belongs to processes: when the test program dies, however it dies, its
pipe to the holder closes, the holder ends, and the namespace and the veth pair go with it.
"""

import asyncio
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from murmuration.testkit.levels import reaches

PREFIX = "mur-"


class Namespace:
    """One namespace: `inside` is its own end's address, `outside` that of the test's end."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        self._own = Path("/proc/self/ns/net").readlink()
        self.veth = f"{PREFIX}t{self._holder.pid}"
        third, fourth = divmod(self._holder.pid % 16_000, 64)
        self.outside = f"198.19.{third}.{fourth * 4 + 1}"
        self.inside = f"198.19.{third}.{fourth * 4 + 2}"

    @property
    def pid(self) -> int:
        """The process that holds the namespace open."""
        return self._holder.pid

    def command(self, *arguments: str) -> list[str]:
        """What runs a program inside, ended with this test program."""
        target = str(self._holder.pid)
        return ["setpriv", "--pdeathsig", "KILL", "nsenter", "-n", "-t", target, *arguments]

    def ip(self, *arguments: str) -> None:
        """Run ip(8) inside. Raises CalledProcessError."""
        subprocess.run(self.command("ip", *arguments), check=True, capture_output=True)

    async def open(self) -> None:
        """Wait for the namespace, and join it."""
        link = Path(f"/proc/{self._holder.pid}/ns/net")
        await reaches(lambda: link.readlink() != self._own, what="the namespace")
        peer = ["peer", "name", "eth0", "netns", str(self._holder.pid)]
        _ip("link", "add", self.veth, "type", "veth", *peer)
        _ip("addr", "add", f"{self.outside}/30", "dev", self.veth)
        _ip("link", "set", self.veth, "up")
        self.ip("link", "set", "lo", "up")
        self.ip("addr", "add", f"{self.inside}/30", "dev", "eth0")
        self.ip("link", "set", "eth0", "up")

    def close(self) -> None:
        """End the holder; the kernel removes the rest."""
        subprocess.run(["ip", "link", "del", self.veth], check=False, capture_output=True)
        self._holder.communicate()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@asynccontextmanager
async def network_namespace() -> AsyncGenerator[Namespace]:
    """A namespace of its own, gone at the end."""
    namespace = Namespace()
    try:
        await namespace.open()
        yield namespace
    finally:
        namespace.close()


@asynccontextmanager
async def tcp_relay(host: str, port: int) -> AsyncGenerator[int]:
    """Carry TCP connections from a free port of `host` to `port` of loopback; yields the port."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            return
        finally:
            writer.close()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    server = await asyncio.start_server(carry, host, 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
