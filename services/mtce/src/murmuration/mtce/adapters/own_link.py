"""The monitor's own link: whether the interface on which it listens has a carrier.

Asked as a level, ten times a second: there is no notification to miss. Asked by ioctl, for /sys may
show another network namespace than ours. An address of loopback, or of all interfaces, names no
link; then there is none to doubt.
"""

import ipaddress
import socket
import struct
from fcntl import ioctl
from typing import Final

LOOK_EVERY: Final = 5  # ticks
_SIOCGIFFLAGS: Final = 0x8913  # netdevice(7)
_SIOCGIFADDR: Final = 0x8915
_IFF_UP: Final = 0x1
_IFF_RUNNING: Final = 0x40  # there is a carrier, and the driver is ready


class OwnLink:
    """The carrier of the interface that has `address`. Implements Link. Asks through `asker`.

    `asker` is any socket of the namespace, and stays the caller's.
    """

    def __init__(self, address: str, asker: socket.socket) -> None:
        self.interface = _interface_of(address, asker)
        self._asker = asker
        self._request = struct.pack("256s", self.interface.encode())
        self._looked = 0
        self._up = True

    @property
    def up(self) -> bool:
        """Whether it has a carrier."""
        return self._up

    def look(self) -> None:
        """Look every LOOK_EVERY calls; an interface that is down or gone has no carrier."""
        self._looked += 1
        if self.interface and self._looked % LOOK_EVERY == 0:
            self._up = self._read()

    def _read(self) -> bool:
        try:
            told = ioctl(self._asker, _SIOCGIFFLAGS, self._request)
        except OSError:
            return False
        (flags,) = struct.unpack_from("H", told, 16)
        return bool(flags & _IFF_UP and flags & _IFF_RUNNING)


def _interface_of(address: str, asker: socket.socket) -> str:
    """The interface that has this IPv4 address; empty for loopback, any, IPv6 and unknown ones."""
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if wanted.version != 4 or wanted.is_loopback or wanted.is_unspecified:
        return ""
    for _, name in socket.if_nameindex():
        try:
            told = ioctl(asker, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        except OSError:
            continue
        if told[20:24] == wanted.packed:
            return name
    return ""
