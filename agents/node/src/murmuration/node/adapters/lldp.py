"""Listening to LLDP on the links of the agent's own network namespace.

A packet socket gets a copy of every frame, so a daemon that speaks LLDP on this host (lldpd) is not
disturbed, nor needed. Needs CAP_NET_RAW; without it no neighbours are told.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog

from murmuration.node.core.lldp import Neighbours, parse
from murmuration.proto.sysinv import Link

FRAME_BYTES_MAX = 1_600
FRAMES_MAX = 256  # at one go: whoever sends more waits
LISTENS_ON = ("ether", "veth")  # ports; what is built of them does not speak LLDP
_ETH_P_LLDP = 0x88CC
_GROUP = bytes.fromhex("0180c200000e")  # nearest bridge
_SOL_PACKET, _ADD_MEMBERSHIP, _MULTICAST, _OUTGOING = 263, 1, 0, 4
_MEMBERSHIP = struct.Struct("iHH8s")  # struct packet_mreq
log = structlog.get_logger()


class Lldp:
    """The neighbours that are heard; `changed` is called when there is another one."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._neighbours = Neighbours()
        self._joined: set[int] = set()
        self._expiry: asyncio.TimerHandle | None = None
        self._socket: socket.socket | None = None
        try:
            self._socket = socket.socket(
                socket.AF_PACKET,
                socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
                socket.htons(_ETH_P_LLDP),
            )
        except OSError as error:
            log.info("lldp.not_heard", reason=str(error))

    def open(self) -> None:
        """Listen, until `close`."""
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._drain)

    def close(self) -> None:
        """Listen no more."""
        if self._expiry is not None:
            self._expiry.cancel()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()

    def told(self, links: Sequence[Link]) -> tuple[Link, ...]:
        """The links with their neighbours; who is new among them is listened to from now on."""
        ports = {link.index: link for link in links if link.kind in LISTENS_ON}
        self._joined &= ports.keys()
        self._neighbours.keep({port.name for port in ports.values()})
        now = time.monotonic()
        for index, port in ports.items():
            self._join(port)
            neighbour = self._neighbours.of(port.name, now, carrier=port.oper_up)
            ports[index] = msgspec.structs.replace(port, neighbour=neighbour)
        self._look_again()
        return tuple(ports.get(link.index, link) for link in links)

    def _join(self, link: Link) -> None:
        if self._socket is None or link.index in self._joined:
            return
        membership = _MEMBERSHIP.pack(link.index, _MULTICAST, len(_GROUP), _GROUP)
        with contextlib.suppress(OSError):  # it has gone, or its driver knows no groups
            self._socket.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, membership)
            self._joined.add(link.index)

    def _look_again(self) -> None:
        """Have the links looked at when a neighbour may have expired."""
        if self._expiry is not None:
            self._expiry.cancel()
        after_s = self._neighbours.next_s()
        loop = asyncio.get_running_loop()
        self._expiry = None if after_s is None else loop.call_later(after_s, self._changed)

    def _drain(self) -> None:
        assert self._socket is not None
        now, changed = time.monotonic(), False
        with contextlib.suppress(OSError):  # empty now, or a link went down
            for _ in range(FRAMES_MAX):
                frame, (name, _, kind, *_) = self._socket.recvfrom(FRAME_BYTES_MAX)
                heard = parse(frame) if kind != _OUTGOING else None
                if heard is not None:
                    changed |= self._neighbours.hear(name, heard, now)
        if changed:
            self._changed()
