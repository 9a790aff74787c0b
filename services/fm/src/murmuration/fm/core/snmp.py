"""SNMPv2c traps (RFC 3416, RFC 1901), encoded by hand: a trap is a few nested fields of BER.

What a trap says is in mib/MURMURATION-ALARM-MIB.txt; the two are tested together against a real
receiver of traps.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

Oid = tuple[int, ...]

# Of net-snmp's playpen for private use: an enterprise number of our own is not assigned yet.
BASE: Oid = (1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 4711)
SYS_UP_TIME: Oid = (1, 3, 6, 1, 2, 1, 1, 3, 0)
TRAP_OID: Oid = (1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)
TEXT_BYTES_MAX = 255  # of a DisplayString, as the MIB says

_INTEGER, _OCTETS, _OID, _SEQUENCE = 0x02, 0x04, 0x06, 0x30
_TIME_TICKS, _TRAP_V2 = 0x43, 0xA7
_VERSION_2C = 1
_TICKS_MOD = 2**32
_SHORT, _MORE = 0x80, 0x80


class Field(NamedTuple):
    """One object of the MIB: its number below murAlarmFields, and its value."""

    number: int
    value: int | str


def trap(
    *, community: bytes, request_id: int, uptime_s: float, kind: int, fields: Sequence[Field]
) -> bytes:
    """The datagram of one trap; `kind` is its number below murAlarmTraps."""
    bindings = [
        _binding(SYS_UP_TIME, _tlv(_TIME_TICKS, _unsigned(int(uptime_s * 100) % _TICKS_MOD))),
        _binding(TRAP_OID, _tlv(_OID, _oid((*BASE, 0, kind)))),
        *(_binding((*BASE, 1, field.number, 0), _value(field.value)) for field in fields),
    ]
    number = _tlv(_INTEGER, _signed(0))
    pdu = _tlv(
        _TRAP_V2,
        _tlv(_INTEGER, _signed(request_id)) + number + number + _tlv(_SEQUENCE, b"".join(bindings)),
    )
    version = _tlv(_INTEGER, _signed(_VERSION_2C))
    return _tlv(_SEQUENCE, version + _tlv(_OCTETS, community) + pdu)


def date_and_time(at: datetime) -> str:
    """An instant as text, UTC, to the second: as the MIB's objects of time have it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _binding(oid: Oid, value: bytes) -> bytes:
    return _tlv(_SEQUENCE, _tlv(_OID, _oid(oid)) + value)


def _value(value: int | str) -> bytes:
    if isinstance(value, int):
        return _tlv(_INTEGER, _signed(value))
    text = value.encode()[:TEXT_BYTES_MAX].decode(errors="ignore").encode()
    return _tlv(_OCTETS, text)


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < _SHORT:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _MORE | len(length))) + length + content


def _signed(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)


def _unsigned(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def _oid(oid: Oid) -> bytes:
    first, second, *rest = oid
    return b"".join(map(_arc, (first * 40 + second, *rest)))


def _arc(arc: int) -> bytes:
    low = [arc & 0x7F]
    while arc := arc >> 7:
        low.append(_MORE | arc & 0x7F)
    return bytes(reversed(low))
