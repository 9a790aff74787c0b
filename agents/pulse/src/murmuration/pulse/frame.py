"""The 64 bytes of one heartbeat, as `murmuration.proto.pulse` lays them out.

Written again here because the sender imports nothing of the platform; `_blake2` and `_struct` are
what hashlib and struct stand on, without their imports.
"""

import _blake2
import _struct

FORMAT = "<4sBBHIHHQQ16s"
MAGIC = b"MURP"
VERSION = 1
MAC_BYTES = 16
FRAME_BYTES = 64
LOAD_PERCENT_MAX = 0xFFFF
FLAG_STOPPING = 1
FLAG_BUS_DOWN = 2
FLAG_UDP_DOWN = 4
FLAG_REBOOTING = 8
FLAG_POWERING_OFF = 16

_pack = _struct.Struct(FORMAT).pack


def pack(
    key: bytes,
    boot_id: bytes,
    *,
    index: int,
    period_ms: int,
    flags: int,
    load_percent: int,
    sequence: int,
    sent_ns: int,
) -> bytes:
    """One signed frame; `load_percent` saturates, `sent_ns` is CLOCK_BOOTTIME."""
    signed = _pack(
        MAGIC,
        VERSION,
        flags,
        period_ms,
        index,
        min(load_percent, LOAD_PERCENT_MAX),
        0,
        sequence,
        sent_ns,
        boot_id,
    )
    return signed + _blake2.blake2s(signed, key=key, digest_size=MAC_BYTES).digest()
