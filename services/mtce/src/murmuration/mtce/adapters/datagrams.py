"""Datagrams by the thousand: recvmmsg(2) into a table, without a Python call for each.

The socket module has no name for recvmmsg; it is called through ctypes, into slots made once. A
slot is larger than a frame, so that a longer datagram shows by its length.
"""

import ctypes
import errno
import os
import socket
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from murmuration.mtce.core.frames import FRAME, Table
from murmuration.proto.pulse import FRAME_BYTES

SLOTS: Final = 1_024  # as many as the kernel gives in one call (UIO_MAXIOV)
SLOT_BYTES: Final = 72  # a frame and eight bytes more
_MSG_DONTWAIT: Final = 0x40  # linux/socket.h
_MSG_TRUNC: Final = 0x20


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """struct msghdr, recvmsg(2)."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Iovec)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Header(ctypes.Structure):
    """struct mmsghdr: a message, and how much came."""

    _fields_ = (("message", _Message), ("length", ctypes.c_uint32))


class Datagrams:
    """The slots, and what came into them last."""

    def __init__(self) -> None:
        self._bytes = np.zeros((SLOTS, SLOT_BYTES), np.uint8)
        self._vectors = (_Iovec * SLOTS)()
        self._headers = (_Header * SLOTS)()
        for place in range(SLOTS):
            self._vectors[place].base = self._bytes.ctypes.data + place * SLOT_BYTES
            self._vectors[place].length = SLOT_BYTES
            self._headers[place].message.vectors = ctypes.pointer(self._vectors[place])
            self._headers[place].message.vector_count = 1
        raw: Any = np.frombuffer(memoryview(self._headers).cast("B"), np.uint8)
        table = raw.reshape(SLOTS, ctypes.sizeof(_Header))
        at = _Header.length.offset
        self._lengths: npt.NDArray[np.uint32] = table[:, at : at + 4].view(np.uint32)[:, 0]
        self._call = ctypes.CDLL(None, use_errno=True).recvmmsg

    def receive(self, udp: socket.socket) -> int:
        """Fill the slots with what waits; how many came, 0 when nothing does. Raises OSError."""
        count = self._call(udp.fileno(), self._headers, SLOTS, _MSG_DONTWAIT | _MSG_TRUNC, None)
        if count >= 0:
            return count
        number = ctypes.get_errno()
        if number in (errno.EAGAIN, errno.EINTR):
            return 0
        raise OSError(number, os.strerror(number))

    def frames(self, count: int) -> tuple[Table, int]:
        """Those of the first `count` that have a frame's length, and how many have not."""
        sized = self._lengths[:count] == FRAME_BYTES
        rows = self._bytes[:count, :FRAME_BYTES]
        chosen = np.ascontiguousarray(rows if sized.all() else rows[sized])
        return chosen.view(FRAME)[:, 0], count - int(np.count_nonzero(sized))
