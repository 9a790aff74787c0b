"""Who is at the other end of each cable, by what is heard of LLDP (IEEE 802.1AB-2016, clause 8).

A frame comes from anybody on the wire: what is not well formed is passed over, and texts are
cleaned and bounded.

Invariants: a link has one neighbour at most, and keeps it while that one is heard, whoever else
speaks, and while its carrier stays. It is where the cable ends, not who is alive: while a link has
no carrier nothing expires, so that a switch that died is still known to those that hung on it.
"""

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from murmuration.proto.sysinv import Neighbour

TEXT_LENGTH_MAX: Final = 255
TTL_S_MAX: Final = 65_535
PARTING_S: Final = 10.0  # a switch that says good-bye restarts, and takes the carrier away
_END, _CHASSIS, _PORT, _TTL, _NAME = 0, 1, 2, 3, 5
_MAC = {_CHASSIS: 4, _PORT: 3}  # subtypes of ids
_ADDRESS = {_CHASSIS: 5, _PORT: 4}
_FAMILIES = {1: 4, 2: 16}  # IANA address family numbers: bytes of an address


class Heard(NamedTuple):
    """One advertisement: who speaks, and for how many seconds that is good; 0: it parts."""

    neighbour: Neighbour
    ttl_s: int


@dataclass(slots=True)
class _Known:
    neighbour: Neighbour
    ttl_s: float
    left_s: float
    seen_at: float
    loose: bool = False  # the carrier was away: the cable may end elsewhere now


def parse(frame: bytes) -> Heard | None:
    """The advertisement behind the Ethernet header; None for what is none."""
    tlvs: dict[int, bytes] = {}
    place = 0
    while place + 2 <= len(frame):
        head = int.from_bytes(frame[place : place + 2], "big")
        kind, length = head >> 9, head & 0x1FF
        value = frame[place + 2 : place + 2 + length]
        place += 2 + length
        if kind == _END:
            break
        if len(value) < length:
            return None
        tlvs.setdefault(kind, value)
    chassis, port, ttl = tlvs.get(_CHASSIS), tlvs.get(_PORT), tlvs.get(_TTL)
    if chassis is None or port is None or ttl is None or len(ttl) < 2:
        return None
    system = _text(tlvs.get(_NAME, b"")) or _id(_CHASSIS, chassis)
    if not system:
        return None
    neighbour = Neighbour(system=system, port=_id(_PORT, port))
    return Heard(neighbour, int.from_bytes(ttl[:2], "big"))


def _id(kind: int, value: bytes) -> str:
    subtype, content = value[:1], value[1:]
    if not subtype:
        return ""
    if subtype[0] == _MAC[kind] and len(content) == 6:
        return content.hex(":")
    if subtype[0] == _ADDRESS[kind] and _FAMILIES.get(content[:1][0] if content else 0) == (
        len(content) - 1
    ):
        return str(ipaddress.ip_address(content[1:]))
    return _text(content)


def _text(value: bytes) -> str:
    text = value.decode("utf-8", "replace").strip("\0 ")
    return "".join(each for each in text if each.isprintable())[:TEXT_LENGTH_MAX]


class Neighbours:
    """The neighbour of each link, by name. Instants are seconds of a clock that never steps."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def hear(self, link: str, heard: Heard, now: float) -> bool:
        """Take an advertisement in; whether the link has another neighbour now."""
        known = self._known.get(link)
        if known is not None and known.neighbour != heard.neighbour:
            if not known.loose and known.left_s > now - known.seen_at:
                return False
            known = None
        parts = heard.ttl_s == 0
        if parts and known is None:
            return False
        ttl_s = PARTING_S if parts else float(heard.ttl_s)
        self._known[link] = _Known(heard.neighbour, ttl_s, ttl_s, now)
        return known is None

    def of(self, link: str, now: float, *, carrier: bool) -> Neighbour | None:
        """The neighbour of a link, which has a carrier or not."""
        known = self._known.get(link)
        if known is None:
            return None
        if carrier:
            known.left_s -= now - known.seen_at
        else:
            known.left_s, known.loose = known.ttl_s, True
        known.seen_at = now
        if known.left_s <= 0:
            del self._known[link]
            return None
        return known.neighbour

    def keep(self, links: Collection[str]) -> None:
        """Forget the neighbours of all other links."""
        self._known = {name: known for name, known in self._known.items() if name in links}

    def next_s(self) -> float | None:
        """In how many seconds, from the last look, the first of them may expire; None: never."""
        return min((known.left_s for known in self._known.values()), default=None)
