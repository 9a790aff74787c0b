"""The listening sockets of a site, opened by the supervisor before anything is started.

So a port that is in use is found first, a service that restarts loses no connection (the kernel
keeps it waiting), and a socket may live in another namespace than the service that reads it.
"""

import errno
import socket
from dataclasses import dataclass

from murmuration.site import syscalls
from murmuration.site.errors import Refused

LOOPBACK = "127.0.0.1"
SERVICES = ("gateway", "sysinv", "mtce", "fm")  # in the order of their ports
PULSE = "mtce.pulse"
HTTPS = "gateway.https"
HTTPS_OFFSET = 9  # of its port to the gateway's other one
PULSE_OFFSET = 10  # of the UDP port to the gateway's where both are on loopback
BACKLOG = 512
PULSE_BUFFER_BYTES = 4 * 2**20  # 64-byte frames cost about 1 KiB in the kernel: a burst of 4,000


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """One socket of a service; `name` is its name among inherited sockets."""

    name: str
    socket: socket.socket

    @property
    def port(self) -> int:
        """The port it got."""
        return int(self.socket.getsockname()[1])

    @property
    def address(self) -> str:
        """`address:port`."""
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Listeners:
    """All of them, by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, Listener] = {}

    def __getitem__(self, name: str) -> Listener:
        return self._by_name[name]

    def of(self, service: str) -> tuple[tuple[str, int], ...]:
        """(name, descriptor) of the sockets of one service."""
        return tuple(
            (name, listener.socket.fileno())
            for name, listener in self._by_name.items()
            if name.partition(".")[0] == service
        )

    def open_http(self, first_port: int, *, tls_address: str) -> None:
        """A TCP socket per service on loopback, from `first_port` on, and the gateway's for TLS.

        0: any ports. Raises Refused.
        """
        for offset, service in enumerate(SERVICES):
            self._open(
                f"{service}.http", LOOPBACK, first_port + offset if first_port else 0, stream=True
            )
        secure_port = first_port + HTTPS_OFFSET if first_port else 0
        self._open(HTTPS, tls_address, secure_port, stream=True)

    def open_pulse(self, host: str, port: int, *, network: str | None) -> None:
        """The UDP socket of heartbeats, inside `network`. Raises Refused."""
        with syscalls.visiting_network(network):
            self._open(PULSE, host, port, stream=False)

    def _open(self, name: str, host: str, port: int, *, stream: bool) -> None:
        kind = socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
        opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
        try:
            if stream:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            else:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PULSE_BUFFER_BYTES)
            opened.bind((host, port))
            if stream:
                opened.listen(BACKLOG)
        except OSError as error:
            opened.close()
            raise _refused(host, port, error, stream=stream) from error
        self._by_name[name] = Listener(name=name, socket=opened)

    def close(self) -> None:
        """Close them all."""
        for listener in self._by_name.values():
            listener.socket.close()
        self._by_name.clear()


def _refused(host: str, port: int, error: OSError, *, stream: bool) -> Refused:
    kind = "Port" if stream else "UDP port"
    if error.errno == errno.EADDRINUSE:
        return Refused(
            f"{kind} {port} on {host} is in use.",
            "Stop what listens there, or choose others with --port.",
        )
    if error.errno == errno.EACCES:
        return Refused(f"{kind} {port} needs more rights.", "Choose one above 1023 with --port.")
    return Refused(f"Cannot listen on {host}:{port}: {error.strerror}.", "Choose another --port.")


def free_port(host: str, preferred: int) -> int:
    """`preferred` when nothing listens there, else another that is free at this moment."""
    for port in (preferred, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Refused(f"No port is free on {host}.", "Stop something.")
