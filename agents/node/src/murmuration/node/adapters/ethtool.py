"""Link speed by ETHTOOL_GLINKSETTINGS (linux/ethtool.h), which acts in the socket's own namespace.

An ioctl, and not ethtool's netlink family, because it is one call per link without a generic
netlink stack in memory.
"""

import array
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
_GLINKSETTINGS = 0x4C
_HEAD = struct.Struct("=II7BbB3B7I")  # struct ethtool_link_settings without its masks
_WORDS_PLACE = 7  # among the unpacked fields after cmd and speed: see _words
_MASKS = 3  # supported, advertised, and the link partner's
_UNKNOWN = 0xFFFF_FFFF


def speed_mbps(name: str) -> int:
    """The link's speed in Mb/s, 0 when the driver does not tell."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asker:
        try:
            words = -_words(_ask(asker, name, words=0))
            if words <= 0:
                return 0
            speed = _HEAD.unpack_from(_ask(asker, name, words=words))[1]
        except OSError:
            return 0
    return 0 if speed == _UNKNOWN else speed


def _words(answer: bytes) -> int:
    """How many mask words the kernel has, as a negative number in its first answer."""
    return _HEAD.unpack_from(answer)[2 + _WORDS_PLACE]


def _ask(asker: socket.socket, name: str, *, words: int) -> bytes:
    question = array.array("B", bytes(_HEAD.size + 4 * _MASKS * max(words, 0)))
    blank = (0,) * 7
    _HEAD.pack_into(question, 0, _GLINKSETTINGS, 0, *blank, words, 0, 0, 0, 0, *blank)
    address, _ = question.buffer_info()
    request = struct.pack("16sP16x", name.encode()[:15], address)
    fcntl.ioctl(asker, _SIOCETHTOOL, request)
    return question.tobytes()
