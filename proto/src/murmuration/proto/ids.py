"""Distinct types for the identifiers of the platform, and the rules for writing them.

Invariant: an identifier that reaches a subject has passed `token` or `parse_host_name`, so that a
free-form key can never add a subject level or a wildcard.
"""

import re
from typing import NewType

HostName = NewType("HostName", str)
AlarmId = NewType("AlarmId", str)
EntityId = NewType("EntityId", str)
AlarmUuid = NewType("AlarmUuid", str)
BootId = NewType("BootId", str)
ProducerName = NewType("ProducerName", str)
OperationId = NewType("OperationId", str)
ServiceName = NewType("ServiceName", str)

HOST_NAME_LENGTH_MAX = 63  # RFC 1123 label
HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
ALARM_ID = re.compile(r"[0-9]{3}\.[0-9]{3}")
OPERATION_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_PLAIN = re.compile(r"[A-Za-z0-9-]+")
_ENCODED = str.maketrans(
    {
        byte: f"_{byte:02X}"
        for byte in range(256)
        if not (chr(byte).isascii() and chr(byte).isalnum()) and chr(byte) != "-"
    }
)
_ESCAPE = re.compile(r"_([0-9A-F]{2})")


def parse_host_name(text: str) -> HostName:
    """Return `text` as a host name: one RFC 1123 label in lower case, 1 to 63 characters.

    Raises ValueError, naming the rule, when it is not one.
    """
    if not HOST_NAME.fullmatch(text):
        raise ValueError(
            f"{text[:80]!r} is not a host name: 1 to 63 of a-z, 0-9 and -, no - at either end"
        )
    return HostName(text)


def token(key: str) -> str:
    """Encode any non-empty text as one NATS subject token of [A-Za-z0-9_-]; `untoken` undoes it.

    Every byte of its UTF-8 form other than A-Z, a-z, 0-9 and - becomes `_` and two upper-case hex
    digits, so that different keys give different tokens. Raises ValueError for empty text.
    """
    if _PLAIN.fullmatch(key):
        return key
    if not key:
        raise ValueError("an empty key cannot be a subject token")
    return key.encode().decode("latin-1").translate(_ENCODED)


def untoken(text: str) -> str:
    """Decode what `token` encoded. Raises ValueError when `text` is not its output."""
    raw = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    key = raw.encode("latin-1").decode()
    if not key or token(key) != text:
        raise ValueError(f"{text[:80]!r} is not an encoded key")
    return key
