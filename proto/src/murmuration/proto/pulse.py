"""The pulse: one heartbeat, a fixed frame of 64 bytes, the same on NATS and on UDP.

Little endian. The sender (agents/pulse) is standard library only and cannot import this module: it
packs with the same `FORMAT`, and a contract test holds the two together.

| offset | size | field | unit, range |
|---|---|---|---|
| 0 | 4 | magic | `MURP` |
| 4 | 1 | version | 1 |
| 5 | 1 | flags | bits 0 stopping (good-bye), 1 NATS path down, 2 UDP path down, 3 and 4 below |
| 6 | 2 | period_ms | 50 to 1000 |
| 8 | 4 | index | as given at enrolment |
| 12 | 2 | load_percent | 1 min load average over processors, x 100, saturating |
| 14 | 2 | fence_s | a promise, see below; 0: none |
| 16 | 8 | sequence | from 1, per start of the sender |
| 24 | 8 | sent_ns | CLOCK_BOOTTIME at sending: never steps within a boot |
| 32 | 16 | boot_id | UUID |
| 48 | 16 | mac | keyed BLAKE2s of the first 48 bytes |

`fence_s` promises that a watchdog resets the host within so many seconds after the sending of the
last pulse that a controller has acknowledged. The host's lease runs from its own sending, so no
clocks need agree: whoever heard the pulse knows that after as long again the host runs no more.
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass
from uuid import UUID

MAGIC = b"MURP"
VERSION = 1
FORMAT = "<4sBBHIHHQQ16s"
SIGNED_BYTES = 48
MAC_BYTES = 16
FRAME_BYTES = SIGNED_BYTES + MAC_BYTES
FLAG_STOPPING = 1
FLAG_BUS_DOWN = 2
FLAG_UDP_DOWN = 4
FLAG_REBOOTING = 8  # with FLAG_STOPPING: the host is about to reboot
FLAG_POWERING_OFF = 16  # with FLAG_STOPPING: it is about to be off

_FRAME = struct.Struct(FORMAT)


@dataclass(frozen=True, slots=True)
class Pulse:
    """One decoded frame; units as in the module's table."""

    flags: int
    period_ms: int
    index: int
    load_percent: int
    sequence: int
    sent_ns: int
    boot_id: bytes
    fence_s: int = 0

    @property
    def boot(self) -> str:
        """The boot id in its usual text form."""
        return str(UUID(bytes=self.boot_id))


def mac(key: bytes, signed: bytes) -> bytes:
    """The frame's MAC: BLAKE2s (RFC 7693), 16 bytes, keyed with at most 32 bytes."""
    return hashlib.blake2s(signed, key=key, digest_size=MAC_BYTES).digest()


def pack(pulse: Pulse, key: bytes) -> bytes:
    """The 64 bytes of a frame."""
    signed = _FRAME.pack(
        MAGIC,
        VERSION,
        pulse.flags,
        pulse.period_ms,
        pulse.index,
        min(pulse.load_percent, 0xFFFF),
        min(pulse.fence_s, 0xFFFF),
        pulse.sequence,
        pulse.sent_ns,
        pulse.boot_id,
    )
    return signed + mac(key, signed)


def unpack(frame: bytes) -> Pulse:
    """Decode a frame; the MAC is `authentic`'s business. Raises ValueError when it is not one."""
    if len(frame) != FRAME_BYTES:
        raise ValueError(f"a pulse has {FRAME_BYTES} bytes, not {len(frame)}")
    fields = _FRAME.unpack_from(frame)
    magic, version, flags, period_ms, index, load, fence_s, sequence, sent_ns, boot = fields
    if magic != MAGIC or version != VERSION:
        raise ValueError("not a pulse of version 1")
    return Pulse(flags, period_ms, index, load, sequence, sent_ns, boot, fence_s)


def authentic(frame: bytes, key: bytes) -> bool:
    """Whether the frame's MAC is that of `key`, compared in constant time."""
    return hmac.compare_digest(frame[SIGNED_BYTES:], mac(key, frame[:SIGNED_BYTES]))


def pulse_key(site_secret: bytes, host: str, index: int) -> bytes:
    """The key of one host's frames: 32 bytes, derived, so that it is stored nowhere."""
    return hashlib.blake2s(f"pulse/{host}/{index}".encode(), key=site_secret).digest()


def subject(shard: int, index: int) -> str:
    """`mtce.pulse.<shard>.<index>`, zero-padded, so that frames on the wire have one size."""
    return f"mtce.pulse.{shard:02d}.{index:05d}"
