"""The second path of a heartbeat: the same frame by UDP to every controller."""

import _socket


class Udp:
    """Sends one frame to all addresses; never blocks, never raises on a network error.

    Addresses of a family that the kernel has not are passed over.
    """

    def __init__(self, addresses: list[tuple[str, int]]) -> None:
        self.down = False
        self._wanted = bool(addresses)
        self._targets: list[tuple[_socket.socket, tuple[str, int]]] = []
        self._sockets: dict[int, _socket.socket] = {}
        for address in addresses:
            family = _socket.AF_INET6 if ":" in address[0] else _socket.AF_INET
            if family not in self._sockets:
                try:
                    made = _socket.socket(family, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
                except OSError:
                    continue
                made.setblocking(False)
                self._sockets[family] = made
            self._targets.append((self._sockets[family], address))

    def send(self, frame: bytes) -> None:
        """Send to every address; `down` then says that there are some and none could be sent to."""
        sent = 0
        for udp, address in self._targets:
            try:
                udp.sendto(frame, address)
                sent += 1
            except OSError:
                continue
        self.down = self._wanted and not sent

    def close(self) -> None:
        """Close the sockets. May be repeated."""
        for udp in self._sockets.values():
            udp.close()
        self._sockets.clear()
        self._targets.clear()
